"""Zoho CRM's preset, against a stand-in of its vendor."""

from typing import ClassVar

import pytest
from standins.calls import Called, CallingZoho
from standins.zoho import CLIENT_ID, CLIENT_SECRET, REFRESH, WORDS, Zoho

from connectors.sources.zoho import CONNECTOR
from crmbridge.errors import LoginRefused
from crmbridge.testing import Can
from crmbridge.testing.preset import Fact, PresetContract

_INFO = {"page": "integer", "per_page": "integer", "count": "integer", "more_records": "boolean"}
_SORTED = {"sort_by": "string", "sort_order": "string", "next_page_token": "string|null", "previous_page_token": "string|null"}
_ASKS = {
    "fields",
    "territory_id",
    "ids",
    "cvid",
    "filters",
    "per_page",
    "page",
    "page_token",
    "sort_order",
    "sort_by",
    "converted",
    "include_child",
}
FACTS = (
    Fact(
        "/Deals",
        _ASKS,
        {"data": [{"id": "string", "Modified_Time": "date-time"}], "info": {**_INFO, **_SORTED, "page_token_expiry": "date-time|null"}},
        {
            "sort_order": {"asc", "desc"},
            "sort_by": {"id", "Created_Time", "Modified_Time"},
            "per_page": {str(number) for number in range(1, 201)},
        },
    ),
)
"""What Zoho's OpenAPI says of getRecords."""


class TestZoho(PresetContract):
    connector = CONNECTOR
    record_type = "Deals"
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.DELETES, Can.RIGHTS, Can.LOGIN, Can.SCHEMA})
    secrets = (CLIENT_SECRET, REFRESH)
    elsewhere = "/Accounts"
    listed = ("data", "id", "Modified_Time")
    judge = "https://github.com/zoho/crm-oas/tree/45dff2c/v8.0"
    facts = FACTS

    def stand_in(self, folder):
        return Zoho()

    def options(self, crm):
        login = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH}
        return login | {"url": crm.url, "accounts_url": crm.url, "overlap": 60, "page": 10}

    def wrong_credentials(self, options):
        return options | {"refresh_token": "another"}

    def test_a_no_with_a_good_status_is_a_no(self, make, worlds, crm):
        """Zoho says so with HTTP 200; a person must act."""
        world = worlds(make(self.wrong_credentials(self.options(crm))))
        with pytest.raises(LoginRefused, match="invalid_code"):
            world.call(world.source.check)

    def test_only_named_fields_are_asked_for(self, world, crm):
        """The configured ones, and what the source itself reads."""
        world.poll()
        (asked,) = {one.path for one in crm.requests if one.path.startswith("/crm/v8/Deals?")}
        assert "fields=Deal_Name%2CStage%2CAmount%2COwner%2Cid%2CModified_Time%2CCreated_Time%2CModified_By" in asked


class TestCalledZoho(Called, TestZoho):
    calling = CallingZoho
    can = frozenset({Can.POLL, Can.WEBHOOK})
