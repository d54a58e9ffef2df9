"""Records become observations: by polls, by (update_time, what the list gives behind it); and by webhooks, which carry them whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from connectors.sources.pipedrive.api import TYPES, Api
from connectors.sources.pipedrive.options import PipedriveOptions, Webhook
from connectors.sources.pipedrive.rights import CLOSED, rights
from crmbridge.contract import FieldInfo, Member, Reply, Right, Rows, Setting, WebhookRequest, each, login_secret
from crmbridge.errors import InvalidRequest, InvalidSignature, SourceError
from crmbridge.hooks import is_basic
from crmbridge.http import Refused, look, reading, strict_json
from crmbridge.model import Choice, Cursor, FieldSpec, FieldType, FieldValue, Observation, Page, clean, cursors, parse_instant

_log = logging.getLogger(__name__)
_ARCHIVED: Final = " archived"  # behind a record type: the stream of what is in its archive, which the list of all leaves out
_DELETED: Final = " deleted"  # behind a record type, or its archive: the stream of its deletions
_SUBSCRIBED: Final = timedelta(hours=1)  # Pipedrive drops a subscription after three days without success
_TYPES: Final = {
    "int": FieldType.NUMBER,
    "double": FieldType.NUMBER,
    "monetary": FieldType.MONEY,
    "date": FieldType.DATE,
    "datetime": FieldType.DATETIME,
    "boolean": FieldType.BOOLEAN,
}
_OWNER: Final = ("owner.name", "owner.email")
_AT_ONCE: Final = 100  # ids of one request: what Pipedrive takes


def build(options: PipedriveOptions, setting: Setting) -> PipedriveSource:
    """A source that polls, and can be called where `webhook` says how."""
    return CalledPipedriveSource(options, setting, options.webhook) if options.webhook else PipedriveSource(options, setting)


class PipedriveSource:
    """Implements `crmbridge.contract.Source`, `Baseline`, `Rereading`, `Rewindable`, `Teams`, `Describing` and `Entitled`."""

    def __init__(self, options: PipedriveOptions, setting: Setting) -> None:
        self._options = options
        self._setting = setting
        self._reading = options.reading(setting.days)
        self._records = setting.records
        self._api = Api(options, setting)
        self._looked: dict[str, datetime] = {}
        """When a pass through each stream of the archive began last."""

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        if not self._records:
            raise SourceError(f"name the record types under `records`: {', '.join(TYPES)}")
        self._api.introduce(afresh=True)
        for name, spec in self._records.items():
            known = self._api.fields(name, afresh=True)
            if missing := sorted(field for field in spec if field not in _OWNER and _code(field) not in known):
                raise SourceError(
                    f"{name}: no field {', '.join(missing)} that this user may read; there are {', '.join(sorted(known))[:1000]}"
                )
            self._api.page(name, limit="1")
        self._learn(afresh=True)

    def rights(self) -> Sequence[Right]:
        return list(rights(self._api, self._records, called=self._options.webhook is not None))

    def poll(self, cursor: Cursor | None) -> Page:
        self._learn()
        with reading("Pipedrive"):
            return cursors.next_page(cursor, self._streams(), self._read, overlap=self._options.overlap, now=self._setting.now())

    def since(self, moment: datetime) -> Cursor:
        return cursors.since(dict.fromkeys(self._streams(), _stamp(moment)))

    def fetch_many(self, record_type: str, ids: Sequence[str]) -> Sequence[Observation]:
        if record_type not in self._records or not ids:
            return ()
        self._learn()
        found: list[Observation] = []
        for start in range(0, len(ids), _AT_ONCE):
            rows = self._single(record_type, ids[start : start + _AT_ONCE])
            found += self._observations(record_type, rows).observations()
        return found

    def members(self, record_type: str, id: str) -> Sequence[Member]:
        found = self._single(record_type, [id])
        users = self._api.users.get()
        owners = [users[str(one["owner_id"])] for one in found if str(one.get("owner_id")) in users]
        return [Member(name=clean(str(one["name"])), email=one.get("email"), role="owner") for one in owners]

    def schema(self, record_type: str) -> Sequence[FieldInfo]:
        known = self._api.fields(record_type, afresh=True)
        found = [
            FieldInfo(
                name=f"custom_fields.{code}" if one.get("is_custom_field") else code,
                label=clean(str(one.get("field_name") or code)),
                type=_type(code, one, FieldType.TEXT),
                choices=self._choices(code, one),
                required=code in ("id", "title", "name") or None,
            )
            for code, one in known.items()
        ]
        return [*found, *(FieldInfo(name=name, label=f"Owner: {name[6:]}", type=FieldType.TEXT) for name in _OWNER)]

    def close(self) -> None:
        self._api.close()

    # --- reading

    def _learn(self, *, afresh: bool = False) -> None:
        """What values are called; webhooks are read without asking."""
        self._api.introduce()
        self._api.stages.get(afresh=afresh)
        for name in self._records:
            self._api.fields(name, afresh=afresh)
        if any(field in _OWNER for spec in self._records.values() for field in spec):
            self._api.users.get(afresh=afresh)

    def _streams(self) -> list[str]:
        """An archived deal is nothing new and not gone: it stands in another list, where it is read on."""
        more = (_ARCHIVED, _DELETED, _ARCHIVED + _DELETED)
        return [*self._records, *(name + kind for name in self._records if name == "deals" for kind in more)]

    def _single(self, name: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        """These records, also those that the list of all leaves out because they are archived."""
        rows, _ = self._api.page(name, ids=",".join(ids))
        missing = sorted(set(ids) - {str(one.get("id")) for one in rows})
        if name == "deals" and missing:
            try:
                rows += self._api.page(name, archived=True, ids=",".join(missing))[0]
            except Refused as error:
                if error.status not in CLOSED:
                    raise
        return rows

    def _read(self, stream: str, position: cursors.Position) -> cursors.Read:
        if _ARCHIVED not in stream:
            return self._listed(stream, position)
        now, looked = self._setting.now(), self._looked.get(stream)
        if position.after is None:
            pause = timedelta(seconds=self._options.archived_every)
            if position.whole and looked is not None and looked <= now < looked + pause:
                return _unread(position)
            self._looked[stream] = now
        try:
            return self._listed(stream, position)
        except Refused as error:
            if error.status not in CLOSED:
                raise
            _log.info("the archive may not be read", extra={"source": self._setting.name, "reason": str(error)})
            return _unread(position) if position.high is not None else cursors.Read((), (_stamp(now), ""), complete=True)

    def _listed(self, stream: str, position: cursors.Position) -> cursors.Read:
        """Position.after is (stamp, mark): everything from a stamp on, or the page behind one that holds only that stamp.

        A pass goes to a second page among records of one second alone: others move while it reads.
        """
        name, deleted, archived = stream.partition(" ")[0], stream.endswith(_DELETED), _ARCHIVED in stream
        if deleted and position.high is None:
            return cursors.Read((), (_stamp(self._setting.now()), ""), complete=True)  # what was deleted before is no news
        start, mark = (str(position.after[0]), str(position.after[1])) if position.after else (position.start, "")
        asked = {"limit": str(self._options.page), "sort_by": "update_time", "sort_direction": "asc"}
        moment = cursors.instant(start) if start is not None else None
        asked |= {"updated_since": f"{moment:%Y-%m-%dT%H:%M:%SZ}"} if moment else {}
        asked |= {"status": "deleted"} if deleted else {}
        rows, following = self._api.page(name, archived=archived, **asked, **({"cursor": mark} if mark else {}))
        found = self._observations(name, rows, position)
        stamps = [one.occurred_at for _, one in found.good]
        if stamps != sorted(stamps):
            raise SourceError(f"{name}: Pipedrive did not sort by update_time")
        seen = found.observations()
        last = _stamp(stamps[-1]) if stamps else None
        if last is None or len(rows) < self._options.page:
            return cursors.Read(seen, (last, "") if last else None, complete=True)
        if last != start:
            return cursors.Read(seen, (last, ""), complete=False)
        if not following:
            return cursors.Read(seen, (last, ""), complete=True)
        if following == mark:
            raise SourceError(f"{name}: Pipedrive gives no page behind {len(rows)} records of {start}")
        return cursors.Read(seen, (last, following), complete=False)

    def _observations(
        self, name: str, rows: Sequence[Mapping[str, Any]], position: cursors.Position | None = None
    ) -> Rows[Mapping[str, Any], Observation]:
        """What was read; who and what is new since names were learnt is asked for once."""
        if any(self._strange(name, row) for row in rows):
            self._learn(afresh=True)
        return each(
            rows,
            lambda row: self._observation(name, row, self._values(name, row), position),
            record_type=name,
            id=lambda row: row.get("id"),
            spec=self._records[name],
            now=self._setting.now(),
            all_or_none=position is not None and position.start is None,
        )

    def _strange(self, name: str, row: Mapping[str, Any]) -> bool:
        """Whether something in a row has a name that we do not know yet; in an odd row nothing has."""
        try:
            return not self._known(name, row)
        except Exception:
            return False

    def _observation(
        self, name: str, raw: Mapping[str, Any], fields: Mapping[str, FieldValue], position: cursors.Position | None = None, **facts: Any
    ) -> Observation:
        at, id = _instant(raw), _id(raw.get("id"))
        made = parse_instant(str(raw.get("add_time")))
        given: dict[str, Any] = {
            "record_type": name,
            "record_id": id,
            "fields": fields,
            "existed": cursors.existed(made, position) if position else False,
            "deleted": raw.get("is_deleted") is True or raw.get("status") == "deleted",
            "version": _version(at),
            "occurred_at": at,
            "url": self._api.link(TYPES[name], id),
        }
        return Observation(**(given | facts))

    def _known(self, name: str, raw: Mapping[str, Any]) -> bool:
        """Whether all that stands in `raw` can be called by its name, without asking."""
        return all(self._named(name, field, raw) for field in self._standing(name, raw))

    def _standing(self, name: str, raw: Mapping[str, Any]) -> list[str]:
        """The configured fields that stand in `raw`, which may be a part of a record."""
        return [field for field in self._records[name] if ("owner_id" if field in _OWNER else field.partition(".")[0]) in raw]

    def _named(self, name: str, field: str, raw: Mapping[str, Any]) -> bool:
        if field in _OWNER:
            owner = raw.get("owner_id")
            return owner is None or str(owner) in (self._api.users.last() or {})
        described = self._api.known_fields(name).get(_code(field))
        if described is None:
            return False
        value = _plain(look(field, raw))
        labels = self._choices(_code(field), described)
        return not labels or all(str(one) in labels for one in (value if isinstance(value, list) else [value]) if one is not None)

    def _values(self, name: str, raw: Mapping[str, Any]) -> dict[str, FieldValue]:
        """The configured fields that stand in `raw`, a record as it was read."""
        found: dict[str, FieldValue] = {}
        for field in self._standing(name, raw):
            spec = self._records[name][field]
            if field in _OWNER:
                user = (self._api.users.last() or {}).get(str(raw["owner_id"])) or {}
                found[field] = self._reading.read(user.get(field.removeprefix("owner.")), spec)
            else:
                found[field] = self._value(name, field, look(field, raw), spec)
        return found

    def _told(self, name: str, raw: Mapping[str, Any]) -> dict[str, FieldValue]:
        """The configured fields that stand in `raw`, a webhook's part, and can be called by their names.

        `custom_fields` may hold some of them only: one that is not there was not said to be empty.
        """
        custom = raw.get("custom_fields")
        said = custom if isinstance(custom, dict) else {}
        return {
            field: value
            for field, value in self._values(name, raw).items()
            if self._named(name, field, raw) and ("." not in field or field in _OWNER or _code(field) in said)
        }

    def _value(self, name: str, field: str, raw: Any, spec: FieldSpec) -> FieldValue:
        described = self._api.known_fields(name).get(_code(field), {})
        raw = _plain(raw)
        labels = self._choices(_code(field), described)
        if (labels or _code(field) == "stage_id") and spec.type is FieldType.ANY and raw is not None:
            values = raw if isinstance(raw, list) else [raw]
            choices = tuple(Choice(str(one), labels.get(str(one), str(one))) for one in values)
            return choices if isinstance(raw, list) else choices[0]
        type_ = _type(_code(field), described, FieldType.ANY) if spec.type is FieldType.ANY else spec.type
        return self._reading.value(raw, type_, spec.separator)

    def _choices(self, code: str, described: Mapping[str, Any]) -> dict[str, str]:
        if code == "stage_id":
            return self._api.stages.last() or {}
        return {str(one.get("id")): clean(str(one.get("label"))) for one in described.get("options") or () if isinstance(one, dict)}


class CalledPipedriveSource(PipedriveSource):
    """Implements `crmbridge.contract.WebhookSource` too."""

    def __init__(self, options: PipedriveOptions, setting: Setting, webhook: Webhook) -> None:
        super().__init__(options, setting)
        self._webhook = webhook
        self._subscribed: datetime | None = None
        """When subscriptions were looked at last."""

    def poll(self, cursor: Cursor | None) -> Page:
        self._keep_subscribed()
        return super().poll(cursor)

    def verify(self, request: WebhookRequest) -> None:
        if not is_basic(request, self._webhook.user, self._webhook.password):
            raise InvalidSignature
        try:
            body = strict_json(request.body)
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        if not isinstance(body, dict) or not isinstance(body.get("meta"), dict):
            raise InvalidRequest("the body is no webhook of version 2")

    def parse(self, request: WebhookRequest) -> Sequence[Observation]:
        body = strict_json(request.body)
        meta, data, previous = body["meta"], body.get("data"), body.get("previous")
        name = next((name for name, kind in TYPES.items() if kind == meta.get("entity")), None)
        if name is None or name not in self._records:
            return ()
        at = parse_instant(str(meta.get("timestamp"))) or request.received_at
        actor = str(meta["user_id"]) if meta.get("user_id") is not None else None
        if meta.get("action") == "delete":
            into = meta.get("merged_to_id")
            return [
                Observation(
                    record_type=name,
                    record_id=_id(meta.get("entity_id")),
                    fields={},
                    deleted=into is None,
                    merged_into=str(into) if into is not None else None,
                    version=_end(at),
                    occurred_at=at,
                    actor=actor,
                )
            ]
        if not isinstance(data, dict):
            raise ValueError("a webhook of a change carries no data")
        old = self._told(name, previous) if isinstance(previous, dict) else None
        made = meta.get("action") == "create"
        partial = not self._known(name, data)  # a new user, stage or option; or nothing is learnt yet
        return [self._observation(name, data, self._told(name, data), before=old, created=made, actor=actor, partial=partial)]

    def reply(self, accepted: bool) -> Reply:
        return Reply(200 if accepted else 503)

    def _keep_subscribed(self) -> None:
        """Pipedrive drops a subscription that nobody answered for three days, without a word."""
        now = self._setting.now()
        if self._subscribed is not None and abs(now - self._subscribed) < _SUBSCRIBED:
            return
        try:
            self._subscribe()
        except Refused as error:
            if error.status not in CLOSED:
                raise
            _log.warning("webhooks cannot be subscribed to", extra={"source": self._setting.name, "reason": str(error)})
        self._subscribed = now

    def _subscribe(self) -> None:
        there = {
            (str(one.get("subscription_url")), str(one.get("event_object")))
            for one in self._api.subscriptions()
            if one.get("is_active") not in (0, False)
        }
        for name in self._records:
            if (self._webhook.url, TYPES[name]) not in there:
                password = login_secret(self._webhook.password[0])
                self._api.subscribe(self._webhook.url, TYPES[name], self._webhook.user, password)
                _log.info("subscribed to webhooks", extra={"source": self._setting.name, "record": name})


def _unread(position: cursors.Position) -> cursors.Read:
    """Nothing was looked at: the stream stays where it is."""
    return cursors.Read((), (position.high, "") if position.high is not None else None, complete=True)


def _plain(raw: Any) -> Any:
    """A custom field's value: lists give it bare or with its currency, webhooks as {"type": "enum", "id": 7}, or several as `values`."""
    if not isinstance(raw, dict):
        return raw
    if isinstance(raw.get("values"), list):
        return [_plain(one) for one in raw["values"]]
    return raw.get("value", raw.get("id"))


def _version(at: datetime) -> str:
    """What is said to the second may be anything within it: newer than what a webhook of that second said to the millisecond."""
    return at.isoformat(timespec="microseconds") if at.microsecond else _end(at)


def _end(at: datetime) -> str:
    return at.replace(microsecond=999_999).isoformat()


def _code(field: str) -> str:
    return field.removeprefix("custom_fields.")


def _id(raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, (int, str)) or str(raw) == "":
        raise ValueError("a record has no id")
    return clean(str(raw))[:200]


def _instant(raw: Mapping[str, Any]) -> datetime:
    found = parse_instant(str(raw.get("update_time") or raw.get("add_time")))
    if found is None:
        raise ValueError("a record has no update_time")
    return found


def _stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def _type(code: str, described: Mapping[str, Any], otherwise: FieldType) -> FieldType:
    """The type of a field. Pipedrive calls instants dates too: `update_time`, `won_time`."""
    kind = str(described.get("field_type"))
    return FieldType.DATETIME if kind == "date" and code.endswith("_time") else _TYPES.get(kind, otherwise)
