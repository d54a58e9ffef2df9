"""What people may ask and order: the same whether a daemon runs (over its admin socket) or only its database is there.

`reading.py` answers, `orders.py` changes, `explain.py` tells why, `asking.py` asks the CRM.
"""

from __future__ import annotations

from typing import Final

from crmbridge.web.asking import Asking
from crmbridge.web.explain import Explaining
from crmbridge.web.scope import Refused

__all__ = ["Operations", "Refused"]


class Operations(Explaining, Asking):
    """Everything that has a verb."""

    VERBS: Final = frozenset(
        {
            *("overview", "queue_list", "dead_list", "unknown_list", "show", "tail", "explain", "count", "emptiness"),
            *("queue_hold", "queue_release", "queue_drop", "dead_retry", "dead_drop", "unknown_resolve"),
            *("pause", "resume", "replay", "retract", "forget"),
            *("backfill", "audit", "state_show", "state_set"),
        }
    )
    """What may be called from outside; everything else is not a verb."""
