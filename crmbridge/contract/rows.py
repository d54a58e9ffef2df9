"""Rows of a page, read one by one: a row that cannot be read costs that row, and never the page."""

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
_REASON: Final = 300  # characters of a reason
_TELLING: Final = 3  # characters from which a value in an error's words tells something
_MANY: Final = 10  # rows: where not one of so many can be read, it is not the rows that are odd


@dataclass(slots=True)
class ReadRows(Generic[R, T]):
    """What became of each row, in their order."""

    _found: list[tuple[R, T] | Observation] = field(default_factory=list)

    @property
    def good(self) -> list[tuple[R, T]]:
        """The rows that could be read, with what was read."""
        return [one for one in self._found if not isinstance(one, Observation)]

    def observations(self, of: Callable[[T], Iterable[Observation]] = lambda one: (cast("Observation", one),)) -> list[Observation]:
        """All of them, an unreadable one where its row stands: of one record the last one counts."""
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
    """`read(row)` of each row that can be read, and an unreadable observation in place of each that cannot.

    `read` raises ValueError (or anything unforeseen) for an odd row; a CrmbridgeError is about more than a row and goes through.
    `id` gives what names a row, if anything does. `spec` are the configured fields: only their values are kept, and of none that
    is secret; of all others what kind of value they have. `values` gives a row's values by name.

    `all_or_none`: on a first read, or where the next page is found by the
    last row of this one, a page on which nothing can be read is an error of the source. Raises that first error then.
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
    """An error's words without the values that nobody may see: Python's own quote what they choke on."""
    words = str(error) if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: {error}"
    return redact(without(words, (value for name, value in row.items() if name not in shown) if isinstance(row, Mapping) else ()))[:_REASON]


def without(words: str, values: Iterable[Any]) -> str:
    """`words` without any of `values`."""
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
    """As much of a row as people may see who look after crmbridge: what is not configured is nobody's business here."""
    if not isinstance(row, Mapping):
        return f"a {type(row).__name__}"
    return ", ".join(f"{name}: {value!r}" if name in shown else f"{name}: ({type(value).__name__})" for name, value in row.items())
