"""What a login must be let to do, so that its source or destination keeps what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from crmbridge.contract.calls import Maybe


class Promise(StrEnum):
    """What is told of a CRM, or said on a network, as far as the login is let to."""

    CHANGES = "changes"
    DELETIONS = "deletions"
    OLD_VALUES = "old values"
    ARCHIVED = "archived records"
    WEBHOOKS = "webhooks"
    TEAMS = "teams"
    NAMES = "names"
    LINKS = "links"
    MESSAGES = "messages"
    LOST_ANSWERS = "lost answers"
    MENTIONS = "mentions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One thing that a promise needs, and whether the login has it."""

    name: str
    """As the vendor calls it, so that an administrator finds it."""
    promise: Promise
    lost: str
    """What is lost without it: a clause that an administrator of the CRM understands."""
    refused: str = ""
    """What was said where it was asked for; empty if the right is given."""
    note: str = ""
    """What asking cannot settle, or what may be meant so: `doctor` says it, and it is no trouble."""


@runtime_checkable
class Entitled(Protocol):
    """A source or destination whose promises need rights that nobody misses until something is not told, or not as it should be."""

    def rights(self) -> Maybe[Sequence[Right]]:
        """All of them, each proved by asking for just that: a small read each, for they are looked at again and again.

        Raises SourceError, or DeliveryError, where nobody can be asked now: then nothing is known of any.
        """
