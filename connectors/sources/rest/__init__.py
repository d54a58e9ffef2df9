"""Any CRM with a JSON API that can be asked what changed."""

from crmbridge.contract import Connector
from crmbridge.rest import RestOptions, build

CONNECTOR = Connector(name="rest", summary="Any CRM with a JSON API that says what changed", options=RestOptions, build=build)
