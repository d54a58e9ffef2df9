"""Compiled rules: what an event must be, and what is then said where. Made once from the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from crmbridge.model import Audience, Kind
from crmbridge.rules.expression import Expression, Read
from crmbridge.rules.match import Clause
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

    def reads(self) -> Iterator[Read]:
        """Everything that reaches the message's readers."""
        yield from self.text.reads
        if self.link:
            yield from self.link.reads
        if isinstance(self.channel, RecordChannel):
            yield from self.channel.source_id.reads
            yield from self.channel.title.reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. All clauses and the condition must hold; then every step is rendered."""

    id: str
    identity: str
    source: str
    record: str
    kinds: frozenset[Kind]
    clauses: tuple[Clause, ...]
    condition: Expression | None
    steps: tuple[Step, ...]
    stop: bool = False
    cases: tuple[Case, ...] = ()


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
    kind: Kind
    expect: tuple[Expected, ...] = field(default_factory=tuple)
