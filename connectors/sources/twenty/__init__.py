"""Twenty: the records of any object, polled; what was deleted stands in the same list, where a filter names deletedAt."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from crmbridge.rest import preset

_MICROS: Final = 6  # digits


def amounts(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a record. A currency counts millionths (`amountMicros`): `amount.amount` is in whole units beside it.

    https://docs.twenty.com/user-guide/data-model/capabilities/fields
    """
    said = dict(found)
    for name, value in found.items():
        if isinstance(value, dict) and "amountMicros" in value:
            said[f"{name}.amount"] = _whole(value["amountMicros"])
    return said


def _whole(micros: Any) -> Any:
    """What is no number stays what it is: the field says so."""
    if isinstance(micros, bool) or not str(micros).lstrip("-").isascii() or not str(micros).lstrip("-").isdigit():
        return micros
    return Decimal(str(micros)).scaleb(-_MICROS)


CONNECTOR = preset(__file__, shape=amounts)
