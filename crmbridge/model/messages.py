"""Messages, their channels and deliveries, and what became of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from crmbridge.model.changes import RecordRef
from crmbridge.model.encoding import dump_json, load_json
from crmbridge.model.moments import from_us, to_us
from crmbridge.model.values import Audience
from crmbridge.model.words import Literal, Text, Value, plain


@dataclass(frozen=True, slots=True)
class Channel:
    """A place inside a destination. `key` is its identity. `title` is only a label, and may change or repeat."""

    key: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Media:
    """A picture to show with a message. `alt` describes it in words, for people who cannot see it."""

    url: str
    alt: Text
    fault: str = ""
    """The reason why the rule made no picture of this record. The message then goes out without one, and says so."""

    def shown(self) -> dict[str, str]:
        """Return the picture as JSON, for people and for programs that ask."""
        return {"url": self.url, "alt": plain(self.alt), "fault": self.fault}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Rendered text for one channel, with what a destination may show beside it."""

    destination: str
    channel: Channel | None
    rule: str
    step: str
    text: Text
    record: RecordRef
    occurred_at: datetime
    link: str | None = None
    thread: str | None = None
    """Messages of one lane with the same thread are replies to the first of them, or edits of it."""
    edit: bool = False
    """The first message of the thread is changed to say this. If there is no first one, this message becomes it."""
    blocks: Any = None
    """A layout that only its network knows: JSON in which every text that may hold a record's words is a Text."""
    media: Media | None = None
    subject: Text | None = None
    """A line that says what the message is about, for networks that show it apart (e-mail). Without one, they use the text."""
    audience: Audience = Audience.COMPANY
    reads: tuple[str, ...] = ()
    """The names of the record's fields that readers are shown. It is also empty for messages of an earlier version."""
    expires_at: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def dump_text(text: Text) -> list[list[Any]]:
    """Write spans as JSON: [0, the rule's words], [1, a record's], [2, a record's that may be shortened], [3, a person's address]."""
    return [[(3 if span.mention else 1 + span.shrink) if isinstance(span, Value) else 0, span.text] for span in text]


def load_text(raw: Sequence[Sequence[Any]]) -> Text:
    """Read what `dump_text` wrote. Readers from before kind 3 take every kind but 0 for a record's words, which is still right."""
    return tuple([Value(words, kind == 2, kind == 3) if kind else Literal(words) for kind, words in raw])


def _dump_blocks(blocks: Any) -> Any:
    if isinstance(blocks, tuple):
        return {"": dump_text(blocks)}
    if isinstance(blocks, Mapping):
        return {name: _dump_blocks(value) for name, value in blocks.items()}
    return [_dump_blocks(value) for value in blocks] if isinstance(blocks, list) else blocks


def _load_blocks(raw: Any) -> Any:
    if isinstance(raw, list):
        return [_load_blocks(value) for value in raw]
    if isinstance(raw, dict):
        return load_text(raw[""]) if "" in raw else {name: _load_blocks(value) for name, value in raw.items()}
    return raw


def _load_media(raw: Any) -> Media | None:
    return Media(raw[0], load_text(raw[1]), raw[2]) if raw else None


def dump_message(message: Message) -> str:
    """Write a message as JSON: the bytes that a delivery keeps."""
    return dump_json(
        {
            "destination": message.destination,
            "channel": [message.channel.key, message.channel.title] if message.channel else None,
            "rule": message.rule,
            "step": message.step,
            "text": dump_text(message.text),
            "record": [message.record.source, message.record.type, message.record.id],
            "occurred_at": to_us(message.occurred_at),
            "link": message.link,
            "thread": message.thread,
            "edit": message.edit,
            "blocks": _dump_blocks(message.blocks),
            "media": [message.media.url, dump_text(message.media.alt), message.media.fault] if message.media else None,
            "subject": dump_text(message.subject) if message.subject is not None else None,
            "audience": message.audience,
            "reads": list(message.reads),
            "expires_at": to_us(message.expires_at) if message.expires_at else None,
            "extra": dict(message.extra),
        }
    )


def load_message(text: str) -> Message:
    """Read what `dump_message` wrote."""
    raw = load_json(text)
    return Message(
        destination=raw["destination"],
        channel=Channel(*raw["channel"]) if raw["channel"] else None,
        rule=raw["rule"],
        step=raw["step"],
        text=load_text(raw["text"]),
        record=RecordRef(*raw["record"]),
        occurred_at=from_us(raw["occurred_at"]),
        link=raw["link"],
        thread=raw["thread"],
        edit=raw.get("edit", False),
        blocks=_load_blocks(raw.get("blocks")),
        media=_load_media(raw.get("media")),
        subject=load_text(raw["subject"]) if raw.get("subject") is not None else None,
        audience=Audience(raw["audience"]),
        reads=tuple(raw.get("reads", ())),
        expires_at=from_us(raw["expires_at"]) if raw["expires_at"] is not None else None,
        extra=raw["extra"],
    )


class State(StrEnum):
    """The states in the life of a delivery."""

    QUEUED = "queued"  # waits for its instant
    SENDING = "sending"  # leased; the request may be under way
    DELIVERED = "delivered"
    HELD = "held"  # waits for a person
    UNKNOWN = "unknown"  # may or may not be published
    DEAD = "dead"  # will not be tried again by itself
    UNSAID = "unsaid"  # ended without being said: a shadow's, dropped, or summed up


class Why(StrEnum):
    """Why a delivery is held or dead. The reason stored with the delivery begins with this word; what follows is for people."""

    SURGE = "surge"  # held: the flood guard
    DRAFT = "draft"  # held: its rule is a draft
    CAP = "cap"  # held: its destination has published as many as its cap allows
    BY_HAND = "by hand"  # held: a person said so
    ADOPTED = "adopted"  # held: it may have been said before the database was adopted
    REJECTED = "rejected"  # dead: the network will never take it
    UNRENDERABLE = "unrenderable"  # dead: its rule cannot say this
    EXPIRED = "expired"  # dead: it was not said in time
    QUARANTINED = "quarantined"  # dead: it ended the process, or its row cannot be read

    def because(self, words: str = "") -> str:
        """Write the whole reason: this word, and words for people."""
        return f"{self.value}: {words}" if words else self.value

    @classmethod
    def of(cls, reason: str) -> Why | None:
        """Return the word that a stored reason begins with. Return None if it begins with something else."""
        word = reason.partition(":")[0]
        return cls(word) if word in cls._value2member_map_ else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof of publication. It is kept so that a later message can reply to, edit or delete this one."""

    remote_id: str
    url: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False
    """The message was meant as a reply and is none, for the message it replied to is gone. Its thread goes on here. Not stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one channel, with its state. `id` orders deliveries by acceptance."""

    id: int
    key: str
    event_id: str
    message: Message
    state: State
    due: datetime
    reason: str = ""
    attempts: int = 0
    last_error: str = ""
    receipt: Receipt | None = None
    parent: Receipt | None = None
    """The receipt of the first message of this delivery's thread, once that is published."""
    generation: int = 0
    """A part of the key. A replay that says things again has a higher one."""
    accepted_at: datetime | None = None
    expires_at: datetime | None = None
    """After this instant the message is too old to be said."""
    crashes: int = 0
    """How often the process ended while this delivery was made ready to be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How connectors reach the outside: a proxy, a private CA, and the absolute deadline of one call."""

    proxy: str | None = None
    ca_file: str | None = None
    deadline: float = 8.0
    """The seconds from the first byte sent to the last byte read."""
