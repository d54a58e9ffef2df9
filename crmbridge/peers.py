"""Who is at the other end: the client's own address, also behind proxies that are trusted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

ACTOR: Final = "Crmbridge-Actor"
"""The header in which a client says for whom it asks, percent-encoded. A word for the list of orders; it opens nothing."""
Network = IPv4Network | IPv6Network
_MOST_HOPS = 20  # addresses that are read of one X-Forwarded-For


def network(text: str) -> Network:
    """`10.0.0.0/8`, `2001:db8::/32`, or one address. Raises ValueError, saying what is expected."""
    try:
        return ip_network(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no address or network: write 10.0.0.7 or 10.0.0.0/8") from None


def client(peer: str, forwarded: Iterable[str], trusted: Sequence[Network]) -> str:
    """Return the address that the last trusted proxy saw.

    `peer` is the other end of the connection. It is empty for a unix socket, whose file only proxies of this machine's operator can open.
    `forwarded` are the values of X-Forwarded-For in their order. Each proxy writes whom it saw behind what was there. So they are read
    from the end, and no further than proxies are trusted: what stands before is the client's own words.
    """
    seen = peer
    hops = [part for value in forwarded for part in value.split(",")][-_MOST_HOPS:]
    while hops and (not seen or among(seen, trusted)):
        if (found := _address(hops.pop())) is None:
            break
        seen = str(found)
    return seen


def is_this_machine(host: str) -> bool:
    """Say whether a host is a loopback address, or `localhost` in lower case."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def neighbourhood(address: str) -> str:
    """Return what counts as one origin: an IPv4 address, or the /64 of IPv6, which one household or server has whole."""
    found = _address(address)
    if isinstance(found, IPv6Address):
        return str(ip_network((found, 64), strict=False))
    return str(found) if found is not None else address


def among(address: str, trusted: Sequence[Network]) -> bool:
    """Say whether an address belongs to one of the networks."""
    found = _address(address)
    return found is not None and any(found in one for one in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address. Some proxies write the port too: `10.0.0.7:5123`, `[2001:db8::1]:5123`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
