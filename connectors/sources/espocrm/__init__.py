"""EspoCRM: any entity type, polled through its REST API."""

from crmbridge.rest import preset

CONNECTOR = preset(__file__)
