"""What rules stand in: their place in a file, and what they may refer to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from crmbridge.config.document import Document, KeyPath
from crmbridge.config.rule_models import DefaultsModel, RuleModel
from crmbridge.contract import Ability, LaidOut
from crmbridge.errors import Problem
from crmbridge.model import Audience, Text
from crmbridge.rules.engine import Records
from crmbridge.rules.hints import INNER
from crmbridge.rules.rule import Surge


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part of the configuration stands."""

    document: Document
    path: KeyPath

    def at(self, *parts: str | int) -> Place:
        """Return a place within this one."""
        return Place(self.document, (*self.path, *parts))

    @property
    def inner_quote(self) -> str:
        """The mark that a text within this one can stand in."""
        found = self.document.values.get(self.path)
        return INNER.get(found.quote if found else "", '"')

    def problem(self, message: str, line: int = 1) -> Problem:
        """Name what is wrong here, on which line of the text that stands here."""
        return self.document.problem(self.path, message, line=line)


@dataclass(frozen=True, slots=True)
class RuleSource:
    """A rule as written, and where."""

    model: RuleModel
    place: Place


@dataclass(frozen=True, slots=True)
class Speech:
    """What rules must know of a destination."""

    audience: Audience
    record_channels: bool
    """It can make channels about records."""
    needs_channel: bool
    """It has no channel of its own."""
    can: frozenset[Ability] = frozenset({Ability.THREAD, Ability.CHANNEL})
    max_age: timedelta | None = None
    surge: Surge | None = None
    too_long: Callable[[Text], str] = lambda _: ""
    """How long a text is there and how long it may be, if it is too long; empty if it fits."""
    lacks: Mapping[Ability, str] = field(default_factory=dict)
    """What it could do if something were installed, and what."""
    lay_out: Callable[[Any], LaidOut] | None = None
    """What a layout comes to there."""
    channel_example: str = "#wins"
    """What a channel of its may look like."""
    channel_fault: Callable[[str], str] = lambda _: ""
    """Why it can have no such channel; empty if it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What rules may refer to."""

    sources: Mapping[str, Set[str]]
    """The configured record types by source."""
    destinations: Mapping[str, Speech]
    unusable: frozenset[str]
    """Sources and destinations that were complained about already."""
    records: Records
    defaults: DefaultsModel
    strict_conditions: bool
