"""The webhook source keeps what every source promises, by each way to prove a sender."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar
from urllib.parse import urlencode

from connectors.sources.webhook import CONNECTOR
from crmbridge.contract import WebhookRequest
from crmbridge.http import signed
from crmbridge.testing import Can, SourceContract, StandIn

KEY = b"canary-hook-key-0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Crm(StandIn):
    """Any CRM that can POST JSON."""

    def __init__(self, sign):
        super().__init__()
        self.sign = sign

    def tell(self, what, row, before):
        if what not in ("created", "updated", "deleted", "restored"):
            return
        fields = {"name": row.fields["title"], "stage": row.fields["stage"], "amount": row.fields["amount"], "owner": row.fields["owner"]}
        old = {{"title": "name"}.get(word, word): value for word, value in before.items()}
        body = {
            "what": what,
            "id": row.id,
            "at": row.modified.isoformat(),
            "record": fields,
            "old": old,
            "link": f"https://crm.example.com/{row.id}",
        }
        data = json.dumps(body).encode()
        self.webhooks.append(WebhookRequest(self.sign(data, self.now, len(self.webhooks)), data, "", self.now))


class Forms(Crm):
    """The same in forms, as PHP writes them, with its secret in the address."""

    def tell(self, what, row, before):
        super().tell(what, row, before)
        if self.webhooks and self.webhooks[-1].headers["content-type"] == "application/json":
            told = self.webhooks[-1]
            flat = {}
            for name, value in json.loads(told.body).items():
                inner = {f"{name}[{key}]": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
                flat |= {key: one for key, one in inner.items() if one is not None}
            headers = {"content-type": "application/x-www-form-urlencoded"}
            self.webhooks[-1] = replace(told, headers=headers, body=urlencode(flat).encode(), query=f"key={KEY.decode()}")


def stamped_headers(body, now, number, key=KEY):
    stamp = str(int(now.timestamp()))
    mac = hmac.new(key, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"content-type": "application/json", "x-signature": f"t={stamp},v1={mac}"}


def token_headers(body, now, number, key=KEY, alg="HS256", **claims):
    said = {"iat": int(now.timestamp()), "exp": int(now.timestamp()) + 300, "sha": hashlib.sha256(body).hexdigest()} | claims
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in ({"alg": alg, "typ": "JWT"}, said)]
    mac = hmac.new(key, b".".join(parts), hashlib.sha256).digest()
    parts.append(base64.urlsafe_b64encode(mac).rstrip(b"="))
    return {"content-type": "application/json", "authorization": f"Bearer {b'.'.join(parts).decode()}"}


def hmac_headers(body, now, number, key=KEY):
    return {"content-type": "application/json", "x-signature": hmac.new(key, body, hashlib.sha256).hexdigest()}


def standard_headers(body, now, number, key=KEY):
    return {"content-type": "application/json"} | signed(key, f"msg_{now.timestamp():.0f}_{number}", now, body)


class Contract(SourceContract):
    connector = CONNECTOR
    record_type = "Deal"
    fields: ClassVar = {"title": "name", "stage": "stage", "amount": "amount", "owner": "owner"}
    can = frozenset({Can.WEBHOOK, Can.SIGNED, Can.OLD_VALUES, Can.DELETES, Can.LINKS})
    signature: ClassVar[dict]

    def options(self, crm):
        where = {
            "record_type": {"value": "Deal"},
            "record_id": "body.id",
            "kind": {"from": "body.what", "created": ["created"], "deleted": ["deleted"]},
            "version": "body.at",
            "occurred_at": "body.at",
            "fields": "body.record",
            "before": "body.old",
            "url": "body.link",
        }
        return {"signature": self.signature, "map": where}


class TestHmac(Contract):
    signature: ClassVar = {"scheme": "hmac-sha256", "header": "X-Signature", "secret": KEY.decode()}
    secrets = (KEY.decode(),)

    def stand_in(self, folder):
        return Crm(hmac_headers)

    def forgeries(self, request: WebhookRequest) -> Iterator[WebhookRequest]:
        given = request.headers["x-signature"]
        raw = bytes.fromhex(given)
        wrong = [
            "",
            given[:-1],
            given + "0",
            given[:-2],
            "sha256=" + given,
            base64.b64encode(raw).decode(),
            raw.hex(" "),
            "0x" + given,
            "\u00e9" * 64,
        ]
        wrong += [given[:n] + ("0" if given[n] != "0" else "1") + given[n + 1 :] for n in range(64)]
        wrong += [hmac.new(key, request.body, hashlib.sha256).hexdigest() for key in (b"", b"another", KEY[:-1], KEY.upper())]
        for value in wrong:
            yield replace(request, headers={**request.headers, "x-signature": value})
        yield replace(request, headers={name: value for name, value in request.headers.items() if name != "x-signature"})
        yield replace(request, body=json.dumps(json.loads(request.body), separators=(",", ":")).encode())


class TestStandardWebhooks(Contract):
    signature: ClassVar = {"scheme": "standard-webhooks", "secret": SECRET}
    secrets = (KEY.decode(), SECRET)

    def stand_in(self, folder):
        return Crm(standard_headers)

    def forgeries(self, request: WebhookRequest) -> Iterator[WebhookRequest]:
        headers = request.headers
        stamp, given = int(headers["webhook-timestamp"]), headers["webhook-signature"]
        for shift in (301, -301, 3600, -86_400, 10**9):
            yield replace(request, headers={**headers, "webhook-timestamp": str(stamp + shift)})
            moment = request.received_at.fromtimestamp(stamp + shift, request.received_at.tzinfo)
            yield replace(request, headers={**headers, **signed(KEY, headers["webhook-id"], moment, request.body)})
        wrong = ["", "v1", "v1,", given[3:], "v2" + given[2:], given[:-2], given + "=", given.replace("v1,", "v1,=")]
        wrong += ["v1," + base64.b64encode(hmac.new(key, request.body, hashlib.sha256).digest()).decode() for key in (KEY, b"x")]
        wrong += [given[:n] + ("A" if given[n] != "A" else "B") + given[n + 1 :] for n in range(3, len(given) - 2)]
        for value in wrong:
            yield replace(request, headers={**headers, "webhook-signature": value})
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            yield replace(request, headers={key: value for key, value in headers.items() if key != name})
            yield replace(request, headers={**headers, name: "\u0661" + headers[name]})
        yield replace(request, headers={**headers, "webhook-id": headers["webhook-id"] + ".x"})


class TestTimestamped(Contract):
    signature: ClassVar = {
        "scheme": "hmac",
        "header": "X-Signature",
        "layout": "t={timestamp},v1={signature}",
        "separator": ",",
        "signed": "{timestamp}.{body}",
        "secret": KEY.decode(),
    }
    secrets = (KEY.decode(),)

    def stand_in(self, folder):
        return Crm(stamped_headers)

    def forgeries(self, request: WebhookRequest) -> Iterator[WebhookRequest]:
        given = request.headers["x-signature"]
        stamp, mac = given.removeprefix("t=").split(",v1=")
        wrong = [
            "",
            given + ",",
            given + given,
            f"{given},t={stamp}",
            f"v1={mac}",
            f"t={stamp}",
            f"t={stamp},v1=",
            f"t={stamp},v0={mac}",
            f"t={stamp}, v1={mac}",
        ]
        wrong += [f"t={int(stamp) + shift},v1={mac}" for shift in (-1, 1, 60)]
        wrong += [f"t={stamp},v1={mac[:n]}{'0' if mac[n] != '0' else '1'}{mac[n + 1 :]}" for n in range(64)]
        wrong += [stamped_headers(request.body, request.received_at, 0, key)["x-signature"] for key in (b"", b"another", KEY[:-1])]
        for value in wrong:
            yield replace(request, headers={**request.headers, "x-signature": value})
        for shift in (301, -301, 86_400):
            yield replace(request, received_at=request.received_at + timedelta(seconds=shift))
        yield replace(request, repeated=frozenset({"x-signature"}))


class TestToken(Contract):
    signature: ClassVar = {"scheme": "jwt", "prefix": "Bearer ", "body_claim": "sha", "secret": KEY.decode()}
    secrets = (KEY.decode(),)

    def stand_in(self, folder):
        return Crm(token_headers)

    def forgeries(self, request: WebhookRequest) -> Iterator[WebhookRequest]:
        given, now = request.headers["authorization"], request.received_at
        wrong = ["", "Bearer", given.removeprefix("Bearer "), given.lower(), given + "=", given[:-1], given.rpartition(".")[0] + "."]
        wrong += [given[:n] + ("A" if given[n] != "A" else "B") + given[n + 1 :] for n in range(7, len(given) - 1, 3)]
        made = [
            {"key": b""},
            {"key": b"another"},
            {"alg": "none"},
            {"alg": "HS512"},
            {"sha": None},
            {"sha": "0" * 64},
            {"exp": 0},
            {"iat": 10**10},
        ]
        wrong += [token_headers(request.body, now, 0, **one)["authorization"] for one in made]
        for value in wrong:
            yield replace(request, headers={**request.headers, "authorization": value})
        yield replace(request, body=request.body + b" ")


class TestForms(Contract):
    can = frozenset({Can.WEBHOOK, Can.OLD_VALUES, Can.DELETES, Can.LINKS})
    signature: ClassVar = {"scheme": "secret", "in": "query", "name": "key", "secret": KEY.decode()}
    secrets = (KEY.decode(),)

    def stand_in(self, folder):
        return Forms(lambda body, now, number: {"content-type": "application/json"})

    def options(self, crm):
        return super().options(crm) | {"body": "form", "numbers": "1234.5"}
