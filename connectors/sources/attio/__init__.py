"""Attio: the records of any object, read whole and compared, for Attio keeps no stamp of a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from crmbridge.rest import preset

_OF_THE_VALUE: Final = frozenset({"active_from", "active_until", "created_by_actor", "attribute_type"})
"""What a value says of itself."""
_MEANT: Final = {
    "actor-reference": "referenced_actor_id",
    "currency": "currency_value",
    "domain": "domain",
    "email-address": "email_address",
    "interaction": "interacted_at",
    "personal-name": "full_name",
    "phone-number": "phone_number",
    "record-reference": "target_record_id",
    "select": "option",
    "status": "status",
}
"""Which part of a value is the value, by the attribute's type; of others it is `value`."""


def values(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Attributes by their slugs. Each is a list of values in Attio: none is empty, one is that value, several are a list.

    The parts of a lone value have names of their own, like `value.currency_code`.
    https://docs.attio.com/docs/attribute-types
    """
    said: dict[str, Any] = {}
    for slug, listed in found.items():
        every = [_meant(one) for one in listed] if isinstance(listed, list) else [listed]
        said[slug] = every[0] if len(every) == 1 else every or None
        if len(every) == 1 and isinstance(listed, list) and isinstance(listed[0], dict):
            said |= {f"{slug}.{part}": _titled(inner) for part, inner in listed[0].items() if part not in _OF_THE_VALUE}
    return said


def _meant(one: Any) -> Any:
    return _titled(one.get(_MEANT.get(str(one.get("attribute_type")), "value"))) if isinstance(one, dict) else one


def _titled(one: Any) -> Any:
    """An option or a status is called by its title."""
    return one.get("title") if isinstance(one, dict) else one


CONNECTOR = preset(__file__, shape=values)
