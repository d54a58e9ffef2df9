"""Oracle CRM On Demand through its REST API: polled, in pages by modification date, at 30 requests a minute."""

from datetime import date

from connectors.sources.oracle_crm_on_demand.options import OracleOptions
from connectors.sources.oracle_crm_on_demand.source import OracleSource
from crmbridge.contract import Connector, VendorPage

CONNECTOR = Connector(
    name="oracle_crm_on_demand",
    summary="Oracle CRM On Demand by its REST API; deletions and merges by its modification tracking",
    options=OracleOptions,
    build=OracleSource,
    documents=(
        VendorPage(
            url="https://docs.oracle.com/cd/E93683_01/books/OnDemRestAPI/OnDemRestAPITOC.html",
            read=date(2026, 11, 22),
            says="the REST API Developer's Guide, and the pages of the README",
        ),
    ),
)
