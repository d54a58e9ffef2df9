"""Zoho CRM: any module, polled through its API v8."""

from crmbridge.rest import preset

CONNECTOR = preset(__file__)
