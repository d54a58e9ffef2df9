"""The Oracle CRM On Demand source keeps what every source promises."""

from typing import Any, ClassVar

from oracle_stand_in import PASSWORD, TAGS, USER, OracleStandIn

from connectors.sources.oracle_crm_on_demand import CONNECTOR
from crmbridge.testing import Can, SourceContract


class TestOracle(SourceContract):
    connector = CONNECTOR
    record_type = "Opportunities"
    fields: ClassVar = TAGS
    can = frozenset({Can.POLL, Can.DELETES, Can.MERGES, Can.TEAMS, Can.SCHEMA, Can.LOGIN, Can.LINKS})
    secrets = (PASSWORD,)

    def stand_in(self, folder):
        return OracleStandIn()

    def options(self, crm) -> dict[str, Any]:
        return {
            "url": crm.url,
            "user": USER,
            "password": PASSWORD,
            "overlap": 60,
            "page": 10,
            "requests_per_minute": 10_000,
            "modification_trackings": True,
            "record_url": "https://secure-x.crmondemand.com/OnDemand/user/{type}Detail?id={id}",
        }

    def wrong_credentials(self, options):
        return options | {"password": "canary-oracle-wr0ng"}
