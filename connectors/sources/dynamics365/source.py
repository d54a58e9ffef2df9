"""Reads tables by their delta links.

The first pass reads a table whole, and its last page gives a link to what changes from then on; each further pass follows the link of the
one before, to changes and deletions and the next link. A link that is too old, or is of other columns than are configured now, is left:
the table is read whole again, and what differs from what is known is told then. What was deleted meanwhile is found by a walk.
https://learn.microsoft.com/en-us/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.sources.dynamics365.tables import LABELLED, Table, table
from crmbridge.contract import FieldInfo, Setting, Stretch
from crmbridge.errors import SourceError
from crmbridge.http import Kept, VendorRefused, reading
from crmbridge.model import Cursor, Observation, cursors, digest
from crmbridge.rest import (
    Found,
    Listing,
    Lists,
    Request,
    RestOptions,
    Shape,
    Single,
    Stream,
    WholeRestSource,
    described,
    reachable,
    stamped,
)

_log = logging.getLogger(__name__)
_EXPIRED: Final = "0x80044352"  # ExpiredVersionStamp: older than seven days, or the table's definition has changed
_GONE: Final = 410
_UNKNOWN: Final = 400
_PAGE: Final = "https://learn.microsoft.com/en-us/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems"


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a table was read to: a delta link, with what it is a link of. Marks sort by their number."""

    number: int = 0
    begun: str = ""
    """When the pass that found it began, or the first of its pages was asked for."""
    columns: str = ""
    """A digest of the columns it is about."""
    link: str = ""
    """Nothing: its pass has not come to its end."""

    def __str__(self) -> str:
        return f"{self.number:012}|{self.begun}|{self.columns}|{self.link}"

    @staticmethod
    def read(text: object) -> _Mark:
        """Raises NotOurs."""
        number, *rest = str(text).split("|", 3)
        if not (number.isascii() and number.isdigit()) or len(rest) != 3:
            raise cursors.NotOurs("the stored cursor was not written by this version of this source")
        return _Mark(int(number), *rest)


class _Rows(Lists):
    """Rows of tables; what was deleted stands among what changed."""

    def __init__(self, of: DynamicsSource, *parts: Any) -> None:
        super().__init__(*parts)
        self._of = of

    def whole(self, stream: Stream, item: dict[str, Any]) -> dict[str, Any]:
        """A row in plain words. Raises SourceError for one without an id: no later link would lead to it again."""
        table = self._of.table(stream.record_type)
        if not item.get("id" if _is_deletion(item) else table.key):
            raise SourceError(f"{stream.record_type}: a row has no {table.key}: see {_PAGE}")
        return item if _is_deletion(item) else table.plain(item)

    def stamp(self, name: str, one: Listing, item: Mapping[str, Any]) -> datetime:
        raw = item.get("modifiedon")
        return self.setting.now() if raw is None else self.reading.instant(raw, self.setting.now())

    def observation(self, name: str, one: Any, item: Mapping[str, Any], stamp: datetime, *more: Any) -> Observation:
        if _is_deletion(item):
            return Observation(record_type=name, record_id=self.identity(name, one, item), fields={}, deleted=True, occurred_at=stamp)
        return super().observation(name, one, item, stamp, *more)


