"""Freshsales's preset, against a stand-in of its vendor."""

from typing import ClassVar

from standins.freshsales import STAGES, VIEW, WORDS, Freshsales

from connectors.sources.freshsales import CONNECTOR
from crmbridge.model import Choice
from crmbridge.testing import Can
from crmbridge.testing.preset import TOKEN, PresetContract

NAMES = {str(id): name for name, id in STAGES.items()}


class TestFreshsales(PresetContract):
    connector = CONNECTOR
    record_type = "deals"
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.RIGHTS, Can.LINKS})
    secrets = (TOKEN,)
    elsewhere = "/contacts"
    listed = ("deals", "id", "updated_at")

    def stand_in(self, folder):
        return Freshsales()

    def options(self, crm):
        return {"url": f"{crm.url}/crm/sales", "token": TOKEN, "deals_view": VIEW, "overlap": 60, "page": 10}

    def says(self, event, word, *, before=False):
        """Stages and people are numbers with names here."""
        found = super().says(event, word, before=before)
        return NAMES.get(str(found), found) if word == "stage" else found

    def test_stages_and_owners_are_named(self, world, crm):
        """Each list is asked for once."""
        self.begun(crm, world)
        crm.create(stage="won")
        (event,) = world.poll()
        assert (event.fields["deal_stage_id"], event.fields["owner_id"]) == (Choice("32", "won"), Choice("1", "Susan Vale"))
        assert sum("/selector/" in one.path for one in crm.requests) == 2

    def test_a_type_without_its_view_is_a_fault(self):
        """By lint already, with the vendor's page; the API lists records through views only."""
        options = self.connector.options(url="https://acme.myfreshworks.com/crm/sales", token=TOKEN, deals_view=VIEW)
        assert self.connector.record_fault(options, "deals") == ""
        fault = self.connector.record_fault(options, "contacts")
        assert "contacts_view" in fault
        assert "https://developers.freshworks.com/crm/api/" in fault
