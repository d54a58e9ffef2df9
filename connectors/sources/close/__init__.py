"""Close: opportunities, leads and contacts, polled; what was deleted stands in its event log."""

from crmbridge.rest import preset

CONNECTOR = preset(__file__)
