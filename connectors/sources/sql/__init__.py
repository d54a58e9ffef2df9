"""A CRM kept in a database: SQLite, or PostgreSQL with the extra `postgres`."""

from connectors.sources.sql.options import SqlOptions
from connectors.sources.sql.source import SqlSource
from crmbridge.contract import Connector

CONNECTOR = Connector(
    name="sql", summary="A table or query of a CRM kept in house: SQLite or PostgreSQL", options=SqlOptions, build=SqlSource
)
