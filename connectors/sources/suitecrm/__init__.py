"""SuiteCRM 8: any module, polled through its V8 API."""

from crmbridge.rest import preset

CONNECTOR = preset(__file__)
