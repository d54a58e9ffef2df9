"""Any CRM with a JSON API that can be asked what changed."""

from connectors.sources.rest.options import RestOptions
from connectors.sources.rest.source import RestSource
from crmbridge.contract import Connector

CONNECTOR = Connector(name="rest", summary="Any CRM with a JSON API that says what changed", options=RestOptions, build=RestSource)
