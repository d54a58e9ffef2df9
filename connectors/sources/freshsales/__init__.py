"""Freshsales (Freshworks CRM): deals, contacts and accounts, polled through views, the newest change first."""

from crmbridge.rest import preset

CONNECTOR = preset(__file__)
