"""The keys of a salesforce source."""

import base64
import functools
import json
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of
from flow.wire.vendor import Vendor
from standins.salesforce import CLIENT_ID, CLIENT_SECRET, HOOK_PATH, ORGANIZATION, Salesforce


class Org(Vendor):
    """One org, with opportunities."""

    YAML = f"""
crmbridge: 1
sources:
  crm:
    type: salesforce
    url: $crm
    login: {{flow: client_credentials, client_id: {CLIENT_ID}, client_secret: {CLIENT_SECRET}}}
    records: {{Opportunity: {{fields: {{StageName: public, Name: public}}}}}}
destinations: {{out: {{type: console}}}}
"""

    def make(self):
        return Salesforce()

    def queries(self):
        """The queries for records."""
        return [one.query["q"] for one in self.seen() if one.path.endswith("/query")]


proves = proofs_of(Org)
CRM = "sources/crm"
LOGIN = {"flow": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
JWT = {"flow": "jwt", "client_id": "app", "user": "ann@acme.example", "private_key": {"file": "one.pem"}}
BY_JWT = {f"{CRM}/login": JWT}
KNOWN = ["client_credentials", CLIENT_ID, CLIENT_SECRET]


@proves("sources.salesforce.url", ("$crm", [True, False]), ("$far", [False, True]))
def which_server(stage):
    """Which of two is asked."""
    stage.tried()
    return [bool(stage.seen(one)) for one in (stage.crm, stage.far)]


OF = "sources.salesforce.login"


@proves(f"{OF}.client_credentials.client_id", (CLIENT_ID, KNOWN), ("other", ["client_credentials", "other", CLIENT_SECRET]))
@proves(f"{OF}.client_credentials.client_secret", (CLIENT_SECRET, KNOWN), ("other", ["client_credentials", CLIENT_ID, "other"]))
def how_it_logs_in(stage):
    """The form of the login."""
    stage.tried()
    return [stage.seen()[0].form[name] for name in ("grant_type", "client_id", "client_secret")]


@functools.cache
def key(_):
    """An RSA key, made once."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def assertion(stage):
    """Who signed the claim of a login, and what it claims."""
    for name in ("one", "two"):
        pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (stage.folder / f"{name}.pem").write_bytes(key(name).private_bytes(*pem))
    stage.tried()
    form = stage.seen()[0].form
    signed, _, signature = form.get("assertion", "").rpartition(".")
    for name in ("one", "two"):
        try:
            key(name).public_key().verify(decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            continue
        claims = json.loads(decoded(signed.partition(".")[2]))
        return [name, claims["iss"], claims["sub"], claims["aud"]]
    return form["grant_type"]


def decoded(text):
    """Bytes of base64 without its padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


CLAIMED = ["one", "app", "ann@acme.example", "$crm"]


@proves(f"{OF}.flow", (LOGIN, "client_credentials"), (JWT, CLAIMED))
@proves(f"{OF}.jwt.client_id", ("app", CLAIMED), ("b", ["one", "b", *CLAIMED[2:]]), given=BY_JWT)
@proves(f"{OF}.jwt.user", ("ann@acme.example", CLAIMED), ("bob@acme.example", ["one", "app", "bob@acme.example", "$crm"]), given=BY_JWT)
@proves(f"{OF}.jwt.private_key", ({"file": "one.pem"}, CLAIMED), ({"file": "two.pem"}, ["two", *CLAIMED[1:]]), given=BY_JWT)
@proves(f"{OF}.jwt.audience", (ABSENT, CLAIMED), ("https://login.example", [*CLAIMED[:3], "https://login.example"]), given=BY_JWT)
def what_it_claims(stage):
    """The claim of a login, if it makes one, and who signed it."""
    return assertion(stage)


@proves("sources.salesforce.api_version", ("67.0", "v67.0"), ("61.0", "v61.0"))
def which_version(stage):
    """The version that is asked."""
    stage.tried()
    return stage.seen()[1].path.split("/")[3]


@proves("sources.salesforce.page", (500, ["500", [25]]), (20, ["20", [20, 5]]))
def how_many(stage):
    """How many records a query asks for, and what each transaction brings of 25."""
    learnt = stage.many()
    return [stage.queries()[0].rpartition(" LIMIT ")[2], learnt]


@proves("sources.salesforce.overlap", (60, ["2026-11-22T11:59:00"]), (3600, ["2026-11-22T11:00:00"]))
def how_far_back(stage):
    """From when on a second poll looks, of a record of noon."""
    stage.begun()
    stage.polled()
    return re.findall(r"SystemModstamp >= ([0-9T:-]{19})", stage.queries()[-1])


@proves("sources.salesforce.deletes_every", (3600, []), (60, [["deleted"]]))
def a_second_deletion(stage):
    """What is told of a record that is deleted some minutes after deletions were looked for."""
    first = stage.begun()
    second = stage.crm.create()
    stage.crm.delete(first)
    assert stage.polled("kind") == [["created"], ["deleted"]]
    stage.crm.delete(second)
    stage.tick(120)
    return stage.polled("kind")


@proves("sources.salesforce.quota_share", (0.8, "fine"), (0.5, "refused"))
def a_used_quota(stage):
    """What a second poll does where 70 % of the day's requests are used."""
    stage.crm.used = 70_000
    stage.tried()
    return "refused" if "quota_share" in stage.polled("kind") else "fine"


OUTBOUND = {"organization_id": ORGANIZATION, "path": HOOK_PATH}
CALLED = {f"{CRM}/outbound": OUTBOUND}
OTHER = "00D7F00000OTHER"


@proves("sources.salesforce.outbound", (ABSENT, [404, 404, 404]), (OUTBOUND, [200, 401, 401]))
@proves("sources.salesforce.outbound.path", (HOOK_PATH, [200, 401, 401]), ("other", [401, 200, 401]), given=CALLED)
@proves("sources.salesforce.outbound.organization_id", (ORGANIZATION, [200, 401, 401]), (OTHER, [401, 401, 200]), given=CALLED)
def who_is_believed(stage):
    """The answers to three senders: with the secret path, with another, of another org."""
    id = stage.begun()
    messages = [stage.crm.message([id]), stage.crm.message([id], path="other"), stage.crm.message([id], organization=OTHER)]
    return [stage.receive(one) for one in messages]
