"""SuiteCRM's preset, against a stand-in of its vendor."""

from typing import ClassVar

from standins.suitecrm import CLIENT_ID, CLIENT_SECRET, WORDS, Suite

from connectors.sources.suitecrm import CONNECTOR
from crmbridge.testing import Can
from crmbridge.testing.preset import PresetContract


class TestSuiteCrm(PresetContract):
    connector = CONNECTOR
    record_type = "Opportunities"
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.RIGHTS, Can.LINKS, Can.LOGIN})
    secrets = (CLIENT_SECRET,)
    elsewhere = "/Accounts"
    listed = ("data", "id", "attributes.date_modified")

    def stand_in(self, folder):
        return Suite()

    def options(self, crm):
        return {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "url": crm.url, "overlap": 60, "page": 10}

    def wrong_credentials(self, options):
        return options | {"client_secret": "another"}
