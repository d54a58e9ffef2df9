"""The hubspot source keeps what every source promises, against a stand-in that speaks as HubSpot does."""

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from hubspot_stand_in import CLIENT_SECRET, HOOK, REFRESH, Hubspot, ms, sign

from connectors.sources.hubspot import CONNECTOR
from crmbridge.testing import Can, SourceContract


class TestHubspot(SourceContract):
    connector = CONNECTOR
    record_type = "deals"
    fields: ClassVar = {"title": "dealname", "stage": "dealstage", "amount": "amount", "owner": "hubspot_owner_id"}
    can = frozenset(set(Can) - {Can.OLD_VALUES})
    secrets = (CLIENT_SECRET, REFRESH)

    def stand_in(self, folder):
        return Hubspot()

    def options(self, crm) -> dict[str, Any]:
        return {
            "oauth": {"client_id": "app", "client_secret": CLIENT_SECRET, "refresh_token": REFRESH},
            "webhook": {"client_secret": CLIENT_SECRET, "url": HOOK},
            "api_url": crm.url,
            "overlap": 60,
            "page": 10,
            "deletes_every": 200,
            "searches_per_second": 1000,
        }

    def wrong_credentials(self, options):
        return {"oauth": {**options["oauth"], "refresh_token": "canary-token-wrong"}}

    def forgeries(self, request):
        def with_headers(**changes):
            headers = {**request.headers, **{f"x-hubspot-{name.replace('_', '-')}": value for name, value in changes.items()}}
            return replace(request, headers={name: value for name, value in headers.items() if value is not None})

        def signed(stamp, **options):
            return with_headers(signature_v3=sign(request.body, stamp, **options), request_timestamp=stamp)

        proof, body = request.headers["x-hubspot-signature-v3"], request.body
        now = ms(request.received_at)
        for seconds in (301, 3600, 86_400, 10**9, -301, -3600, -(10**9)):  # stale, and from the future
            yield signed(str(now - seconds * 1000))
        yield from (signed(str(now - 300_001)), signed(str(now + 300_001)))
        for late in (timedelta(milliseconds=300_001), timedelta(days=1), timedelta(milliseconds=-300_001)):  # replayed
            yield replace(request, received_at=request.received_at + late)
        good = str(now)
        for stamp in ("", " ", "NaN", "-1", "1e13", good + " ", "+" + good, good + ".0", "0x12", "\u0661" * 13, "9" * 40, "now", good[:-3]):
            yield signed(stamp)
        for secret in ("", "other", CLIENT_SECRET.upper(), CLIENT_SECRET + "\n", " " + CLIENT_SECRET, "***"):
            yield signed(good, secret=secret)
        host = HOOK.removeprefix("https://")
        for address in (
            "",
            HOOK + "/",
            HOOK + "?",
            HOOK + "?a=1",
            "http://" + host,
            HOOK.upper(),
            "https://evil.example/hooks/crm",
            "/hooks/crm",
        ):
            yield signed(good, address=address)
        raw = base64.b64decode(proof)
        for other in (
            "", " ", proof[:-1], proof[:-2], proof + "=", " " + proof, proof + "\n", proof.lower(), proof.swapcase(), raw.hex(), "v3=" + proof,
            f'"{proof}"', proof + "," + proof, base64.urlsafe_b64encode(raw).decode().replace("=", ""), "\u00fc" + proof, "\udcff", "A" * 44, "A" * 10_000,
            proof[:-2] + chr(ord(proof[-2]) + 1) + "=",
        ):  # fmt: skip
            yield with_headers(signature_v3=other)
        yield with_headers(signature_v3=None)
        yield with_headers(request_timestamp=None)
        yield with_headers(signature_v3=None, request_timestamp=None)
        yield with_headers(signature_v3=None, signature=sign(body, good))
        for query in ("a=1", "?", "%3F", "\udcff", "a=%zz"):
            yield replace(request, query=query)
        events = json.loads(body)
        for again in (
            json.dumps(events),
            json.dumps(events, indent=1),
            json.dumps(events[0]),
            json.dumps(events * 2),
            json.dumps(events)[:-1],
        ):
            yield replace(request, body=again.encode())
        for length in range(1, len(body), len(body) // 20):
            yield replace(request, body=body[:length])
        for strange in (
            b"",
            b"{}",
            b"null",
            b"[1]",
            b"[[]]",
            b'[{"a":1,"a":2}]',
            b"[NaN]",
            b"[" * 1000,
            b"\xff",
            b"[" + b"{}," * 1000 + b"{}]",
        ):
            yield replace(request, body=strange, headers={**request.headers, "x-hubspot-signature-v3": sign(strange, good)})
