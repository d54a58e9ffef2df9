"""The Oracle CRM On Demand source keeps what every source promises, also with a vendor that does otherwise where it may."""

from zoneinfo import ZoneInfo

from standins.oracle import OracleParts

from crmbridge.testing import SourceContract


class TestOracle(OracleParts, SourceContract):
    """As the documents read most plainly."""


class TestOddOracle(TestOracle):
    """All that they leave open, the other way: a user in Berlin, no lastpage, the singular's name, empty texts, a renamed resource."""

    record_type = "Deals"

    def stand_in(self, folder):
        crm = super().stand_in(folder)
        crm.resource, crm.zone = "Deals", ZoneInfo("Europe/Berlin")
        crm.lastpage, crm.swapped, crm.empty = False, True, ""
        return crm

    def options(self, crm):
        return super().options(crm) | {"time_zone": "Europe/Berlin", "objects": {"Deals": "Opportunity"}}
