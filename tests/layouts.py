"""Whatever may stand in a layout, for those who say that they never stumble over one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from crmbridge.contract import Unsaid
from crmbridge.model import Value


def odd(words: Sequence[str]) -> st.SearchStrategy[Any]:
    """One value where another is expected; `words` are among its texts."""
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=3),
        st.sampled_from(words),
        st.builds(lambda *spans: spans, st.builds(Value, st.text(max_size=3), mention=st.booleans())),
        st.builds(Unsaid, st.booleans(), st.booleans()),
    )


def any_layout(values: st.SearchStrategy[Any], names: Sequence[str]) -> st.SearchStrategy[Any]:
    """Lists and mappings of `values` under the `names`, in one another."""
    return st.recursive(
        values, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(names), inner, max_size=5), max_leaves=20
    )


def places(raw: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of each part of a layout, the whole first."""
    inner = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]
