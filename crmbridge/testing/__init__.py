"""What authors of connectors test with: contracts to inherit, and a server that does as it is told.

from crmbridge.testing import NetworkDestinationContract, answer

class TestMine(NetworkDestinationContract):
    connector = CONNECTOR
    options = {"token": "canary-0123456789"}
    success = staticmethod(answer(201, {"id": "1"}))
    canaries = ("canary-0123456789",)
"""

from __future__ import annotations

from crmbridge.testing.destination import DestinationContract, NetworkDestinationContract, message
from crmbridge.testing.server import Behaviour, ScriptedServer, Seen, answer, cut, dribble, hang, unresponsive
from crmbridge.testing.source import Can, SourceContract
from crmbridge.testing.standin import StandIn

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
