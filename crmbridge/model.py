"""The nouns that travel through crmbridge, and the pure functions that name and encode them.

Nothing here does I/O or reads a clock. Every instant is an aware `datetime`; in databases it is
an integer, microseconds since 1970-01-01 UTC (`to_us`, `from_us`).
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NewType

# --- field values ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """A picklist entry: `value` is stable and language-independent, `label` is what people read."""

    value: str
    label: str

    def __str__(self) -> str:
        return self.label


FieldValue = str | bool | Decimal | date | datetime | Choice | tuple["FieldValue", ...] | None
Fields = Mapping[str, FieldValue]
"""A record's fields, flat: a related record's field is keyed by its dotted path (`Account.Name`)."""


class FieldType(StrEnum):
    """How a raw value becomes a `FieldValue`. `any` keeps what the source's own type says."""

    ANY = "any"
    TEXT = "text"
    NUMBER = "number"
    MONEY = "money"
    DATE = "date"
    DATETIME = "datetime"
    BOOLEAN = "boolean"


class Sensitivity(StrEnum):
    """Who may ever read a field: everyone, the company, or no message at all."""

    PUBLIC = "public"
    INTERNAL = "internal"
    SECRET = "secret"  # noqa: S105


class Audience(StrEnum):
    """Who can read a channel."""

    PUBLIC = "public"
    COMPANY = "company"
    TEAM = "team"

    def may_read(self, sensitivity: Sensitivity) -> bool:
        """The one rule of disclosure: public reads public, everyone else internal, nobody secret."""
        if self is Audience.PUBLIC:
            return sensitivity is Sensitivity.PUBLIC
        return sensitivity is not Sensitivity.SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """What the configuration says of one field of a record type."""

    type: FieldType = FieldType.ANY
    sensitivity: Sensitivity = Sensitivity.INTERNAL
    currency: str | None = None
    """For money: the field that holds the ISO 4217 code."""


RecordSpec = Mapping[str, FieldSpec]

_TRUE, _FALSE = frozenset({"true", "1", "yes", "t"}), frozenset({"false", "0", "no", "f", ""})


def normalise(raw: Any, type_: FieldType = FieldType.ANY) -> FieldValue:
    """A source's raw value as a `FieldValue`; what does not fit its type stays text, so nothing is lost.

    Numbers become Decimal, dates become aware instants (a naive one is taken as UTC), NUL and lone
    surrogates become U+FFFD, because one database stores them and the next refuses them.
    """
    if isinstance(raw, str):  # first, for most values are texts
        text = clean(raw)
        return text if type_ is FieldType.ANY or type_ is FieldType.TEXT else _typed(text, type_)
    if raw is None or isinstance(raw, (bool, Choice)):
        return raw
    if isinstance(raw, (list, tuple)):
        return tuple(normalise(item, type_) for item in raw)
    if isinstance(raw, datetime):
        return raw if raw.tzinfo else raw.replace(tzinfo=timezone.utc)
    if isinstance(raw, date):
        return raw
    if isinstance(raw, (int, float, Decimal)):
        number = Decimal(str(raw)) if isinstance(raw, float) else Decimal(raw)
        if type_ is FieldType.BOOLEAN and number in (0, 1):
            return bool(number)
        return number if _ordinary(number) else str(raw)
    if isinstance(raw, Mapping):
        return clean(json.dumps(raw, ensure_ascii=False, sort_keys=True, default=str))
    text = clean(str(raw))
    return _typed(text, type_)


def _typed(text: str, type_: FieldType) -> FieldValue:
    match type_:
        case FieldType.NUMBER | FieldType.MONEY:
            return parse_number(text) if text.strip() else None
        case FieldType.DATE:
            return parse_date(text) if text.strip() else None
        case FieldType.DATETIME:
            return parse_instant(text) or text if text.strip() else None
        case FieldType.BOOLEAN:
            low = text.strip().lower()
            return True if low in _TRUE else False if low in _FALSE else text
    return text


def parse_number(text: str) -> Decimal | str:
    """A plain decimal number, else the text unchanged. Python's `1_000` and huge exponents are not numbers."""
    stripped = text.strip()
    if len(stripped) > 64 or "_" in stripped or not stripped.isascii():
        return text
    try:
        number = Decimal(stripped)
    except InvalidOperation:
        return text
    return number if _ordinary(number) else text


def _ordinary(number: Decimal) -> bool:
    """False for what is written in a few bytes and takes a gigabyte without its exponent."""
    return number.is_finite() and -40 < number.adjusted() < 40 and len(number.as_tuple().digits) <= 64


