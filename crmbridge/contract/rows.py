"""Rows of a page, read one by one. A row that cannot be read is lost alone; the rest of its page is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, TypeVar, cast

from crmbridge.errors import CrmbridgeError
from crmbridge.model import Observation, RecordSpec, Sensitivity, clean, digest
from crmbridge.telemetry import redact

R = TypeVar("R")
T = TypeVar("T")
_SEEN: Final = 4096  # characters of a row that are kept for a person
_REASON: Final = 300  # characters of a reason that are kept
_TELLING: Final = 3  # a value of fewer characters gives nothing away in an error's words
_MANY: Final = 10  # rows: if none of so many can be read, the source is at fault, not its rows


@dataclass(slots=True)
class ReadRows(Generic[R, T]):
    """What became of each row, in the order of the rows."""

    _found: list[tuple[R, T] | Observation] = field(default_factory=list)

    @property
    def good(self) -> list[tuple[R, T]]:
        """The rows that could be read, each with the result of its reading."""
        return [one for one in self._found if not isinstance(one, Observation)]

    def observations(self, of: Callable[[T], Iterable[Observation]] = lambda one: (cast("Observation", one),)) -> list[Observation]:
        """Return all observations, an unreadable one in the place of its row. The order counts: the last observation of a record wins."""
        found: list[Observation] = []
        for one in self._found:
            found += (one,) if isinstance(one, Observation) else of(one[1])
        return found


def each(
    rows: Iterable[R],
    read: Callable[[R], T],
    *,
    record_type: str,
    id: Callable[[R], Any],
    now: datetime,
    spec: RecordSpec | None = None,
    values: Callable[[R], Any] = lambda row: row,
    all_or_none: bool = False,
) -> ReadRows[R, T]:
    """Read each row, and put an unreadable observation in place of each row that cannot be read.

    `read` raises ValueError (or anything unforeseen) for an odd row. A CrmbridgeError concerns more than a row and goes through.
    `id` returns what names a row, if anything does. `values` returns a row's values by name. `spec` are the configured fields. Of
    an unreadable row, only the values of configured fields that are not secret are kept; of all others, only the type of the value.

    `all_or_none` is for a first read, or where the next page is found by the last row of this one. With it, a page on which
    nothing can be read is an error of the source: the error of its first row is raised. The same holds for any page of ten or more rows.
    """
    found = ReadRows[R, T]()
    shown = {name for name, one in (spec or {}).items() if one.sensitivity is not Sensitivity.SECRET}
    first: Exception | None = None
    odd = 0
    for row in rows:
        try:
            found._found.append((row, read(row)))
        except CrmbridgeError:
            raise
        except Exception as error:
            reason = _reason(error, values(row), shown)
            first = first or (ValueError(reason) if isinstance(error, ValueError) else error)
            odd += 1
            found._found.append(_unreadable(row, values(row), reason, record_type, id, now, shown))
    if first is not None and odd == len(found._found) and (all_or_none or odd >= _MANY):
        raise first
    return found


def _reason(error: Exception, row: Any, shown: set[str]) -> str:
    """Return an error's words without the values that nobody may see. Python's own errors quote the value that they fail on."""
    words = str(error) if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: {error}"
    return redact(without(words, (value for name, value in row.items() if name not in shown) if isinstance(row, Mapping) else ()))[:_REASON]


def without(words: str, values: Iterable[Any]) -> str:
    """Replace each of `values` in `words` by `***`."""
    for value in values:
        text = "" if value is None or isinstance(value, (bool, dict, list, tuple)) else str(value)
        if len(text) >= _TELLING:
            words = words.replace(text, "***")
    return words


def _unreadable(
    row: Any, values: Any, reason: str, record_type: str, id: Callable[[Any], Any], now: datetime, shown: set[str]
) -> Observation:
    seen = redact(_seen(values, shown))[:_SEEN]
    try:
        named = id(row)
    except Exception:
        named = None
    name = clean(str(named))[:1000] if isinstance(named, (str, int)) and not isinstance(named, bool) and str(named) else ""
    return Observation(
        record_type=record_type,
        record_id=name or f"?{digest(seen)[:12]}",
        fields={"row": clean(seen)},
        occurred_at=now,
        unreadable=reason,
    )


def _seen(row: Any, shown: set[str]) -> str:
    """Show as much of a row as an operator may see. Values of fields that are not configured are not shown."""
    if not isinstance(row, Mapping):
        return f"a {type(row).__name__}"
    return ", ".join(f"{name}: {value!r}" if name in shown else f"{name}: ({type(value).__name__})" for name, value in row.items())
