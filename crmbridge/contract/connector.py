"""A connector as its folder presents it, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

from crmbridge.contract.destination import Ability, Spoken, Uses
from crmbridge.contract.layout import LaidOut
from crmbridge.contract.options import Options, Secret
from crmbridge.model import Audience, Fields, Network, RecordSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the core gives a connector besides its options."""

    name: str
    """As configured: the key under `sources:` or `destinations:`."""
    network: Network = field(default_factory=Network)
    records: Mapping[str, RecordSpec] = field(default_factory=dict)
    """For a source: the configured fields by record type; empty if none are configured."""
    days: tzinfo = timezone.utc
    """The configured time zone: where it is decided which day an instant belongs to."""
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    folder: Path = Path()
    """The folder of the configuration file, for relative paths."""
    state_folder: Path | None = None
    """A folder (0700) where refreshed tokens may be kept."""
    feed: tuple[str, Secret] | None = None
    """The embedded feed's address and signing secret, for a chirp destination without a url."""
    uses: Uses = field(default_factory=Uses)
    """For a destination: what rules ask of it."""

    @property
    def token_file(self) -> Path | None:
        """Where its token may be kept, if anywhere (`crmbridge.http.Tokens`)."""
        return self.state_folder / f"{self.name}.token" if self.state_folder else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A file from which the vendor makes an app with exactly the rights that the rules need."""

    name: str
    """What the file is called."""
    text: Callable[[Any, Uses], str]
    """`text(options, uses)`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorPage:
    """A page of the vendor that a connector was written from."""

    url: str
    read: date
    """When."""
    says: str
    """What is taken from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """A kind of source or destination, as its folder presents it."""

    name: str
    """As in YAML: `type: slack`."""
    summary: str
    """One line, for `crmbridge connectors`."""
    options: type[Options]
    build: Callable[[Any, Setting], Any]
    """`build(options, setting)`: opens nothing; raises ValueError on options that contradict each other."""
    record_fault: Callable[[Any, str], str] = lambda *_: ""
    """For a source: `record_fault(options, record_type)` is why there is no such type, with those there are, else empty; pure."""
    field_fault: Callable[[Any, str, str], str] = lambda *_: ""
    """For a source: `field_fault(options, record_type, field)` is why no field can have this name, else empty; pure."""
    documents: Sequence[VendorPage] = ()
    """The vendor's pages that it was written from, the one that says most first."""
    idempotent: bool = False
    """For a destination: a repeat with the same key is not published again."""
    audience: Audience = Audience.COMPANY
    """For a destination: who reads it, unless the configuration says otherwise."""
    audiences: frozenset[Audience] = frozenset(Audience)
    """For a destination: what the configuration may say."""
    dynamic_channels: bool = False
    """For a destination: a channel may be made from a record (`channel: {for: ..., title: ...}`)."""
    max_age: timedelta = timedelta(hours=24)
    """For a destination that is not public: how long after a change it may still be told, unless the configuration says otherwise."""
    needs_channel: Callable[[Any], bool] = lambda _: False
    """For a destination: `needs_channel(options)` is true where every step must name a channel."""
    channel_example: str = "#wins"
    """For a destination: what a channel may look like, for advice."""
    channel_fault: Callable[[Any, str], str] = lambda *_: ""
    """For a destination: `channel_fault(options, channel)` is why a step cannot name such a channel; empty if it can."""
    can: Callable[[Any], frozenset[Ability]] = lambda _: frozenset({Ability.THREAD, Ability.CHANNEL})
    """For a destination: `can(options)` is what rules may ask of it; the same as what the built destination can."""
    lacks: Callable[[Any], Mapping[Ability, str]] = lambda _: {}
    """For a destination: the abilities that this installation is not fit for, and what must be installed."""
    remarks: Callable[[Any, Spoken], Sequence[str]] = lambda *_: ()
    """For a destination: `remarks(options, spoken)` is what people should know of a step before they rely on it; `lint` says it."""
    lay_out: Callable[[Any, Any], LaidOut] | None = None
    """For a destination with layouts: `lay_out(options, layout)` is what a layout comes to there. Pure; never raises for a bad one."""
    named: Callable[[str], Sequence[str]] = lambda _: ()
    """For a destination whose messages have addresses of a form of their own: the ids of the message at such an address; pure."""
    embedded: Callable[[Any], bool] = lambda _: False
    """For a destination: `embedded(options)` is true if it speaks to the feed that crmbridge itself runs."""
    manifest: Manifest | None = None
    """For a destination whose vendor takes one."""
    escape: str = ""
    """For a destination: one sentence on how record text is kept from being more than text."""


def wanted(records: Mapping[str, RecordSpec], record_type: str, fields: Fields) -> Fields:
    """`fields` narrowed to what is configured for the record type; everything if nothing is configured."""
    spec = records.get(record_type)
    return fields if spec is None else {name: fields[name] for name in spec if name in fields}
