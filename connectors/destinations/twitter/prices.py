"""What X asks for, in US dollars: https://docs.x.com/x-api/getting-started/pricing (read 2026-11-30; since 2026-04-20)."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

PRICE: Final = Decimal("0.015")
"""Creating a post."""
PRICE_WITH_ADDRESS: Final = Decimal("0.20")
"""Creating a post with an address in it."""
PRICE_OF_WORDS: Final = Decimal("0.005")
"""Giving a picture its alternative text ("Media Metadata")."""
