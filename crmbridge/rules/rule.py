"""Compiled rules: what an event must be, and what is then said where. Made once from the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from crmbridge.model import Audience, ChangeKind
from crmbridge.rules.compiler import FieldRead
from crmbridge.rules.expression import Expression
from crmbridge.rules.match import Clause, assured
from crmbridge.rules.template import Template


@dataclass(frozen=True, slots=True)
class FixedChannel:
    """A channel named in the configuration."""

    key: str


@dataclass(frozen=True, slots=True)
class RecordChannel:
    """A channel about a record: `source_id` names the record, `title` is only a label."""

    source_id: Expression
    title: Expression


class Mode(StrEnum):
    """What becomes of a rule's messages."""

    LIVE = "live"  # they are published
    DRAFT = "draft"  # they wait for a person
    SHADOW = "shadow"  # they are recorded, and never published


@dataclass(frozen=True, slots=True)
class Surge:
    """More than `over` messages of one rule in one lane within `per` are a flood."""

    over: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class StepMedia:
    """A picture: where it is, and what it shows."""

    url: Template
    alt: Template

    @property
    def reads(self) -> tuple[FieldRead, ...]:
        """Everything that reaches the picture's readers."""
        return self.url.reads + self.alt.reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One message that a rule publishes."""

    id: str
    identity: str
    """The id that goes into idempotency keys: it survives a rename (`formerly`)."""
    destination: str
    audience: Audience
    text: Template
    channel: FixedChannel | RecordChannel | None = None
    link: Template | None = None
    thread: bool = False
    """Reply to this record's first message in the channel."""
    edit: bool = False
    """Let what this step said last about the record say the new text."""
    blocks: Blocks = None
    """A layout; each text of it that has something to fill in is a Template."""
    max_age: timedelta | None = None
    """How long after the change it may still be said."""
    media: StepMedia | None = None
    subject: Template | None = None
    surge: Surge | None = None

    def reads(self) -> Iterator[FieldRead]:
        """Everything that reaches the message's readers."""
        yield from self.text.reads
        if self.link:
            yield from self.link.reads
        for template in templates_in(self.blocks):
            yield from template.reads
        if self.media:
            yield from self.media.reads
        if self.subject:
            yield from self.subject.reads
        if isinstance(self.channel, RecordChannel):
            yield from self.channel.source_id.reads
            yield from self.channel.title.reads


Blocks = Any
"""Mappings and lists as in JSON, with a Template wherever a text has something to fill in; None for no layout."""


def templates_in(blocks: Blocks) -> Iterator[Template]:
    """Every template of a layout."""
    if isinstance(blocks, Template):
        yield blocks
    elif isinstance(blocks, Mapping):
        for value in blocks.values():
            yield from templates_in(value)
    elif isinstance(blocks, list):
        for value in blocks:
            yield from templates_in(value)


def rendered(blocks: Blocks, render: Callable[[Template], Any]) -> Any:
    """Fill in a layout with what `render` makes of each template."""
    if isinstance(blocks, Template):
        return render(blocks)
    if isinstance(blocks, Mapping):
        return {name: rendered(value, render) for name, value in blocks.items()}
    return [rendered(value, render) for value in blocks] if isinstance(blocks, list) else blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. All clauses and the condition must hold; then every step is rendered."""

    id: str
    identity: str
    source: str
    record: str
    kinds: frozenset[ChangeKind]
    clauses: tuple[Clause, ...]
    condition: Expression | None
    steps: tuple[Step, ...]
    stop: bool = False
    mode: Mode = Mode.LIVE
    cases: tuple[Case, ...] = ()

    def unsure(self, step: Step) -> frozenset[str]:
        """Fields without whose values the step's message is a dead letter, and of which no condition makes sure that they have any."""
        needs = frozenset().union(*(template.needs for template in (step.text, *templates_in(step.subject), *templates_in(step.blocks))))
        sure = assured(self.clauses) | (self.condition.sure if self.condition else frozenset())
        return frozenset(name.removeprefix("record.") for name in needs - sure if name.startswith("record."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What one message of a case must be; None asks nothing."""

    destination: str
    text: str | None = None
    contains: str | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A rule test: a change, and exactly the messages it must lead to, in order."""

    name: str
    record: Mapping[str, Any]
    before: Mapping[str, Any]
    kind: ChangeKind
    expect: tuple[Expected, ...] = field(default_factory=tuple)
