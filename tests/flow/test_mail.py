"""E-mail from a real daemon: killed while it sends, and what becomes of messages whose answer was lost."""

import json
import re
import time
from collections import Counter

import yaml
from flow.daemon import until
from flow.proofs.forms import forms
from flow.proofs.harness import Bridge, Source, cycles, judge
from flow.test_x import told
from flow.wire.core import Core
from standins.mail import Mail, lost

from crmbridge.model import State

SOON, LATE = 30, 5  # events per second, as in test_proof_kill.py
DELAY = 0.03  # seconds from the last line to its answer: what a kill falls into


def server():
    """A mail server that takes its time."""

    def slow(session):
        session.take()  # the message is in its hands from here on
        time.sleep(DELAY)
        session.say("250 2.0.0 queued")

    return Mail().always("END", slow)


def by_mail(mail, **more):
    """A destination that is as fast as it may be."""
    return {
        "type": "email",
        "host": "127.0.0.1",
        "port": mail.port,
        "tls": "none",
        "from": "news@acme.example",
        "to": "sales@acme.example",
    } | {
        "per_minute": 6000,
        **more,
    }


def marks(mail):
    """The number in each message that was taken, and how often."""
    return Counter(re.search(rb"ev-\d{8}", one.content)[0].decode() for one in mail.taken)


@forms("kills", 10, 200, timeout=5400)
def test_kill_at_random_moments_loses_no_mail(tmp_path, figures, kills):
    """`kill -9` while messages are sent. With `resend` nothing is lost, at most what was under way is doubled, and each double is
    named; with `hold` nothing is doubled, and what may be lost waits for a person by name."""
    began, in_flight = time.monotonic(), Counter()
    with (
        server() as again,
        server() as hold,
        Bridge(tmp_path, {"again": by_mail(again, on_unknown="resend"), "hold": by_mail(hold, on_unknown="hold")}) as daemon,
    ):

        def end():
            daemon.kill()
            for name in ("again", "hold"):
                in_flight[name] += daemon.sending(name)

        daemon.start()
        with Source(daemon, SOON if kills <= 20 else LATE) as source:
            cycles(daemon, source, kills, end, seed=kills)
            n = source.finish()["acknowledged"]
        daemon.quiet()
        status = daemon.ask("status")
        assert sum(one["dead"] for one in status["destinations"]) == 0
        listed = daemon.cli("unknown", "list", "-o", "json")
        assert listed.returncode == 0, listed.stderr
        unknown = [re.search(r"ev-\d{8}", one["text"])[0] for one in json.loads(listed.stdout)["deliveries"]]
        named = resent(daemon)
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.output
        at_again, at_hold = marks(again), marks(hold)
    lost_again, doubled_again = judge("again", n, at_again)
    lost_hold, doubled_hold = judge("hold", n, {**dict.fromkeys(unknown, 1), **at_hold})
    figures(
        "kill -9 while mail is sent",
        ends=kills,
        n=n,
        lost=lost_again,
        doubled=doubled_again,
        under_way=dict(in_flight),
        held_unknown=len(unknown),
        held_doubled=doubled_hold,
        held_lost_and_not_named=lost_hold,
        seconds=round(time.monotonic() - began),
    )

    assert lost_again == 0, status
    assert doubled_again <= in_flight["again"]
    assert {mark for mark, count in at_again.items() if count > 1} <= named
    assert (lost_hold, doubled_hold) == (0, 0)
    assert 0 < len(unknown) <= in_flight["hold"]  # one that is killed again before it is known counts twice


def resent(daemon):
    """The marks of what was sent once more, as the store tells people."""
    import contextlib
    import sqlite3

    with contextlib.closing(sqlite3.connect(f"file:{daemon.folder}/data/crmbridge.db?mode=ro", uri=True)) as store:
        found = store.execute("SELECT message FROM deliveries WHERE destination = 'again' AND reason LIKE 'resent%'").fetchall()
    return {re.search(r"ev-\d{8}", text)[0] for (text,) in found}


def test_each_message_is_explained(tmp_path):
    """A lost answer, a refused recipient, a greylisted one: what people read of each, in a daemon that speaks to a real socket."""
    with Mail() as mail, Bridge(tmp_path, {"mail": by_mail(mail, to=["ann@acme.example", "bob@acme.example"])}) as daemon:
        daemon.start()
        mail.then("RCPT", "550 5.1.1 no such user")
        assert daemon.post(daemon.body(id=1, name="ev-00000001", bucket="001")) == 202
        until(lambda: len(mail.taken) == 1, "the first is sent")
        mail.then("END", lost)
        assert daemon.post(daemon.body(id=2, name="ev-00000002", bucket="002")) == 202
        until(lambda: len(mail.taken) == 3, "the second is sent, and sent again")
        daemon.quiet()
        first = daemon.cli("explain", "crm/Deal/1").stdout
        assert "not taken for ann@acme.example: 550 5.1.1 no such user" in first
        second = daemon.cli("explain", "crm/Deal/2").stdout
        assert "unknown: " in second
        assert "resent: an earlier attempt may have been published" in second or "ev-00000002" in second
        assert len({one.content for one in mail.taken[1:]}) == 1, "with the same bytes"
        assert daemon.stop() == 0


