"""The nouns that travel through crmbridge, and the pure functions that name, read and encode them.

Nothing here does I/O or reads a clock.
"""

from crmbridge.model.changes import ChangeEvent, Cursor, Kind, Observation, Page, RecordRef, digest, event_id, idempotency_key
from crmbridge.model.encoding import dump_json, load_json
from crmbridge.model.messages import Channel, Delivery, Message, Network, Receipt, State, dump_message, dump_text, load_message, load_text
from crmbridge.model.moments import from_us, to_us
from crmbridge.model.values import (
    Audience,
    Choice,
    Fields,
    FieldSpec,
    FieldType,
    FieldValue,
    RecordSpec,
    Sensitivity,
    dump_fields,
    load_fields,
    normalise,
    number_text,
    parse_date,
    parse_instant,
    parse_number,
)
from crmbridge.model.words import Literal, Text, Value, clean, inside_link, plain, shortened, spans, visible

__all__ = [
    "Audience",
    "ChangeEvent",
    "Channel",
    "Choice",
    "Cursor",
    "Delivery",
    "FieldSpec",
    "FieldType",
    "FieldValue",
    "Fields",
    "Kind",
    "Literal",
    "Message",
    "Network",
    "Observation",
    "Page",
    "Receipt",
    "RecordRef",
    "RecordSpec",
    "Sensitivity",
    "State",
    "Text",
    "Value",
    "clean",
    "digest",
    "dump_fields",
    "dump_json",
    "dump_message",
    "dump_text",
    "event_id",
    "from_us",
    "idempotency_key",
    "inside_link",
    "load_fields",
    "load_json",
    "load_message",
    "load_text",
    "normalise",
    "number_text",
    "parse_date",
    "parse_instant",
    "parse_number",
    "plain",
    "shortened",
    "spans",
    "to_us",
    "visible",
]
