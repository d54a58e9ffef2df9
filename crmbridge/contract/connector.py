"""A connector as its folder presents it, and the setting in which it is built."""

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
    """Its configured name: the key under `sources:` or `destinations:`."""
    network: Network = field(default_factory=Network)
    records: Mapping[str, RecordSpec] = field(default_factory=dict)
    """For a source: the configured fields by record type. Empty if none are configured."""
    days: tzinfo = timezone.utc
    """The configured time zone. It decides which day an instant belongs to."""
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)
    folder: Path = Path()
    """The folder of the configuration file, for relative paths."""
    state_folder: Path | None = None
    """A folder (0700) where refreshed tokens may be kept."""
    feed: tuple[str, Secret] | None = None
    """The embedded feed's address and signing secret, for a chirp destination without a url."""
    uses: Uses = field(default_factory=Uses)
    """For a destination: what the rules ask of it."""

    @property
    def token_file(self) -> Path | None:
        """The file in which the connector may keep its token; None without a state folder (`crmbridge.http.Tokens`)."""
        return self.state_folder / f"{self.name}.token" if self.state_folder else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A file from which the vendor makes an app with exactly the rights that the rules need."""

    name: str
    """The name of the file."""
    text: Callable[[Any, Uses], str]
    """A function: `text(options, uses)` returns the content of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorPage:
    """A page of the vendor that a connector was written from."""

    url: str
    read: date
    """The day on which the page was read."""
    says: str
    """What the connector takes from the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """A kind of source or destination, as its folder presents it."""

    name: str
    """Its name in YAML: `type: slack`."""
    summary: str
    """One line about it, for `crmbridge connectors`."""
    options: type[Options]
    build: Callable[[Any, Setting], Any]
    """`build(options, setting)` makes the source or destination, and opens nothing. Raises ValueError on contradicting options."""
    record_fault: Callable[[Any, str], str] = lambda *_: ""
    """For a source: `record_fault(options, record_type)` says why there is no such record type, and which there are.

    Empty if there is one. Pure.
    """
    field_fault: Callable[[Any, str, str], str] = lambda *_: ""
    """For a source: `field_fault(options, record_type, field)` says why no field can have this name. Empty if one can. Pure."""
    documents: Sequence[VendorPage] = ()
    """The vendor's pages that the connector was written from. The one that says most comes first."""
    idempotent: bool = False
    """For a destination: a message sent again with the same key is not published again."""
    audience: Audience = Audience.COMPANY
    """For a destination: who reads it, unless the configuration names another audience."""
    audiences: frozenset[Audience] = frozenset(Audience)
    """For a destination: the audiences that the configuration may name."""
    dynamic_channels: bool = False
    """For a destination: a channel may be made from a record (`channel: {for: ..., title: ...}`)."""
    max_age: timedelta = timedelta(hours=24)
    """For a destination that is not public: how old a change may be and still be told, unless the configuration says otherwise."""
    needs_channel: Callable[[Any], bool] = lambda _: False
    """For a destination: `needs_channel(options)` is true where every step must name a channel."""
    channel_example: str = "#wins"
    """For a destination: an example of a channel, for advice."""
    channel_fault: Callable[[Any, str], str] = lambda *_: ""
    """For a destination: `channel_fault(options, channel)` says why a step cannot name such a channel. Empty if it can."""
    can: Callable[[Any], frozenset[Ability]] = lambda _: frozenset({Ability.THREAD, Ability.CHANNEL})
    """For a destination: `can(options)` is what rules may ask of it. The built destination can do the same."""
    lacks: Callable[[Any], Mapping[Ability, str]] = lambda _: {}
    """For a destination: the abilities that this installation lacks, each with what must be installed for it."""
    remarks: Callable[[Any, Spoken], Sequence[str]] = lambda *_: ()
    """For a destination: `remarks(options, spoken)` is what people should know of a step before they rely on it. `lint` shows it."""
    lay_out: Callable[[Any, Any], LaidOut] | None = None
    """For a destination with layouts: `lay_out(options, layout)` is that layout as it would be sent, with its faults.

    Pure; never raises for a bad layout.
    """
    named: Callable[[str], Sequence[str]] = lambda _: ()
    """For a destination whose messages have addresses in a form of its own: the ids of the message at such an address. Pure."""
    embedded: Callable[[Any], bool] = lambda _: False
    """For a destination: `embedded(options)` is true if it speaks to the feed that crmbridge itself runs."""
    manifest: Manifest | None = None
    """For a destination whose vendor makes an app from a manifest file."""
    escape: str = ""
    """For a destination: one sentence that says why the text of a record can be nothing but text there."""


def wanted(records: Mapping[str, RecordSpec], record_type: str, fields: Fields) -> Fields:
    """Narrow `fields` to those that are configured for the record type. Return all of them if nothing is configured for it."""
    spec = records.get(record_type)
    return fields if spec is None else {name: fields[name] for name in spec if name in fields}
