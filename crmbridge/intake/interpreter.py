"""The one way in: observations, from a poll or a webhook, become events and deliveries in one transaction.

What is odd about one record never ends more than that record: it is put aside with what was seen of it, and named.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from crmbridge.contract import wanted
from crmbridge.errors import StoreError
from crmbridge.http import describe
from crmbridge.intake.aside import Asides, put_aside
from crmbridge.intake.change import Read, Sighting, interpret
from crmbridge.intake.deliveries import PIECE, admitted, unrenderable
from crmbridge.intake.doubts import Doubts
from crmbridge.intake.entries import bearable, entry_of, merged, weight
from crmbridge.intake.flood import ALL, FloodGuard, Share, Trial
from crmbridge.intake.parts import Intake, cut
from crmbridge.intake.repeats import Repeats
from crmbridge.model import (
    ChangeEvent,
    FieldSpec,
    Observation,
    RecordRef,
    RecordSpec,
)
from crmbridge.rules.engine import Decided, Engine
from crmbridge.store import underway
from crmbridge.store.interface import Store
from crmbridge.store.terms import MAX_BATCH, AlreadyKnown, Aside, Batch, Conflict, Entry, Gone, NewDelivery, Snapshot
from crmbridge.store.underway import MOST, Slot, UnderWay
from crmbridge.telemetry import Metrics

_log = logging.getLogger(__name__)
_CONFLICTS = 20  # interpretations of one batch before the next try waits
_LATELY = timedelta(minutes=10)
_HEAVY = 20_000  # units that the records of one transaction weigh: written as JSON they take tens of milliseconds
_UNSAID = FieldSpec()
_ENVIRONMENT = (OSError, MemoryError)
"""What is about the machine, and not about what is read."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """Why a rule's condition could not be decided last, and how often that was."""

    reason: str
    at: datetime
    count: int


@dataclass(slots=True)
class _Interpreted:
    """What the observations of one part turned out to be."""

    repeats: Repeats
    entries: list[Entry] = field(default_factory=list)
    aside: dict[RecordRef, Aside] = field(default_factory=dict)
    sightings: Counter[Sighting] = field(default_factory=Counter)
    decisions: list[Decided] = field(default_factory=list)
    seen: list[tuple[Observation, bool]] = field(default_factory=list)
    """Observations that told something new, and whether that is a change."""


