"""How long a message may become: a step rendered for a record whose texts are as long as a CRM's usual text field lets them be. Pure."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Final

from crmbridge.errors import RenderError
from crmbridge.model import ChangeEvent, ChangeKind, FieldSpec, FieldType, FieldValue, Literal, Message, RecordSpec, Text
from crmbridge.rules.engine import Engine
from crmbridge.rules.rule import Rule, Step

ROOM: Final = 255
"""Characters in a text field: the limit of a Salesforce text field, of Odoo's and HubSpot's usual ones."""
_WORDS: Final = ("lorem ipsum dolor sit amet " * 10)[:ROOM].strip().ljust(ROOM, "x")
_NAME: Final = _WORDS[:40].strip().ljust(40, "x")  # of who changed it
_ID: Final = "x" * 36  # as long as a UUID: what stands in an address is an id
_WHEN: Final = datetime(2026, 12, 30, 23, 59, 59, tzinfo=timezone.utc)
_VALUES: Final[dict[FieldType, FieldValue]] = {
    FieldType.NUMBER: Decimal("-999999999.99"),
    FieldType.MONEY: Decimal("-999999999.99"),
    FieldType.DATE: _WHEN.date(),
    FieldType.DATETIME: _WHEN,
    FieldType.BOOLEAN: False,
}


def longest(engine: Engine, rule: Rule, step: Step) -> Text | None:
    """Render the text and link of `step` for the longest record; None where such values cannot be rendered."""
    message = longest_message(engine, rule, step)
    if message is None:
        return None
    return (*message.text, Literal(f" {message.link}")) if message.link else message.text


def longest_message(engine: Engine, rule: Rule, step: Step) -> Message | None:
    """Render the whole message of `step` for the longest record, with its layout.

    A template that branches on what a record says may do otherwise: this is an estimate, not a proof.
    """
    spec: RecordSpec = engine.records.get((rule.source, rule.record), {})
    names = [read.path for read in step.reads() if read.root in ("record", "before")]
    ids = {read.path for read in step.link.reads} - {read.path for read in step.text.reads} if step.link else set()
    fields = {name: _VALUES.get(spec.get(name, FieldSpec()).type, _ID if name in ids else _WORDS) for name in names}
    event = ChangeEvent(
        id="longest",
        source=rule.source,
        record_type=rule.record,
        record_id="longest",
        revision=1,
        kind=ChangeKind.UPDATED,
        occurred_at=_WHEN,
        fields=fields,
        before=fields,
        actor=_NAME,
        url=f"https://crm.example.com/{_ID}",
    )
    try:
        return engine.render(rule, step, event)
    except RenderError:
        return None
