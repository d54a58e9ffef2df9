"""Records become observations: by polls, by (SystemModstamp, Id); and by Outbound Messages, which name what to read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.sources.salesforce import outbound, soql
from connectors.sources.salesforce.api import Api
from connectors.sources.salesforce.fields import Described
from connectors.sources.salesforce.options import OutboundMessages, SalesforceOptions
from connectors.sources.salesforce.rights import rights
from crmbridge.contract import FieldInfo, Member, Reply, Right, Setting, WebhookRequest, each
from crmbridge.errors import SourceError
from crmbridge.http import VendorRefused, reading
from crmbridge.model import Cursor, Observation, Page, RecordSpec, clean, cursors, parse_instant

_log = logging.getLogger(__name__)
_DELETIONS: Final = " deleted"  # behind a record type: the stream of its deletions
_KNOWN_BACK: Final = timedelta(days=14)  # Salesforce keeps deletions for 15 days
_MINUTE: Final = timedelta(minutes=1)
_NEEDED: Final = frozenset({"api", "id", "openid", "profile", "email", "address", "phone"})  # the latter say only who we are
_IDS: Final = 200  # ids in one query: its address may have 16 KiB


def build(options: SalesforceOptions, setting: Setting) -> SalesforceSource:
    """A source that polls, and can be called where `outbound` says how."""
    return CalledSalesforceSource(options, setting, options.outbound) if options.outbound else SalesforceSource(options, setting)


class SalesforceSource:
    """Implements `crmbridge.contract.Source`, `Baseline`, `Rereading`, `Rewindable`, `Teams`, `Describing` and `Entitled`."""

    def __init__(self, options: SalesforceOptions, setting: Setting) -> None:
        self._options = options
        self._setting = setting
        self._reading = options.reading(setting.days)
        self._records = setting.records
        self._api = Api(options, setting)
        self._looked: dict[str, datetime] = {}
        """When each stream of deletions was read last."""

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        self._api.forget()
        if not self._records:
            raise SourceError("no record types are configured: write `records`")
        self._check_scopes()
        for name, spec in self._records.items():
            described = self._readable(name)
            self._query(soql.page(name, described.selected(spec), cursors.Position(), 1))

    def _check_scopes(self) -> None:
        """The app may use the API, and ought to be able to do nothing else."""
        scopes = self._api.scopes
        if scopes and not scopes & {"api", "full"}:
            raise SourceError(f"the app lacks the OAuth scope api; it has {', '.join(sorted(scopes))}")
        if more := sorted(scopes - _NEEDED):
            _log.warning("the app may do more than it needs", extra={"source": self._setting.name, "scopes": ", ".join(more)})

    def rights(self) -> Sequence[Right]:
        self._api.forget()
        return list(rights(self._api, self._records, self._described, self._setting.now))

    def poll(self, cursor: Cursor | None) -> Page:
        with reading("Salesforce"):
            return cursors.next_page(cursor, self._streams(), self._read, overlap=self._options.overlap, now=self._setting.now())

    def since(self, moment: datetime) -> Cursor:
        return cursors.since({name: soql.moment(moment) for name in self._streams()})

    def fetch_many(self, record_type: str, ids: Sequence[str]) -> Sequence[Observation]:
        described, spec = self._readable(record_type), self._records.get(record_type, {})
        found: list[Observation] = []
        for start in range(0, len(ids), _IDS):
            some = ids[start : start + _IDS]
            rows = self._query(soql.single(record_type, described.selected(spec), some))
            found += [self._observation(record_type, described, spec, one) for one in rows]
        return found

    def members(self, record_type: str, id: str) -> Sequence[Member]:
        rows = self._query(soql.single(record_type, self._described(record_type).owner(), [id]))
        found = [_member(rows[0].get("Owner"), "owner")] if rows else []
        if record_type in ("Account", "Opportunity"):
            try:
                team = self._query(soql.team(record_type, id))
            except VendorRefused as error:
                if "INVALID_TYPE" not in str(error):  # teams are not switched on in this org
                    raise
                team = []
            found += [_member(one.get("User"), one.get("TeamMemberRole")) for one in team]
        return [one for one in found if one.name]

    def schema(self, record_type: str) -> Sequence[FieldInfo]:
        return self._described(record_type).infos()

    def close(self) -> None:
        self._api.close()

    # --- reading

    def _streams(self) -> list[str]:
        names = list(self._records)
        return names + [f"{name}{_DELETIONS}" for name in names if self._described(name).replicateable]

    def _read(self, stream: str, position: cursors.Position) -> cursors.StreamPage:
        if stream.endswith(_DELETIONS):
            return self._read_deletions(stream, position)
        described, spec = self._readable(stream), self._records[stream]
        try:
            rows = self._api.query(soql.page(stream, described.selected(spec), position, self._options.page))
        except VendorRefused as error:
            if "INVALID_FIELD" in str(error):  # what may be read has changed since it was described
                self._api.forget()
                self._readable(stream)
            raise
        complete = rows.done and len(rows.records) < self._options.page
        found = each(
            rows.records,
            lambda one: self._observation(stream, described, spec, one, position),
            record_type=stream,
            id=lambda one: one.get("Id"),
            spec=spec,
            now=self._setting.now(),
            all_or_none=position.start is None or not complete,
        )
        last = (_stamp(found.good[-1][0]), _id(found.good[-1][0])) if found.good else None
        return cursors.StreamPage(found.observations(), last, complete=complete)

    def _read_deletions(self, stream: str, position: cursors.Position) -> cursors.StreamPage:
        """All at once: the API has no pages here. Where there is nothing to look for yet, the stream stays as it is."""
        name, now = stream.removesuffix(_DELETIONS), self._setting.now()
        nothing = cursors.StreamPage((), (position.high, "") if position.high is not None else None, complete=True)
        if position.high is None:  # what was deleted before the first start is no news
            return cursors.StreamPage((), (soql.moment(now), ""), complete=True)
        looked = self._looked.get(stream)
        if looked is not None and now - looked < timedelta(seconds=self._options.deletes_every):
            return nothing
        start = cursors.instant(position.start) if position.start is not None else None
        start = (start or now).replace(second=0, microsecond=0)  # the API cuts the seconds off
        if now - start > _KNOWN_BACK:
            _log.warning(
                "deletions of the days before are not known to Salesforce any more", extra={"source": self._setting.name, "record": name}
            )
            start = now - _KNOWN_BACK
        if now - start < _MINUTE:
            return nothing
        try:
            answer = self._api.deleted(name, start, now)
        except VendorRefused as error:
            if error.status != 403:
                raise
            _log.info("deletions may not be read", extra={"source": self._setting.name, "record": name, "reason": str(error)})
            self._looked[stream] = now
            return nothing  # what was deleted meanwhile is told if the right is given within the days for which that is known
        self._looked[stream] = now
        gone = {_text(one, "id"): _instant(one, "deletedDate") for one in answer["deletedRecords"]}
        winners = self._winners(name, list(gone))
        observations = [
            Observation(
                record_type=name,
                record_id=id,
                fields={},
                deleted=True,
                merged_into=winners.get(id),
                version=at.isoformat(),
                occurred_at=at,
            )
            for id, at in gone.items()
        ]
        covered = parse_instant(str(answer.get("latestDateCovered"))) or start
        return cursors.StreamPage(observations, (soql.moment(min(covered, now)), ""), complete=True)

    def _winners(self, name: str, ids: Sequence[str]) -> dict[str, str]:
        """Of deleted records that were merged: into which."""
        if "MasterRecordId" not in self._described(name).by_name:
            return {}
        found: dict[str, str] = {}
        for start in range(0, len(ids), _IDS):
            rows = self._api.query(soql.merged(name, ids[start : start + _IDS]), everything=True).records
            found |= {_id(one): str(one["MasterRecordId"]) for one in rows if one.get("MasterRecordId")}
        return found

    def _query(self, text: str) -> list[dict[str, Any]]:
        return self._api.query(text).records

    def _readable(self, record_type: str) -> Described:
        """The object, in which every configured field can be read; one that is hidden later must not be missed in silence."""
        described = self._described(record_type)
        if missing := described.missing({*self._records.get(record_type, {}), "SystemModstamp", "CreatedDate"}):
            raise SourceError(
                f"{record_type}: no field {', '.join(missing)} that this login may read, so that nothing of it is told: "
                "is the name right, and field-level security open?"
            )
        return described

    def _described(self, record_type: str) -> Described:
        return Described(self._api.describe(record_type), self._reading)

    def _observation(
        self, name: str, described: Described, spec: RecordSpec, record: Mapping[str, Any], position: cursors.Position | None = None
    ) -> Observation:
        at, id = _instant(record, "SystemModstamp"), _id(record)
        actor = record.get("LastModifiedById")
        return Observation(
            record_type=name,
            record_id=id,
            fields=described.values(record, spec),
            existed=cursors.existed(parse_instant(str(record.get("CreatedDate"))), position) if position else False,
            version=at.isoformat(),
            occurred_at=at,
            actor=clean(actor) if isinstance(actor, str) else None,
            url=f"{self._api.instance}/{id}",
        )


class CalledSalesforceSource(SalesforceSource):
    """Implements `crmbridge.contract.WebhookSource` too."""

    def __init__(self, options: SalesforceOptions, setting: Setting, outbound: OutboundMessages) -> None:
        super().__init__(options, setting)
        self._outbound = outbound

    def verify(self, request: WebhookRequest) -> None:
        outbound.verify(self._outbound, request)

    def parse(self, request: WebhookRequest) -> Sequence[Observation]:
        return [
            Observation(record_type=name, record_id=id, fields={}, occurred_at=request.received_at, partial=True)
            for name, id in outbound.named(request.body)
            if name in self._records
        ]

    def reply(self, accepted: bool) -> Reply:
        return outbound.reply(accepted)


def _member(person: Any, role: Any) -> Member:
    facts = person if isinstance(person, dict) else {}
    return Member(name=clean(str(facts.get("Name") or "")), email=facts.get("Email"), role=clean(str(role)) if role else None)


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name) if isinstance(record, Mapping) else None
    if not isinstance(value, str) or not value:
        raise SourceError(f"a record has no {name}")
    return value


def _id(record: Mapping[str, Any]) -> str:
    return clean(_text(record, "Id"))


def _instant(record: Mapping[str, Any], name: str) -> datetime:
    if (found := parse_instant(_text(record, name))) is None:
        raise SourceError(f"a record's {name} is no instant")
    return found


def _stamp(record: Mapping[str, Any]) -> str:
    return soql.moment(_instant(record, "SystemModstamp"))
