"""The hubspot source keeps what every source promises, against a stand-in that speaks as HubSpot does."""

from standins.hubspot import HubspotParts, forgeries

from crmbridge.testing import SourceContract


class TestHubspot(HubspotParts, SourceContract):
    def forgeries(self, request):
        return forgeries(request)