class ByMail(Core):
    """Changes told by e-mail, on a clock that moves when it is told to."""

    YAML = Core.YAML.replace(
        "destinations:\n",
        "destinations:\n  brand: {type: email, host: 127.0.0.1, port: $mail, tls: none, from: a@acme.example, to: b@acme.example}\n",
    ).replace("to: out", "to: brand, thread: record, subject: 'About {{ record.name }}'")

    def prepare(self):
        super().prepare()
        self.mail = self.server("mail", Mail())

    def whole(self):
        self.document(yaml.safe_load(self.YAML))
        return self.start()

    @property
    def publisher(self):
        return self._publishers["brand"][0]

    def states(self):
        return [one.state for one in self.outbox()]


def test_a_wrong_password_pauses_and_loses_nothing(tmp_path):
    with ByMail(tmp_path) as stage:
        stage.whole()
        stage.mail.always("MAIL", "530 5.7.0 Authentication required")
        for id in (1, 2):
            stage.change(id=id)
        stage.publish("brand")
        assert stage.states() == [State.QUEUED] * 2
        assert "530 5.7.0" in told(stage)[1]
        assert stage.publisher.health.paused.until is None
        del stage.mail._always["MAIL"]
        stage._run(stage.store.end_pause("brand"))
        stage.publisher.health.paused = None
        stage.publish("brand")
        assert stage.states() == []
        assert len(stage.mail.taken) == 2


def test_greylisting_is_waited_for(tmp_path):
    """Not before five minutes, nor before what the server names; and it is no attempt that counts."""
    with ByMail(tmp_path) as stage:
        stage.whole()
        stage.mail.then("RCPT", "451 4.7.1 Greylisted for 10 minutes", "450 4.2.0 Greylisted")
        stage.change()
        stage.publish("brand", within=1)
        stage.clock.advance(598)
        stage.publish("brand", within=1)
        assert stage.mail.commands().count("RCPT") == 1
        stage.clock.advance(2)
        stage.publish("brand", within=1)
        assert stage.mail.commands().count("RCPT") == 2
        stage.clock.advance(298)
        stage.publish("brand", within=1)
        assert stage.mail.commands().count("RCPT") == 2
        stage.clock.advance(3)
        stage.publish("brand", within=1)
        assert stage.states() == []
        assert [one.recipients for one in stage.mail.taken] == [["b@acme.example"]]


def test_updates_of_a_record_are_one_conversation(tmp_path):
    with ByMail(tmp_path) as stage:
        stage.whole()
        for stage_name in ("open", "won", "paid"):
            stage.change(stage=stage_name)
            stage.publish("brand")
            stage.clock.advance(1)
        stage.change(id=2, name="Others")
        stage.publish("brand")
        first, second, third, other = (one.parsed() for one in stage.mail.taken)
        assert [one["Subject"] for one in (first, second, third, other)] == [
            "About Parkers", "Re: About Parkers", "Re: About Parkers", "About Others",
        ]  # fmt: skip
        assert {second["References"], third["References"], second["In-Reply-To"]} == {first["Message-ID"]}
        assert other["References"] is None
        assert len({one["Message-ID"] for one in (first, second, third, other)}) == 4


def test_hostile_records_reach_nobody_else(tmp_path):
    """From the webhook to the wire: a record's words are text."""
    evil = "x\r\nBcc: evil@evil.com\r\n\r\n<script>https://evil.com =?utf-8?q?x?= \u202e\x00"
    with ByMail(tmp_path) as stage:
        stage.whole()
        stage.change(name=evil, stage=evil)
        stage.publish("brand")
        (taken,) = stage.mail.taken
        assert taken.recipients == ["b@acme.example"]
        read = taken.parsed()
        assert not read.defects
        assert read["Bcc"] is None
        assert read["Subject"].startswith("About x Bcc: evil@\u200bevil.\u200bcom <script>https:\u200b/\u200b/evil.\u200bcom =?utf-8?q?x?=")
        assert "<script" not in taken.text("html")
        assert "href" not in taken.text("html")


def test_it_is_checked_before_it_is_needed(tmp_path):
    """`doctor` logs in and sends nothing, and names what is wrong."""
    with (
        Mail(users={"bridge": "canary-right"}) as mail,
        Bridge(tmp_path, {"mail": by_mail(mail, user="bridge", password="canary-wrong")}) as daemon,
    ):
        found = daemon.cli("doctor", "-o", "json")
        (one,) = [one for one in json.loads(found.stdout) if "mail" in one["what"]]
        assert not one["ok"]
        assert "535 5.7.8" in json.dumps(one)
        daemon.config["destinations"]["mail"]["password"] = "canary-right"
        daemon.write()
        assert "NOOP" not in mail.commands()
        found = daemon.cli("doctor", "-o", "json")
        (one,) = [one for one in json.loads(found.stdout) if "mail" in one["what"]]
        assert one["ok"], one
        assert mail.commands()[-2:] == ["NOOP", "QUIT"]
        assert not mail.taken
