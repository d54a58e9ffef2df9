"""Rows of a page, read one by one: a row that cannot be read costs that row, and never the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from crmbridge.errors import CrmbridgeError
from crmbridge.model import FieldSpec, Observation, RecordSpec, Sensitivity, clean, digest
from crmbridge.telemetry import redact

R = TypeVar("R")
T = TypeVar("T")
_SEEN: Final = 4096  # characters of a row that are kept for a person
_MANY: Final = 10  # rows: where not one of so many can be read, it is not the rows that are odd


def each(
    rows: Iterable[R],
    read: Callable[[R], T],
    *,
    record_type: str,
    id: Callable[[R], Any],
    now: datetime,
    spec: RecordSpec | None = None,
    all_or_none: bool = False,
) -> tuple[list[tuple[R, T]], list[Observation]]:
    """`read(row)` of each row that can be read, and an unreadable observation for each that cannot.

    `read` raises ValueError (or anything unforeseen) for an odd row; a CrmbridgeError is about more than a row and goes through.
    `id` gives what names a row, if anything does. `spec` are the configured fields: only their values are kept, and of none that
    is secret; of all others what kind of value they have. `all_or_none`: on a first read, or where the next page is found by the
    last row of this one, a page on which nothing can be read is an error of the source. Raises that first error then, as it is.
    """
    good: list[tuple[R, T]] = []
    odd: list[Observation] = []
    first: Exception | None = None
    for row in rows:
        try:
            good.append((row, read(row)))
        except CrmbridgeError:
            raise
        except Exception as error:
            first = first or error
            words = str(error) if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: {error}"
            odd.append(_unreadable(row, redact(words)[:300], record_type, id, now, spec or {}))
    if first is not None and not good and (all_or_none or len(odd) >= _MANY):
        raise first
    return good, odd


def _unreadable(
    row: Any, reason: str, record_type: str, id: Callable[[Any], Any], now: datetime, spec: Mapping[str, FieldSpec]
) -> Observation:
    seen = redact(_seen(row, spec))[:_SEEN]
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


def _seen(row: Any, spec: Mapping[str, FieldSpec]) -> str:
    """As much of a row as people may see who look after crmbridge: what is not configured is nobody's business here."""
    if not isinstance(row, Mapping):
        return f"a {type(row).__name__}"
    shown = {name for name, one in spec.items() if one.sensitivity is not Sensitivity.SECRET}
    return ", ".join(f"{name}: {value!r}" if name in shown else f"{name}: ({type(value).__name__})" for name, value in row.items())
