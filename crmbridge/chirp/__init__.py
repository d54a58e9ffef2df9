"""Chirp: the organisation's own feed. People follow channels and read; the daemon posts over signed HTTP."""

from crmbridge.chirp.feed import SCHEMA, Feed

__all__ = ["SCHEMA", "Feed"]
