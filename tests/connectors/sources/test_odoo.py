"""The odoo source, by JSON-RPC and by JSON-2, against a stand-in with Odoo's traps."""

from typing import ClassVar

import pytest
from standins.odoo import DATABASE, HOOK_PATH, MODEL, PASSWORD, USER, WORDS, Odoo

from connectors.sources.odoo import CONNECTOR
from connectors.sources.odoo.options import OdooOptions
from crmbridge.testing import Can, SourceContract


class Contract(SourceContract):
    connector = CONNECTOR
    record_type = MODEL
    fields: ClassVar = WORDS
    secrets = (PASSWORD, HOOK_PATH)
    api: ClassVar[str] = "jsonrpc"

    def stand_in(self, folder):
        crm = Odoo(version=17)
        crm.own_teams = True
        return crm

    def options(self, crm):
        given = {
            "url": crm.url,
            "database": DATABASE,
            "user": USER,
            "password": PASSWORD,
            "api": self.api,
            "overlap": 60,
            "page": 10,
            "deletes_every": 0,
        }
        return given | ({"webhook": {"path": HOOK_PATH}} if Can.WEBHOOK in self.can else {})

    def wrong_credentials(self, options):
        return options | {"password": "another"}


class TestOdoo(Contract):
    can = frozenset({Can.POLL, Can.WEBHOOK, Can.DELETES, Can.TEAMS, Can.SCHEMA, Can.LOGIN, Can.LINKS, Can.RIGHTS})


class TestPolled(Contract):
    """Odoo 14, which has no webhooks; the states between two polls come out of its log."""

    secrets = (PASSWORD,)
    can = frozenset({Can.POLL, Can.OLD_VALUES, Can.DELETES, Can.TEAMS, Can.SCHEMA, Can.LOGIN, Can.LINKS, Can.RIGHTS})
    proven = "stand-in that answers as a recorded Odoo 14 did"

    def stand_in(self, folder):
        crm = Odoo(version=14)
        crm.own_teams = True
        return crm

    def test_old_values_of_the_log(self, world, crm):
        """A to B to C between two polls is two changes, each with what was before."""
        id = self.begun(crm, world)
        for stage in ("moved", "won"):
            crm.update(id, stage=stage)
            crm.tick()
        told = [(self.says(one, "stage", before=True), self.says(one, "stage")) for one in world.poll()]
        assert told == [("open", "moved"), ("moved", "won")]


class TestJson2(Contract):
    """Odoo 19: the key is the login, so that there is none to be made."""

    can = frozenset({Can.POLL, Can.WEBHOOK, Can.DELETES, Can.TEAMS, Can.SCHEMA, Can.LINKS, Can.RIGHTS})
    api = "json2"


@pytest.mark.parametrize(
    ("url", "api", "told"),
    [
        ("https://acme.odoo.com", "jsonrpc", True),
        ("https://acme.odoo.com", "json2", False),
        ("https://odoo.acme.example", "jsonrpc", False),
    ],
)
def test_what_ends_at_odoo_online_is_said(url, api, told):
    """Those who run Odoo themselves choose when it ends."""
    options = OdooOptions(url=url, database="acme", user="bridge", password="p", api=api)
    assert [path for path, words in options.notes() if "winter 2027" in words] == [("api",)] * told
