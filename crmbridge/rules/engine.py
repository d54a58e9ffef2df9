"""Events become messages. Pure: the same event and rules always give the same messages; no clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timezone, tzinfo
from typing import Any, Final

from crmbridge.errors import RenderError
from crmbridge.model import (
    Audience,
    ChangeEvent,
    Channel,
    Fields,
    FieldSpec,
    FieldType,
    Media,
    Message,
    Reading,
    RecordSpec,
    Sensitivity,
    Text,
    Unread,
    address,
    alike,
    begin,
    idempotency_key,
    plain,
)
from crmbridge.rules.compiler import EVENT_PUBLIC, Bindings
from crmbridge.rules.match import first_failure, no_longer
from crmbridge.rules.meter import Meter
from crmbridge.rules.rule import FixedChannel, Mode, RecordChannel, Rule, Step, Surge, rendered
from crmbridge.rules.template import Template
from crmbridge.rules.values import empty, flat, shown

NO_LINK: Final = "no_link"
"""The key of a message's `extra` that tells why it has no link, though its step has one."""


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """Why a rule did or did not run for an event; `failed` means that it could not be decided."""

    rule: str
    matched: bool
    reason: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message with the key it is published under, and how it is to be treated."""

    key: str
    message: Message
    mode: Mode
    surge: Surge | None


@dataclass(frozen=True, slots=True)
class Unrenderable:
    """A step that matched and could not be said: a dead letter with its reason."""

    key: str
    rule: str
    step: str
    destination: str
    error: str


@dataclass(slots=True)
class Decided:
    """All that the rules made of one event."""

    rendered: list[Rendered] = field(default_factory=list)
    unrenderable: list[Unrenderable] = field(default_factory=list)
    verdicts: list[RuleVerdict] = field(default_factory=list)


Records = Mapping[tuple[str, str], RecordSpec]
"""The configured fields by (source, record type); a record type without an entry has only internal fields."""


class Engine:
    """Compiled rules, indexed by what an event is, so that a thousand rules cost only those that may match."""

    def __init__(
        self, rules: Iterable[Rule], records: Records, zone: tzinfo = timezone.utc, readings: Mapping[str, Reading] | None = None
    ) -> None:
        """`zone` is where days and instants are shown; `readings` says how each source writes."""
        self.rules = tuple(rules)
        self.records = records
        self.zone = zone
        self.readings = readings or {}
        self._plain = Reading(days=zone)
        self.evaluations = 0
        """Rules looked at so far; the index is proved by counting."""
        self._projections: dict[tuple[str, str, Audience | None], _Projection] = {}
        self._by_id = {rule.id: rule for rule in self.rules}
        self._reads = {(rule.id, step.id): _fields_of(step) for rule in self.rules for step in rule.steps}
        self._index: dict[tuple[str, str, str], list[Rule]] = {}
        for rule in self.rules:
            for kind in rule.kinds:
                self._index.setdefault((rule.source, rule.record, kind), []).append(rule)

    def alone(self, rule: Rule) -> Engine:
        """Return an engine with this rule only."""
        return Engine([rule], self.records, self.zone, self.readings)

    def reading(self, source: str) -> Reading:
        """How `source` writes, and in which zone instants are shown."""
        return self.readings.get(source, self._plain)

    def run(self, event: ChangeEvent, generation: int = 0, only: str | None = None) -> Decided:
        """Every message that `event` leads to, in the rules' order. A higher `generation` gives them other keys.

        `only`: what this rule alone says, where no earlier one stops.
        """
        decided = Decided()
        for _ in self.running(event, decided, generation, only):
            pass
        return decided

    def running(self, event: ChangeEvent, decided: Decided, generation: int = 0, only: str | None = None) -> Iterator[int]:
        """Run the rules into `decided`, piece by piece. Yields the units that each decision and each rendering has cost.

        A caller that serves others too lets them in between two pieces. No piece costs more than `meter.LIMIT`.
        """
        event = self._read_by_now(event)
        for rule in self._index.get((event.source, event.record_type, event.kind), ()):
            wanted = only is None or rule.id == only
            if not wanted and not rule.stop:
                continue
            self.evaluations += 1
            meter = Meter()
            verdict = self._decide(rule, event, meter)
            decided.verdicts.append(verdict)
            yield meter.spent
            if not verdict.matched:
                continue
            for step in rule.steps if wanted else ():
                key = idempotency_key(event.id, rule.identity, step.identity, generation)
                meter = Meter()
                try:
                    decided.rendered.append(Rendered(key, self.render(rule, step, event, meter), rule.mode, step.surge))
                except RenderError as error:
                    decided.unrenderable.append(Unrenderable(key, rule.id, step.id, step.destination, str(error)))
                yield meter.spent
            if rule.stop:
                break

    def _read_by_now(self, event: ChangeEvent) -> ChangeEvent:
        """`event` with what could not be read when it happened as it is read today: somebody may have said how since."""
        fields, before = (self._readable(event, values) for values in (event.fields, event.before))
        return event if fields is event.fields and before is event.before else replace(event, fields=fields, before=before)

    def _readable(self, event: ChangeEvent, values: Fields) -> Fields:
        unread = {name: value.text for name, value in values.items() if type(value) is Unread}
        if not unread:
            return values
        spec, reading = self.records.get((event.source, event.record_type), {}), self.reading(event.source)
        typed = {name: one for name, one in spec.items() if one.type is not FieldType.ANY}  # else only its source knows what it should be
        return {**values, **{name: reading.read(text, typed[name]) for name, text in unread.items() if name in typed}}

    def undisclosed(self, message: Message, audience: Audience) -> list[str]:
        """Name the fields that a message shows and such readers may not see by now: somebody may have made one secret since."""
        spec = self.records.get((message.record.source, message.record.type), {})
        return [name for name in message.reads if not readable(spec.get(name, _ANY_FIELD).sensitivity, audience)]

    def outdated(self, rule: str, fields: Fields) -> str:
        """Why the record, as it is now, is no longer what a message of `rule` says it became; empty if it is, or the rule is gone."""
        found = self._by_id.get(rule)
        return no_longer(found.clauses, fields, self.reading(found.source)) if found else ""

    def _decide(self, rule: Rule, event: ChangeEvent, meter: Meter) -> RuleVerdict:
        try:
            reading = self.reading(event.source)
            clause = first_failure(rule.clauses, event, meter, reading)
            if clause is not None:
                return RuleVerdict(rule.id, False, clause.why_not(event, reading))
            if rule.condition is not None:
                result = rule.condition.evaluate(self._bindings(event, None, meter))
                if result is not True and result is not False and not empty(result):
                    raise RenderError("the condition gives neither true nor false")
                if result is not True:
                    return RuleVerdict(rule.id, False, f"if: {rule.condition.source}")
        except Exception as error:  # an error counts and does not match; it never stops a source
            return RuleVerdict(rule.id, False, _words(error), failed=True)
        return RuleVerdict(rule.id, True)

    def render(self, rule: Rule, step: Step, event: ChangeEvent, meter: Meter | None = None) -> Message:
        """Render the message of one step. `meter` counts its cost. Raises RenderError."""
        meter = meter or Meter()

        def said(template: Template) -> Text:
            return template.render(self._bindings(event, step.audience, meter))

        try:
            link, lost = _link(step, said)
            return Message(
                destination=step.destination,
                channel=self._channel(step, event, meter),
                rule=rule.id,
                step=step.id,
                text=_not_blank(said(step.text)),
                record=event.record,
                occurred_at=event.occurred_at,
                link=link,
                thread=_thread(rule, step, event),
                edit=step.edit,
                blocks=rendered(step.blocks, said),
                media=_media(step, said),
                subject=said(step.subject) if step.subject else None,
                audience=step.audience,
                reads=_fields_of(step) if (reads := self._reads.get((rule.id, step.id))) is None else reads,
                expires_at=event.occurred_at + step.max_age if step.max_age else None,
                extra={NO_LINK: lost} if lost else {},
            )
        except Exception as error:  # likewise: a dead letter for this step, and the rest goes on
            raise RenderError(_words(error), f"rule {rule.id}, step {step.id}") from None

    def _channel(self, step: Step, event: ChangeEvent, meter: Meter) -> Channel | None:
        match step.channel:
            case FixedChannel(key):
                return Channel(key)
            case RecordChannel(source_id, title):
                bindings = self._bindings(event, step.audience, meter)
                record_id, label = flat(source_id.evaluate(bindings)), flat(title.evaluate(bindings))
                if empty(record_id) or shown(record_id) == "":
                    raise RenderError(f"channel.for: {source_id.source} is empty, so the channel has no name")
                if empty(label) or shown(label) == "":
                    raise RenderError(f"channel.title: {title.source} is empty, so the channel has no title")
                return Channel(f"{event.source}/{alike(shown(record_id))}", begin(shown(label), 200))
        return None

    def _bindings(self, event: ChangeEvent, audience: Audience | None, meter: Meter) -> Bindings:
        """Return what a template for `audience` may see. None is a condition, which may see all but secrets."""
        key = (event.source, event.record_type, audience)
        if (projection := self._projections.get(key)) is None:
            projection = self._projections[key] = _Projection(self.records.get(key[:2]), audience)
        facts: dict[str, Any] = {
            "kind": event.kind.value,
            "occurred_at": event.occurred_at,
            "record_type": event.record_type,
            "source": event.source,
        }
        if audience is not Audience.PUBLIC:
            facts |= {"id": event.id, "record_id": event.record_id, "revision": event.revision, "actor": event.actor, "url": event.url}
        return Bindings(projection.of(event.fields), projection.of(event.before), facts, self.reading(event.source), meter=meter)


def _link(step: Step, said: Callable[[Template], Text]) -> tuple[str | None, str]:
    """Render the link of a step, or say why it has none though it should. A bad link costs the link, not the message."""
    if step.link is None:
        return None, ""
    try:
        return address(said(step.link)) or None, ""
    except ValueError as error:
        return None, str(error)
    except Exception as error:
        return None, _words(error)


_ANY_FIELD: Final = FieldSpec()
"""What is known of a field without a word about it: it is internal."""


def _fields_of(step: Step) -> tuple[str, ...]:
    """Name the record's fields that a step shows, as they are or were."""
    return tuple(sorted({read.path for read in step.reads() if read.root != "event"}))


