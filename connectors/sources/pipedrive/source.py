"""Records become observations by polls: the engine reads the lists, and this the archive, in which deals stand apart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.sources.pipedrive.api import TYPES, Api
from connectors.sources.pipedrive.options import PipedriveMore
from connectors.sources.pipedrive.rights import CLOSED, rights
from connectors.sources.pipedrive.values import Values
from crmbridge.contract import FieldInfo, Member, Right, Setting
from crmbridge.errors import SourceError
from crmbridge.http import VendorRefused, reading
from crmbridge.model import Cursor, Observation, Page, clean, cursors
from crmbridge.rest import Lists, RestOptions, RestSource, Shape, Stream, stamped

_log = logging.getLogger(__name__)
_ARCHIVED: Final = " archived"  # behind a record type: the stream of what is in its archive, which the list of all leaves out
_AT_ONCE: Final = 100  # ids of one request: what Pipedrive takes


class _Rows(Lists):
    """Records with their company's address, and versions that a webhook's can be compared with."""

    def __init__(self, link: Callable[[str, str], str | None], *parts: Any) -> None:
        super().__init__(*parts)
        self._link = link

    def whole(self, stream: Stream, item: dict[str, Any]) -> dict[str, Any]:
        """A record that never changed, as null says, was changed when it was made."""
        never = "update_time" in item and item["update_time"] is None
        return {**item, "update_time": item.get("add_time")} if never else item

    def observation(self, name: str, one: Any, item: Mapping[str, Any], stamp: datetime, *more: Any) -> Observation:
        found = super().observation(name, one, item, stamp, *more)
        gone = item.get("is_deleted") is True or item.get("status") == "deleted"
        return replace(found, deleted=gone, url=self._link(TYPES[name], found.record_id))

    def deletion(self, stream: Stream, item: Mapping[str, Any], stamp: datetime) -> Observation:
        """With what the record was, which Pipedrive says too."""
        return replace(self.observation(stream.record_type, stream.resource, item, stamp, cursors.Position(), ()), deleted=True)

    def version(self, stamp: datetime) -> str:
        """What is said to the second may be anything within it: newer than what a webhook of that second said to the millisecond."""
        return stamp.isoformat(timespec="microseconds") if stamp.microsecond else end_of(stamp)


class PipedriveSource(RestSource):
    """Implements `crmbridge.contract.Rereading`, `Teams` and `Describing` besides what the engine does."""

    _api: Api
    _fields: Values

    def __init__(self, options: RestOptions, setting: Setting, more: PipedriveMore) -> None:
        self._more = more
        self._looked: dict[str, datetime] = {}
        """When a pass through each stream of the archive began last."""
        super().__init__(options, setting)

    def _asked_by(self) -> Api:
        return Api(self._options, self._setting)

    def _told_by(self, _shape: Shape | None) -> Values:
        return Values(self._api, self._reading, self._setting.records)

    def _read_by(self) -> Lists:
        return _Rows(self._api.link, self._setting, self._reading, self._fields)

    def check(self) -> None:
        if not self._setting.records:
            raise SourceError(f"name the record types under `records`: {', '.join(TYPES)}")
        self._none_is_strange()
        self._api.introduce(afresh=True)
        for name in self._setting.records:
            if missing := self._fields.missing_of(name):
                there = ", ".join(sorted(self._api.fields(name)))[:1000]
                raise SourceError(f"{name}: no field {', '.join(missing)} that this user may read; there are {there}")
            self._api.records(name, limit="1")
        self._fields.refresh(afresh=True)

    def rights(self) -> Sequence[Right]:
        return list(rights(self._api, self._setting.records, called=self._more.webhook is not None))

    def poll(self, cursor: Cursor | None) -> Page:
        self._fields.refresh()
        return super().poll(cursor)

    def fetch_many(self, record_type: str, ids: Sequence[str]) -> Sequence[Observation]:
        """`crmbridge.contract.Rereading`."""
        if record_type not in self._setting.records or not ids:
            return ()
        self._fields.refresh()
        stream, found = self._streams[record_type], list[Observation]()
        for start in range(0, len(ids), _AT_ONCE):
            rows = [self._rows.whole(stream, row) for row in self._single(record_type, ids[start : start + _AT_ONCE])]
            with reading("Pipedrive", record_type):
                found += self._rows.read(stream, rows, cursors.Position(start=stamped(self._setting.now()), whole=True))[1]
        return [replace(one, existed=False) for one in found]

    def members(self, record_type: str, id: str) -> Sequence[Member]:
        """`crmbridge.contract.Teams`."""
        found = self._single(record_type, [id])
        users = self._api.users.get()
        owners = [users[str(one["owner_id"])] for one in found if str(one.get("owner_id")) in users]
        return [Member(name=clean(str(one["name"])), email=one.get("email"), role="owner") for one in owners]

    def schema(self, record_type: str) -> Sequence[FieldInfo]:
        """`crmbridge.contract.Describing`."""
        return self._fields.schema(record_type)

    # --- reading

    def _of(self, name: str) -> Iterator[Stream]:
        """An archived deal is nothing new and not gone: it stands in another list, where it is read on."""
        for stream in super()._of(name):
            yield stream
            if name == "deals":
                yield Stream(
                    name, stream.listing.model_copy(update={"path": f"{stream.listing.path}/archived"}), stream.resource, _ARCHIVED
                )

    def _single(self, name: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """These records, also those that the list of all leaves out because they are archived."""
        rows = self._api.records(name, ids=",".join(ids))
        missing = sorted(set(ids) - {str(one.get("id")) for one in rows})
        if name == "deals" and missing:
            try:
                rows += self._api.records(name, archived=True, ids=",".join(missing))
            except VendorRefused as error:
                if error.status not in CLOSED:
                    raise
        return rows

    def _read(self, name: str, position: cursors.Position) -> cursors.StreamPage:
        if self._streams[name].mark != _ARCHIVED:
            return super()._read(name, position)
        now, looked = self._setting.now(), self._looked.get(name)
        if position.after is None:
            pause = timedelta(seconds=self._more.archived_every)
            if position.whole and looked is not None and looked <= now < looked + pause:
                return _unread(position)
            self._looked[name] = now
        try:
            return super()._read(name, position)
        except VendorRefused as error:
            if error.status not in CLOSED:
                raise
            _log.info("the archive may not be read", extra={"source": self._setting.name, "reason": str(error)})
            return _unread(position) if position.high is not None else cursors.StreamPage((), (stamped(now), ""), complete=True)


def _unread(position: cursors.Position) -> cursors.StreamPage:
    """Nothing was looked at: the stream stays where it is."""
    return cursors.StreamPage((), (position.high, "") if position.high is not None else None, complete=True)


def end_of(at: datetime) -> str:
    """The version that is behind all of its second."""
    return at.replace(microsecond=999_999).isoformat()
