"""What one page of a list says: its records as observations, row by row, and which configured fields it lacks.

A vendor's source may replace how a record is read (`Lists.observation`), its stamp or its deletion, and keeps the rest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from crmbridge.contract import Setting, each
from crmbridge.errors import SourceError
from crmbridge.http import look
from crmbridge.model import Observation, Reading, clean, cursors, filled, identity, marked
from crmbridge.rest.asking import Found
from crmbridge.rest.options import Deletions, Listing, Resource
from crmbridge.rest.values import FieldReader

PROOF: Final = 10
"""The number of records that prove a field gone if none of them has it. With fewer, the API may just leave empty fields out."""
DELETED: Final = " deleted"
"""The suffix of a record type that names the stream of its deletions."""
_HOLES: Final = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Stream:
    """One list that is read on and on: the records of a type, or its deletions."""

    record_type: str
    listing: Listing
    resource: Resource
    mark: str = ""
    """A suffix that tells this stream from another list of the same records."""

    @property
    def deleted(self) -> bool:
        return isinstance(self.listing, Deletions)

    @property
    def name(self) -> str:
        """The name of this stream in positions."""
        return self.record_type + self.mark + (DELETED if self.deleted else "")


class Lists:
    """A reader of the pages of one source's lists. Raises SourceError, or ValueError where a page holds nothing that can be read."""

    def __init__(self, setting: Setting, reading: Reading, fields: FieldReader) -> None:
        self.setting = setting
        self.reading = reading
        self.fields = fields

    def items(self, stream: Stream, body: Found) -> list[dict[str, Any]]:
        """Return the records of a page. Raises SourceError if there is no list of them."""
        one = stream.listing
        if body.json is None:  # the status of the answer said that there is nothing
            return []
        items = look(one.items, body.json) if one.items else body.json
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise SourceError(f"{stream.record_type}: no list of records stands at {one.items or 'the top of the body'}")
        return [self.whole(stream, item) for item in items]

    def whole(self, stream: Stream, item: dict[str, Any]) -> dict[str, Any]:
        """Return a record in the form that its paths expect. A vendor's source puts right here what its API writes otherwise."""
        return item

    def read(
        self, stream: Stream, items: Sequence[Mapping[str, Any]], position: cursors.Position, *, back: bool = False
    ) -> tuple[list[datetime], list[Observation]]:
        """Read rows: return the stamps of those that can be read, in order, and all observations. Raises ValueError.

        `back`: the list goes back for ever, so rows that are older than the position give no observation.
        """
        name, one = stream.record_type, stream.listing
        wanted = self.fields.wanted(name)
        if not stream.deleted:
            self.fields.learn(name, stream.resource, items)
        # A missing field is not an empty one, unless the API says so. A field that a whole page lacks is gone from the API.
        gone = self.lacking(stream, items).get(name, [])
        empty = [field for field in wanted if field not in gone] if stream.resource.omits_empty else []

        def read(item: Mapping[str, Any]) -> tuple[datetime, Observation]:
            stamp = self.stamp(name, one, item)
            if stream.deleted:
                return stamp, self.deletion(stream, item, stamp)
            return stamp, self.observation(name, stream.resource, item, stamp, position, empty)

        found = each(
            items,
            read,
            record_type=name,
            id=lambda item: look(one.id, item),
            spec=self.setting.records.get(name),
            now=self.setting.now(),
            all_or_none=position.start is None or (len(items) >= one.size and one.ascending),
        )
        start = cursors.instant(position.start) if back and position.start is not None else None
        seen = found.observations(lambda pair: (pair[1],) if start is None or pair[0] >= start else ())
        return [stamp for _, (stamp, _) in found.good], seen

    def stamp(self, name: str, one: Listing, item: Mapping[str, Any]) -> datetime:
        """Return when a record changed, or the present time if the API gives no stamp. Raises ValueError."""
        if one.changed is None:
            return self.setting.now()
        try:
            return self.reading.instant(look(one.changed, item), self.setting.now())
        except ValueError as error:
            raise ValueError(f"{name}: no instant stands at {one.changed} of a record: {error}") from None

    def identity(self, name: str, one: Listing, item: Mapping[str, Any]) -> str:
        found = identity(look(one.id, item))[:1000]
        if not found:
            raise ValueError(f"{name}: no id stands at {one.id} of a record")
        return found

    def deletion(self, stream: Stream, item: Mapping[str, Any], stamp: datetime) -> Observation:
        return Observation(
            record_type=stream.record_type,
            record_id=self.identity(stream.record_type, stream.listing, item),
            fields={},
            deleted=True,
            version=self.version(stamp) if stream.listing.changed else None,
            occurred_at=stamp,
        )

    def observation(
        self,
        name: str,
        one: Resource,
        item: Mapping[str, Any],
        stamp: datetime,
        position: cursors.Position,
        empty: Collection[str],
    ) -> Observation:
        record_id = self.identity(name, one, item)
        actor = look(one.actor, item) if one.actor else None
        unsure = one.changed is None or self.reading.is_double(look(one.changed, item))
        return Observation(
            record_type=name,
            record_id=record_id,
            fields=self.fields.read(name, one, item, empty),
            existed=cursors.existed(self.made(one, item), position),
            deleted=bool(one.deleted) and marked(look(one.deleted or "", item)),
            version=None if unsure else self.version(stamp),
            occurred_at=stamp,
            actor=clean(str(actor))[:200] if actor is not None else None,
            url=self.address(one, item, record_id),
        )

    def version(self, stamp: datetime) -> str:
        """Return the version of a record that changed at `stamp`. Later versions sort after earlier ones."""
        return stamp.isoformat()

    def address(self, one: Resource, item: Mapping[str, Any], id: str) -> str | None:
        """Return the address at which people see the record."""
        return link(one.url, item, id) if one.url else None

    def lacking(self, stream: Stream, items: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
        """Return the configured fields that none of a page's records has. Few records prove nothing: APIs may leave empty fields out."""
        if stream.deleted:
            return {}
        missing = self.fields.missing(stream.record_type, stream.resource, items)
        return {stream.record_type: missing} if items and (not missing or len(items) >= PROOF) else {}

    def made(self, one: Resource, item: Mapping[str, Any]) -> datetime | None:
        try:
            return self.reading.instant(look(one.created, item)) if one.created else None
        except ValueError:
            return None


def link(url: str, item: Mapping[str, Any], id: str) -> str | None:
    """Return a record's web address. `url` is a template of the id and other paths into the record, or the path of the address.

    Returns None if a part is missing.
    """
    if "{" not in url and "://" not in url:
        found = look(url, item)
        return found if isinstance(found, str) and found.startswith(("https://", "http://")) else None
    values = {name: id if name == "id" else look(name, item) for name in _HOLES.findall(url)}
    return None if any(value is None for value in values.values()) else filled(url, **{name: str(value) for name, value in values.items()})
