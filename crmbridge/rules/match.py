"""Conditions as data: `match: {StageName: {becomes: Closed Won}, Amount: {gte: 100000}}`.

A condition looks at one field, as it is and as it was. An old value that is not known (the first sight of a record
by a source that could not be read from the beginning) satisfies no condition about change, and the verdict says so.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from crmbridge.errors import RenderError
from crmbridge.model import (
    ChangeEvent,
    ChangeKind,
    Fields,
    FieldSpec,
    FieldType,
    FieldValue,
    Reading,
    Unread,
    alike,
    as_written,
    did_you_mean,
)
from crmbridge.rules.meter import Meter, search, size
from crmbridge.rules.values import PLAIN, Authored, contains, empty, equal, ordered, shown, told

UNKNOWN_BEFORE: Final = "first sight, old value unknown"


@dataclass(frozen=True, slots=True)
class Sight:
    """One field of one event: what it is, what it was, whether that is known, whether the record is new."""

    now: FieldValue
    before: FieldValue
    before_known: bool
    created: bool
    reading: Reading = PLAIN
    """How the record's source writes."""

    @property
    def changed(self) -> bool:
        if not self.before_known or self.now == self.before:
            return False
        if empty(self.before) or empty(self.now):
            return True
        if isinstance(self.before, Unread) or isinstance(self.now, Unread):
            return as_written(self.before) != as_written(self.now)
        return not equal(self.now, self.before, self.reading)

    def is_now(self, wanted: Any) -> bool:
        return _is(self.now, wanted, self.reading)

    def was(self, wanted: Any) -> bool:
        return _is(self.before, wanted, self.reading)

    def is_one_of(self, wanted: Any) -> bool:
        return any(map(self.is_now, wanted))


def sight(event: ChangeEvent, field: str, reading: Reading = PLAIN) -> Sight:
    """Look at `field` in `event`."""
    return Sight(event.fields.get(field), event.before.get(field), field in event.before, event.kind is ChangeKind.CREATED, reading)


Test = Callable[[Sight, Any], bool]


def _is(value: FieldValue, wanted: Any, reading: Reading) -> bool:
    if wanted is None:
        return value is None
    if isinstance(value, bool) and isinstance(wanted, (int, Decimal)) and wanted in (0, 1):
        return value is bool(wanted)  # the source says that it is a truth, and a rule may write that as a number
    return value is not None and equal(value, wanted, reading)


def _order(compare: Callable[[Any, Any], bool]) -> Test:
    return lambda seen, wanted: seen.now is not None and ordered(seen.now, wanted, compare, seen.reading)


def _becomes(seen: Sight, wanted: Any) -> bool:
    return seen.is_now(wanted) and (seen.created or (seen.before_known and not seen.was(wanted)))


def _starts(seen: Sight, wanted: Any) -> bool:
    return seen.now is not None and alike(shown(seen.now, seen.reading)).startswith(alike(str(wanted)))


OPERATORS: Final[Mapping[str, Test]] = {
    "is": Sight.is_now,
    "becomes": _becomes,
    "changed": lambda seen, wanted: seen.changed is wanted if seen.before_known or not wanted else False,
    "from": lambda seen, wanted: seen.changed and seen.was(wanted),
    "to": lambda seen, wanted: seen.changed and seen.is_now(wanted),
    "ne": lambda seen, wanted: seen.now is not None and not seen.is_now(wanted),
    "in": Sight.is_one_of,
    "not_in": lambda seen, wanted: seen.now is not None and not seen.is_one_of(wanted),
    "gt": _order(operator.gt),
    "gte": _order(operator.ge),
    "lt": _order(operator.lt),
    "lte": _order(operator.le),
    "contains": lambda seen, wanted: seen.now is not None and contains(seen.now, wanted, seen.reading),
    "starts_with": _starts,
    "exists": lambda seen, wanted: (seen.now is not None) is wanted,
}
"""Every operator; `is` is the one that a bare value means."""

