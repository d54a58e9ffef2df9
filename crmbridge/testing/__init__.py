"""Tools for authors of connectors: contracts to inherit, and a server whose behaviour is scripted.

from crmbridge.testing import NetworkDestinationContract, answer

class TestMine(NetworkDestinationContract):
    connector = CONNECTOR
    options = {"token": "canary-0123456789"}
    success = staticmethod(answer(201, {"id": "1"}))
    canaries = ("canary-0123456789",)
"""

from __future__ import annotations

import pytest

# Assertions of a contract must show what they saw, in the distributions of others too.
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in ("destination", "driver", "preset", "source")))

from crmbridge.testing.destination import DestinationContract, NetworkDestinationContract  # noqa: E402
from crmbridge.testing.driver import message  # noqa: E402
from crmbridge.testing.server import Behaviour, ScriptedServer, Seen, answer, cut, dribble, hang, unresponsive  # noqa: E402
from crmbridge.testing.source import Can, SourceContract  # noqa: E402
from crmbridge.testing.standin import StandIn  # noqa: E402

__all__ = [
    "Behaviour",
    "Can",
    "DestinationContract",
    "NetworkDestinationContract",
    "ScriptedServer",
    "Seen",
    "SourceContract",
    "StandIn",
    "answer",
    "cut",
    "dribble",
    "hang",
    "message",
    "unresponsive",
]
