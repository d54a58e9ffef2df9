"""The rights that a login needs, so that its source or destination keeps its promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from crmbridge.contract.calls import Maybe


class Promise(StrEnum):
    """A promise of a source or destination that depends on the rights of its login."""

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
    """One right that a promise needs, and whether the login has it."""

    name: str
    """Its name in the vendor's words, so that an administrator finds it."""
    promise: Promise
    lost: str
    """What is lost without this right: a clause that an administrator of the CRM understands."""
    refused: str = ""
    """The vendor's answer where the right is refused. Empty if the right is given."""
    note: str = ""
    """What asking cannot settle, or what may be intended. `doctor` shows it, and it is no trouble."""


@runtime_checkable
class Entitled(Protocol):
    """A source or destination whose promises need rights. Without one of them, something is not told, or is told wrongly; nothing fails."""

    def rights(self) -> Maybe[Sequence[Right]]:
        """Prove every right by a request that needs just that right. Each request is a small read, for rights are checked again and again.

        Raises SourceError, or DeliveryError, where nobody can be asked now. Then nothing is known of any right.
        """
