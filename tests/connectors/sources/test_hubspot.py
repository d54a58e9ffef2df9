"""The hubspot source keeps what every source promises, against a stand-in that speaks as HubSpot does."""

from hubspot_stand_in import HubspotParts, forgeries

from crmbridge.testing import Can, SourceContract


class TestHubspot(HubspotParts, SourceContract):
    can = frozenset(set(Can) - {Can.OLD_VALUES})

    def forgeries(self, request):
        return forgeries(request)
