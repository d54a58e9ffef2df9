"""Close's preset, against a stand-in of its vendor."""

from decimal import Decimal
from typing import ClassVar

from standins.calls import Called, CallingClose
from standins.close import WORDS, Close

from connectors.sources.close import CONNECTOR
from crmbridge.testing import Can
from crmbridge.testing.preset import TOKEN, PresetContract


class TestClose(PresetContract):
    connector = CONNECTOR
    record_type = "opportunity"
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.DELETES, Can.RIGHTS})
    secrets = (TOKEN,)
    elsewhere = "/lead/"
    listed = ("data", "id", "date_updated")

    def stand_in(self, folder):
        return Close()

    def options(self, crm):
        return {"token": TOKEN, "url": f"{crm.url}/api/v1", "overlap": 60, "page": 10}

    def quota(self, crm):
        return {"RateLimit": "limit=100, remaining=0, reset=30"}

    def says(self, event, word, *, before=False):
        """Close counts cents."""
        found = super().says(event, word, before=before)
        return found / Decimal(100) if word == "amount" and found is not None else found


class TestCalledClose(Called, TestClose):
    calling = CallingClose
    can = frozenset({Can.POLL, Can.WEBHOOK, Can.SIGNED})