class DynamicsSource(WholeRestSource):
    """A source of the engine whose lists are delta links."""

    def __init__(self, options: RestOptions, setting: Setting, shape: Shape | None = None) -> None:
        super().__init__(options, setting, shape)
        self._tables = Kept(self._asked)

    def _read_by(self) -> Lists:
        return _Rows(self, self._setting, self._reading, self._fields)

    def table(self, name: str) -> Table:
        """What is known of a table. Raises SourceError."""
        return self._tables.get(name)

    def check(self) -> None:
        self._none_is_strange()
        for name in self._options.types:
            if not self._tables.get(name, afresh=True).tracked:
                raise SourceError(
                    f"{name}: its changes are not tracked: switch on Track changes in the table's advanced options: see {_PAGE}"
                )
        super().check()

    def since(self, moment: datetime) -> Cursor:
        """Nothing leads back to an instant: everything is read."""
        return cursors.since({})

    def walk(self, record_type: str, bookmark: str | None, rows: bool) -> Stretch:
        key = self.table(record_type).key
        stream = self._streams[record_type]
        body = self._list(stream, bookmark or "", {"$select": key}, f"odata.maxpagesize={stream.listing.size}")
        ids = [str(item[key]) for item in self._raw(stream, body) if item.get(key)]
        return Stretch(ids=ids, observations=(), bookmark=_text(body.json, "@odata.nextLink") or None)

    # --- reading

    def _asked(self, name: str) -> Table:
        told = self._options.types[name].described
        if told is None:
            raise SourceError(f"{name}: nothing describes it")
        with reading("Dataverse", name):
            found = table(self._api.ask(Request(told.path, told.parameters)).json)
        if found is None:
            raise SourceError(f"there is no table whose set name is {name}: see {_PAGE}")
        return found

    def _described(self, record_type: str) -> Sequence[FieldInfo]:
        """Columns that can be read; a lookup by its parts."""
        one = self._options.types.get(record_type)
        if one is None or one.described is None:
            raise SourceError(f"there is no record type {record_type}; there are {', '.join(self._options.types)}")
        with reading("Dataverse", record_type):
            found = described(one.described, self._api.ask(Request(one.described.path, one.described.parameters)))
        return [each for info in found for each in self._parts(self.table(record_type), info)]

    @staticmethod
    def _parts(of: Table, info: FieldInfo) -> Sequence[FieldInfo]:
        if info.name not in of.kinds:
            return ()
        if of.columns([info.name]).find(f"_{info.name}_value") < 0:
            return (info,)
        return [FieldInfo(name=f"{info.name}.{part}", label=f"{info.label}: {part}", type=info.type) for part in ("id", "name")]

    def _page(self, stream: Stream, since: datetime | None, bookmark: str = "") -> Found:
        """One row, asked for as changes are: that needs the right to read all rows of the table."""
        return self._list(stream, bookmark, self._select(stream), _preferred(1))

    def _list(self, stream: Stream, bookmark: str, params: Mapping[str, str], prefer: str) -> Found:
        if bookmark:
            return self._api.ask(Request(stream.listing.path, headers={"Prefer": prefer}, address=bookmark))
        return self._api.ask(Request(stream.listing.path, params, headers={"Prefer": prefer}))

    def _select(self, stream: Stream) -> dict[str, str]:
        named = self.table(stream.record_type).columns(self._fields.wanted(stream.record_type))
        return {"$select": named} if named else {}

    def _one(self, stream: Stream, single: Single, id: str) -> Any:
        return self._api.record(single, id, more=self._select(stream), headers={"Prefer": f'odata.include-annotations="{LABELLED[1:]}"'})

    def _raw(self, stream: Stream, body: Found) -> list[dict[str, Any]]:
        found = body.json.get("value") if isinstance(body.json, dict) else None
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise SourceError(f"{stream.record_type}: no list of rows stands at value")
        return found

    def _read(self, name: str, position: cursors.Position) -> cursors.StreamPage:
        """Position.start is the mark of the pass before, position.after (the mark of this one, its next page)."""
        stream = self._streams[name]
        last = _Mark.read(position.start) if position.start is not None else _Mark()
        try:
            return self._on(stream, position, last)
        except VendorRefused as error:
            if not self._is_out(stream, error, last if position.after is None else _Mark.read(position.after[0])):
                raise
            _log.warning("a delta link is good no longer: the table is read whole", extra={"source": self._setting.name, "record": name})
            return self._on(
                stream, cursors.Position(start=position.start, high=position.high, whole=position.whole), _Mark(last.number, last.begun)
            )

    def _is_out(self, stream: Stream, error: VendorRefused, mark: _Mark) -> bool:
        """Whether a refusal says that a link is too old, or that a column is there no longer: then the table is asked for anew."""
        code = error.body.get("error") if isinstance(error.body, dict) else None
        if error.status == _GONE or (isinstance(code, dict) and str(code.get("code")).lower() == _EXPIRED):
            return bool(mark.link or mark.number)
        before = self._select(stream)
        if error.status != _UNKNOWN:
            return False
        self._tables.get(stream.record_type, afresh=True)
        return self._select(stream) != before

    def _on(self, stream: Stream, position: cursors.Position, last: _Mark) -> cursors.StreamPage:
        """The next page of a pass, or the first of one: behind the link of the last, if that is about the columns of today."""
        select = self._select(stream)
        columns = digest(select.get("$select", ""))[:16]
        if position.after is not None:
            mark, bookmark = _Mark.read(position.after[0]), str(position.after[1])
        else:
            mark = _Mark(last.number + 1, stamped(self._setting.now()), columns)
            bookmark = last.link if last.columns == columns else ""
        body = self._list(stream, bookmark, select, _preferred(stream.listing.size, tracked=position.after is not None or not bookmark))
        items = [self._rows.whole(stream, item) for item in self._raw(stream, body) if not _is_hidden(item)]
        since = None if not last.begun else stamped(_instant(last.begun) - timedelta(seconds=self._options.overlap))
        _, seen = self._rows.read(stream, items, cursors.Position(start=since, whole=position.whole))
        there = [item for item in items if not _is_deletion(item)]
        lacking = self._rows.lacking(stream, there)
        following = _text(body.json, "@odata.nextLink")
        first = position.after is None
        behind = self._passes.onward(stream, "" if first else bookmark, following or None)
        if behind is not None:
            return cursors.StreamPage(seen, (str(mark), behind), complete=False, lacking=lacking)
        link = _text(body.json, "@odata.deltaLink")
        if not link:
            raise SourceError(f"{stream.record_type}: the last page names no delta link: are its changes tracked? See {_PAGE}")
        return cursors.StreamPage(seen, (str(_Mark(mark.number, mark.begun, mark.columns, link)), ""), complete=True, lacking=lacking)


def make(options: RestOptions, setting: Setting, shape: Shape | None, _given: Any) -> DynamicsSource:
    """A source of tables."""
    return reachable(DynamicsSource, options)(options, setting, shape)


def _preferred(size: int, *, tracked: bool = True) -> str:
    """What a list is asked with; a delta link is `tracked` by itself."""
    return ("odata.track-changes," if tracked else "") + f'odata.maxpagesize={size},odata.include-annotations="{LABELLED[1:]}"'


def _is_deletion(item: Mapping[str, Any]) -> bool:
    return str(item.get("@odata.context", "")).endswith("/$deletedEntity")


def _is_hidden(item: Mapping[str, Any]) -> bool:
    """It is there, and no longer among what is asked for: that is no deletion."""
    return _is_deletion(item) and item.get("reason") == "changed"


def _text(body: Any, name: str) -> str:
    found = body.get(name) if isinstance(body, dict) else None
    return found if isinstance(found, str) else ""


def _instant(text: str) -> datetime:
    moment = cursors.instant(text)
    if moment is None:
        raise cursors.NotOurs("the stored cursor holds no instant")
    return moment
