"""`type:` in YAML -> connector, by entry point. A connector is imported only when it is used.

Third parties add theirs under the groups `crmbridge.sources` and `crmbridge.destinations`, in packages of any name.
"""

from __future__ import annotations

import functools
import importlib.util
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

import crmbridge
from crmbridge.contract import Connector
from crmbridge.errors import CrmbridgeError

KINDS: Final = ("sources", "destinations")


class UnknownConnector(CrmbridgeError):
    """No connector of that type is installed, or it cannot be imported; the message says what to do."""


@functools.cache
def _entries(kind: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"crmbridge.{kind}")}


def names(kind: str) -> list[str]:
    """List the types that may be written under `sources:` or `destinations:`."""
    return sorted(_entries(kind))


def module(kind: str, name: str) -> str:
    """Name the module of an installed connector."""
    return _entries(kind)[name].module


@functools.cache
def load(kind: str, name: str) -> Connector:
    """Import one connector. Raises UnknownConnector."""
    entry = _entries(kind).get(name)
    if entry is None:
        raise UnknownConnector(f"there is no {kind[:-1]} of type {name}")
    if entry.module.startswith("connectors."):
        _check_own()
    try:
        connector = entry.load()
    except ImportError as error:
        raise UnknownConnector(f"the {kind[:-1]} {name} needs {error.name or 'a package'}, which is not installed") from error
    if not isinstance(connector, Connector):
        raise UnknownConnector(f"{entry.value} is not a Connector")
    return connector


def _check_own() -> None:
    """Notice a foreign package called `connectors`, which would hide ours: another distribution installs one."""
    spec = importlib.util.find_spec("connectors")
    found = Path(spec.origin).parent if spec and spec.origin else None
    ours = Path(crmbridge.__file__).parent.with_name("connectors")
    if found is None or found.resolve() != ours.resolve():
        raise UnknownConnector(
            f"another package called `connectors` ({found}) hides crmbridge's own ({ours}): install crmbridge in an environment of its own"
        )
