"""Records that nobody can interpret: put aside with what was seen of them, once, until a newer state can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from crmbridge.contract import without
from crmbridge.http import describe
from crmbridge.model import Observation, RecordRef, RecordSpec, Sensitivity, digest, dump_fields, dump_observation, load_observation
from crmbridge.store.terms import Aside, Entry

_SEEN = 64 * 1024  # characters that are kept of what cannot even be written down


def put_aside(
    source: str, one: Observation, why: Exception | str, *, spec: RecordSpec, revision: int, learning: bool, unseen_is_new: bool
) -> Aside:
    """Put an observation aside for a person to look at. When it is tried again, it is told as it would have been now.

    `revision` is the record's revision now. Once the record has moved on, what was put aside is no news.
    The reason holds no value of a field that `spec` calls secret.
    """
    kept = replace(one, existed=one.existed or learning, created=one.created or (unseen_is_new and not learning))
    try:
        seen = dump_observation(kept)
    except Exception:  # what cannot be written may be just what is wrong with it
        seen = repr(one)[:_SEEN].encode("utf-8", "replace")
    words = why if isinstance(why, str) else str(why) if isinstance(why, ValueError) else describe(why)
    secret = [value for name, value in one.fields.items() if name in spec and spec[name].sensitivity is Sensitivity.SECRET]
    return Aside(RecordRef(source, one.record_type, one.record_id), seen, without(words, secret) or "nobody knows why", revision)


class Asides:
    """What this daemon has put aside, so that the same is not told again with every poll that looks back."""

    def __init__(self) -> None:
        self._marks: dict[tuple[str, str], str] = {}

    def remember(self, rows: Mapping[tuple[str, str], bytes]) -> None:
        """Take over what an earlier process put aside."""
        self._marks = {name: _mark(seen) for name, seen in rows.items()}

    def new(self, found: Iterable[Aside]) -> list[Aside]:
        """Those that are not known as they are; also what a person has dropped is known."""
        return [one for one in found if self._marks.get(_name(one.record)) != _mark(one.seen)]

    def recorded(self, found: Iterable[Aside]) -> None:
        """They are in the store."""
        self._marks |= {_name(one.record): _mark(one.seen) for one in found}

    def mended(self, entries: Sequence[Entry]) -> list[RecordRef]:
        """Return the records that had something put aside and whose newer state is recorded with `entries`."""
        return [one.record for one in entries if one.snapshot and _name(one.record) in self._marks] if self._marks else []

    def forget(self, records: Iterable[RecordRef]) -> None:
        """They are mended."""
        for one in records:
            self._marks.pop(_name(one), None)


def _name(record: RecordRef) -> tuple[str, str]:
    return record.source, record.inner


def _mark(seen: bytes) -> str:
    """Digest what was seen of a record. The same state gives the same digest, whenever it was seen."""
    try:
        one = load_observation(seen)
    except ValueError:
        return digest(seen.decode("utf-8", "replace"))
    return digest(dump_fields(one.fields), one.version or "", one.unreadable)
