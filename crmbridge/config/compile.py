"""Rules as written become rules that run. Every problem of every rule is found, with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, Literal, TypeVar

from crmbridge.config.rule_models import CaseModel, MediaModel, RecordChannelModel, RuleModel, StepModel
from crmbridge.config.speech import fixed, link_fault, unborn, unfilled
from crmbridge.config.surroundings import Place, RuleSource, Speech, Surroundings
from crmbridge.config.values import SurgeModel
from crmbridge.contract import Ability, LaidOut, Unsaid
from crmbridge.errors import Problem
from crmbridge.model import Audience, FieldSpec, RecordSpec, Sensitivity, did_you_mean, plain
from crmbridge.rules.compiler import CompileError, FieldRead
from crmbridge.rules.engine import event_fact_readable, readable
from crmbridge.rules.expression import Expression, compile_expression
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.match import Clause, compile_match
from crmbridge.rules.rule import Blocks, Case, Expected, FixedChannel, RecordChannel, Rule, Step, StepMedia, Surge, rendered, templates_in
from crmbridge.rules.template import Template, compile_template, own_words

T = TypeVar("T", Template, Expression)


def compile_rules(rules: Sequence[RuleSource], surroundings: Surroundings) -> tuple[list[Rule], list[Problem], list[Problem]]:
    """Compile all rules; those with problems are left out. Returns the problems too, and what works and people should know of."""
    compiler = _Compiler(surroundings)
    compiled = [rule for source in rules if (rule := compiler.rule(source))]
    compiler.unique([(source.model.id, source.model.formerly, source.place) for source in rules], "rule")
    return compiled, compiler.problems, compiler.notes


class _Compiler:
    def __init__(self, surroundings: Surroundings) -> None:
        self.sources = surroundings.sources
        self.destinations = surroundings.destinations
        self.unusable = surroundings.unusable
        self.records = surroundings.records
        self.defaults = surroundings.defaults
        self.strict_conditions = surroundings.strict_conditions
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        self._known_record = True
        self._disclosed: frozenset[str] = frozenset()

    def rule(self, given: RuleSource) -> Rule | None:
        model, place = given.model, given.place
        before = len(self.problems)
        fields = self._fields(model, place)
        self._known_record = model.when.source in self.sources and len(self.problems) == before  # else every word would look undisclosed
        audiences = [self.destinations[step.to].audience for step in model.publish if step.to in self.destinations]
        self._disclosed = frozenset(model.disclose)
        clauses = self._match(model, place.at("match"), fields, audiences)
        condition = self._condition(model, place.at("if"), fields, audiences)
        asked = {*model.match, *(read.path for read in (condition.reads if condition else ()))}
        self._well_disclosed(model, asked, place.at("disclose"), fields)
        steps = [step for index, one in enumerate(model.publish) if (step := self._step(one, place.at("publish", index), fields))]
        if model.surge is not None:
            steps = [replace(step, surge=surge(model.surge)) for step in steps]
        self.unique([(one.id or one.to, one.formerly, place.at("publish", index)) for index, one in enumerate(model.publish)], "step")
        cases = [self._case(one, place.at("tests", index), fields) for index, one in enumerate(model.tests)]
        self._unborn(steps, clauses, condition.sure if condition else frozenset(), model, place)
        if len(self.problems) > before:
            return None
        return Rule(
            id=model.id,
            identity=model.formerly[0] if model.formerly else model.id,
            source=model.when.source,
            record=model.when.record,
            kinds=frozenset(model.when.event),
            clauses=tuple(clauses),
            condition=condition,
            steps=tuple(steps),
            stop=model.stop,
            mode=model.mode,
            cases=tuple(cases),
        )

    # --- when, match, if

    def _fields(self, model: RuleModel, place: Place) -> RecordSpec | None:
        """Return the fields that a rule may name; None if the source has no list of them."""
        source, record = model.when.source, model.when.record
        if source not in self.sources:
            if source not in self.unusable:
                self._add(place.at("when", "source"), f'no source "{source}"{did_you_mean(source, self.sources)}')
            return None
        configured = self.sources[source]
        if configured and record not in configured:
            self._add(place.at("when", "record"), f'the source {source} has no record type "{record}"{did_you_mean(record, configured)}')
            return None
        return self.records.get((source, record))

    def _match(self, model: RuleModel, place: Place, fields: RecordSpec | None, audiences: Iterable[Audience]) -> list[Clause]:
        clauses, problems = compile_match(model.match, fields)
        for path, message in problems:
            self._add(place.at(*path), message)
        for name in model.match:
            if fields is not None and name not in fields:
                self._add(place.at(name), f"{name} is not among the configured fields{did_you_mean(name, fields)}")
            else:
                self._may_decide(FieldRead("record", name, 1), place.at(name), fields, audiences)
        return clauses

    def _condition(self, model: RuleModel, place: Place, fields: RecordSpec | None, audiences: Iterable[Audience]) -> Expression | None:
        if model.if_ is None:
            return None
        if "{{" in model.if_:
            self._add(place, f"is an expression and needs no braces: write `if: {model.if_.replace('{{', '').replace('}}', '').strip()}`")
            return None
        condition = self._compile(compile_expression, model.if_, place, fields)
        for read in condition.reads if condition else ():
            self._may_decide(read, place, fields, audiences)
        return condition

    def _may_decide(self, read: FieldRead, place: Place, fields: RecordSpec | None, audiences: Iterable[Audience]) -> None:
        if read.root == "event" or not self._known_record:
            return
        sensitivity = (fields or {}).get(read.path, FieldSpec()).sensitivity
        if not readable(sensitivity, None):
            self._add(place, f"{read} is secret: no condition may use it", read.line)
        elif self.strict_conditions and read.path not in self._disclosed and not all(one.may_read(sensitivity) for one in audiences):
            advice = f"if the public may guess it, write `disclose: [{read.path}]`; if everyone may know it, mark it: {read.path}: public"
            self._add(place, f"{read} is {sensitivity}, and whether a public message is said depends on it: {advice}", read.line)

    def _well_disclosed(self, model: RuleModel, asked: Set[str], place: Place, fields: RecordSpec | None) -> None:
        """Complain of a field that is disclosed though no condition has `asked` for it: a promise that nobody needs."""
        for index, name in enumerate(model.disclose):
            if fields is not None and name not in fields:
                self._add(place.at(index), f"{name} is not among the configured fields{did_you_mean(name, fields)}")
            elif name not in asked:
                self._add(place.at(index), f"no condition of the rule uses {name}")

    # --- publish

    def _step(self, model: StepModel, place: Place, fields: RecordSpec | None) -> Step | None:
        text = self._compile(compile_template, model.text, place.at("text"), fields, shorten=frozenset(model.shorten))
        self._shortened(model, text, place)
        link_source = model.link or self.defaults.link
        link = self._compile(compile_template, link_source, place.at("link"), fields) if link_source else None
        if link and model.link and (fault := link_fault(link)):
            self._add(place.at("link"), fault)
        if model.to not in self.destinations:
            if model.to not in self.unusable:
                self._add(place.at("to"), f'no destination "{model.to}"{did_you_mean(model.to, self.destinations)}')
            return None
        speech = self.destinations[model.to]
        channel = self._channel(model, place.at("channel"), fields, speech)
        self._able(model, speech, place)
        if text and len(plain(least := fixed(text))) > _SHORT and (too_long := speech.too_long(least)):
            self._add(place.at("text"), f"what stands in every such text alone is too long: {too_long}")
        key = _layout_key(model)
        judge = speech.lay_out if _LAYOUTS[key] in speech.can else None
        blocks = self._layout(getattr(model, key), place.at(key), fields, judge)
        if Ability.MENTION not in speech.can and any(one.mentions for one in (text or _EMPTY, *templates_in(blocks))):
            self.notes.append(place.at("text").problem(f"{model.to} notifies nobody: what `| mention` names is there as a word"))
        step = Step(
            id=model.id or model.to,
            identity=model.formerly[0] if model.formerly else (model.id or model.to),
            destination=model.to,
            audience=speech.audience,
            text=text or _EMPTY,
            channel=channel,
            link=link,
            thread=(model.thread or self.defaults.thread) == "record" or model.on_update == "thread",
            edit=model.on_update == "edit",
            blocks=blocks,
            media=self._media(model.media, place.at("media"), fields),
            subject=self._subject(model.subject, place.at("subject"), fields),
            max_age=speech.max_age if model.max_age is None else None if model.max_age == "off" else model.max_age,
            surge=speech.surge,
        )
        if self._known_record:
            self._disclosures(step, place, fields, key)
        return step

    def _unborn(self, steps: Sequence[Step], clauses: Sequence[Clause], sure: frozenset[str], model: RuleModel, place: Place) -> None:
        """Complain of a step that needs what a new record was before: it was nothing."""
        for index, step in enumerate(steps):
            layout = _layout_key(model.publish[index])
            parts = (("text", [step.text]), ("subject", list(templates_in(step.subject))), (layout, list(templates_in(step.blocks))))
            for part, templates in parts:
                for name in unborn(templates, model.when.event, clauses, sure):
                    where = place.at("publish", index, part)
                    quote = where.inner_quote
                    advice = f"write `event: [updated]` under `when`, or `{{{{ {name} | default({quote}...{quote}) }}}}`"
                    self._add(where, f"{name} is empty where the record has just been created: {advice}")

    def _shortened(self, model: StepModel, text: Template | None, place: Place) -> None:
        lookups = {str(read) for read in text.reads} if text else set()
        for index, name in enumerate(model.shorten):
            if text and name not in lookups:
                self._add(place.at("shorten", index), f"{name} is not printed by the text{did_you_mean(name, lookups)}")

    def _able(self, model: StepModel, speech: Speech, place: Place) -> None:
        """Complain of what a step asks for and its destination cannot do."""
        asked = (
            ("thread", model.thread is not None, Ability.THREAD, "has no threads"),
            ("on_update", model.on_update == "thread", Ability.THREAD, "has no threads"),
            ("on_update", model.on_update == "edit", Ability.EDIT, "cannot change what it has published"),
            ("blocks", model.blocks is not None, Ability.BLOCKS, f"knows no blocks{_instead('card', Ability.CARD, speech)}"),
            ("card", model.card is not None, Ability.CARD, f"knows no cards{_instead('blocks', Ability.BLOCKS, speech)}"),
            ("media", model.media is not None, Ability.MEDIA, "shows no pictures"),
            ("subject", model.subject is not None, Ability.SUBJECT, "has no subjects"),
        )
        for key, wanted, ability, words in asked:
            if wanted and ability not in speech.can:
                self._add(place.at(key), f"{model.to} {words}")
            elif wanted and ability in speech.lacks:
                self._add(place.at(key), speech.lacks[ability])

    def _layout(self, raw: Any, place: Place, fields: RecordSpec | None, judge: Callable[[Any], LaidOut] | None) -> Blocks:
        """Compile a layout. What its destination would refuse of it, whatever is filled in, is a problem at its place."""
        before = len(self.problems)
        blocks = self._blocks(raw, place, fields)
        if blocks is not None and judge is not None and len(self.problems) == before:
            found = judge(rendered(blocks, _unsaid))
            self.problems += [place.at(*one.path).problem(one.message) for one in found.faults]
            self.notes += [place.at(*one.path).problem(one.message) for one in found.notes]
        return blocks

    def _blocks(self, raw: Any, place: Place, fields: RecordSpec | None) -> Blocks:
        """Compile the texts of a layout that have something to fill in. Every constant stays what it is, as JSON knows it."""
        if isinstance(raw, str):
            return self._compile(compile_template, raw, place, fields) if any(mark in raw for mark in _MARKS) else raw
        if isinstance(raw, Decimal):  # as the configuration is read
            return int(raw) if raw == raw.to_integral_value() else float(raw)
        if isinstance(raw, Mapping):
            if "" in raw:  # it would be taken for a stored text
                self._add(place, "a name is empty")
            return {name: self._blocks(value, place.at(name), fields) for name, value in raw.items()}
        if isinstance(raw, list):
            return [self._blocks(value, place.at(index), fields) for index, value in enumerate(raw)]
        return raw

    def _media(self, model: MediaModel | None, place: Place, fields: RecordSpec | None) -> StepMedia | None:
        """Compile a picture. Its address is judged as a link is, and its words are words."""
        if model is None:
            return None
        url = self._compile(compile_template, model.url, place.at("url"), fields)
        alt = self._compile(compile_template, model.alt, place.at("alt"), fields)
        for name, fault in (("url", link_fault(url) if url else ""), ("alt", unfilled(alt) if alt else "")):
            if fault:
                self._add(place.at(name), fault)
        return StepMedia(url, alt) if url and alt else None

    def _subject(self, source: str | None, place: Place, fields: RecordSpec | None) -> Template | None:
        """Compile a subject, which is words as a text is."""
        template = self._compile(compile_template, source, place, fields) if source is not None else None
        if template and (fault := unfilled(template)):
            self._add(place, fault)
        return template

    def _channel(self, model: StepModel, place: Place, fields: RecordSpec | None, speech: Speech) -> FixedChannel | RecordChannel | None:
        if model.channel is not None and Ability.CHANNEL not in speech.can:
            self._add(place, f"{model.to} posts to one place only: leave `channel` out")
            return None
        if isinstance(model.channel, str):
            if fault := speech.channel_fault(model.channel):
                self._add(place, fault)
            return FixedChannel(model.channel)
        if not isinstance(model.channel, RecordChannelModel):
            if speech.needs_channel and model.channel is None:
                advice = _RECORD_CHANNEL if speech.record_channels else f'channel: "{speech.channel_example}"'
                self._add(place, f"{model.to} has no channel of its own: write {advice}")
            return None
        if not speech.record_channels:
            self._add(place, f'{model.to} cannot make channels about records; name one, like channel: "{speech.channel_example}"')
            return None
        source_id = self._compile(compile_expression, model.channel.for_, place.at("for"), fields)
        title = self._compile(compile_expression, model.channel.title, place.at("title"), fields)
        return RecordChannel(source_id, title) if source_id and title else None

    def _disclosures(self, step: Step, place: Place, fields: RecordSpec | None, layout: str) -> None:
        """Complain of what a message uses and its readers may not read. That is checked here, and again when it is rendered."""
        where = {"text": step.text.reads, "link": step.link.reads if step.link else ()}
        where[layout] = tuple(read for template in templates_in(step.blocks) for read in template.reads)
        where["media"] = step.media.reads if step.media else ()
        where["subject"] = step.subject.reads if step.subject else ()
        if isinstance(step.channel, RecordChannel):
            where["channel"] = step.channel.source_id.reads + step.channel.title.reads
        for part, reads in where.items():
            for read in dict.fromkeys(reads):
                sensitivity, advice = Sensitivity.INTERNAL, ""
                if read.root == "event":
                    allowed = event_fact_readable(read.path, step.audience)
                else:
                    sensitivity = (fields or {}).get(read.path, FieldSpec()).sensitivity
                    allowed = step.audience.may_read(sensitivity)
                    if sensitivity is Sensitivity.INTERNAL:
                        advice = f"; if everyone may know it, mark it: {read.path}: public"
                if not allowed:
                    message = f"{read} is {sensitivity} and {step.destination} is read by the {_readers(step.audience)}{advice}"
                    self._add(place.at(part), message, read.line)

    # --- tests

    def _case(self, model: CaseModel, place: Place, fields: RecordSpec | None) -> Case:
        for part, given in (("record", model.given.record), ("before", model.given.before)):
            for name in given if fields is not None else ():
                if name not in fields:  # type: ignore[operator]
                    self._add(place.at("given", part, name), f"{name} is not among the configured fields{did_you_mean(name, fields or {})}")
        for index, one in enumerate(model.expect):
            if one.to not in self.destinations and one.to not in self.unusable:
                self._add(place.at("expect", index, "to"), f'no destination "{one.to}"{did_you_mean(one.to, self.destinations)}')
        return Case(
            name=model.name or f"test {place.path[-1]}",
            record=model.given.record,
            before=model.given.before,
            kind=model.given.event,
            expect=tuple(
                Expected(
                    destination=one.to,
                    text=one.text if isinstance(one.text, str) else None,
                    contains=None if one.text is None or isinstance(one.text, str) else one.text.contains,
                    channel=one.channel,
                )
                for one in model.expect
            ),
        )

    # --- help

    def _compile(self, compile_: Callable[..., T], source: str, place: Place, fields: RecordSpec | None, **more: Any) -> T | None:
        try:
            return compile_(source, fields=fields, filters=FILTERS, quote=place.inner_quote, **more)
        except CompileError as error:
            self._add(place, error.message, error.line)
            return None

    def _add(self, place: Place, message: str, line: int = 1) -> None:
        self.problems.append(place.problem(message, line))

    def unique(self, named: Sequence[tuple[str, Sequence[str], Place]], what: str) -> None:
        """Ids, present and former, are part of idempotency keys: two alike would swallow each other's messages."""
        seen: set[str] = set()
        for id, formerly, place in named:
            for name, where in [(id, place.at("id")), *((old, place.at("formerly")) for old in formerly)]:
                if name in seen:
                    self._add(where, f'another {what} is or was called "{name}"; each needs an id of its own')
                seen.add(name)


