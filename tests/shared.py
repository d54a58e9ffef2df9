"""What test modules share by import."""

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from crmbridge.model import ChangeEvent, ChangeKind

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.utc)

_EXAMPLES = float(os.environ.get("CRMBRIDGE_EXAMPLES", "1"))


def examples(usual: int) -> int:
    """How many examples a property is tried with: CRMBRIDGE_EXAMPLES=10 makes it ten times the usual number."""
    return max(1, round(usual * _EXAMPLES))


def deals(**fields: str) -> dict[str, Any]:
    """The `sources` of a configuration: one webhook that tells of deals with these fields."""
    return {
        "crm": {
            "type": "webhook",
            "signature": {"scheme": "none"},
            "map": {"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body"},
            "records": {"Deal": {"fields": fields}},
        }
    }


def changed_deal(fields: Any, before: Any, occurred_at: datetime | None = None) -> ChangeEvent:
    """An update of the record crm/Deal/1."""
    return ChangeEvent(
        id="e",
        source="crm",
        record_type="Deal",
        record_id="1",
        revision=1,
        kind=ChangeKind.UPDATED,
        occurred_at=occurred_at,
        fields=fields,
        before=before,
    )


def need(there: object, what: str, command: str) -> None:
    """Skip with the command that brings a real part; with CRMBRIDGE_REQUIRE=all a missing part is a failure."""
    if there:
        return
    message = f"{what} is missing: {command}"
    if os.environ.get("CRMBRIDGE_REQUIRE") == "all":
        pytest.fail(message)
    pytest.skip(message)
