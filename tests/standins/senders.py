"""What each known sender sends: an honest request, signed as its page says, by code that knows nothing of ours."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlencode

from shared import NOW

from crmbridge.contract import WebhookRequest

SECRET = "canary-secret-0123456789abcdefghij"
OTHER = "another-secret-0123456789abcdefghi"
HEX, OTHER_HEX = b"canary-key-of-32-bytes-012345678".hex(), b"another-key-of-32-bytes-01234567".hex()
WHSEC, OTHER_WHSEC = (f"whsec_{base64.b64encode(one).decode()}" for one in (b"canary-key-24-bytes-long", b"another-key-24-bytes-lon"))
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Known:
    """One sender. `sign(body, secret, at)` gives headers and query; `proof` names the header or the part of the address that proves it."""

    sign: object
    body: object
    proof: str
    secret: str = SECRET
    other: str = OTHER
    more: dict = field(default_factory=dict)
    """What a user has to write besides, as options."""
    stamped: bool = False
    """Whether an old request is refused."""
    signs_body: bool = True
    told: tuple = ()
    """What the honest request tells: (record type, record id, kind, a field, its value, its old value)."""


def mac(key, data, digest="sha256"):
    return hmac.new(key if isinstance(key, bytes) else key.encode(), data, getattr(hashlib, digest)).digest()


def b64(data):
    return base64.b64encode(data).decode()


def plain(header, write):
    """A signature of the body alone."""
    return lambda body, secret, at: ({header: write(secret, body)}, "")


def stamped(header, stamp_header, write_stamp, write):
    """A signature of a timestamp and the body."""

    def sign(body, secret, at):
        stamp = write_stamp(at)
        return {header: write(secret, stamp, body), stamp_header: stamp}, ""

    return sign


def seconds(at):
    return str(int(at.timestamp()))


def stripe(body, secret, at):
    stamp = seconds(at)
    return {"stripe-signature": f"t={stamp},v1={mac(secret, f'{stamp}.'.encode() + body).hex()},v0={'0' * 64}"}, ""


def svix(body, secret, at):
    stamp = seconds(at)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = b64(mac(key, f"msg_1.{stamp}.".encode() + body))
    return {"svix-id": "msg_1", "svix-timestamp": stamp, "svix-signature": f"v1,{signature}"}, ""


def segment(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(secret, claims, alg="HS256", digest="sha256"):
    """A JSON Web Token."""
    signed = segment(json.dumps({"alg": alg, "typ": "JWT"}).encode()) + b"." + segment(json.dumps(claims).encode())
    return (signed + b"." + segment(mac(secret, signed, digest))).decode()


def monday(body, secret, at):
    now = int(at.timestamp())
    return {"authorization": token(secret, {"accountId": 1, "userId": 4, "aud": "https://x", "exp": now + 300, "iat": now})}, ""


def zendesk(secret, stamp, body):
    return b64(mac(secret, stamp.encode() + body))


def form(**fields):
    return urlencode(fields).encode()


def brackets(fields):
    return urlencode(fields).encode()


GRAPH = {"@odata.type": "#Microsoft.Graph.Message", "id": "m1"}
IDS = {"record_type": {"value": "Deal"}}
SENDERS = {
    "asana": Known(
        plain("x-hook-signature", lambda secret, body: mac(secret, body).hex()),
        {
            "events": [
                {
                    "action": "changed",
                    "resource": {"gid": "7", "resource_type": "task"},
                    "user": {"gid": "4"},
                    "created_at": "2026-11-22T11:00:00Z",
                }
            ]
        },
        "x-hook-signature",
        told=("task", "7", "updated", None, None, None),
    ),
    "attio": Known(
        plain("attio-signature", lambda secret, body: mac(secret, body).hex()),
        {
            "webhook_id": "w",
            "events": [{"event_type": "record.created", "id": {"object_id": "deals", "record_id": "7"}, "actor": {"id": "4"}}],
        },
        "attio-signature",
        told=("deals", "7", "created", None, None, None),
    ),
    "bitrix24": Known(
        lambda body, secret, at: ({}, ""),
        {
            "event": "ONCRMDEALUPDATE",
            "data[FIELDS][ID]": "7",
            "ts": "1763812800",
            "auth[domain]": "x.bitrix24.com",
            "auth[application_token]": SECRET,
        },
        "body",
        more={"map": IDS},
        signs_body=False,
        told=("Deal", "7", "updated", None, None, None),
    ),
    "close": Known(
        stamped(
            "close-sig-hash",
            "close-sig-timestamp",
            seconds,
            lambda secret, stamp, body: mac(bytes.fromhex(secret), stamp.encode() + body).hex(),
        ),
        {
            "event": {
                "id": "ev_1",
                "object_type": "lead",
                "object_id": "7",
                "action": "updated",
                "user_id": "u",
                "date_created": "2026-11-22T11:00:00+00:00",
                "data": {"status": "won", "date_updated": "2026-11-22T11:00:00.123456+00:00"},
                "previous_data": {"status": "open"},
            }
        },
        "close-sig-hash",
        secret=HEX,
        other=OTHER_HEX,
        stamped=True,
        told=("lead", "7", "updated", "status", "won", "open"),
    ),
    "dataverse": Known(
        lambda body, secret, at: ({}, f"code={secret}"),
        {
            "PrimaryEntityName": "contact",
            "PrimaryEntityId": "7",
            "MessageName": "Update",
            "InitiatingUserId": "u",
            "OperationCreatedOn": "/Date(1763812800000)/",
            "InputParameters": [
                {"key": "Other", "value": 1},
                {
                    "key": "Target",
                    "value": {"Attributes": [{"key": "stage", "value": "won"}, {"key": "modifiedon", "value": "/Date(1763812800000)/"}]},
                },
            ],
            "PreEntityImages": [{"key": "before", "value": {"Attributes": [{"key": "stage", "value": "open"}]}}],
        },
        "query",
        signs_body=False,
        told=("contact", "7", "updated", "stage", "won", "open"),
    ),
    "dropbox": Known(
        plain("x-dropbox-signature", lambda secret, body: mac(secret, body).hex()),
        {"list_folder": {"accounts": ["dbid:7"]}, "delta": {"users": [7]}},
        "x-dropbox-signature",
        told=("Account", "dbid:7", "updated", None, None, None),
    ),
    "espocrm": Known(
        plain("signature", lambda secret, body: b64(f"64f0a1:{mac(secret, body).hex()}".encode())),
        [{"id": "7", "stage": "won"}],
        "signature",
        more={"map": {"record_type": {"value": "Opportunity"}}},
        told=("Opportunity", "7", "updated", "stage", "won", None),
    ),
    "github": Known(
        lambda body, secret, at: (
            {"x-hub-signature-256": f"sha256={mac(secret, body).hex()}", "x-github-event": "issues", "x-github-delivery": "d1"},
            "",
        ),
        {"action": "opened", "issue": {"id": 7, "state": "open"}, "sender": {"login": "ann"}},
        "x-hub-signature-256",
        more={"map": {"record_id": "body.issue.id", "fields": "body.issue"}},
        told=("issues", "7", "created", "state", "open", None),
    ),
    "intercom": Known(
        plain("x-hub-signature", lambda secret, body: f"sha1={mac(secret, body, 'sha1').hex()}"),
        {
            "type": "notification_event",
            "id": "n1",
            "topic": "contact.created",
            "created_at": 1763812800,
            "data": {"item": {"type": "contact", "id": "7", "name": "Ann"}},
        },
        "x-hub-signature",
        told=("contact", "7", "created", "name", "Ann", None),
    ),
    "mailchimp": Known(
        lambda body, secret, at: ({}, f"secret={secret}"),
        {"type": "subscribe", "fired_at": "2026-11-22 11:00:00", "data[email]": "ann@acme.example", "data[merges][FNAME]": "Ann"},
        "query",
        signs_body=False,
        told=("Member", "ann@acme.example", "created", "merges.FNAME", "Ann", None),
    ),
    "meta": Known(
        plain("x-hub-signature-256", lambda secret, body: f"sha256={mac(secret, body).hex()}"),
        {
            "object": "page",
            "entry": [
                {
                    "id": "1",
                    "time": 1,
                    "changes": [{"field": "leadgen", "value": {"leadgen_id": 7, "form_id": "f", "created_time": 1763812800}}],
                }
            ],
        },
        "x-hub-signature-256",
        more={"challenge": {"token": {"secret": OTHER}}},
        told=("leadgen", "7", "created", "form_id", "f", None),
    ),
    "microsoft-graph": Known(
        lambda body, secret, at: ({}, ""),
        {"value": [{"id": "n1", "changeType": "updated", "clientState": SECRET, "resourceData": GRAPH}]},
        "body",
        signs_body=False,
        told=("#Microsoft.Graph.Message", "m1", "updated", None, None, None),
    ),
    "monday": Known(
        monday,
        {
            "event": {
                "type": "update_column_value",
                "pulseId": 7,
                "pulseName": "Parkers",
                "userId": 4,
                "triggerUuid": "t1",
                "triggerTime": "2026-11-22T11:00:00.000Z",
            }
        },
        "authorization",
        signs_body=False,
        stamped=True,
        told=("Item", "7", "updated", "pulseName", "Parkers", None),
    ),
    "shopify": Known(
        lambda body, secret, at: (
            {"x-shopify-hmac-sha256": b64(mac(secret, body)), "x-shopify-topic": "customers/create", "x-shopify-webhook-id": "w1"},
            "",
        ),
        {"id": 7, "email": "ann@acme.example", "updated_at": "2026-11-22T11:00:00+00:00"},
        "x-shopify-hmac-sha256",
        more={"map": {"record_type": {"value": "Customer"}}},
        told=("Customer", "7", "created", "email", "ann@acme.example", None),
    ),
    "slack": Known(
        stamped(
            "x-slack-signature",
            "x-slack-request-timestamp",
            seconds,
            lambda secret, stamp, body: "v0=" + mac(secret, f"v0:{stamp}:".encode() + body).hex(),
        ),
        {"type": "event_callback", "event_id": "Ev7", "event_time": 1763812800, "event": {"type": "message", "text": "hi", "user": "U1"}},
        "x-slack-signature",
        stamped=True,
        told=("message", "Ev7", "created", "text", "hi", None),
    ),
    "stripe": Known(
        stripe,
        {
            "id": "evt_1",
            "created": 1763812800,
            "data": {"object": {"object": "customer", "id": "7", "name": "Parkers"}, "previous_attributes": {"name": "Old"}},
        },
        "stripe-signature",
        stamped=True,
        told=("customer", "7", "updated", "name", "Parkers", "Old"),
    ),
    "svix": Known(
        svix,
        {"type": "deal.changed", "data": {"id": "7", "stage": "won"}},
        "svix-signature",
        secret=WHSEC,
        other=OTHER_WHSEC,
        stamped=True,
        more={"map": {"record_type": {"value": "Deal"}, "record_id": "body.data.id", "fields": "body.data"}},
        told=("Deal", "7", "updated", "stage", "won", None),
    ),
    "twenty": Known(
        stamped(
            "x-twenty-webhook-signature",
            "x-twenty-webhook-timestamp",
            lambda at: str(int(at.timestamp() * 1000)),
            lambda secret, stamp, body: mac(secret, f"{stamp}:".encode() + body).hex(),
        ),
        {
            "eventName": "opportunity.updated",
            "eventDate": "2026-11-22T11:00:00Z",
            "objectMetadata": {"nameSingular": "opportunity"},
            "record": {"id": "7", "stage": "won", "updatedAt": "2026-11-22T11:00:00Z"},
        },
        "x-twenty-webhook-signature",
        stamped=True,
        told=("opportunity", "7", "updated", "stage", "won", None),
    ),
    "zendesk": Known(
        stamped(
            "x-zendesk-webhook-signature", "x-zendesk-webhook-signature-timestamp", lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ"), zendesk
        ),
        {
            "type": "zen:event-type:ticket.created",
            "id": "e1",
            "time": "2026-11-22T11:00:00.5Z",
            "detail": {"id": "7", "status": "OPEN", "updated_at": "2026-11-22T11:00:00Z"},
        },
        "x-zendesk-webhook-signature",
        stamped=True,
        told=("Ticket", "7", "created", "status", "OPEN", None),
    ),
    "zoho": Known(
        lambda body, secret, at: ({}, ""),
        {"module": "Deals", "ids": ["7"], "operation": "update", "token": SECRET, "server_time": 1763812800123, "channel_id": "1"},
        "body",
        signs_body=False,
        told=("Deals", "7", "updated", None, None, None),
    ),
}
FORMS = ("bitrix24", "mailchimp")


def options(name, secret=None):
    """What a user writes for a sender."""
    one = SENDERS[name]
    return {"sender": name, "signature": {"secret": secret or one.secret}, **one.more}


def body_of(name, secret=None):
    """The honest body, as bytes; with another secret where the secret stands in it."""
    raw = SENDERS[name].body
    text = urlencode(raw) if name in FORMS else json.dumps(raw)
    return text.replace(SECRET, secret or SECRET).encode()


def request(name, secret=None, at=NOW, body=None, **changes):
    """An honest request of the sender at `at`, or one that another secret made."""
    one = SENDERS[name]
    data = body_of(name, secret) if body is None else body
    headers, query = one.sign(data, secret or one.secret, at)
    given = {"content-type": FORM if name in FORMS else JSON} | headers
    return WebhookRequest(**({"headers": given, "body": data, "query": query, "received_at": NOW, "address": "/hooks/crm"} | changes))


def later(seconds):
    return NOW + timedelta(seconds=seconds)
