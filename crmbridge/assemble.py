"""Connectors built from a Config, each with what the core gives it. Nothing is opened yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from crmbridge.config.config import Config, DestinationConfig, SourceConfig
from crmbridge.contract import Destination, Secret, Setting, WebhookSource, odd_abilities
from crmbridge.errors import CrmbridgeError
from crmbridge.model import RecordSpec


def source(config: Config, name: str, now: Callable[[], datetime], records: dict[str, RecordSpec] | None = None) -> Any:
    """Build the source `name` with all its abilities. Raises CrmbridgeError.

    `records` stand in for those that are configured.
    """
    if name not in config.sources:
        raise CrmbridgeError(f"no source {name} is configured; there are {', '.join(config.sources)}")
    one = config.sources[name]
    return _built(one, replace(_setting(config, name, now), records=one.records if records is None else records))


def destination(config: Config, name: str, now: Callable[[], datetime], feed: tuple[str, Secret] | None) -> Destination:
    """Build the destination `name`; `feed` is the embedded feed's address and secret. Raises CrmbridgeError."""
    one = config.destinations[name]
    built: Destination = _built(one, replace(_setting(config, name, now), feed=feed, uses=config.uses(name)))
    if odd := odd_abilities(one.connector.can(one.options), built):
        raise CrmbridgeError(f"{name}: the connector {one.connector.name} says of {', '.join(odd)} another thing than its methods do")
    return built


def _setting(config: Config, name: str, now: Callable[[], datetime]) -> Setting:
    return Setting(
        name=name, network=config.network, days=config.engine.zone, now=now, folder=config.folder, state_folder=config.state_folder()
    )


def _built(one: SourceConfig | DestinationConfig, setting: Setting) -> Any:
    try:
        return one.connector.build(one.options, setting)
    except ValueError as error:
        raise CrmbridgeError(f"{one.name}: {error}") from error


def hooks(sources: Mapping[str, Any]) -> dict[str, WebhookSource]:
    """Choose the sources that are called."""
    return {name: source for name, source in sources.items() if isinstance(source, WebhookSource)}


def records(config: Config) -> dict[str, Mapping[str, RecordSpec]]:
    """Return the configured fields by source and record type."""
    return {name: one.records for name, one in config.sources.items()}
