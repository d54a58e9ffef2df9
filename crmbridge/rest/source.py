"""JSON records become observations, one page a poll.

Where the API sorts by its stamp, a pass never goes to a second page but among records of one stamp: records that change while it
reads would move the rest, and one of them would be skipped. It asks anew from the last stamp instead. Where it sorts otherwise, pages are
walked as they come, and the next pass begins at what was newest when this one began. What was deleted may stand in a list of its own,
which is a stream of its own.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from functools import partial
from typing import Any, Final

from crmbridge.contract import FieldInfo, Promise, Right, Setting, Stretch, Walk, each
from crmbridge.errors import FieldsGone, SourceError
from crmbridge.http import Refused, denial, look, reading
from crmbridge.model import Cursor, Observation, Page, both, clean, cursors, filled, identity, marked
from crmbridge.rest.api import Api
from crmbridge.rest.asking import Body, Request, following, is_beyond
from crmbridge.rest.options import Deletions, Listing, Resource, RestOptions, Since
from crmbridge.rest.values import CLOSED, Fields, Names, Shape, described

_log = logging.getLogger(__name__)
_PROOF: Final = 10  # records
_HOLES: Final = re.compile(r"\{([^{}]+)\}")
_DELETED: Final = " deleted"  # behind a record type: the stream of its deletions


@dataclass(frozen=True, slots=True)
class _Stream:
    """One list that is read on and on: the records of a type, or what was deleted of them."""

    record_type: str
    listing: Listing
    resource: Resource

    @property
    def deleted(self) -> bool:
        return isinstance(self.listing, Deletions)


def build(options: RestOptions, setting: Setting, shape: Shape | None = None) -> RestSource:
    """A source with the abilities that all its types have."""
    resources = options.types.values()
    single, told = all(one.single for one in resources), all(one.described for one in resources)
    kind = {(True, True): _Whole, (True, False): RereadingRestSource, (False, True): DescribingRestSource}.get((single, told), RestSource)
    return kind(options, setting, shape)


class RestSource:
    """Implements `crmbridge.contract.Source`, `Baseline`, `Rewindable`, `Walking` and `Entitled`."""

    def __init__(self, options: RestOptions, setting: Setting, shape: Shape | None = None) -> None:
        self._options = options
        self._setting = setting
        self._reading = options.reading(setting.days)
        self._api = Api(options, setting)
        self._names = Names(self._api, options.types, setting.name)
        self._fields = Fields(self._reading, setting.records, self._names, shape)
        self._streams = {stream: one for name in options.types for stream, one in self._of(name)}
        self._before: dict[str, tuple[str, list[str]]] = {}
        """The last page of each list: its place, and the ids on it."""

    def _of(self, name: str) -> Iterator[tuple[str, _Stream]]:
        one = self._options.types[name]
        yield name, _Stream(name, one, one)
        if one.deletions is not None:
            yield name + _DELETED, _Stream(name, one.deletions, one)

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        self._none_is_strange()
        for name, one in self._options.types.items():
            items = self._items(self._streams[name], self._page(self._streams[name], None))
            for item in items[:1]:
                self._prove(name, one, item)
            self._misspelt(name, one, items)

    def rights(self) -> Sequence[Right]:
        """Each path is asked for what changed since now, where that can be asked; and each list of labels."""
        asked: dict[str, list[_Stream]] = {}
        for stream in self._streams.values():
            verb = "GET" if stream.listing.body is None else "POST"
            asked.setdefault(f"{verb} {self._options.url}{stream.listing.path}", []).append(stream)
        found = {}
        for title, streams in asked.items():
            of = ", ".join(one.record_type for one in streams)
            told, lost = (
                (Promise.DELETIONS, f"no deletion of {of} is told") if streams[0].deleted else (Promise.CHANGES, f"nothing of {of} is told")
            )
            refused = denial(partial(self._page, streams[0], self._setting.now()), CLOSED)
            found[title] = Right(name=title, promise=told, lost=lost, refused=refused)
        for name, one in self._names.lists().items():
            title = f"GET {self._options.url}{one.path}"
            refused = denial(partial(self._names.ask, name), CLOSED)
            found.setdefault(title, Right(name=title, promise=Promise.NAMES, lost=f"what {one.path} names are bare ids", refused=refused))
        return list(found.values())

    def poll(self, cursor: Cursor | None) -> Page:
        with reading("the API"):
            return cursors.next_page(cursor, list(self._streams), self._read, overlap=self._options.overlap, now=self._setting.now())

    def since(self, moment: datetime) -> Cursor:
        stamped = {name: one.listing for name, one in self._streams.items() if one.deleted or one.listing.since or one.listing.newest_first}
        return cursors.since(dict.fromkeys(stamped, _written(moment)))

    def walks(self) -> Mapping[str, Walk]:
        return {name: one.walk for name, one in self._options.types.items()}

    def walk(self, record_type: str, place: str | None, rows: bool) -> Stretch:
        stream = self._streams[record_type]
        one = stream.resource
        body = self._page(stream, None, place or "")
        items = self._items(stream, body)
        seen: Sequence[Observation] = ()
        if rows:
            before = self._setting.now() - (one.walk.rows_every or timedelta(0)) - timedelta(seconds=self._options.overlap)
            _, seen = self._observations(stream, items, cursors.Position(start=before.timestamp(), whole=True))
        # One that is shown with the mark of a deletion is there no longer.
        ids = [identity(look(one.id, item)) for item in items if not (one.deleted and marked(look(one.deleted, item)))]
        behind = following(one, body, place or "", len(items)) if items else None
        return Stretch(ids=ids, observations=[row for row in seen if row.record_id in set(ids)], place=behind)

    def close(self) -> None:
        self._api.close()

    # --- proofs

    def _none_is_strange(self) -> None:
        if strange := [name for name in self._setting.records if name not in self._options.types]:
            raise SourceError(f"there is no record type {strange[0]}; there are {', '.join(self._options.types)}")

    def _prove(self, name: str, one: Resource, item: Mapping[str, Any]) -> None:
        try:
            self._stamp(name, one, item)
        except ValueError as error:
            raise SourceError(str(error)) from None

    def _misspelt(self, name: str, one: Resource, items: Sequence[Mapping[str, Any]]) -> None:
        """A field that no record has. APIs may leave empty ones out, so that a few records prove nothing."""
        missing = self._fields.missing(name, one, items) if items and not one.omits_empty else []
        if not missing:
            return
        there = ", ".join(sorted(self._fields.of(one, items[0])))[:500]
        words = f"{name}: none of {len(items)} records has {', '.join(missing)}; the first has {there}"
        if len(items) >= _PROOF:
            raise FieldsGone(words)
        _log.warning("a field may be misspelt", extra={"source": self._setting.name, "reason": words})

    # --- reading

    def _page(self, stream: _Stream, since: datetime | None, place: str = "") -> Body:
        """A page of a stream; an API that wants to be told which fields is told all that anybody reads."""
        one = stream.resource
        paths = [*self._fields.wanted(stream.record_type), one.id, *filter(None, (one.changed, one.created, one.deleted, one.actor))]
        return self._api.page(stream.listing, since, place, list(dict.fromkeys(path.partition(".")[0] for path in paths)))

    def _read(self, name: str, position: cursors.Position) -> cursors.Read:
        stream = self._streams[name]
        if not stream.deleted:
            return self._listed(stream, position)
        if position.high is None:  # what was deleted before is no news
            return cursors.Read((), (_written(self._setting.now()), ""), complete=True)
        try:
            return self._listed(stream, position)
        except Refused as error:
            if error.status not in CLOSED:
                raise
            _log.info("deletions may not be read", extra={"source": self._setting.name, "reason": str(error)})
            return cursors.Read((), (position.high, ""), complete=True)

    def _listed(self, stream: _Stream, position: cursors.Position) -> cursors.Read:
        one = stream.listing
        sorted_so = one.ascending and not one.newest_first
        return self._ascending(stream, one.since, position) if sorted_so and one.since else self._walked(stream, position)

    def _ascending(self, stream: _Stream, since: Since, position: cursors.Position) -> cursors.Read:
        """Position.after is (stamp, place): everything from that stamp on; with a place, behind a first page that shows nothing later."""
        name, one = stream.record_type, stream.listing
        start, place = (str(position.after[0]), str(position.after[1])) if position.after else (position.start, "")
        moment = cursors.instant(start) if start is not None else None
        body = self._page(stream, moment, place)
        items = self._items(stream, body)
        self._not_again(stream, place, items)
        stamps, seen = self._observations(stream, items, position)
        if not self._ascend(stamps):
            raise SourceError(
                f"{name}: the records are not sorted by {one.changed}, the oldest first: sort them, or say `ascending: false`"
            )
        lacking = self._lacking(stream, items)
        newest = _written(max(stamps)) if stamps else None
        if newest is None or len(items) < one.size:
            return cursors.Read(seen, (newest, "") if newest else None, complete=True, lacking=lacking)
        if moment is None or is_beyond(stamps[-1], moment, since.format):
            return cursors.Read(seen, (newest, ""), complete=False, lacking=lacking)
        behind = following(one, body, place, len(items))
        if behind is None or behind == place:
            raise SourceError(f"{name}: more than {one.size} records were changed at {start}, and without `paging` the rest cannot be read")
        return cursors.Read(seen, (str(start), behind), complete=False, lacking=lacking)

    def _ascend(self, stamps: Sequence[datetime]) -> bool:
        """Whether they stand in order; in the night when a wall clock is set back, give or take what it was set by."""
        zone, leeway = self._reading.zone, timedelta(0)
        for before, after in itertools.pairwise(stamps):
            if zone is not None:
                leeway = max(leeway, _step(before, zone), _step(after, zone))
            if after + leeway < before:
                return False
        return True

    def _walked(self, stream: _Stream, position: cursors.Position) -> cursors.Read:
        """Position.after is (newest, place): the newest stamp of the first page, from which the next pass looks back."""
        name, one = stream.record_type, stream.listing
        newest, place = (str(position.after[0]), str(position.after[1])) if position.after else (None, "")
        start = cursors.instant(position.start) if position.start is not None else None
        body = self._page(stream, start, place)
        items = self._items(stream, body)
        self._not_again(stream, place, items)
        stamps, seen = self._observations(stream, items, position)
        if newest is None and (stamps or one.changed is None):
            newest = _written(max(stamps) if one.changed else self._setting.now())
        known = one.newest_first and start is not None and any(stamp < start for stamp in stamps)
        behind = following(one, body, place, len(items)) if items and not known else None
        lacking = self._lacking(stream, items)
        if behind is None:
            return cursors.Read(seen, (newest, "") if newest is not None else None, complete=True, lacking=lacking)
        if behind == place:
            raise SourceError(f"{name}: the API gives the page {place[:100]} as the one behind itself")
        return cursors.Read(seen, (newest or "", behind), complete=False, lacking=lacking)

    def _not_again(self, stream: _Stream, place: str, items: Sequence[Mapping[str, Any]]) -> None:
        """An API that does not heed where we are gives one page for ever. Raises SourceError."""
        name, ids = stream.record_type + (_DELETED if stream.deleted else ""), [identity(look(stream.listing.id, item)) for item in items]
        before = self._before.get(name)
        self._before[name] = place, ids
        if place and ids and before is not None and before[0] != place and before[1] == ids:
            raise SourceError(f"{name}: the API gives the page before once more as the page {place[:100]}")

    def _items(self, stream: _Stream, body: Body) -> list[dict[str, Any]]:
        one = stream.listing
        if body.json is None:  # a status that says that there is nothing
            return []
        items = look(one.items, body.json) if one.items else body.json
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise SourceError(f"{stream.record_type}: no list of records stands at {one.items or 'the top of the body'}")
        return items

    def _observations(
        self, stream: _Stream, items: Sequence[Mapping[str, Any]], position: cursors.Position
    ) -> tuple[list[datetime], list[Observation]]:
        """The stamps of those that can be read, in order, and all observations. Raises ValueError."""
        name, one = stream.record_type, stream.listing
        wanted = self._fields.wanted(name)
        if not stream.deleted:
            self._fields.learn(name, stream.resource, items)
        # A field that is not there is not empty, unless the API says so; and what a whole page lacks, the API has no longer.
        gone = self._lacking(stream, items).get(name, [])
        empty = [field for field in wanted if field not in gone] if stream.resource.omits_empty else []

        def read(item: Mapping[str, Any]) -> tuple[datetime, Observation]:
            stamp = self._stamp(name, one, item)
            if stream.deleted:
                return stamp, self._deletion(stream, item, stamp)
            return stamp, self._observation(name, stream.resource, item, stamp, position, empty)

        found = each(
            items,
            read,
            record_type=name,
            id=lambda item: look(one.id, item),
            spec=self._setting.records.get(name),
            now=self._setting.now(),
            all_or_none=position.start is None or (len(items) >= one.size and one.ascending),
        )
        # A list of deletions may go back for ever: what was deleted before the first start is no news.
        start = cursors.instant(position.start) if stream.deleted and position.start is not None else None
        seen = found.observations(lambda pair: (pair[1],) if start is None or pair[0] >= start else ())
        return [stamp for _, (stamp, _) in found.good], seen

    def _stamp(self, name: str, one: Listing, item: Mapping[str, Any]) -> datetime:
        """When it changed, or where nobody says that, when we saw it."""
        if one.changed is None:
            return self._setting.now()
        try:
            return self._reading.instant(look(one.changed, item), self._setting.now())
        except ValueError as error:
            raise ValueError(f"{name}: no instant stands at {one.changed} of a record: {error}") from None

    def _id(self, name: str, one: Listing, item: Mapping[str, Any]) -> str:
        found = identity(look(one.id, item))[:1000]
        if not found:
            raise ValueError(f"{name}: no id stands at {one.id} of a record")
        return found

    def _deletion(self, stream: _Stream, item: Mapping[str, Any], stamp: datetime) -> Observation:
        return Observation(
            record_type=stream.record_type,
            record_id=self._id(stream.record_type, stream.listing, item),
            fields={},
            deleted=True,
            version=stamp.isoformat() if stream.listing.changed else None,
            occurred_at=stamp,
        )

    def _observation(
        self,
        name: str,
        one: Resource,
        item: Mapping[str, Any],
        stamp: datetime,
        position: cursors.Position,
        empty: Collection[str],
    ) -> Observation:
        record_id = self._id(name, one, item)
        actor = look(one.actor, item) if one.actor else None
        unsure = one.changed is None or self._reading.is_double(look(one.changed, item))
        return Observation(
            record_type=name,
            record_id=record_id,
            fields=self._fields.read(name, one, item, empty),
            existed=cursors.existed(self._made(one, item), position),
            deleted=bool(one.deleted) and marked(look(one.deleted or "", item)),
            version=None if unsure else stamp.isoformat(),
            occurred_at=stamp,
            actor=clean(str(actor))[:200] if actor is not None else None,
            url=link(one.url, item, record_id) if one.url else None,
        )

    def _lacking(self, stream: _Stream, items: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
        """The configured fields that none of a page's records has. APIs may leave empty ones out, so that few records prove nothing."""
        if stream.deleted:
            return {}
        missing = self._fields.missing(stream.record_type, stream.resource, items)
        return {stream.record_type: missing} if items and (not missing or len(items) >= _PROOF) else {}

    def _made(self, one: Resource, item: Mapping[str, Any]) -> datetime | None:
        try:
            return self._reading.instant(look(one.created, item)) if one.created else None
        except ValueError:
            return None


