"""Attio's preset, against a stand-in of its vendor."""

from typing import ClassVar

import pytest
from standins.attio import WORDS, Attio
from standins.calls import OBJECT, Called, CallingAttio

from connectors.sources.attio import CONNECTOR, values
from crmbridge.testing import Can
from crmbridge.testing.preset import TOKEN, Fact, PresetContract

FACTS = (
    Fact(
        "/objects/deals/records/query",
        {"filter", "sorts", "limit", "offset"},
        {
            "data": [
                {
                    "id": {"workspace_id": "string", "object_id": "string", "record_id": "string"},
                    "created_at": "date-time",
                    "web_url": "string",
                    "values": "object",
                }
            ]
        },
        {"limit": range(1, 501)},
    ),
    Fact("/objects/deals/attributes", set(), {"data": [{"api_slug": "string", "title": "string", "type": "string"}]}),
)
"""What the types say that are made of Attio's OpenAPI."""


class TestAttio(PresetContract):
    connector = CONNECTOR
    record_type = "deals"
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.RIGHTS, Can.LINKS, Can.SCHEMA})
    secrets = (TOKEN,)
    elsewhere = "/companies/"
    listed = ("data", "id.record_id", "")
    judge = "https://github.com/hbmartin/attio-ts-sdk"
    facts = FACTS

    def stand_in(self, folder):
        return Attio()

    def options(self, crm):
        return {"token": TOKEN, "url": f"{crm.url}/v2", "page": 10}

    def test_it_is_read_again_from_an_instant(self):
        """There is no such thing: everything is read at every poll."""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], {"x": None}),
        ([{"attribute_type": "text", "value": "a", "active_from": "t"}], {"x": "a", "x.value": "a"}),
        ([{"attribute_type": "select", "option": {"title": "Gold", "is_archived": False}}], {"x": "Gold", "x.option": "Gold"}),
        (
            [{"attribute_type": "currency", "currency_value": 7, "currency_code": "EUR"}],
            {"x": 7, "x.currency_value": 7, "x.currency_code": "EUR"},
        ),
        (
            [{"attribute_type": "domain", "domain": "a.example"}, {"attribute_type": "domain", "domain": "b.example"}],
            {"x": ["a.example", "b.example"]},
        ),
        ([{"attribute_type": "checkbox", "value": False}], {"x": False, "x.value": False}),
        ([{"attribute_type": "something-new", "value": 1}], {"x": 1, "x.value": 1}),
        ("strange", {"x": "strange"}),
    ],
)
def test_what_an_attribute_holds(value, said):
    """By the shapes of Attio's OpenAPI."""
    assert values({"x": value}) == said


class TestCalledAttio(Called, TestAttio):
    calling = CallingAttio
    can = frozenset({Can.POLL, Can.WEBHOOK, Can.SIGNED})
    more: ClassVar = {"types": {OBJECT: "deals"}}
