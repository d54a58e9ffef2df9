"""Twenty's preset, against a stand-in of its vendor."""

from decimal import Decimal
from typing import ClassVar

import pytest
from standins.calls import Called, CallingTwenty
from standins.twenty import SITE, WORDS, Twenty

from connectors.sources.twenty import CONNECTOR, amounts
from crmbridge.testing import Can
from crmbridge.testing.preset import TOKEN, Fact, PresetContract

_ROW = {"id": "string", "createdAt": "date-time", "updatedAt": "date-time", "deletedAt": "date-time|null", "updatedBy": {"name": "string"}}
_INFO = {"hasNextPage": "boolean"}
FACTS = (
    Fact(
        "/opportunities",
        {"order_by", "filter", "limit", "depth", "starting_after", "ending_before"},
        {"data": {"opportunities": [_ROW]}, "pageInfo": _INFO, "totalCount": "integer"},
        {"depth": {"0", "1"}, "limit": {str(number) for number in range(61)}},
    ),
    Fact("/opportunities/[^/]+", {"depth"}, {"data": {"opportunity": _ROW}}),
)
"""What the code says that makes a workspace's OpenAPI."""


class TestTwenty(PresetContract):
    connector = CONNECTOR
    record_type = "opportunities"
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.DELETES, Can.RIGHTS, Can.LINKS})
    secrets = (TOKEN,)
    elsewhere = "/companies"
    listed = ("data.opportunities", "id", "updatedAt")
    judge = "https://github.com/twentyhq/twenty/tree/00da24b/packages/twenty-server/src/engine/core-modules/open-api"
    facts = FACTS

    def stand_in(self, folder):
        return Twenty()

    def options(self, crm):
        return {"token": TOKEN, "url": crm.url, "site": SITE, "overlap": 60, "page": 10}

    def test_an_object_of_ones_own(self):
        """By its plural API name."""
        assert self.connector.record_fault(None, "workOrders") == ""
        assert "like tasks or workOrders" in self.connector.record_fault(None, "Work orders")


@pytest.mark.parametrize(
    ("micros", "said"),
    [(100_500_000, Decimal("100.5")), ("-7000000", Decimal(-7)), (0, Decimal(0)), (None, None), ("many", "many"), (True, True), ("", "")],
)
def test_an_amount_in_whole_units(micros, said):
    """The millionths stay beside it."""
    found = amounts({"amount": {"amountMicros": micros, "currencyCode": "EUR"}, "name": "Parkers"})
    assert (found["amount.amount"], found["amount"]["amountMicros"], found["name"]) == (said, micros, "Parkers")


class TestCalledTwenty(Called, TestTwenty):
    calling = CallingTwenty
    can = frozenset({Can.POLL, Can.WEBHOOK, Can.SIGNED})
