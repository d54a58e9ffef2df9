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
    """A limit: at most `count` publications in any `seconds`."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a network allows. Each figure stands below the vendor page that it comes from."""

    length: int | None = None
    """The longest text that a message may have, in the unit of `measure`."""
    per_lane: Rate | None = None
    per_destination: Rate | None = None
    concurrency: int = 4
    """The number of attempts that may be under way at once."""
    batch: int = 1
    """The number of messages that one `publish_many` may take."""


class Ability(StrEnum):
    """What a destination can do besides publishing, as far as rules depend on it."""

    THREAD = "thread"  # replies
    EDIT = "edit"  # Editable
    DELETE = "delete"  # Deletable
    FIND = "find"  # Findable
    BLOCKS = "blocks"  # a list of blocks as its layout
    CARD = "card"  # an Adaptive Card as its layout
    MENTION = "mention"  # notifies people who are named by e-mail address
    CHANNEL = "channel"  # has more than one channel: a step may name one
    MEDIA = "media"  # pictures
    SUBJECT = "subject"  # a line of its own that says what a message is about


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a step says by itself, as far as the configuration shows it."""

    words: str
    """The rule's own words, of every branch. A blank stands for each value."""
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
    """A network that messages can be published to."""

    limits: Limits

    def measure(self, text: Text) -> int:
        """Measure `text` as the network counts it: with mark-up and escapes where the network counts those."""

    def check(self) -> Maybe[None]:
        """Log in without publishing. Raises AuthFailed or another DeliveryError that says what is missing."""

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Maybe[Receipt]:
        """Make one attempt to publish `message`, without a retry. `parent` is the message that it replies to. Raises a DeliveryError.

        If `parent` is gone: raises HeadGone where the network refused the reply; returns a receipt that is `alone` where the network
        took the message without its thread.
        """

    def close(self) -> Maybe[None]:
        """Release connections; safe to call twice."""


@runtime_checkable
class Batched(Protocol):
    """A destination that takes several messages in one request."""

    def publish_many(self, batch: Sequence[tuple[Message, str, Receipt | None]]) -> Maybe[Sequence[Receipt | DeliveryError]]:
        """Make one attempt to publish all messages, and return one outcome for each, in order. An exception is the outcome of all."""


@runtime_checkable
class Findable(Protocol):
    """A destination that can be asked whether a message is there."""

    def find(self, message: Message, key: str, parent: Receipt | None, since: datetime) -> Maybe[Receipt | None]:
        """Find the receipt of an attempt that began at `since` or later and whose answer was lost.

        Looks once. Returns None if the message is not there (yet). Raises a DeliveryError if the network cannot be asked.
        """


@runtime_checkable
class Editable(Protocol):
    """A destination whose messages can be changed after they were published."""

    def edit(self, receipt: Receipt, message: Message, key: str) -> Maybe[Receipt]:
        """Change the published message to `message`. A repeat changes nothing more.

        Raises a DeliveryError: HeadGone if the message is no longer there to be changed.
        """


@runtime_checkable
class Deletable(Protocol):
    """A destination whose messages can be taken back."""

    def delete(self, receipt: Receipt) -> Maybe[None]:
        """Take a published message back. It is no error if it is gone already. Raises a DeliveryError."""


METHODS: Final[Mapping[Ability, type]] = {Ability.EDIT: Editable, Ability.DELETE: Deletable, Ability.FIND: Findable}
"""The abilities that are methods. `Connector.can` states them too, for `lint` builds nothing. `odd_abilities` finds differences."""


def odd_abilities(can: Set[Ability], built: object) -> list[str]:
    """Name the abilities that a connector states and its destination lacks, or has and does not state."""
    return [ability.value for ability, protocol in METHODS.items() if (ability in can) != isinstance(built, protocol)]
