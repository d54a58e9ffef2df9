"""A source of JSON records: what it proves at its start, what it reads, and the abilities that its types have.

`passes` reads lists on, and `rows` reads what a page says. Deletions may stand in a list of their own, which is a stream of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from crmbridge.contract import FieldInfo, Promise, Right, Setting, Stretch, Walk
from crmbridge.errors import FieldsGone, SourceError
from crmbridge.http import VendorRefused, denial, look, reading
from crmbridge.model import Cursor, Observation, Page, cursors, identity, marked
from crmbridge.rest.api import Api
from crmbridge.rest.asking import Found, Request, following
from crmbridge.rest.options import Resource, RestOptions, Single
from crmbridge.rest.passes import Passes, stamped
from crmbridge.rest.rows import PROOF, Lists, Stream
from crmbridge.rest.values import CLOSED, FieldReader, Fields, Names, Shape, described

_log = logging.getLogger(__name__)


class RestSource:
    """An implementation of `crmbridge.contract.Source`, `Baseline`, `Rewindable`, `Walking` and `Entitled`."""

    def __init__(self, options: RestOptions, setting: Setting, shape: Shape | None = None) -> None:
        self._options = options
        self._setting = setting
        self._reading = options.reading(setting.days)
        self._api = self._asked_by()
        self._names = Names(self._api, options.types, setting.name)
        self._fields = self._told_by(shape)
        self._rows = self._read_by()
        self._passes = Passes(self._rows, self._page)
        self._streams = {stream.name: stream for name in options.types for stream in self._of(name)}

    def _asked_by(self) -> Api:
        """Make the client that asks the API. A vendor's own source may replace this method and the next two."""
        return Api(self._options, self._setting)

    def _told_by(self, shape: Shape | None) -> FieldReader:
        """Make the reader of the fields of records."""
        return Fields(self._reading, self._setting.records, self._names, shape)

    def _read_by(self) -> Lists:
        """Make the reader of pages."""
        return Lists(self._setting, self._reading, self._fields)

    def _of(self, name: str) -> Iterator[Stream]:
        one = self._options.types[name]
        yield Stream(name, one, one)
        if one.deletions is not None:
            yield Stream(name, one.deletions, one)

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        self._none_is_strange()
        for name, one in self._options.types.items():
            items = self._rows.items(self._streams[name], self._page(self._streams[name], None))
            for item in items[:1]:
                self._prove(name, one, item)
            self._misspelt(name, one, items)

    def rights(self) -> Sequence[Right]:
        """Ask each path for what changed since now, where it can be asked so, and each list of labels."""
        asked: dict[str, list[Stream]] = {}
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
        told = {name: one.listing for name, one in self._streams.items() if one.deleted or one.listing.since or one.listing.newest_first}
        return cursors.since(dict.fromkeys(told, stamped(moment)))

    def walks(self) -> Mapping[str, Walk]:
        return {name: one.walk for name, one in self._options.types.items()}

    def walk(self, record_type: str, bookmark: str | None, rows: bool) -> Stretch:
        stream = self._streams[record_type]
        one = stream.resource
        body = self._page(stream, None, bookmark or "")
        items = self._rows.items(stream, body)
        seen: Sequence[Observation] = ()
        if rows:
            before = self._setting.now() - (one.walk.rows_every or timedelta(0)) - timedelta(seconds=self._options.overlap)
            _, seen = self._rows.read(stream, items, cursors.Position(start=before.timestamp(), whole=True))
        # A record that is shown with the mark of a deletion is gone.
        ids = [identity(look(one.id, item)) for item in items if not (one.deleted and marked(look(one.deleted, item)))]
        behind = following(one, body, bookmark or "", len(items)) if items else None
        return Stretch(ids=ids, observations=[row for row in seen if row.record_id in set(ids)], bookmark=behind)

    def close(self) -> None:
        self._api.close()

    # --- proofs

    def _none_is_strange(self) -> None:
        if strange := [name for name in self._setting.records if name not in self._options.types]:
            raise SourceError(f"there is no record type {strange[0]}; there are {', '.join(self._options.types)}")

    def _prove(self, name: str, one: Resource, item: Mapping[str, Any]) -> None:
        try:
            self._rows.stamp(name, one, item)
        except ValueError as error:
            raise SourceError(str(error)) from None

    def _misspelt(self, name: str, one: Resource, items: Sequence[Mapping[str, Any]]) -> None:
        """Report fields that no record has. A few records prove nothing, for APIs may leave empty fields out."""
        missing = self._fields.missing(name, one, items) if items and not one.omits_empty else []
        if not missing:
            return
        there = ", ".join(sorted(self._fields.of(one, items[0])))[:500]
        words = f"{name}: none of {len(items)} records has {', '.join(missing)}; the first has {there}"
        if len(items) >= PROOF:
            raise FieldsGone(words)
        _log.warning("a field may be misspelt", extra={"source": self._setting.name, "reason": words})

    # --- reading

    def _page(self, stream: Stream, since: datetime | None, bookmark: str = "") -> Found:
        """Read a page of a stream. An API that wants the names of the wanted fields gets all that anybody reads."""
        one = stream.resource
        paths = [*self._fields.wanted(stream.record_type), one.id, *filter(None, (one.changed, one.created, one.deleted, one.actor))]
        return self._api.page(stream.listing, since, bookmark, list(dict.fromkeys(path.partition(".")[0] for path in paths)))

    def _read(self, name: str, position: cursors.Position) -> cursors.StreamPage:
        stream = self._streams[name]
        if not stream.deleted:
            return self._passes.page(stream, position)
        if position.high is None:  # what was deleted before the first poll is no news
            return cursors.StreamPage((), (stamped(self._setting.now()), ""), complete=True)
        try:
            return self._passes.page(stream, position)
        except VendorRefused as error:
            if error.status not in CLOSED:
                raise
            _log.info("deletions may not be read", extra={"source": self._setting.name, "reason": str(error)})
            return cursors.StreamPage((), (position.high, ""), complete=True)


class RereadingRestSource(RestSource):
    """A RestSource that also implements `crmbridge.contract.Rereading`: each type says how one record is read."""

    def fetch_many(self, record_type: str, ids: Sequence[str]) -> Sequence[Observation]:
        stream = self._streams.get(record_type)
        if stream is None or stream.resource.single is None:
            return ()
        single = stream.resource.single
        with reading("the API"):
            found = [self._one(stream, single, id) for id in ids]
            items = [look(single.item, one) if single.item else one for one in found if one is not None]
            if not all(isinstance(item, dict) for item in items):
                raise SourceError(f"{record_type}: no record stands at {single.item or 'the top of the body'}")
            whole = [self._rows.whole(stream, item) for item in items]
            return self._rows.read(stream, whole, cursors.Position(start=stamped(self._setting.now()), whole=True))[1]

    def _one(self, stream: Stream, single: Single, id: str) -> Any:
        """Return the answer about one record. Return None if it is gone."""
        return self._api.record(single, id, stream.listing.nothing)


class DescribingRestSource(RestSource):
    """A RestSource that also implements `crmbridge.contract.Describing`: each type says how its fields are described."""

    def check(self) -> None:
        self._none_is_strange()
        for name, one in self._options.types.items():
            described = {info.name for info in self._described(name)}
            wanted = self._fields.wanted(name)
            if missing := [field for field in wanted if field not in described and field.partition(".")[0] not in described]:
                there = ", ".join(sorted(described))[:1000]
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


class WholeRestSource(RereadingRestSource, DescribingRestSource):
    """A RestSource that implements both `Rereading` and `Describing`."""
