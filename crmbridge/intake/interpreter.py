"""The one way in: observations, from a poll or a webhook, become events and deliveries in one transaction."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from crmbridge.contract import wanted
from crmbridge.errors import RenderError
from crmbridge.intake.change import Interpretation, Sighting, interpret
from crmbridge.intake.flood import ALL, REASON, WIDER, Admission, FloodGuard, Lane, Trial
from crmbridge.model import Audience, ChangeEvent, Literal, Message, Observation, RecordRef, RecordSpec, State, digest
from crmbridge.rules.engine import Engine, Outcome, Rendered
from crmbridge.rules.rule import Mode, Surge
from crmbridge.store.interface import MAX_BATCH, Batch, Conflict, Entry, Known, NewDelivery, Snapshot, SourcePosition, Store
from crmbridge.telemetry import Metrics

_log = logging.getLogger(__name__)
_CONFLICTS = 20  # interpretations of one batch before we call it a bug


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Observations of one source, and what is recorded together with them."""

    source: str
    observations: Sequence[Observation]
    closed: Sequence[int] = ()
    failed: Mapping[int, str] = field(default_factory=dict)
    position: SourcePosition | None = None
    silent: bool = False
    unseen_is_new: bool = False


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
    ) -> None:
        """`records` are the configured fields by source and record type; `recorded` hears which destinations have work.

        `shadow`: everything is recorded, and nothing published.
        """
        self._store = store
        self.engine = engine
        self.records = records
        self._metrics = metrics
        self._now = now
        self._recorded = recorded
        self._monotonic = monotonic
        self._shadow = shadow
        self._guard = FloodGuard()

    async def remember(self) -> None:
        """Take over from an earlier process what the flood guard must know."""
        longest = max((step.surge.per for rule in self.engine.rules for step in rule.steps if step.surge), default=timedelta(0))
        now, tick = self._now(), self._monotonic()
        recent = await self._store.recent(now - longest)
        sources = {rule.id: rule.source for rule in self.engine.rules}
        for rule, destination, channel, at, held in recent:
            then = tick - (now - at).total_seconds()
            lane = Lane(rule, destination, channel)
            self._guard.remember([(lane, then, held)])
            if rule in sources and channel.startswith(f"{sources[rule]}/"):  # made from a record
                self._guard.remember([(lane._replace(channel=ALL), then, held)])

    async def take(self, intake: Intake) -> None:
        """Interpret and record `intake` as a whole, in order. What closes it is written with its last part."""
        observations = list(intake.observations)
        parts = [observations[start : start + MAX_BATCH] for start in range(0, len(observations), MAX_BATCH)] or [[]]
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            step = replace(intake, observations=part) if last else replace(intake, observations=part, closed=(), failed={}, position=None)
            await self._take_part(step)

    async def _take_part(self, intake: Intake) -> None:
        for _ in range(_CONFLICTS):
            trial = self._guard.trial(self._monotonic())
            entries, sightings, outcomes = await self._interpret(intake, trial)
            batch = Batch(source=intake.source, entries=entries, closed=intake.closed, failed=intake.failed, position=intake.position)
            try:
                await self._store.record(batch, self._now())
            except Conflict:
                continue  # someone recorded one of these records meanwhile
            trial.keep()
            self._tell(intake.source, entries, sightings, outcomes)
            return
        raise RuntimeError(f"the records of {intake.source} changed {_CONFLICTS} times while they were interpreted")

    async def _interpret(self, intake: Intake, trial: Trial) -> tuple[list[Entry], Counter[Sighting], list[Outcome]]:
        records = [RecordRef(intake.source, one.record_type, one.record_id) for one in intake.observations]
        ids = [one.observation_id for one in intake.observations if one.observation_id and one.version is None]
        before = await self._store.known(records, intake.source, ids) if records else Known({}, set())
        known, seen = before.snapshots, before.observations
        entries: list[Entry] = []
        sightings: Counter[Sighting] = Counter()
        outcomes: list[Outcome] = []
        for record, observation in zip(records, intake.observations, strict=True):
            unversioned = observation.observation_id if observation.version is None else None
            if unversioned is not None:
                if unversioned in seen:
                    sightings[Sighting.REPEATED] += 1
                    continue
                seen.add(unversioned)
            found = interpret(
                self._narrowed(intake.source, observation),
                intake.source,
                known.get(record),
                silent=intake.silent,
                unseen_is_new=intake.unseen_is_new,
            )
            sightings[found.sighting] += 1
            entry, outcome = self._entry(record, known.get(record), found, unversioned, trial)
            if found.snapshot:
                known[record] = found.snapshot
            if outcome:
                outcomes.append(outcome)
            entries.append(entry)
        return _merged(entries), sightings, outcomes

    def _narrowed(self, source: str, observation: Observation) -> Observation:
        records = self.records.get(source, {})
        if observation.record_type not in records:
            return observation
        fields = wanted(records, observation.record_type, observation.fields)
        before = wanted(records, observation.record_type, observation.before) if observation.before else observation.before
        if len(fields) == len(observation.fields) and len(before or ()) == len(observation.before or ()):
            return observation  # its source has narrowed it already
        return replace(observation, fields=fields, before=before)

    def _entry(
        self, record: RecordRef, known: Snapshot | None, found: Interpretation, observation_id: str | None, trial: Trial
    ) -> tuple[Entry, Outcome | None]:
        stale = found.sighting is Sighting.STALE
        outcome = self.engine.run(found.event) if found.event and not stale else None
        deliveries: list[NewDelivery] = []
        if outcome and found.event:
            for one in outcome.rendered:
                deliveries += self._admitted(one, found.event, trial)
            deliveries += unrenderable(outcome, found.event)
        entry = Entry(
            record=record,
            snapshot=found.snapshot,
            assumed=known.revision if known else None,
            event=found.event,
            stale=stale,
            deliveries=deliveries,
            observation_id=observation_id,
        )
        return entry, outcome

    def _admitted(self, one: Rendered, event: ChangeEvent, trial: Trial) -> list[NewDelivery]:
        """A message as its rule's mode and the flood guard let it in, and the summary that begins a flood."""
        message = one.message
        if self._shadow or one.mode is not Mode.LIVE:
            return [restrained(one, shadow=self._shadow)]
        if one.surge is None:
            return [NewDelivery(key=one.key, message=message)]
        lane = Lane(message.rule, message.destination, message.channel.key if message.channel else "")
        admission = trial.admit(lane, one.surge)
        held = NewDelivery(key=one.key, message=message, state=State.HELD, reason=REASON)
        if message.channel is not None and message.channel.title:  # made from a record
            wide = trial.admit(lane._replace(channel=ALL), replace(one.surge, over=one.surge.over * WIDER))
            if wide is not Admission.GO:
                return [held]  # no summary: there is no channel in which it would be read
        if admission is Admission.GO:
            return [NewDelivery(key=one.key, message=message)]
        if admission is Admission.HELD or message.audience is Audience.PUBLIC:
            return [held]
        return [summary(message, one.surge, event), held]

    def _tell(self, source: str, entries: Sequence[Entry], sightings: Counter[Sighting], outcomes: Sequence[Outcome]) -> None:
        for sighting, count in sightings.items():
            self._metrics.observations.labels(source, sighting.value).inc(count)
        for outcome in outcomes:
            for verdict in outcome.verdicts:
                if verdict.failed:
                    self._metrics.rule_errors.labels(verdict.rule).inc()
                    _log.warning("a condition could not be decided", extra={"rule": verdict.rule, "reason": verdict.reason})
            for one in outcome.unrenderable:
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