def parse_date(text: str) -> date | str:
    """An ISO 8601 date, or the date part of an instant; else the text unchanged."""
    try:
        return date.fromisoformat(text.strip()[:10])
    except ValueError:
        return text


def parse_instant(text: str) -> datetime | None:
    """An ISO 8601 instant, aware; a naive one is taken as UTC. None where the text is not one that UTC can hold."""
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        moment.astimezone(timezone.utc)
    except (ValueError, OverflowError):  # the second: in its own zone within the years 1 to 9999, in UTC outside
        return None
    return moment


_UNSTORABLE = {0: 0xFFFD} | dict.fromkeys(range(55296, 57344), 65533)


def clean(text: str) -> str:
    """`text` with NUL and lone surrogates replaced by U+FFFD: storable, encodable, otherwise untouched."""
    if text.isascii() and "\0" not in text:
        return text
    return text.translate(_UNSTORABLE)


_UNSEEN: dict[int, int | None] = {
    **_UNSTORABLE,
    **dict.fromkeys((*range(0x09), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0))),  # C0, C1; tab and line feed stay
    **dict.fromkeys((0x061C, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF, 0xFFFE, 0xFFFF)),  # ZWNJ and ZWJ stay: scripts and emoji need them
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xE0000, 0xE0080))),  # bidi controls, tags
    0x0D: 0x0A,
    0x2028: 0x0A,
    0x2029: 0x0A,
}
_PLAIN = re.compile(r"[\t\n\x20-\x7e]*")


def visible(text: str) -> str:
    """Record text as people see it: NFC, without controls, direction marks, invisible characters and lone surrogates.

    What is left is the same on every network; how it is kept from being mark-up is each network's own affair.
    """
    if _PLAIN.fullmatch(text):
        return text
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").translate(_UNSEEN))


_LINK_BEGUN = re.compile(r"https?://[^\s/<>|]+/[^\s<>|]*\Z", re.IGNORECASE)


def inside_link(before: str) -> bool:
    """True if `before` ends within a web address whose host is complete.

    A record's value there belongs percent-encoded into that address: it can choose neither host nor scheme.
    """
    return _LINK_BEGUN.search(before, max(0, len(before) - 2048)) is not None


def number_text(number: Decimal) -> str:
    """A Decimal as people write it: no exponent, no trailing zeros (`1E+3` -> `1000`, `1.50` -> `1.5`)."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return {"n": number_text(value)}
    if isinstance(value, datetime):
        return {"t": value.astimezone(timezone.utc).isoformat()}
    if isinstance(value, date):
        return {"d": value.isoformat()}
    if isinstance(value, Choice):
        return {"c": [value.value, value.label]}
    raise TypeError(f"not a field value: {type(value).__name__}")


def _decode(value: Any) -> FieldValue:
    if isinstance(value, list):
        return tuple(map(_decode, value))
    if isinstance(value, dict):
        (tag, inner), *_ = value.items()
        match tag:
            case "n":
                return Decimal(inner)
            case "t":
                return datetime.fromisoformat(inner)
            case "d":
                return date.fromisoformat(inner)
            case "c":
                return Choice(*inner)
        raise ValueError(f"unknown tag {tag!r} in stored fields")
    return value  # type: ignore[no-any-return]


_dump_fields = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_encode).encode


def dump_fields(fields: Fields) -> str:
    """Fields as canonical JSON: equal fields give equal text, so it can be compared and hashed."""
    return _dump_fields(dict(fields))


def load_fields(text: str) -> dict[str, FieldValue]:
    """The inverse of `dump_fields`."""
    return {name: _decode(value) for name, value in json.loads(text).items()}


# --- changes --------------------------------------------------------------------------------

Cursor = NewType("Cursor", str)
"""How far a source has been read: opaque to the core, versioned by its source."""


class Kind(StrEnum):
    """What happened to a record."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"
    MERGED = "merged"


@dataclass(frozen=True, slots=True, order=True)
class RecordRef:
    """Names one record of one configured source."""

    source: str
    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.source}/{self.type}/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a source saw of one record. A field missing from `fields` was not looked at; it did not change."""

    record_type: str
    record_id: str
    fields: Fields
    occurred_at: datetime
    created: bool = False
    """The source itself says that the record is new."""
    deleted: bool = False
    merged_into: str | None = None
    version: str | None = None
    """The vendor's version or modification stamp; a number, an ISO 8601 instant, or any sortable text."""
    observation_id: str | None = None
    """The same for every redelivery of this observation."""
    before: Fields | None = None
    actor: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One read of a source."""

    observations: tuple[Observation, ...]
    cursor: Cursor
    has_more: bool
    learning: bool = False
    """These records may have existed long before they were read first, as in a table that was just added: learn them silently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEvent:
    """One change to one record, as rules see it. `before` holds only old values that are known."""

    id: str
    source: str
    record_type: str
    record_id: str
    revision: int
    kind: Kind
    occurred_at: datetime
    fields: Fields
    before: Fields
    actor: str | None = None
    url: str | None = None

    @property
    def record(self) -> RecordRef:
        return RecordRef(self.source, self.record_type, self.record_id)


