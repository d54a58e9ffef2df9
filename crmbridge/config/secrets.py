"""The secrets of a configuration: where each stands, and whether it can be read and used on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from crmbridge.config.document import Document, KeyPath
from crmbridge.config.models import ConfigModel
from crmbridge.contract import Secret
from crmbridge.errors import Problem

if TYPE_CHECKING:
    from crmbridge.config.config import Config, DestinationConfig, SourceConfig

_SHORTEST_TOKEN: Final = 20  # characters: `openssl rand -hex 32` makes 64


def secrets_in(options: Any, path: KeyPath = ()) -> list[tuple[KeyPath, Secret]]:
    """Every secret in built options, with its path."""
    if isinstance(options, Secret):
        return [(path, options)]
    if isinstance(options, BaseModel):
        return [hit for name in type(options).model_fields for hit in secrets_in(getattr(options, name), (*path, name))]
    if isinstance(options, Mapping):
        return [hit for name, value in options.items() for hit in secrets_in(value, (*path, name))]
    if isinstance(options, (list, tuple)):
        return [hit for index, value in enumerate(options) for hit in secrets_in(value, (*path, index))]
    return []


def configured_secrets(
    model: ConfigModel | None, sources: Mapping[str, SourceConfig], destinations: Mapping[str, DestinationConfig]
) -> list[tuple[KeyPath, Secret]]:
    """Every secret of a configuration, with its path."""
    groups = (("sources", sources), ("destinations", destinations))
    found = [hit for kind, group in groups for name, one in group.items() for hit in secrets_in(one.options, (kind, name))]
    return found + (secrets_in(model.alerts, ("alerts",)) + secrets_in(model.admin, ("admin",)) if model else [])


def unreadable_secrets(config: Config, document: Document) -> list[Problem]:
    """Name the secrets that a daemon could not read on this machine."""
    found = []
    for path, secret in configured_secrets(config.model, config.sources, config.destinations):
        try:
            secret.reveal()
        except ValueError as error:
            found.append(document.problem(path, str(error)))
    return found


def unusable_secrets(config: Config, document: Document) -> list[Problem]:
    """Name the secrets that can be read and are not what their use needs."""
    groups = (("sources", config.sources), ("destinations", config.destinations))
    found = [
        document.problem((kind, name, *path), message)
        for kind, group in groups
        for name, one in group.items()
        for path, message in one.options.unusable()
    ]
    token = config.model.admin.token
    if token is not None and len(token.reveal()) < _SHORTEST_TOKEN:
        why = f"a token of fewer than {_SHORTEST_TOKEN} characters is soon guessed; `openssl rand -hex 32` makes one"
        found.append(document.problem(("admin", "token"), why))
    return found