def _merged(entries: list[Entry]) -> list[Entry]:
    """Entries whose snapshots can be written in one go: of several changes to one record, the last snapshot stands
    against the revision that the first one assumed."""
    first: dict[RecordRef, Entry] = {}
    last: dict[RecordRef, int] = {}
    for index, entry in enumerate(entries):
        if entry.snapshot:
            first.setdefault(entry.record, entry)
            last[entry.record] = index
    if len(last) == sum(entry.snapshot is not None for entry in entries):
        return entries  # no record changes twice
    return [
        replace(
            entry,
            snapshot=entry.snapshot if last.get(entry.record) == index else None,
            assumed=first[entry.record].assumed if entry.record in first else entry.assumed,
        )
        for index, entry in enumerate(entries)
    ]


def restrained(one: Rendered, *, shadow: bool = False) -> NewDelivery:
    """A message whose rule is not live: a draft waits for a person, a shadow is only recorded."""
    if shadow or one.mode is Mode.SHADOW:
        return NewDelivery(key=one.key, message=one.message, state=State.SUPERSEDED, reason="shadow")
    return NewDelivery(key=one.key, message=one.message, state=State.HELD, reason="draft")


def summary(first: Message, surge: Surge, event: ChangeEvent) -> NewDelivery:
    """What is said in place of the flood that `first` begins."""
    seconds = round(surge.per.total_seconds())
    within = f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"
    words = f"More than {surge.over} messages of the rule {first.rule} came within {within}. The rest waits: a person releases or drops it."
    message = replace(first, step="surge", text=(Literal(words),), link=None, thread=None, edit=False, blocks=None)
    channel = first.channel.key if first.channel else ""
    return NewDelivery(key=digest("surge", event.id, first.rule, first.destination, channel), message=message)


def unrenderable(outcome: Outcome, event: ChangeEvent) -> list[NewDelivery]:
    """The dead letters of what could not be said."""
    return [
        NewDelivery(key=one.key, message=_unsaid(one.destination, one.rule, one.step, event), error=one.error)
        for one in outcome.unrenderable
    ]


def _unsaid(destination: str, rule: str, step: str, event: ChangeEvent) -> Message:
    """The place of a message that could not be rendered."""
    return Message(destination=destination, channel=None, rule=rule, step=step, text=(), record=event.record, occurred_at=event.occurred_at)


def rerender(engine: Engine, event: ChangeEvent, key: str, generation: int = 0) -> Message:
    """The message that the present rules make for `key`. Raises RenderError, also if they make none."""
    outcome = engine.run(event, generation)
    for one in outcome.rendered:
        if one.key == key:
            return one.message
    for failed in outcome.unrenderable:
        if failed.key == key:
            raise RenderError(failed.error)
    raise RenderError("the present rules no longer say anything for this change")