class RereadingRestSource(RestSource):
    """Implements `crmbridge.contract.Rereading` too: each type says how one record is read."""

    def fetch_many(self, record_type: str, ids: Sequence[str]) -> Sequence[Observation]:
        stream = self._streams.get(record_type)
        if stream is None or stream.resource.single is None:
            return ()
        single = stream.resource.single
        with reading("the API"):
            found = [self._api.record(single, id, stream.listing.nothing) for id in ids]
            items = [look(single.item, one) if single.item else one for one in found if one is not None]
            if not all(isinstance(item, dict) for item in items):
                raise SourceError(f"{record_type}: no record stands at {single.item or 'the top of the body'}")
            return self._observations(stream, items, cursors.Position(start=_written(self._setting.now()), whole=True))[1]


class DescribingRestSource(RestSource):
    """Implements `crmbridge.contract.Describing` too: each type says how its fields are described."""

    def check(self) -> None:
        self._none_is_strange()
        for name, one in self._options.types.items():
            known = {info.name for info in self._described(name)}
            wanted = self._fields.wanted(name)
            if missing := [field for field in wanted if field not in known and field.partition(".")[0] not in known]:
                there = ", ".join(sorted(known))[:1000]
                raise SourceError(f"{name}: no field {', '.join(missing)} that this login may read; there are {there}")
            self._page(self._streams[name], self._setting.now() if one.since else None)

    def schema(self, record_type: str) -> Sequence[FieldInfo]:
        return self._described(record_type)

    def _described(self, record_type: str) -> Sequence[FieldInfo]:
        one = self._options.types.get(record_type)
        if one is None or one.described is None:
            raise SourceError(f"there is no record type {record_type}; there are {', '.join(self._options.types)}")
        with reading("the API", record_type):
            return described(one.described, self._api.ask(Request(one.described.path, one.described.parameters)))


class _Whole(RereadingRestSource, DescribingRestSource):
    """Implements both."""


def link(url: str, item: Mapping[str, Any], id: str) -> str | None:
    """A record's web address: a template of the id and other paths into it, or where it stands; None where something lacks."""
    if "{" not in url and "://" not in url:
        found = look(url, item)
        return found if isinstance(found, str) and found.startswith(("https://", "http://")) else None
    values = {name: id if name == "id" else look(name, item) for name in _HOLES.findall(url)}
    return None if any(value is None for value in values.values()) else filled(url, **{name: str(value) for name, value in values.items()})


def _step(moment: datetime, zone: tzinfo) -> timedelta:
    """By how much a stamp may be mistaken: the clock in `zone` has shown, or is going to show, this time twice."""
    first, second = both(moment.astimezone(zone).replace(tzinfo=None), zone)
    return max(second - first, timedelta(0))


def _written(moment: datetime) -> str:
    """A stamp as the cursor keeps it: texts of one length, which sort as instants do."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
