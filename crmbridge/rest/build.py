"""The kind of source that some options make. It has the abilities that all its types have, and is called if the options say so."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from crmbridge.contract import Setting
from crmbridge.rest.called import CalledSource
from crmbridge.rest.options import RestOptions
from crmbridge.rest.source import DescribingRestSource, RereadingRestSource, RestSource, WholeRestSource
from crmbridge.rest.values import Shape

S = TypeVar("S", bound=RestSource)


def build(options: RestOptions, setting: Setting, shape: Shape | None = None, _given: Any = None) -> RestSource:
    """Make a source with the abilities that all its types have. `_given` is what the user of a preset wrote."""
    resources = options.types.values()
    single, told = all(one.single for one in resources), all(one.described for one in resources)
    kind = {(True, True): WholeRestSource, (True, False): RereadingRestSource, (False, True): DescribingRestSource}.get(
        (single, told), RestSource
    )
    return reachable(kind, options)(options, setting, shape)


def reachable(kind: type[S], options: RestOptions) -> type[S]:
    """Return `kind`, extended so that its source is called if the options say so."""
    return kind if options.webhook is None else _called(kind)


def _called(kind: type[S]) -> type[S]:
    return cast("type[S]", type(f"Called{kind.__name__}", (CalledSource, kind), {"__doc__": CalledSource.__doc__}))
