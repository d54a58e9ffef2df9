"""What a configuration lets strangers read, guess or reach: judged by where it listens, and where it speaks to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel

from crmbridge.config.document import KeyPath
from crmbridge.config.secrets import secrets_in
from crmbridge.contract import Secret
from crmbridge.peers import is_this_machine
from crmbridge.server import parse_listen

_SPOKEN_TO: Final = ("url", "api_url", "token_url")
_INSIDE: Final = (".local", ".lan", ".internal", ".home.arpa", ".localhost")
SHORTEST_SECRET: Final = 16  # characters
_SIGNING: Final = frozenset({"signature", "webhook"})  # keys below which a secret proves who sends


def reachable_from_outside(server: Any) -> bool:
    """Say whether the raw `server` section lets others than this machine's own programs send webhooks."""
    if not isinstance(server, Mapping):
        return False
    listen = server.get("listen")
    return server.get("public_url") is not None or (isinstance(listen, str) and not _own(listen))


def _own(listen: str) -> bool:
    try:
        host, _ = parse_listen(listen) if not listen.startswith("/") else ("localhost", 0)
    except OSError:
        return True  # it is wrong, and that is said elsewhere
    return is_this_machine(host)


def in_clear_text(public_url: str | None, groups: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[KeyPath, str]]:
    """Where passwords would travel readable. `groups` are configured sources and destinations by name."""
    if public_url is not None and _is_clear(public_url):
        yield ("server", "public_url"), "webhooks, sign-ins and cookies would travel readable: put a TLS proxy in front, and write https://"
    for kind, group in groups.items():
        for name, one in group.items():
            for path, address in _addresses(one.options):
                if not getattr(one.options, "allow_http", False) and secrets_in(one.options) and _is_clear(address):
                    yield (kind, name, *path), "its credentials would travel readable: write https://"


def _addresses(options: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Each address that options name to be spoken to."""
    if isinstance(options, BaseModel):
        for name in type(options).model_fields:
            value = getattr(options, name)
            if isinstance(value, str) and name in _SPOKEN_TO:
                yield (*path, name), value
            elif isinstance(value, BaseModel):
                yield from _addresses(value, (*path, name))


def _is_clear(address: str) -> bool:
    """Say whether an address is http:// to a host outside private networks."""
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        return False
    is_bare = "." not in host and ":" not in host  # a name that only this network's own servers know
    if parts.scheme != "http" or is_this_machine(host) or is_bare or host.endswith(_INSIDE):
        return False
    try:
        return not ipaddress.ip_address(host).is_private
    except ValueError:
        return True


def open_files(secrets: Sequence[tuple[KeyPath, Secret]]) -> Iterator[tuple[KeyPath, str]]:
    """Secrets whose files every user of this machine can read."""
    for path, secret in secrets:
        if (name := secret.open_to_all()) is not None:
            yield path, f"every user of this machine can read {name}: `chmod 600 {name}`, and let crmbridge's own user own it"


def weak(secrets: Sequence[tuple[KeyPath, Secret]]) -> Iterator[tuple[KeyPath, str]]:
    """Signing secrets that can be guessed, of those that can be read here: whoever does can post what they like."""
    for path, secret in secrets:
        if _SIGNING.intersection(path):
            try:
                length = len(secret.reveal())
            except ValueError:
                continue
            if length < SHORTEST_SECRET:
                yield path, f"a secret of fewer than {SHORTEST_SECRET} characters can be guessed; `openssl rand -hex 32` makes one"
