"""The salesforce source, against a stand-in of its vendor."""

import base64
import json
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from standins.salesforce import CLIENT_ID, CLIENT_SECRET, HOOK_PATH, ORGANIZATION, TYPE, WORDS, Salesforce

from connectors.sources.salesforce import CONNECTOR, soql
from connectors.sources.salesforce.options import SalesforceOptions
from connectors.sources.salesforce.outbound import long_id
from crmbridge.contract import Setting
from crmbridge.errors import InvalidRequest, SourceError
from crmbridge.model import ChangeKind, Choice, FieldSpec, cursors
from crmbridge.testing import Can, SourceContract, answer


class TestSalesforce(SourceContract):
    connector = CONNECTOR
    record_type = TYPE
    fields: ClassVar = WORDS
    can = frozenset({Can.POLL, Can.WEBHOOK, Can.DELETES, Can.MERGES, Can.TEAMS, Can.SCHEMA, Can.LOGIN, Can.QUOTA, Can.LINKS, Can.RIGHTS})
    secrets = (CLIENT_ID, CLIENT_SECRET, HOOK_PATH)

    def stand_in(self, folder):
        return Salesforce()

    def options(self, crm):
        return {
            "url": crm.url,
            "login": {"flow": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
            "outbound": {"organization_id": ORGANIZATION, "path": HOOK_PATH},
            "overlap": 60,
            "page": 10,
            "deletes_every": 0,
        }

    def wrong_credentials(self, options):
        return options | {"login": options["login"] | {"client_secret": "another"}}

    # --- rights

    def test_what_may_be_meant_so_is_said_and_is_no_trouble(self, world, crm):
        """An org without teams, and a login that is not to see everything."""
        crm.with_teams = False
        crm.withdraw("View All Data")
        found = {one.name: one for one in world.call(world.source.rights)}
        assert not any(one.refused for one in found.values())
        assert "only the owner is known" in found["Read on OpportunityTeamMember"].note
        assert "not shared with it" in found["View All Data"].note

    def test_deletions_that_could_not_be_read_are_told_when_they_can(self, world, crm):
        """Nothing of them is lost meanwhile."""
        id = self.begun(crm, world)
        crm.withdraw("getDeleted of Opportunity")
        crm.delete(id)
        crm.tick(120)
        assert world.poll() == []
        crm.give("getDeleted of Opportunity")
        crm.tick(120)
        assert [(one.kind, one.record_id) for one in world.poll()] == [(ChangeKind.DELETED, id)]

    # --- fields

    def test_fields_come_as_their_types_say(self, make, worlds, crm):
        """Parents, parts of an address, picklists with labels in the login's language, dates."""
        names = ("Name", "StageName", "Account.Name", "Owner.Email", "BillingAddress.city", "CloseDate", "Tags__c")
        records = {TYPE: {name: FieldSpec() for name in names}}
        world = worlds(make(records=records), records)
        self.begun(crm, world)
        crm.create(tags="a;b")
        crm.create(title="orphan")
        found = [one.fields for one in sorted(world.poll(), key=lambda one: one.record_id)]
        assert found[0]["StageName"] == Choice("open", "Open")
        assert found[0]["Tags__c"] == (Choice("a", "A"), Choice("b", "B"))
        assert (found[0]["Account.Name"], found[0]["Owner.Email"], found[0]["BillingAddress.city"]) == (
            "Parkers Ltd", "susan@acme.example", "Leeds",
        )  # fmt: skip
        assert str(found[0]["CloseDate"]) == "2026-12-24"
        assert (found[1]["Account.Name"], found[1]["Tags__c"]) == (None, None)

    def test_a_name_is_nothing_but_a_name(self, make, worlds):
        """A configured field cannot bring more into a query."""
        world = worlds(make(records={"Opportunity WHERE Id != null": {"Name": FieldSpec()}}))
        with pytest.raises(SourceError, match="not the API name"):
            world.call(world.source.check)

    # --- logging in

    def test_a_signed_claim_logs_in(self, make, worlds, crm, monkeypatch):
        """RS256 over iss, sub, aud, exp; the key is no part of any error."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        monkeypatch.setenv("KEY", pem)
        login = {"flow": "jwt", "client_id": CLIENT_ID, "user": "bridge@acme.example", "private_key": {"env": "KEY"}}
        world = worlds(make({"login": login}))
        world.call(world.source.check)
        head, claims, signature = crm.assertions[0].split(".")
        key.public_key().verify(_decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
        said = json.loads(_decoded(claims))
        assert (said["iss"], said["sub"], said["aud"]) == (CLIENT_ID, "bridge@acme.example", crm.url)
        assert 0 < said["exp"] - crm.now.timestamp() <= 180
        monkeypatch.setenv("KEY", "-----BEGIN canary no key")
        with pytest.raises(SourceError, match="private_key is not an RSA key") as told:
            worlds(make({"login": login}, name="other")).poll()
        assert "canary" not in str(told.value)

    def test_no_stranger_is_shown_a_token(self, world, crm):
        """An instance_url that is not Salesforce ends the login."""
        crm.then(answer(200, {"access_token": "x" * 20, "instance_url": "https://evil.example"}))
        with pytest.raises(SourceError, match="not Salesforce"):
            world.call(world.source.check)

    def test_scopes_are_looked_at(self, make, worlds, crm, caplog):
        """One that is missing is named; one that nobody needs is told."""
        said = {"access_token": crm.log_in(), "instance_url": crm.url, "scope": "id chatter_api"}
        crm.then(answer(200, said))
        world = worlds(make())
        with pytest.raises(SourceError, match="lacks the OAuth scope api"):
            world.call(world.source.check)
        crm.then(answer(200, said | {"scope": "api web full", "access_token": crm.log_in()}))
        world = worlds(make(name="other"))
        world.call(world.source.check)
        assert [one.scopes for one in caplog.records if hasattr(one, "scopes")] == ["full, web"]

    def test_what_no_new_token_cures_is_not_tried_again(self, world, crm):
        """A session that may not use the API is a matter for an administrator."""
        self.begun(crm, world)
        body = [{"message": "This session is not valid for use with the REST API", "errorCode": "INVALID_SESSION_ID"}]
        crm.then(answer(401, body))
        logins = crm.logins
        with pytest.raises(SourceError, match="not valid for use"):
            world.poll()
        assert crm.logins == logins

    def test_the_daily_limit_is_waited_for_longer(self, world, crm):
        """One code, two limits: the words tell them apart."""
        self.begun(crm, world)
        for words, minutes in (("TotalRequests Limit exceeded.", 15), ("ConcurrentPerOrgLongTxn Limit exceeded.", 1)):
            crm.then(answer(403, [{"message": words, "errorCode": "REQUEST_LIMIT_EXCEEDED"}]))
            with pytest.raises(SourceError) as told:
                world.poll()
            assert told.value.retry_at == crm.now + timedelta(minutes=minutes)

    # --- deletions

    def test_a_type_whose_deletions_nobody_keeps(self, make, worlds, crm):
        """It is read all the same."""
        crm.replicateable = False
        world = worlds(make())
        id = self.begun(crm, world)
        crm.delete(id)
        crm.tick(120)
        assert world.poll() == []
        assert not [one for one in crm.requests if "/deleted/" in one.path]

    def test_deletions_are_asked_for_no_more_often_than_wanted(self, make, worlds, crm):
        """And after a long absence for no more days than they are known."""
        world = worlds(make({"deletes_every": 300}))
        id = self.begun(crm, world)
        world.poll()
        asked = sum("/deleted/" in one.path for one in crm.requests)
        crm.delete(id)
        crm.tick(100)
        assert world.poll() == []
        crm.tick(250)
        assert [one.kind for one in world.poll()] == [ChangeKind.DELETED]
        assert sum("/deleted/" in one.path for one in crm.requests) == asked + 1
        crm.tick(40 * 86_400)
        other = crm.create()
        crm.delete(other)
        crm.tick(120)
        assert [one.record_id for one in world.poll()] == [other]

    def test_who_leaves_a_team_is_deleted_with_what_it_was(self, world, crm):
        """Team members go without a trace in any query: only getDeleted has their ids, and the snapshot who they were."""
        id = self.begun(crm, world)
        crm.hide(id)
        crm.members[id] = crm.now
        crm.tick(120)
        (gone,) = world.poll()
        assert (gone.kind, gone.fields["Name"]) == (ChangeKind.DELETED, "Parkers")

    # --- Outbound Messages

    def test_the_exact_acknowledgement(self, make):
        """Anything else brings the message again for a day."""
        good = make().reply(True)
        assert (good.status, good.content_type) == (200, "text/xml; charset=utf-8")
        assert b'<notificationsResponse xmlns="http://soap.sforce.com/2005/09/outbound"><Ack>true</Ack>' in good.body
        assert (make().reply(False).status, b"<Ack>false</Ack>" in make().reply(False).body) == (503, True)

    def test_a_hundred_notifications_are_read_in_one_go(self, world, crm):
        """Each record once, however often it is named; types that are not configured are left."""
        self.begun(crm, world)
        ids = [crm.create(title=f"Deal {n}") for n in range(50)]
        world.poll()
        for id in ids:
            crm.update(id, stage="won")
        asked = len(crm.requests)
        assert world.hear(crm.message([*ids, *ids])) == 200
        assert sorted(one.record_id for one in world.news()) == sorted(ids)
        assert len(crm.requests) - asked <= 2
        assert world.hear(crm.message(ids[:1], kind="Case")) == 200
        assert (world.news(), world.failed()) == ([], [])

    def test_strangers_are_refused(self, make, crm):
        """Who does not know the path, or comes from another org; and XML that only attackers send, whoever sends it."""
        source = make()
        good = crm.message([crm.create()])
        source.verify(good)
        source.verify(crm.message([], organization=ORGANIZATION[:15]))
        other = crm.message([], organization="00D7F00000107XtUAI")
        bomb = b'<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>'
        changed = [
            good.path[:-1],
            good.path.upper(),
            f"{good.path}x",
            "",
            "canary",
            *[f"{good.path[:n]}!{good.path[n + 1 :]}" for n in range(15)],
        ]
        forged = [replace(good, path=path) for path in changed] + [other, replace(good, body=bomb), replace(good, body=b"<a>" * 100_000)]
        cut = [replace(good, body=good.body[:length]) for length in range(0, len(good.body) - 1, 4)]
        assert len(forged) + len(cut) >= 200
        for one in forged + cut:
            with pytest.raises(InvalidRequest) as told:
                source.verify(one)
            assert 400 <= told.value.status < 500

    def test_the_secret_path_is_not_stored(self, world, crm):
        """The inbox holds what is interpreted, and no more."""
        crm.create()
        (request,) = crm.told()
        world.run(world.store.accept("crm", request.headers, request.query, request.body, crm.now))
        (row,) = world.run(world.store.waiting("crm", 0, 1))
        assert HOOK_PATH not in repr(row)


def _decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_literals():
    """Whatever stands in a value stays in it."""
    assert soql.quoted("O'Neill \\ \n") == "'O\\'Neill \\\\ \\n'"
    position = cursors.Position(after=("2026-01-02T03:04:05Z", "00'6"))
    assert soql.page("A", ["Id"], position, 5) == (
        "SELECT Id FROM A WHERE (SystemModstamp = 2026-01-02T03:04:05Z AND Id > '00\\'6') OR SystemModstamp > 2026-01-02T03:04:05Z "
        "ORDER BY SystemModstamp, Id LIMIT 5"
    )


def test_literals_as_others_write_them(vectors):
    """simple-salesforce's own cases of one quoted string."""
    cases = json.loads((vectors / "simple-salesforce" / "soql-format.json").read_text("utf-8"))
    texts = [case for case in cases if len(case["args"]) == 1 and isinstance(case["args"][0], str) and not case["kwargs"]]
    quoted = [case for case in texts if case["template"].count("{}") == 1]
    named = [case for case in cases if [*case["args"], *case["kwargs"].values()] == ["val'ue1\n", "val'ue2\n"]]
    assert named
    for case in named:
        first, second = soql.quoted(case["args"][0]), soql.quoted(case["kwargs"]["named"])
        assert case["template"].format(first, named=second) == case["expected"]
    for case in quoted:
        assert case["template"].format(soql.quoted(case["args"][0])) == case["expected"]


@pytest.mark.parametrize(
    "id", ["0014H00002LbR7QQAV", "a00D0000008pQRAIA2", "003RO0000035WQgYAM", "005D0000001QX8WIAW", "0019000000B98deAAB"]
)
def test_short_ids_become_long(id):
    """Ids that were seen in the wild."""
    assert long_id(id[:15]) == long_id(id) == id


def test_other_credentials_use_no_kept_token(tmp_path):
    """A doctor that looks after a change of secret or user must log in."""
    with Salesforce() as crm:
        for user_secret, logins in ((CLIENT_SECRET, 1), (CLIENT_SECRET, 1), ("another", 1)):
            login = {"flow": "client_credentials", "client_id": CLIENT_ID, "client_secret": user_secret}
            setting = Setting(name="crm", records={TYPE: {"Name": FieldSpec()}}, state_folder=tmp_path, now=lambda: crm.now)
            source = CONNECTOR.build(CONNECTOR.options(url=crm.url, login=login), setting)
            if user_secret == "another":
                with pytest.raises(SourceError, match="the login is refused"):
                    source.check()
            else:
                source.check()
            source.close()
            assert crm.logins == logins


def test_what_ends_at_salesforce_is_said():
    """Versions up to 40.0 do; the others have no note."""
    login = {"flow": "client_credentials", "client_id": "a", "client_secret": "b"}
    known = {"url": "https://acme.my.salesforce.com", "login": login}
    ((path, words),) = SalesforceOptions(**known, api_version="40.0").notes()
    assert (path, "summer 2027" in words) == (("api_version",), True)
    assert SalesforceOptions(**known, api_version="41.0").notes() == SalesforceOptions(**known).notes() == []
