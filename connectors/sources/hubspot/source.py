"""One HubSpot account as a source: polled, called, asked for single records, types and teams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from connectors.sources.hubspot.api import Api
from connectors.sources.hubspot.changes import Changes
from connectors.sources.hubspot.events import Events
from connectors.sources.hubspot.facts import Facts
from connectors.sources.hubspot.options import HubspotOptions
from connectors.sources.hubspot.records import OWNER_FIELDS, Records, owned
from connectors.sources.hubspot.rights import rights
from connectors.sources.hubspot.signature import verify
from connectors.sources.hubspot.types import numbered
from crmbridge.contract import FieldInfo, Member, Reply, Right, Setting, WebhookRequest
from crmbridge.errors import InvalidRequest
from crmbridge.http import reading, strict_json
from crmbridge.model import Cursor, FieldType, Observation, Page, cursors

MAX_EVENTS: Final = 1000
"""Of one request; HubSpot sends at most 100."""


class HubspotSource:
    """Implements `crmbridge.contract.Source`, `WebhookSource`, `Rereading`, `Rewindable`, `Describing`, `Teams`, `Baseline`, `Entitled`."""

    def __init__(self, options: HubspotOptions, setting: Setting) -> None:
        _objections(setting)
        self._options = options
        self._setting = setting
        self._api = Api(options, setting)
        self._facts = Facts(self._api, setting.now, options.reading(setting.days))
        self._records = Records(self._api, self._facts, setting.records, setting.now)
        self._changes = Changes(self._api, self._records, options, setting)
        self._events = Events(self._facts, setting.records, options.portal_id)

    # --- reading

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        for name in self._setting.records:
            with reading("HubSpot", name):
                self._records.check(name)
        with reading("HubSpot", "the account"):
            self._facts.learn_address(afresh=True)

    def rights(self) -> Sequence[Right]:
        self._api.spare()
        with reading("HubSpot", "rights"):
            return list(rights(self._api, self._setting.records))

    def poll(self, cursor: Cursor | None) -> Page:
        with reading("HubSpot", "changes"):
            return cursors.next_page(
                cursor, self._changes.streams, self._changes.read, overlap=self._options.overlap, now=self._setting.now()
            )

    def since(self, moment: datetime) -> Cursor:
        return cursors.since(dict.fromkeys(self._changes.streams, int(moment.timestamp() * 1000)))

    def fetch_many(self, record_type: str, ids: Sequence[str]) -> Sequence[Observation]:
        self._api.spare()
        if record_type not in self._setting.records:
            return ()
        with reading("HubSpot", record_type):
            return self._records.read(record_type, list(dict.fromkeys(ids)))

    def schema(self, record_type: str) -> Sequence[FieldInfo]:
        with reading("HubSpot", record_type):
            known = self._facts.properties.get(record_type, afresh=True)
        ours = [FieldInfo(name=name, label=label, type=FieldType.TEXT) for name, label in zip(OWNER_FIELDS, _OWNER_LABELS, strict=True)]
        return [*(one.info() for one in known.values()), *ours]

    def members(self, record_type: str, id: str) -> Sequence[Member]:
        self._api.spare()
        with reading("HubSpot", record_type):
            return self._records.members(record_type, id)

    def close(self) -> None:
        self._api.close()

    # --- webhooks

    def verify(self, request: WebhookRequest) -> None:
        webhook = self._options.webhook
        if webhook is None:
            raise InvalidRequest("this source takes no webhooks: it has no `webhook` in the configuration", 404)
        verify(webhook.client_secret, webhook.url, request)
        try:
            _events(request.body)
        except ValueError as error:
            raise InvalidRequest(str(error)) from None

    def parse(self, request: WebhookRequest) -> Sequence[Observation]:
        return self._events.observations(_events(request.body))

    def reply(self, accepted: bool) -> Reply:
        return Reply(204) if accepted else Reply(503, b"try again later\n")


_OWNER_LABELS: Final = ("Owner's name", "Owner's e-mail", "Owner's team")


def _events(body: bytes) -> Sequence[Mapping[str, Any]]:
    events = strict_json(body)
    if not isinstance(events, list) or not all(isinstance(one, dict) for one in events):
        raise ValueError("the body is not a list of events")
    if len(events) > MAX_EVENTS:
        raise ValueError(f"the body has more than {MAX_EVENTS} events")
    return events


def _objections(setting: Setting) -> None:
    if not setting.records:
        raise ValueError("name the record types under `records`, as HubSpot's API calls them: deals, contacts, 2-123")
    if len(numbered(setting.records)) < len(setting.records):
        raise ValueError("a record type stands twice under `records`, by two of its names")
    for name, spec in setting.records.items():
        if strange := sorted(set(owned(spec)) - set(OWNER_FIELDS)):
            raise ValueError(f"{name}: there is no {', '.join(strange)}; of owners there are {', '.join(OWNER_FIELDS)}")
