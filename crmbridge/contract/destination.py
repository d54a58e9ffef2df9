"""What a destination may be able to do, and what its network allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from crmbridge.contract.calls import Maybe
from crmbridge.errors import DeliveryError
from crmbridge.model import Message, Receipt, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `count` publications in any `seconds`."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a network allows. Each figure stands under the vendor page that gives it."""

    length: int | None = None
    """The longest text, in the unit of `measure`."""
    per_lane: Rate | None = None
    per_destination: Rate | None = None
    concurrency: int = 4
    """Attempts under way at once."""
    batch: int = 1
    """Messages that one `publish_many` may take."""


class Ability(StrEnum):
    """What a destination can do besides publishing, as far as rules depend on it."""

    THREAD = "thread"  # replies
    EDIT = "edit"  # Editable
    DELETE = "delete"  # Deletable
    FIND = "find"  # Findable
    BLOCKS = "blocks"  # a layout of its own: a list of blocks
    CARD = "card"  # a layout of its own: an Adaptive Card
    MENTION = "mention"  # people who are named by e-mail address are notified
    CHANNEL = "channel"  # more than one place: a step may name it
    MEDIA = "media"  # pictures
    SUBJECT = "subject"  # a line apart that says what a message is about


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a step says by itself, as far as the configuration tells it."""

    words: str
    """The rule's own words, of every branch; a blank stands for each value."""
    link: bool
    thread: bool


@dataclass(frozen=True, slots=True)
class Uses:
    """What the rules of a configuration ask of a destination."""

    abilities: frozenset[Ability] = frozenset()
    channels: frozenset[str] = frozenset()
    """The channels that steps name."""


@runtime_checkable
class Destination(Protocol):
    """A network that can be spoken to."""

    limits: Limits

    def measure(self, text: Text) -> int:
        """The length of `text` as the network counts it, mark-up and escapes included where it does."""

    def check(self) -> Maybe[None]:
        """Log in without publishing; raises AuthFailed or another DeliveryError saying what is missing."""

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Maybe[Receipt]:
        """One attempt, no retry; raises a DeliveryError. `parent` is what to reply to.

        Where that is gone: HeadGone if the network refused, a receipt that is `alone` if it took the message without its thread.
        """

    def close(self) -> Maybe[None]:
        """Release connections; safe to call twice."""


@runtime_checkable
class Batched(Protocol):
    """A destination that takes several messages in one request."""

    def publish_many(self, batch: Sequence[tuple[Message, str, Receipt | None]]) -> Maybe[Sequence[Receipt | DeliveryError]]:
        """One attempt for all; one outcome for each, in order. An exception is the outcome of all."""


@runtime_checkable
class Findable(Protocol):
    """A destination that can be asked whether a message is there."""

    def find(self, message: Message, key: str, parent: Receipt | None, since: datetime) -> Maybe[Receipt | None]:
        """The receipt of an attempt whose answer was lost and that began at `since` or later; None if it is not there (yet).

        One look. Raises a DeliveryError if it cannot be asked.
        """


@runtime_checkable
class Editable(Protocol):
    """A destination whose messages can be changed after they were published."""

    def edit(self, receipt: Receipt, message: Message, key: str) -> Maybe[Receipt]:
        """Let the published message say `message` from now on. A repeat changes nothing more. Raises a DeliveryError: HeadGone
        if there is nothing to change any more."""


@runtime_checkable
class Deletable(Protocol):
    """A destination whose messages can be taken back."""

    def delete(self, receipt: Receipt) -> Maybe[None]:
        """Take a published message back; one that is gone already is fine. Raises a DeliveryError."""


METHODS: Final[Mapping[Ability, type]] = {Ability.EDIT: Editable, Ability.DELETE: Deletable, Ability.FIND: Findable}
"""The abilities that are methods. `Connector.can` states them too, for `lint` builds nothing; `odd_abilities` keeps both one."""


def odd_abilities(can: Set[Ability], built: object) -> list[str]:
    """Name the abilities that a connector states and its destination lacks, or has and does not state."""
    return [ability.value for ability, protocol in METHODS.items() if (ability in can) != isinstance(built, protocol)]
