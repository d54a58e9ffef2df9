"""Dynamics 365 (Dataverse): any table, by its change tracking: each delta link leads to what changed since, and to the next one."""

from connectors.sources.dynamics365.source import make
from crmbridge.rest import preset

CONNECTOR = preset(__file__, make=make)
