"""HubSpot's names of one object type: a number in addresses and events, a plural in the API, a singular in webhooks.

https://developers.hubspot.com/docs/guides/crm/understanding-the-crm
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_KNOWN: Final = {
    "0-1": ("contacts", "contact"),
    "0-2": ("companies", "company"),
    "0-3": ("deals", "deal"),
    "0-5": ("tickets", "ticket"),
    "0-7": ("products", "product"),
    "0-8": ("line_items", "line_item"),
    "0-14": ("quotes", "quote"),
    "0-27": ("tasks", "task"),
    "0-46": ("notes", "note"),
    "0-47": ("meetings", "meeting"),
    "0-48": ("calls", "call"),
    "0-49": ("emails", "email"),
    "0-53": ("invoices", "invoice"),
    "0-123": ("orders", "order"),
    "0-136": ("leads", "lead"),
}
_NUMBERS: Final = {name: number for number, names in _KNOWN.items() for name in names}
_NUMBER: Final = re.compile(r"[0-9]{1,4}-[0-9]{1,12}", re.ASCII)
CONTACT: Final = "0-1"
COMPANY: Final = "0-2"
MERGEABLE: Final = frozenset({"0-1", "0-2", "0-3", "0-5"})
WITH_PIPELINES: Final = {"0-3": ("pipeline", "dealstage"), "0-5": ("hs_pipeline", "hs_pipeline_stage")}
"""The properties with the ids of pipelines and of their stages."""


def number(name: str) -> str | None:
    """`0-3` for deals, deal and DEAL; None for the name of a custom object."""
    found = _NUMBERS.get(name.lower())
    return found or (name if _NUMBER.fullmatch(name) else None)


def scope(name: str, of: str = "objects") -> str:
    """The scope that lets read it; all custom objects have one."""
    known = _KNOWN.get(number(name) or "")
    return f"crm.{of}.{known[0]}.read" if known else f"crm.{of}.custom.read of {name}"


def numbered(names: Iterable[str]) -> dict[str, str]:
    """The configured names by number, and by themselves where there is none."""
    return {number(name) or name: name for name in names}


def stamp_property(record_type: str) -> str:
    """Which property is moved by every change. Searching for the other one finds nothing, and no error says so."""
    return "lastmodifieddate" if number(record_type) == CONTACT else "hs_lastmodifieddate"
