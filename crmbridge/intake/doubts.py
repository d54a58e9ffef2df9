"""What is odd about what a source says, where no single record is to blame.

Values that do not fit, fields that are gone, stamps of another clock: each is told once by field or source, with an example, for as
long as it is so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from crmbridge.model import Fields, Observation, RecordSpec, Sensitivity, Unread

_USUAL: Final = 10  # records in a row that had a field, so that it is missed; or that did not, so that it never was there
_MISSED: Final = 3  # records in a row without a field that was always there
_AHEAD: Final = timedelta(minutes=5)  # a stamp so far in the future is no matter of two clocks that differ a little
_BEHIND: Final = timedelta(minutes=25)  # the least that zones differ by is half an hour
_LATE: Final = 3  # polls in a row that brought only changes so far behind: one may have been committed late


class DoubtKind(StrEnum):
    """What is odd."""

    UNREAD = "unread"  # values that do not fit the field's type, or can mean two things
    GONE = "gone"  # a configured field is in none of the records
    AHEAD = "ahead"  # stamps lie in the future
    BEHIND = "behind"  # whatever changes comes with a stamp of long ago
    WALK = "walk"  # what was deleted, or changed without its stamp, cannot be looked for


@dataclass(frozen=True, slots=True)
class Doubt:
    """One oddity. `about` is a source, or `source/type.field`."""

    kind: DoubtKind
    about: str
    what: str
    since: datetime
    at: datetime
    count: int = 1


@dataclass(slots=True)
class _Presence:
    """How a configured field was seen last."""

    with_it: int = 0
    """Records in a row that had it, before those without."""
    without: int = 0
    """Records in a row that did not have it since."""


@dataclass(slots=True)
class _Lag:
    """How late the changes of a source come by their stamps."""

    least: timedelta = timedelta(0)
    count: int = 0


@dataclass(slots=True)
class Doubts:
    """What this process finds odd. Nothing of it is kept: what is still so is found again."""

    _found: dict[tuple[DoubtKind, str], Doubt] = field(default_factory=dict)
    _presence: dict[tuple[str, str], dict[str, _Presence]] = field(default_factory=dict)
    _parts: set[tuple[str, str]] = field(default_factory=set)
    """Sources and record types that leave out now this field and now that: what they do not send, nobody can miss."""
    _lag: dict[str, _Lag] = field(default_factory=dict)

    @property
    def found(self) -> list[Doubt]:
        return list(self._found.values())

    def forget(self, source: str | None = None) -> None:
        """Forget the doubts about a source, which was configured anew; without one, all of them, for a person knows."""
        if source is None:
            self._found.clear()
            self._lag.clear()
            return
        self._found = {name: one for name, one in self._found.items() if one.about != source and not one.about.startswith(f"{source}/")}
        self._presence = {name: one for name, one in self._presence.items() if name[0] != source}
        self._parts = {name for name in self._parts if name[0] != source}
        self._lag.pop(source, None)

    def values(self, source: str, one: Observation, spec: RecordSpec, now: datetime) -> None:
        """Look at what a record shows of its configured fields."""
        if one.deleted or one.merged_into is not None:
            return
        for name, value in one.fields.items():
            if type(value) is Unread:
                hidden = name in spec and spec[name].sensitivity is Sensitivity.SECRET
                shown, why = ("a secret value", "see its source") if hidden else (repr(value.text), value.reason)
                what = f"{shown} of {one.record_type} {one.record_id} is no {_type(spec, name)}: {why}"
                self.note(DoubtKind.UNREAD, f"{source}/{one.record_type}.{name}", what, now)
        if spec:
            self._present(source, one.record_type, one.fields, spec, now)

    def lacking(self, source: str, lacking: Mapping[str, Iterable[str]], now: datetime) -> None:
        """Note the configured fields that a source itself says it no longer has, by the record types that it looked at."""
        for record_type, names in lacking.items():
            gone = {f"{source}/{record_type}.{name}" for name in names}
            begin = f"{source}/{record_type}."
            for key in [key for key in self._found if key[0] is DoubtKind.GONE and key[1].startswith(begin) and key[1] not in gone]:
                del self._found[key]
            for about in sorted(gone):
                self.note(DoubtKind.GONE, about, "its source has no such field (any more)", now)

    def stamps(self, source: str, newest: datetime, changed: datetime | None, unseen_for: timedelta, now: datetime) -> None:
        """Look at the newest stamp of what a poll brought, and of what changed by it, when the poll before had looked `unseen_for` ago."""
        ahead = newest - now
        if ahead > _AHEAD:
            what = f"they are {_span(ahead)} ahead of this machine's clock, like {newest:%Y-%m-%d %H:%M} UTC"
            self.note(DoubtKind.AHEAD, source, what, now)
        if changed is None:
            return
        lag = now - changed - unseen_for
        if lag < _BEHIND:
            self._lag.pop(source, None)
            self._found.pop((DoubtKind.BEHIND, source), None)
            return
        seen = self._lag.setdefault(source, _Lag(lag))
        seen.least, seen.count = min(seen.least, lag), seen.count + 1
        if seen.count >= _LATE:
            what = f"what the last {seen.count} polls brought was at least {_span(seen.least)} behind this machine's clock"
            self.note(DoubtKind.BEHIND, source, what, now)

    def _present(self, source: str, record_type: str, fields: Fields, spec: RecordSpec, now: datetime) -> None:
        if (source, record_type) in self._parts:
            return
        presence = self._presence.setdefault((source, record_type), {})
        for name in spec:
            seen = presence.get(name)
            if seen is None:
                seen = presence[name] = _Presence()
            about = f"{source}/{record_type}.{name}"
            if name in fields:
                if seen.without and (DoubtKind.GONE, about) not in self._found:
                    self._sends_parts(source, record_type)
                    return
                if seen.without:
                    seen.with_it = seen.without = 0
                    self._found.pop((DoubtKind.GONE, about), None)
                seen.with_it += 1
                continue
            seen.without += 1
            if seen.with_it >= _USUAL and seen.without >= _MISSED:
                self.note(DoubtKind.GONE, about, f"it was in each of {seen.with_it} records, and in none of the last {seen.without}", now)
            elif not seen.with_it and seen.without >= _USUAL:
                self.note(DoubtKind.GONE, about, f"it is in none of {seen.without} records", now)

    def _sends_parts(self, source: str, record_type: str) -> None:
        """Note that a field came back before it was missed: this source sends parts of records."""
        self._parts.add((source, record_type))
        for name in self._presence.pop((source, record_type), {}):
            self._found.pop((DoubtKind.GONE, f"{source}/{record_type}.{name}"), None)

    def end(self, kind: DoubtKind, about: str) -> None:
        """End a doubt: it holds no longer."""
        self._found.pop((kind, about), None)

    def note(self, kind: DoubtKind, about: str, what: str, now: datetime) -> None:
        """Note a doubt, which may have been noted before."""
        before = self._found.get((kind, about))
        self._found[kind, about] = Doubt(kind, about, what, before.since if before else now, now, before.count + 1 if before else 1)


def _type(spec: RecordSpec, name: str) -> str:
    return spec[name].type.value if name in spec and spec[name].type.value != "any" else "value"


def _span(span: timedelta) -> str:
    minutes = round(span / timedelta(minutes=1))
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours and rest else f"{hours} h" if hours else f"{rest} min"