def _thread(rule: Rule, step: Step, event: ChangeEvent) -> str | None:
    if step.edit:  # its own first message, not that of other rules
        return f"{event.record} {rule.identity}/{step.identity}"
    return str(event.record) if step.thread else None


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, RenderError) else f"{type(error).__name__}: {error}"


class _Projection:
    """What readers of one audience may see of one record type's fields."""

    def __init__(self, spec: RecordSpec | None, audience: Audience | None) -> None:
        spec = spec or {}
        self._allowed = [name for name, one in spec.items() if readable(one.sensitivity, audience)]
        self._hidden = spec.keys() - self._allowed
        self._others = readable(Sensitivity.INTERNAL, audience)  # a field without a word about it is internal

    def of(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """`fields` without those that such readers may not see."""
        if not self._others:
            return {name: fields[name] for name in self._allowed if name in fields}
        if self._hidden.isdisjoint(fields):
            return fields
        return {name: value for name, value in fields.items() if name not in self._hidden}


def readable(sensitivity: Sensitivity, audience: Audience | None) -> bool:
    """Whether a template for `audience` may use such a field; None is a condition, which may not use secrets."""
    return sensitivity is not Sensitivity.SECRET if audience is None else audience.may_read(sensitivity)


def event_fact_readable(name: str, audience: Audience) -> bool:
    """Whether a template for `audience` may use `event.<name>`: ids, links and people are internal."""
    return audience is not Audience.PUBLIC or name in EVENT_PUBLIC


def _not_blank(text: Text) -> Text:
    if not plain(text).strip():
        raise RenderError("text: nothing is left to say")
    return text


def _media(step: Step, said: Callable[[Template], Text]) -> Media | None:
    """Render the picture of a step; None where its address is empty. An error costs the picture, not the message."""
    if step.media is None:
        return None
    try:
        url = address(said(step.media.url))
        return Media(url, said(step.media.alt)) if url else None
    except ValueError as error:
        return Media("", (), str(error))
    except Exception as error:
        return Media("", (), _words(error))