def digest(*parts: str) -> str:
    """32 hex digits naming `parts`: half of a SHA-256 over their length-prefixed UTF-8."""
    hashed = hashlib.sha256()
    for part in parts:
        data = part.encode()
        hashed.update(b"%d:" % len(data))
        hashed.update(data)
    return hashed.hexdigest()[:32]


def event_id(record: RecordRef, revision: int, fields: Fields) -> str:
    """The name of one change: the same by poll, webhook, redelivery and replay; A -> B -> A is three."""
    return digest(record.source, record.type, record.id, str(revision), dump_fields(fields))


def idempotency_key(event: str, rule: str, step: str, generation: int = 0) -> str:
    """The name of one delivery for ever; a destination that takes keys publishes it once."""
    return digest(event, rule, step, str(generation))


# --- messages -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal:
    """Words the rule's author wrote: they may link, mention and format."""

    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """Words that came from a record: they are never more than text."""

    text: str


Text = tuple[Literal | Value, ...]


def plain(text: Text) -> str:
    """The words alone, for logs, tests and networks without any mark-up."""
    return "".join(span.text for span in text)


@dataclass(frozen=True, slots=True)
class Channel:
    """Where inside a destination. `key` is identity; `title` is only a label and may change or repeat."""

    key: str
    title: str = ""


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
    """Messages of one lane with the same thread are replies to the first of them."""
    audience: Audience = Audience.COMPANY
    expires_at: datetime | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


def dump_message(message: Message) -> str:
    """A message as JSON: the bytes that a delivery keeps."""
    return json.dumps(
        {
            "destination": message.destination,
            "channel": [message.channel.key, message.channel.title] if message.channel else None,
            "rule": message.rule,
            "step": message.step,
            "text": [[int(isinstance(span, Value)), span.text] for span in message.text],
            "record": [message.record.source, message.record.type, message.record.id],
            "occurred_at": to_us(message.occurred_at),
            "link": message.link,
            "thread": message.thread,
            "audience": message.audience,
            "expires_at": to_us(message.expires_at) if message.expires_at else None,
            "extra": dict(message.extra),
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def load_message(text: str) -> Message:
    """The inverse of `dump_message`."""
    raw = json.loads(text)
    return Message(
        destination=raw["destination"],
        channel=Channel(*raw["channel"]) if raw["channel"] else None,
        rule=raw["rule"],
        step=raw["step"],
        text=tuple(Value(words) if is_value else Literal(words) for is_value, words in raw["text"]),
        record=RecordRef(*raw["record"]),
        occurred_at=from_us(raw["occurred_at"]),
        link=raw["link"],
        thread=raw["thread"],
        audience=Audience(raw["audience"]),
        expires_at=from_us(raw["expires_at"]) if raw["expires_at"] is not None else None,
        extra=raw["extra"],
    )


class State(StrEnum):
    """The life of a delivery."""

    QUEUED = "queued"  # waits for its instant
    SENDING = "sending"  # leased; the request may be under way
    DELIVERED = "delivered"
    HELD = "held"  # waits for a person
    UNKNOWN = "unknown"  # may or may not be published
    DEAD = "dead"  # will not be tried again by itself
    SUPERSEDED = "superseded"  # a later message took its place


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof of publication, kept so that a later message can reply to, edit or delete this one."""

    remote_id: str
    url: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


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
    """The first message of this delivery's thread, once that is published."""


# --- time -----------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC; exact, unlike a float timestamp."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """The inverse of `to_us`, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def spans(parts: Iterable[Literal | Value]) -> Text:
    """A Text without empty spans, and with neighbours of one kind joined."""
    joined: list[Literal | Value] = []
    for part in parts:
        if not part.text:
            continue
        if joined and type(joined[-1]) is type(part):
            joined[-1] = type(part)(joined[-1].text + part.text)
        else:
            joined.append(part)
    return tuple(joined)


# --- settings every layer may hold ---------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How connectors reach the outside: a proxy, a private CA, and the absolute deadline of one call."""

    proxy: str | None = None
    ca_file: str | None = None
    deadline: float = 8.0
    """Seconds from the first byte sent to the last byte read."""
