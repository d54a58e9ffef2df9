"""Pipedrive calls: webhooks carry records whole, with what they were, and are subscribed to again where Pipedrive dropped them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from connectors.sources.pipedrive.api import TYPES
from connectors.sources.pipedrive.options import PipedriveMore, Webhook
from connectors.sources.pipedrive.rights import CLOSED
from connectors.sources.pipedrive.source import PipedriveSource, end_of
from crmbridge.contract import Reply, Setting, WebhookRequest, login_secret
from crmbridge.errors import InvalidRequest, InvalidSignature
from crmbridge.hooks import is_basic
from crmbridge.http import VendorRefused, strict_json
from crmbridge.model import Cursor, Observation, Page, clean, parse_instant
from crmbridge.rest import RestOptions, Shape

_log = logging.getLogger(__name__)
_SUBSCRIBED: Final = timedelta(hours=1)  # Pipedrive drops a subscription after three days without success


def make(options: RestOptions, setting: Setting, _shape: Shape | None, more: PipedriveMore) -> PipedriveSource:
    """A source that polls, and can be called where `webhook` says how."""
    return CalledPipedriveSource(options, setting, more, more.webhook) if more.webhook else PipedriveSource(options, setting, more)


class CalledPipedriveSource(PipedriveSource):
    """Implements `crmbridge.contract.WebhookSource` too."""

    def __init__(self, options: RestOptions, setting: Setting, more: PipedriveMore, webhook: Webhook) -> None:
        super().__init__(options, setting, more)
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
        if name is None or name not in self._setting.records:
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
                    version=end_of(at),
                    occurred_at=at,
                    actor=actor,
                )
            ]
        if not isinstance(data, dict):
            raise ValueError("a webhook of a change carries no data")
        old = self._fields.told(name, previous) if isinstance(previous, dict) else None
        partial = not self._fields.knows(name, data)  # a new user, stage or option; or nothing is learnt yet
        at, id = _instant(data), _id(data.get("id"))
        return [
            Observation(
                record_type=name,
                record_id=id,
                fields=self._fields.told(name, data),
                before=old,
                created=meta.get("action") == "create",
                deleted=data.get("is_deleted") is True or data.get("status") == "deleted",
                version=self._rows.version(at),
                occurred_at=at,
                actor=actor,
                partial=partial,
                url=self._api.link(TYPES[name], id),
            )
        ]

    def reply(self, accepted: bool) -> Reply:
        return Reply(200 if accepted else 503)

    def _keep_subscribed(self) -> None:
        """Pipedrive drops a subscription that nobody answered for three days, without a word."""
        now = self._setting.now()
        if self._subscribed is not None and abs(now - self._subscribed) < _SUBSCRIBED:
            return
        try:
            self._subscribe()
        except VendorRefused as error:
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
        for name in self._setting.records:
            if (self._webhook.url, TYPES[name]) not in there:
                password = login_secret(self._webhook.password[0])
                self._api.subscribe(self._webhook.url, TYPES[name], self._webhook.user, password)
                _log.info("subscribed to webhooks", extra={"source": self._setting.name, "record": name})


def _id(raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, (int, str)) or str(raw) == "":
        raise ValueError("a record has no id")
    return clean(str(raw))[:200]


def _instant(raw: Mapping[str, Any]) -> datetime:
    found = parse_instant(str(raw.get("update_time") or raw.get("add_time")))
    if found is None:
        raise ValueError("a record has no update_time")
    return found
