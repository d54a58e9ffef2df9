"""EspoCRM's preset, against a stand-in of its vendor."""

from typing import ClassVar

from standins.espocrm import WORDS, Espo

from connectors.sources.espocrm import CONNECTOR
from crmbridge.testing import Can
from crmbridge.testing.preset import TOKEN, Fact, PresetContract

_WHERE = {"where[0][type]", "where[0][attribute]", "where[0][value]"}
FACTS = (
    Fact(
        "/Opportunity",
        {"maxSize", "offset", "orderBy", "order", "select", *_WHERE},
        {"total": "integer", "list": [{"id": "string"}]},
        {"order": {"asc", "desc"}, "where[0][type]": {"greaterThanOrEquals"}, "maxSize": {str(number) for number in range(201)}},
    ),
    Fact("/Opportunity/[^/]+", set(), {"id": "string", "createdAt": "string", "modifiedAt": "string"}),
)
"""What EspoCRM's pages list of parameters and answers; they are documents, and no proof."""


class TestEspoCrm(PresetContract):
    connector = CONNECTOR
    record_type = "Opportunity"
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.RIGHTS, Can.LINKS})
    secrets = (TOKEN,)
    elsewhere = "/Account"
    listed = ("list", "id", "modifiedAt")
    facts = FACTS

    def stand_in(self, folder):
        return Espo()

    def options(self, crm):
        return {"token": TOKEN, "url": crm.url, "overlap": 60, "page": 10}

    def test_an_entity_type_of_ones_own(self):
        """By the name that EspoCRM gives it."""
        assert self.connector.record_fault(None, "CRoom") == ""
        assert "like Task or CRoom" in self.connector.record_fault(None, "room")

    def test_what_was_deleted_is_found_by_listing_everything(self, make, worlds, crm):
        """EspoCRM shows it nowhere; two walks in a row miss it."""
        world = worlds(make({"deletes_every": "15m"}))
        id, other = self.begun(crm, world), crm.create()
        world.poll()
        crm.delete(other)
        source = world.source
        assert source.walks()["Opportunity"].ids_every.total_seconds() == 900
        assert list(source.walk("Opportunity", None, False).ids) == [id]