_ABOUT_CHANGE: Final = frozenset({"becomes", "changed", "from", "to"})
_LISTS: Final = frozenset({"in", "not_in"})
_FLAGS: Final = frozenset({"changed", "exists"})
_ORDERS: Final = frozenset({"gt", "gte", "lt", "lte"})
_PARTS: Final = frozenset({"contains", "starts_with"})
_WRITTEN: Final = {
    FieldType.NUMBER: ("a number", ""),
    FieldType.MONEY: ("a number", ""),
    FieldType.DATE: ("a day", ": write it like 2026-12-31"),
    FieldType.DATETIME: ("an instant", ": write it like 2026-12-31 or 2026-12-31T18:00"),
    FieldType.BOOLEAN: ("true or false", ""),
}
_SIGNS: Final = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "!=": "ne", "<>": "ne", "==": "", "=": ""}
_SIGNED: Final = re.compile(r"\s*(>=|<=|!=|<>|==|[<>=](?=\s*[-+]?[\d.]))\s*(\S.*)")
"""A text that looks like a comparison; `<` and `>` alone do so only before a number, for they stand in names too."""
_GLIMPSE, _GLIMPSE_ITEMS = 200, 10  # characters and items of a value that people are shown


@dataclass(frozen=True, slots=True)
class Clause:
    """One operator on one field."""

    field: str
    operator: str
    wanted: Any

    def holds(self, event: ChangeEvent, meter: Meter, reading: Reading = PLAIN) -> bool:
        """Say whether the clause holds. Raises RenderError where the value cannot be compared, or would take too much work."""
        seen = sight(event, self.field, reading)
        meter.charge(search(self.wanted, seen.now) if self.operator in _LISTS else search(seen.now, self.wanted))
        if self.operator in _ABOUT_CHANGE:
            meter.charge(size(seen.before))
        return OPERATORS[self.operator](seen, self.wanted)

    def why_not(self, event: ChangeEvent, reading: Reading = PLAIN) -> str:
        """Tell people the clause and the values it saw. Call it only after `holds` was false."""
        seen = sight(event, self.field, reading)
        was = _glimpse(seen.before, reading) if seen.before is not None else "empty" if seen.before_known else UNKNOWN_BEFORE
        now = _glimpse(seen.now, reading) if seen.now is not None else "empty"
        about = f"it is new, and is {now}" if seen.created else f"it was {was} and is {now}"
        values = about if self.operator in _ABOUT_CHANGE else f"it is {now}"
        return f"{self}: {values}"

    def __str__(self) -> str:
        wanted = ", ".join(map(str, self.wanted)) if isinstance(self.wanted, tuple) else self.wanted
        return f"{self.field} {self.operator} {wanted}"


def _glimpse(value: FieldValue, reading: Reading) -> str:
    """As much of a value as tells people which it was."""
    if isinstance(value, tuple):
        begin = ", ".join(_glimpse(item, reading) for item in value[:_GLIMPSE_ITEMS] if item is not None)[:_GLIMPSE]
        return f"{begin}, ... ({len(value)} items)" if len(value) > _GLIMPSE_ITEMS else begin
    if isinstance(value, str) and len(value) > _GLIMPSE:
        return f"{value[:_GLIMPSE]}..."
    return told(value, reading)


def compile_match(
    match: Mapping[str, Any], fields: Mapping[str, FieldSpec] | None
) -> tuple[list[Clause], list[tuple[tuple[str, ...], str]]]:
    """Clauses for `match`, and what is wrong with it as (path inside `match`, message)."""
    clauses: list[Clause] = []
    problems: list[tuple[tuple[str, ...], str]] = []
    for field, condition in match.items():
        if isinstance(condition, (list, tuple)):
            problems.append(((field,), f"a list is no value; write {field}: {{in: [...]}}"))
            continue
        spec = fields.get(field) if fields else None
        if not isinstance(condition, Mapping):
            if isinstance(condition, str) and condition in _FLAGS:
                problems.append(
                    ((field,), f"`{condition}` is an operator: write {field}: {{{condition}: true}}; or {{in: [{condition}]}} for the word")
                )
            elif meant := _comparison(condition):
                problems.append(((field,), f"`{condition}` is a text here: write {field}: {meant}; or {{in: [...]}} for those very words"))
            elif problem := _unfit(condition, spec):
                problems.append(((field,), problem))
            clauses.append(Clause(field, "is", _meant(condition, spec)))
            continue
        if not condition:
            problems.append(((field,), "is empty; write a value, or an operator such as {becomes: ...}"))
        for name, wanted in condition.items():
            problem = _check(name, wanted, spec)
            if problem:
                problems.append(((field, name), problem))
            else:
                found = tuple(_meant(one, spec) for one in wanted) if name in _LISTS else _meant(wanted, None if name in _FLAGS else spec)
                clauses.append(Clause(field, name, found))
    return clauses, problems


