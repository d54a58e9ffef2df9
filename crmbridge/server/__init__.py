"""The HTTP server behind hooks, admin and feed."""

from crmbridge.server.addresses import parse_listen, reachable
from crmbridge.server.server import Answering, Server, client_of, read_body, streaming

__all__ = ["Answering", "Server", "client_of", "parse_listen", "reachable", "read_body", "streaming"]
