"""A CRM kept in a database: SQLite, PostgreSQL with the extra `postgres`, MySQL or MariaDB with the extra `mysql`."""

from connectors.sources.sql.options import SqlOptions
from connectors.sources.sql.source import SqlSource
from crmbridge.contract import Connector

CONNECTOR = Connector(
    name="sql", summary="A table or query of a CRM kept in house: SQLite, PostgreSQL, MySQL or MariaDB", options=SqlOptions, build=SqlSource
)