_LAYOUTS: Final = {"blocks": Ability.BLOCKS, "card": Ability.CARD}
"""The keys of layouts, and who knows them."""


def _layout_key(model: StepModel) -> Literal["blocks", "card"]:
    """Return the key that a step's layout stands under. No destination knows both."""
    return "blocks" if model.card is None else "card"


def _instead(key: str, ability: Ability, speech: Speech) -> str:
    return f": its layouts stand under `{key}`" if ability in speech.can else ""


SURGE: Final = Surge(20, timedelta(minutes=1))
"""What counts as a flood where nobody says otherwise."""


def surge(option: SurgeModel | Literal["off"] | None) -> Surge | None:
    """Read an option; None where nothing is held."""
    if option is None:
        return SURGE
    return None if option == "off" else Surge(option.over, option.per)


_SHORT: Final = 100
"""Characters that fit everywhere: a connector that counts them need not be built."""


def _unsaid(template: Template) -> Unsaid:
    """Return a text of a layout as it is before there is a record."""
    least = len(plain(fixed(template)))
    return Unsaid(template.words, template.mentions, own_words(template.source), max(least, 1))


_MARKS: Final = ("{{", "{%", "{#")
"""Where a template has something to fill in, or to leave out."""
_RECORD_CHANNEL: Final = "channel: {for: record.AccountId, title: record.Account.Name}"


def _readers(audience: Audience) -> str:
    return "whole world" if audience is Audience.PUBLIC else audience.value


_EMPTY: Any = compile_template("", fields=None, filters=FILTERS)
