"""Is what was read still what stands in the files?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from crmbridge.config.config import Config
from crmbridge.config.secrets import secrets_in


def fingerprints(main: Path, patterns: Sequence[str]) -> dict[str, str]:
    """Digest the files of a configuration, by their names beside the main one. A file that cannot be read holds nothing."""
    return {name: _digest(path) for name, path in _files(main, patterns)}


def _files(main: Path, patterns: Sequence[str]) -> Iterable[tuple[str, Path]]:
    yield main.name, main
    for pattern in patterns:
        for path in sorted(main.parent.glob(pattern)):
            yield str(path.relative_to(main.parent)), path


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Name the files that are new, gone or changed."""
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def unreadable(config: Config) -> list[str]:
    """Name the secrets that cannot be read any more, each as `name.option: why`."""
    options: dict[str, Any] = {"alerts": config.model.alerts}
    options |= {name: one.options for name, one in config.sources.items()} | {
        name: one.options for name, one in config.destinations.items()
    }
    found = []
    for name, given in options.items():
        for path, secret in secrets_in(given):
            try:
                secret.reveal()
            except ValueError as error:
                found.append(f"{'.'.join(map(str, (name, *path)))}: {error}")
    return found
