"""What every source promises, as tests to inherit.

A subclass names its connector and a stand-in of its vendor, and says what the two can do; pytest then runs every test
here against it, with a real store behind it. The scenario speaks of one record type with a title, a stage, an amount
and an owner; `fields` says what this vendor calls them.
"""

from __future__ import annotations

from crmbridge.testing.source.entitled import Rights
from crmbridge.testing.source.hooks import Hooks
from crmbridge.testing.source.logins import Logins
from crmbridge.testing.source.parts import Can
from crmbridge.testing.source.reading import Reading
from crmbridge.testing.source.troubles import Troubles

__all__ = ["Can", "SourceContract"]


class SourceContract(Logins, Rights, Reading, Hooks, Troubles):
    """What holds for every source."""
