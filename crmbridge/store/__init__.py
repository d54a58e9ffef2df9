"""The only module that reads or writes crmbridge's own database: an interface, and SQLite behind it."""

from crmbridge.store.interface import Store
from crmbridge.store.sqlite import SqliteStore

__all__ = ["SqliteStore", "Store"]
