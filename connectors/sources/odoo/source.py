"""One Odoo database as a source: polled, asked for single records, models and teams; and called, where `webhook` says how."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Final

from connectors.sources.odoo import hooks
from connectors.sources.odoo.api import Api
from connectors.sources.odoo.changes import Changes
from connectors.sources.odoo.options import OdooOptions, OdooWebhook
from connectors.sources.odoo.records import Records
from connectors.sources.odoo.rights import rights
from connectors.sources.odoo.trackings import Trackings
from crmbridge.contract import FieldInfo, Member, Reply, Right, Setting, WebhookRequest
from crmbridge.http import reading
from crmbridge.model import Cursor, Observation, Page

_ID: Final = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_MODEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*", re.ASCII)  # it stands in JSON-2's address


def build(options: OdooOptions, setting: Setting) -> OdooSource:
    """A source that polls, and can be called where `webhook` says how."""
    return CalledOdooSource(options, setting, options.webhook) if options.webhook else OdooSource(options, setting)


class OdooSource:
    """Implements `crmbridge.contract.Source`, `Baseline`, `Rereading`, `Rewindable`, `Teams`, `Describing` and `Entitled`."""

    def __init__(self, options: OdooOptions, setting: Setting) -> None:
        if not setting.records:
            raise ValueError("name the models under `records`, as Odoo calls them: crm.lead, res.partner")
        for name in setting.records:
            _named(name)
        self._options = options
        self._setting = setting
        self._api = Api(options, setting)
        self._records = Records(self._api, options.url, setting, options.reading(setting.days))
        self._trackings = Trackings(self._api, self._records, setting, called=options.webhook is not None)
        self._changes = Changes(self._api, self._records, self._trackings, options, setting)

    def enumerates(self) -> bool:
        return True

    def check(self) -> None:
        self._trackings.forget()
        for name in self._setting.records:
            with reading("Odoo", name):
                self._records.check(name)

    def rights(self) -> Sequence[Right]:
        with reading("Odoo"):
            found = list(rights(self._api, self._records, list(self._setting.records), old_values=self._options.old_values))
        self._trackings.forget()  # what was refused may be given since
        return found

    def poll(self, cursor: Cursor | None) -> Page:
        with reading("Odoo"):
            return self._changes.poll(cursor)

    def since(self, moment: datetime) -> Cursor:
        return self._changes.since(f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}")

    def fetch_many(self, record_type: str, ids: Sequence[str]) -> Sequence[Observation]:
        wanted = sorted({int(id) for id in ids if _ID.fullmatch(id)})
        if record_type not in self._setting.records or not wanted:
            return ()
        with reading("Odoo", record_type):
            return self._records.observations(record_type, self._records.rows(record_type, [["id", "in", wanted]]))

    def schema(self, record_type: str) -> Sequence[FieldInfo]:
        with reading("Odoo", record_type):
            return self._records.described(_named(record_type), afresh=True).infos()

    def members(self, record_type: str, id: str) -> Sequence[Member]:
        if not _ID.fullmatch(id):
            return ()
        with reading("Odoo", record_type):
            return self._records.members(record_type, int(id))

    def close(self) -> None:
        self._api.close()


class CalledOdooSource(OdooSource):
    """Implements `crmbridge.contract.WebhookSource` too."""

    def __init__(self, options: OdooOptions, setting: Setting, webhook: OdooWebhook) -> None:
        super().__init__(options, setting)
        self._webhook = webhook

    def verify(self, request: WebhookRequest) -> None:
        hooks.verify(self._webhook, request)

    def parse(self, request: WebhookRequest) -> Sequence[Observation]:
        """The record by its name alone: the values beside it are as anybody may have written them."""
        model, id = hooks.named(request.body)
        if model not in self._setting.records:
            return ()
        return [Observation(record_type=model, record_id=id, fields={}, occurred_at=request.received_at, partial=True)]

    def reply(self, accepted: bool) -> Reply:
        return hooks.reply(accepted)


def _named(model: str) -> str:
    if not _MODEL.fullmatch(model):
        raise ValueError(f"{model} is not the technical name of a model, like crm.lead")
    return model
