"""Webhooks of Odoo 17 and later: an automation's action "Send Webhook Notification".

One POST after the commit, which waits one second for an answer, is never sent again and is signed by nobody. So a secret path
must do, each is only a hint to read the record, and polls find what was lost.
https://www.odoo.com/documentation/17.0/applications/studio/automated_actions.html
"""

from __future__ import annotations

from connectors.sources.odoo.options import OdooWebhook
from crmbridge.contract import Reply, WebhookRequest
from crmbridge.errors import InvalidRequest, InvalidSignature
from crmbridge.hooks import is_one_of
from crmbridge.http import strict_json

_MOST: int = 2**31 - 1  # ids are int4


def verify(options: OdooWebhook, request: WebhookRequest) -> None:
    """The secret path, then the form. Raises InvalidRequest."""
    if not is_one_of(request.path, options.path):
        raise InvalidSignature("the address lacks its secret last part: /hooks/NAME/SECRET")
    try:
        named(request.body)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def named(body: bytes) -> tuple[str, str]:
    """The model and the id that a webhook names. Raises ValueError."""
    said = strict_json(body)
    model, id = (said.get("_model"), said.get("_id")) if isinstance(said, dict) else (None, None)
    if not isinstance(model, str) or not model or not isinstance(id, int) or isinstance(id, bool) or not 0 < id <= _MOST:
        raise ValueError("the body is no webhook of Odoo's: it names no record by _model and _id")
    return model, str(id)


def reply(accepted: bool) -> Reply:
    """Odoo only logs what it is answered."""
    return Reply(204) if accepted else Reply(503, b"try again later\n")