def _comparison(value: Any) -> str:
    """Propose the condition that somebody meant who wrote a comparison as a text, like `>= 1000`; empty for any other value."""
    found = _SIGNED.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return ""
    operator_, operand = _SIGNS[found[1]], found[2].strip()
    return f"{{{operator_}: {operand}}}" if operator_ else operand


def _meant(value: Any, spec: FieldSpec | None) -> Any:
    """Read a value as it stands in the rule: for a field that is true or false, `yes` and 1 are true too."""
    if spec and spec.type is FieldType.BOOLEAN and value is not None:
        return PLAIN.value(value, FieldType.BOOLEAN)
    return Authored(value) if isinstance(value, str) else value


def _check(name: str, wanted: Any, spec: FieldSpec | None) -> str:
    if name not in OPERATORS or name == "is":
        names = OPERATORS.keys() - {"is"}
        return f"there is no operator `{name}`{did_you_mean(name, names) or '; there are ' + ', '.join(sorted(names))}"
    if name in _LISTS:
        if not isinstance(wanted, (list, tuple)) or not wanted:
            return "write a list with at least one value, like [Won, Lost]"
        return next(filter(None, (_unfit(one, spec) for one in wanted)), "")
    if name in _FLAGS:
        return "" if isinstance(wanted, bool) else "write true or false"
    if isinstance(wanted, (list, tuple, Mapping)):
        return "write one value"
    if wanted is None and name in _ORDERS | _PARTS:
        return "write a value"
    if name in _ORDERS and (meant := _comparison(wanted)):
        return f"`{wanted}` is a text here: write {meant}"
    return "" if name in _PARTS else _unfit(wanted, spec)


def _unfit(wanted: Any, spec: FieldSpec | None) -> str:
    """Why no value of the field's type can be `wanted`; empty if one can, or no type is declared."""
    if spec is None or spec.type not in _WRITTEN or wanted is None:
        return ""
    kind, like = _WRITTEN[spec.type]
    return f"`{wanted}` is not {kind}, and the field is{like}" if isinstance(PLAIN.value(wanted, spec.type), Unread) else ""


_OF_A_VALUE: Final = frozenset({"is", "becomes", "to", "from", "ne", "in", "not_in"}) | _ORDERS | _PARTS


def assured(clauses: Iterable[Clause]) -> frozenset[str]:
    """Lookups, like `record.Amount`, that have values wherever all of `clauses` hold."""
    return frozenset(f"{'before' if one.operator == 'from' else 'record'}.{one.field}" for one in clauses if _asks_for_a_value(one))


def _asks_for_a_value(one: Clause) -> bool:
    if one.operator == "exists":
        return bool(one.wanted)
    if one.operator == "in" and None in one.wanted:
        return False
    return one.operator in _OF_A_VALUE and one.wanted is not None


def no_longer(clauses: tuple[Clause, ...], fields: Fields, reading: Reading = PLAIN) -> str:
    """Which `becomes` does not hold of `fields` as an equality, with what they say; empty if all do.

    What waited for a person may be outdated when it is released.
    """
    for clause in clauses:
        now = fields.get(clause.field)
        if clause.operator == "becomes" and (isinstance(now, Unread) or not _is(now, clause.wanted, reading)):
            return f"{clause.field} is no longer {clause.wanted}: it is {'empty' if now is None else _glimpse(now, reading)}"
    return ""


def first_failure(clauses: tuple[Clause, ...], event: ChangeEvent, meter: Meter, reading: Reading = PLAIN) -> Clause | None:
    """Find the first clause that does not hold; None if all do. Raises RenderError naming the clause that cannot be decided."""
    for clause in clauses:
        try:
            if not clause.holds(event, meter, reading):
                return clause
        except RenderError as error:
            raise RenderError(f"{clause}: {error}") from None
    return None
