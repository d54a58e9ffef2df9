"""A configuration that can be run: its connectors with their options, its compiled rules, its paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from crmbridge.config.models import ConfigModel, is_address
from crmbridge.contract import Ability, Connector, LaidOut, Uses
from crmbridge.errors import Problem
from crmbridge.model import Audience, Message, Network, RecordSpec
from crmbridge.publisher.decide import Policy
from crmbridge.rules.engine import Engine
from crmbridge.rules.rule import FixedChannel, Rule, templates_in


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One configured source."""

    name: str
    connector: Connector
    options: Any
    every: timedelta
    expect: timedelta | None
    records: Mapping[str, RecordSpec]


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationConfig:
    """One configured destination."""

    name: str
    connector: Connector
    options: Any
    audience: Audience
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A configuration that can be run."""

    path: Path
    model: ConfigModel
    sources: Mapping[str, SourceConfig]
    destinations: Mapping[str, DestinationConfig]
    rules: Sequence[Rule]
    engine: Engine
    warnings: Sequence[Problem] = field(default_factory=tuple)
    notes: Sequence[Problem] = field(default_factory=tuple)
    """What works, and what people should know of it."""

    @property
    def folder(self) -> Path:
        """The folder of the file, to which its paths are relative."""
        return self.path.parent

    @property
    def store_path(self) -> Path:
        """The database."""
        return self.folder / self.model.store.path

    @property
    def feed_path(self) -> Path:
        """The feed's database, beside the other."""
        return self.store_path.parent / self.model.chirp.path

    @property
    def backup_folder(self) -> Path | None:
        """Where scheduled backups go, if any are made."""
        return self.folder / self.model.backup.folder if self.model.backup else None

    def uses(self, name: str) -> Uses:
        """Collect what the rules ask of a destination, its layouts and mentions too."""
        steps = [step for rule in self.rules for step in rule.steps if step.destination == name]
        asked = {
            Ability.THREAD: any(step.thread for step in steps),
            Ability.EDIT: any(step.edit for step in steps),
            Ability.BLOCKS: any(isinstance(step.blocks, list) for step in steps),
            Ability.CARD: any(isinstance(step.blocks, Mapping) for step in steps),
            Ability.CHANNEL: any(step.channel is not None for step in steps),
            Ability.MENTION: any(one.mentions for step in steps for one in (step.text, *templates_in(step.blocks))),
        }
        channels = {step.channel.key for step in steps if isinstance(step.channel, FixedChannel)}
        if self.model.alerts.to == name and self.model.alerts.channel:
            channels.add(self.model.alerts.channel)
        return Uses(frozenset(ability for ability, wanted in asked.items() if wanted), frozenset(channels))

    def laid_out(self, message: Message) -> LaidOut | None:
        """Lay a message out for its destination; None where it has no layout, or the destination knows none."""
        to = self.destinations[message.destination]
        return None if message.blocks is None or to.connector.lay_out is None else to.connector.lay_out(to.options, message.blocks)

    def faults(self, message: Message) -> list[str]:
        """Why the message's destination would refuse its layout."""
        layout = self.laid_out(message)
        return [str(fault) for fault in layout.faults] if layout else []

    def state_folder(self) -> Path:
        """Where what is secret and made by crmbridge itself is kept, beside the store; made (0700) if it is not there."""
        folder = self.store_path.with_suffix(".state")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @property
    def admin_listen(self) -> str:
        """The absolute path of a unix socket, or HOST:PORT."""
        return admin_at(self.folder, self.store_path, self.model.admin.listen)

    @property
    def embeds_feed(self) -> bool:
        """True if a destination speaks to the feed that crmbridge runs."""
        return any(one.connector.embedded(one.options) for one in self.destinations.values())

    @property
    def network(self) -> Network:
        """How connectors reach the world."""
        network = self.model.network
        authorities = str(self.folder / network.ca_file) if network.ca_file else None  # wherever crmbridge is started
        return Network(proxy=network.proxy, ca_file=authorities, deadline=network.deadline.total_seconds())


def admin_at(folder: Path, store: Path, listen: str | None) -> str:
    """Where the admin API listens: HOST:PORT, or the absolute path of a unix socket."""
    if listen is None:
        return str(store.parent / "crmbridge.sock")
    return listen if is_address(listen) else str(folder / listen)
