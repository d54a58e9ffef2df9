"""What X makes of a step before it is ever said: its price, and what self-serve accounts may not. Pure.

https://docs.x.com/x-api/getting-started/pricing, https://docs.x.com/changelog (2026-02-23, 2026-04-16),
https://docs.x.com/x-api/posts/manage-tweets/integrate (all read 2026-11-30)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from connectors.destinations.twitter.prices import PRICE, PRICE_WITH_ADDRESS
from connectors.destinations.twitter.text import has_address
from crmbridge.contract import Spoken

_MENTION: Final = re.compile(r"(?<![A-Za-z0-9_!#$%&*@＠/])[@＠]([A-Za-z0-9_]{1,15})(?![A-Za-z0-9_@＠.])")
_CASHTAG: Final = re.compile(r"(?<!\S)\$[A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?(?![A-Za-z])")
_SCHEME: Final = re.compile(r"https?://", re.IGNORECASE)


def remarks(spoken: Spoken) -> Sequence[str]:
    """For `lint`, one sentence each."""
    return list(_remarks(spoken))


def _remarks(spoken: Spoken) -> Iterator[str]:
    times = PRICE_WITH_ADDRESS / PRICE
    if spoken.link or _SCHEME.search(spoken.words) or has_address(spoken.words):
        what = "its link" if spoken.link else "the address in its text"
        yield f"{what} makes each post cost {PRICE_WITH_ADDRESS} US dollars at X, {times:.0f} times the {PRICE} of one without (2026-11-30)"
    if names := list(dict.fromkeys(_MENTION.findall(spoken.words))):
        who = ", ".join(f"@{name}" for name in names[:3])
        yield f"it mentions {who}: since 2026-02-23 X restricts what self-serve accounts may mention, and does not say how"
    if spoken.thread:
        yield "its replies: since 2026-02-23 X lets self-serve accounts reply only where they were mentioned or quoted"
    if len(_CASHTAG.findall(spoken.words)) > 1:
        yield "X takes one $cashtag in a post of a self-serve account, and refuses those with more"
