"""What every source promises, as tests to inherit.

A subclass names its connector and a stand-in of its vendor, and says what the two can do. pytest then runs every test
here against it, with a real store behind it. The scenario uses one record type with a title, a stage, an amount
and an owner; `fields` gives this vendor's names for them.
"""

from __future__ import annotations

from crmbridge.testing.source.entitled import RightsContract
from crmbridge.testing.source.hooks import HooksContract
from crmbridge.testing.source.logins import LoginsContract
from crmbridge.testing.source.parts import Can
from crmbridge.testing.source.reading import ReadingContract
from crmbridge.testing.source.troubles import TroublesContract

__all__ = ["Can", "SourceContract"]


class SourceContract(LoginsContract, RightsContract, ReadingContract, HooksContract, TroublesContract):
    """The tests that hold for every source."""