class Interpreter:
    """Compares, runs the rules and records. `engine` and `records` may be exchanged between two calls (reload)."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        records: Mapping[str, Mapping[str, RecordSpec]],
        *,
        metrics: Metrics,
        now: Callable[[], datetime],
        recorded: Callable[[set[str]], None],
        monotonic: Callable[[], float] = time.monotonic,
        shadow: bool = False,
        under_way: UnderWay | None = None,
    ) -> None:
        """Interpret with `engine`. `records` are the configured fields by source and record type.

        `recorded` hears which destinations have new deliveries.
        `shadow`: everything is recorded, and nothing is published.
        `under_way` notes which requests and records are being worked on.
        """
        self._store = store
        self.engine = engine
        self.records = records
        self._metrics = metrics
        self._now = now
        self._recorded = recorded
        self._monotonic = monotonic
        self._shadow = shadow
        self._under_way = under_way or UnderWay()
        self._guard = FloodGuard()
        self._suspects: dict[RecordRef, int] = {}
        """Records during whose interpretation earlier processes ended, and how often."""
        self.undecided: dict[str, Undecided] = {}
        """Rules whose conditions could not be decided, by their ids."""
        self.news: dict[str, datetime] = {}
        """When something of a source was new last."""
        self.repeated: Counter[str] = Counter()
        """How often a source said something once more."""
        self._asides = Asides()
        self.doubts = Doubts()

    async def remember(self) -> None:
        """Take over from an earlier process what the flood guard must know, and what must be handled with care."""
        self._suspects = await self._store.suspects()
        self._asides.remember(await self._store.put_aside())
        longest = max((step.surge.per for rule in self.engine.rules for step in rule.steps if step.surge), default=timedelta(0))
        now, tick = self._now(), self._monotonic()
        recent = await self._store.recent(now - longest)
        sources = {rule.id: rule.source for rule in self.engine.rules}
        for rule, destination, channel, at, held in recent:
            then = tick - (now - at).total_seconds()
            share = Share(rule, destination, channel)
            self._guard.remember([(share, then, held)])
            if rule in sources and channel.startswith(f"{sources[rule]}/"):  # made from a record
                self._guard.remember([(share._replace(channel=ALL), then, held)])

    def reload(self, engine: Engine, records: Mapping[str, Mapping[str, RecordSpec]], changed: Iterable[str]) -> None:
        """Go on with other rules and fields; what was odd about the sources that `changed` may be mended."""
        self.engine, self.records = engine, records
        for name in changed:
            self.doubts.forget(name)

    async def take(self, intake: Intake) -> None:
        """Interpret and record `intake` as a whole, in order. Raises StoreError."""
        self.doubts.lacking(intake.source, intake.lacking, self._now())
        await self.take_parts(self.parts(intake))

    async def take_parts(self, parts: deque[Intake]) -> None:
        """Interpret and record parts in order, and take away what is recorded: who tries again after a StoreError goes on from there."""
        while parts:
            smaller = await self._take_part(parts[0])
            parts.popleft()
            parts.extendleft(reversed(smaller))

    def parts(self, intake: Intake) -> deque[Intake]:
        """Cut observations into parts that can each be recorded at once: not too many and not too heavy.

        A record during whose interpretation a process ended is a part of its own.
        """
        ends: list[int] = []
        begin = heavy = 0
        alone = False
        for index, one in enumerate(intake.observations):
            was_alone, alone = alone, _ref(intake.source, one) in self._suspects
            heavy += weight(one.fields)
            if index > begin and (index - begin >= MAX_BATCH or heavy > _HEAVY or alone or was_alone):
                ends.append(index)
                begin, heavy = index, weight(one.fields)
        return deque(cut(intake, [*ends, len(intake.observations)]))

    async def _take_part(self, intake: Intake) -> Sequence[Intake]:
        """Record a part as a whole; where something in it cannot be, return the halves that are to be taken instead."""
        suspect = next((ref for one in intake.observations if (ref := _ref(intake.source, one)) in self._suspects), None)
        try:
            if suspect is None:
                await self._interpret_and_record(intake)
            else:
                await self._take_suspect(intake, suspect)
        except Gone:
            _log.info("a newer state was told meanwhile", extra={"source": intake.source, "requests": list(intake.closed)})
        except (StoreError, *_ENVIRONMENT) as error:
            # Nothing that is read is to blame for the machine: it is taken again.
            raise error if isinstance(error, StoreError) else StoreError(describe(error)) from error
        except Exception as error:
            half = len(intake.observations) // 2
            if half:
                _log.warning("changes are recorded in smaller parts", extra={"source": intake.source, "reason": describe(error)})
                return cut(intake, [half, len(intake.observations)])
            if not intake.observations:
                raise
            (only,) = intake.observations
            await self._record(intake, aside=[self._put_aside(intake, only, error, None)])
        return ()

    async def _take_suspect(self, intake: Intake, record: RecordRef) -> None:
        """Take a record during whose interpretation the process ended before. No other such record is worked on meanwhile."""
        async with contextlib.nullcontext() if intake.alone else self._under_way.alone:
            crashes = self._suspects.get(record, 0)  # somebody else may have been through with it
            if crashes >= MOST:
                (only,) = intake.observations
                reason = f"crmbridge ended {crashes} times while it was interpreted"
                await self._record(intake, aside=[self._put_aside(intake, only, reason, None)])
            else:
                await self._interpret_and_record(intake)
        await self._store.acquit(record)
        self._suspects.pop(record, None)

    async def _interpret_and_record(self, intake: Intake) -> None:
        for _ in range(_CONFLICTS):
            trial = self._guard.trial(self._monotonic())
            with self._under_way.slot() as slot:
                found = await self._interpret(intake, trial, slot)
            try:
                await self._record(intake, found.entries, list(found.aside.values()), found.repeats)
            except Conflict:
                continue  # someone recorded one of these records meanwhile
            trial.keep()
            self._doubt(intake, found.seen)
            self.repeated[intake.source] += sum(one.count for one in found.repeats.again)
            self._tell(intake.source, found.entries, found.sightings, found.decisions)
            return
        raise StoreError(f"the records of {intake.source} changed {_CONFLICTS} times while they were interpreted")

    async def _record(
        self, intake: Intake, entries: Sequence[Entry] = (), aside: Sequence[Aside] = (), repeats: Repeats | None = None
    ) -> None:
        # What a person tries again is told again; what a poll only looks back at is not.
        news = list(aside) if intake.revision is not None else self._asides.new(aside)
        mended = self._asides.mended(entries)
        batch = Batch(
            source=intake.source,
            entries=entries,
            closed=intake.closed,
            failed=intake.failed,
            aside=news,
            needed=intake.closed if intake.revision is not None else (),
            mended=mended,
            # Nobody knows whether what was put aside was handled: neither it nor what stood before it is a repeat when it comes again.
            bodies={**(repeats.bodies if repeats else {}), **dict.fromkeys((one.record for one in aside), None)},
            repeats=repeats.again if repeats else (),
            position=intake.position,
        )
        await self._store.record(batch, self._now())
        self._asides.forget(mended)
        self._asides.recorded(news)
        if any(one.snapshot for one in entries):
            self.news[intake.source] = self._now()
        for one in news:
            self._metrics.quarantined.labels(intake.source).inc()
            _log.error("a record could not be interpreted and is put aside", extra={"record": str(one.record), "reason": one.reason})

    async def _interpret(self, intake: Intake, trial: Trial, slot: Slot) -> _Interpreted:
        records = [_ref(intake.source, one) for one in intake.observations]
        ids = [one.observation_id for one in intake.observations if one.observation_id and one.version is None]
        told = bool(intake.requests) or any(one.body for one in intake.observations)
        before = await self._store.known(records, intake.source, ids, told) if records else AlreadyKnown({}, {})
        known = before.snapshots
        found = _Interpreted(Repeats(before, self._now()))
        requests = underway.requests(intake.requests) if intake.requests else b""
        spent = 0
        for record, observation in zip(records, intake.observations, strict=True):
            if found.repeats.has(record, observation):
                found.sightings[Sighting.REPEATED] += 1
                continue
            snapshot = known.get(record)
            if intake.revision is not None and snapshot is not None and snapshot.revision > intake.revision:
                found.sightings[Sighting.STALE] += 1  # it was put aside, and a newer state was told since
                continue
            found.repeats.note(record, observation)
            name = requests or underway.record(record)
            slot.begin(name)
            try:
                spent += bearable(observation)
                narrowed = self._narrowed(intake.source, observation)
                one = interpret(
                    narrowed,
                    intake.source,
                    snapshot,
                    learning=intake.learning,
                    unseen_is_new=intake.unseen_is_new,
                    read=self._reader(intake.source, observation.record_type),
                    now=self._now(),
                )
                decided = Decided() if one.event and one.sighting is not Sighting.STALE else None
                for cost in self.engine.running(one.event, decided) if one.event and decided else ():
                    spent += cost
                    if spent > PIECE:
                        slot.end()
                        await asyncio.sleep(0)
                        spent = 0
                        slot.begin(name)
                entry = entry_of(observation, record, snapshot, one, self._messages(decided, one.event, trial))
            except _ENVIRONMENT:
                raise
            except Exception as error:  # whatever it is, it is about this record: the others go on
                found.aside[record] = self._put_aside(intake, observation, error, snapshot)
                continue
            finally:
                slot.end()
            found.sightings[one.sighting] += 1
            if one.snapshot:
                known[record] = one.snapshot
                found.seen.append((narrowed, one.event is not None))
                found.aside.pop(record, None)  # a later state of it can be told
            if decided:
                found.decisions.append(decided)
            found.entries.append(entry)
        found.entries = merged(found.entries)
        return found

    def _put_aside(self, intake: Intake, one: Observation, why: Exception | str, known: Snapshot | None) -> Aside:
        return put_aside(
            intake.source,
            one,
            why,
            spec=self.records.get(intake.source, {}).get(one.record_type, {}),
            revision=known.revision if known else 0,
            learning=intake.learning,
            unseen_is_new=intake.unseen_is_new,
        )

    def _reader(self, source: str, record_type: str) -> Read:
        """How a value of a field is read by now."""
        reading, spec = self.engine.reading(source), self.records.get(source, {}).get(record_type, {})
        return lambda name, kept, now: reading.again(kept, now, spec.get(name, _UNSAID))

    def _doubt(self, intake: Intake, seen: Sequence[tuple[Observation, bool]]) -> None:
        records, now = self.records.get(intake.source, {}), self._now()
        for one, _ in seen:
            self.doubts.values(intake.source, one, records.get(one.record_type, {}), now)
        if intake.unseen_for is not None and seen:
            changes = [one.occurred_at for one, changed in seen if changed and not intake.learning]
            newest = max(one.occurred_at for one, _ in seen)
            self.doubts.stamps(intake.source, newest, max(changes, default=None), intake.unseen_for, now)

    def _narrowed(self, source: str, observation: Observation) -> Observation:
        records = self.records.get(source, {})
        if observation.record_type not in records:
            return observation
        fields = wanted(records, observation.record_type, observation.fields)
        before = wanted(records, observation.record_type, observation.before) if observation.before else observation.before
        if len(fields) == len(observation.fields) and len(before or ()) == len(observation.before or ()):
            return observation  # its source has narrowed it already
        return replace(observation, fields=fields, before=before)

    def _messages(self, decided: Decided | None, event: ChangeEvent | None, trial: Trial) -> list[NewDelivery]:
        if decided is None or event is None:
            return []
        let_in = [new for one in decided.rendered for new in admitted(one, event, trial, shadow=self._shadow)]
        return let_in + unrenderable(decided, event)

    def _tell(self, source: str, entries: Sequence[Entry], sightings: Counter[Sighting], decisions: Sequence[Decided]) -> None:
        for sighting, count in sightings.items():
            self._metrics.observations.labels(source, sighting.value).inc(count)
        for decided in decisions:
            for verdict in decided.verdicts:
                if verdict.failed:
                    before = self.undecided.get(verdict.rule)
                    self.undecided[verdict.rule] = _again(before, verdict.reason, self._now())
                    self._metrics.rule_errors.labels(verdict.rule).inc()
                    _log.warning("a condition could not be decided", extra={"rule": verdict.rule, "reason": verdict.reason})
            for one in decided.unrenderable:
                self._metrics.rule_errors.labels(one.rule).inc()
                _log.error(
                    "a message could not be rendered", extra={"key": one.key, "rule": one.rule, "step": one.step, "reason": one.error}
                )
        for new in (new for entry in entries for new in entry.deliveries if new.reason):
            self._metrics.held.labels(new.message.destination, new.reason).inc()
        destinations = {new.message.destination for entry in entries for new in entry.deliveries if not new.error}
        # Each delivery has its line at INFO; a change that nobody hears of is for who asks (and for `tail`).
        for entry in entries if _log.isEnabledFor(logging.DEBUG) else ():
            if entry.event and not entry.stale:
                facts = {
                    "event": entry.event.id,
                    "record": str(entry.record),
                    "kind": entry.event.kind.value,
                    "messages": len(entry.deliveries),
                }
                _log.debug("change", extra=facts)
        if destinations:
            self._recorded(destinations)


def _again(before: Undecided | None, reason: str, now: datetime) -> Undecided:
    """Once more; what was long ago is counted no longer."""
    return Undecided(reason, now, before.count + 1 if before and now - before.at < _LATELY else 1)


def _ref(source: str, one: Observation) -> RecordRef:
    return RecordRef(source, one.record_type, one.record_id)
