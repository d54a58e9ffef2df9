"""What the person on call does with a running daemon: hold, release, pause, replay, take back, ask why, back up, adopt, forget."""

import contextlib
import json
import re
import shutil
import sqlite3
import time

import requests
from flow.daemon import inside, until

from crmbridge.testing.server import answer


def listed(daemon, *arguments):
    return json.loads(daemon.cli(*arguments, "-o", "json").stdout)["deliveries"]


def fine(said):
    assert said.returncode == 0, said.stderr + said.stdout
    return said.stdout


def test_a_flood_is_one_summary_and_the_rest_waits(daemon, networks):
    """Fifty thousand imported rows must not be fifty thousand messages; a restart in the middle changes nothing."""
    daemon.keep("sink")
    daemon.config["rules"][0]["surge"] = {"over": 5, "per": "1h"}
    daemon.write()
    daemon.start()
    for n in range(12):
        daemon.post(daemon.body(n))
    daemon.quiet()
    daemon.stop()
    daemon.start()
    for n in range(12, 20):
        daemon.post(daemon.body(n))
    until(lambda: daemon.destination("sink")["held"] == 15, "what is over five waits")

    assert len(networks.said_at_the_sink) == 6
    assert [text for text in networks.said_at_the_sink if text.startswith("More than 5 messages of the rule won came within 60 min")]
    found = listed(daemon, "queue", "list", "--reason", "surge")
    assert len(found) == 15
    assert "sink" in fine(daemon.cli("queue", "list", "--state", "held"))

    assert daemon.cli("queue", "release").returncode == 2
    assert fine(daemon.cli("queue", "release", str(found[0]["id"]), str(found[1]["id"]))) == "2 done\n"
    until(lambda: len(networks.said_at_the_sink) == 8, "two go out")
    assert fine(daemon.cli("queue", "drop", "--rule", "won", "--yes")) == "13 deliveries\n13 done\n"
    assert daemon.destination("sink")["held"] == 0


def test_an_import_does_not_flood_the_feed(daemon, networks):
    """Each record has a channel of its own there: what counts is all of them together; also over a restart."""
    daemon.keep("feed")
    daemon.config["rules"][0]["surge"] = {"over": 2, "per": "1h"}
    daemon.write()
    daemon.start()
    for n in range(15):
        daemon.post(daemon.body(n))
    daemon.quiet()
    daemon.stop()
    daemon.start()
    for n in range(15, 30):
        daemon.post(daemon.body(n))
    until(lambda: daemon.destination("feed")["held"] == 10, "the rest waits")
    daemon.quiet()
    assert len(daemon.feed_posts()) == 20
    fine(daemon.cli("queue", "release", "--rule", "won", "-y"))
    until(lambda: len(daemon.feed_posts()) == 30, "a person lets it go")


def test_what_is_no_longer_so_is_not_said(daemon, networks, monkeypatch):
    """A draft waits over the weekend; by then the deal is lost, and the world must not read that it is won."""
    monkeypatch.setattr("crmbridge.cli.queue._BITE", 1)
    daemon.keep("sink")
    (rule,) = daemon.config["rules"]
    rule |= {"mode": "draft", "match": {"stage": {"becomes": "won"}}}
    daemon.write()
    daemon.start()
    for n in range(3):
        daemon.post(daemon.body(n, 1, name=f"Deal {n}", stage="open"))
        daemon.post(daemon.body(n, 2, name=f"Deal {n}"))
    until(lambda: daemon.destination("sink")["held"] == 3, "all wait")
    daemon.post(daemon.body(1, 3, name="Deal 1", stage="lost"))
    daemon.post(daemon.body(2, 3, name="Deal 2", stage="lost"))
    until(lambda: daemon.ask("explain", name="crm/Deal/2")["records"][0]["now"]["stage"] == "lost", "two are lost")

    number = next(one["id"] for one in listed(daemon, "queue", "list") if one["text"].startswith("Deal 2"))
    assert fine(daemon.cli("queue", "release", "--outdated", str(number))) == "1 done\n"
    said = fine(daemon.cli("queue", "release", "--rule", "won", "-y"))
    assert said == "2 deliveries\n1 done, 1 dropped: no longer so, see `explain`\n"
    daemon.quiet()
    assert sorted(networks.said_at_the_sink) == ["Deal 0 signed", "Deal 2 signed"]
    assert "outdated: stage is no longer won: it is lost" in fine(daemon.cli("explain", "crm/Deal/1"))


def test_what_the_public_reads_waits_whole(daemon, networks):
    """No summary on X."""
    daemon.keep("brand")
    daemon.config["rules"][0]["surge"] = {"over": 2, "per": "1h"}
    daemon.write()
    daemon.start()
    for n in range(6):
        daemon.post(daemon.body(n))
    until(lambda: daemon.destination("brand")["held"] == 4, "the rest waits")
    assert len(networks.said_on_x) == 2


def test_a_pause_outlives_a_restart_and_says_why(daemon, networks):
    """Changes come in all the same; `latest` spares what is outdated by then."""
    daemon.keep("sink")
    daemon.start()
    assert daemon.cli("pause", "sink", "--reason", " ").returncode == 1
    assert daemon.cli("pause", "snik", "--reason", "x").returncode == 1
    fine(daemon.cli("pause", "sink", "--reason", "they move house"))
    for version in (1, 2, 3):
        daemon.post(daemon.body(1, version, name=f"Parkers {version}"))
    daemon.post(daemon.body(2, 1))
    daemon.kill()
    daemon.start()
    until(lambda: daemon.destination("sink")["queued"] == 4, "all are taken in")

    assert networks.said_at_the_sink == []
    killed = daemon.cli("status")
    assert (killed.returncode, "ended_uncleanly" in killed.stdout) == (1, True)
    fine(daemon.cli("status", "--seen"))
    said = fine(daemon.cli("status"))
    assert "The destination sink is paused: they move house" in said
    assert fine(daemon.cli("resume", "sink", "--say", "latest")) == "resumed sink; 2 are not said one by one\n"
    until(lambda: len(networks.said_at_the_sink) == 2, "the newest of each record")
    assert sorted(networks.said_at_the_sink) == ["Parkers 3 signed", "Parkers signed"]
    assert daemon.cli("resume", "sink").returncode == 1


def test_a_paused_rule_and_a_summary(daemon, networks):
    """A rule is silent alone; afterwards one message says how much there was."""
    daemon.keep("sink")
    daemon.start()
    fine(daemon.cli("pause", "won", "--reason", "wrong words"))
    for n in range(5):
        daemon.post(daemon.body(n))
    until(lambda: daemon.destination("sink")["queued"] == 5, "all wait")
    time.sleep(0.3)
    assert networks.said_at_the_sink == []
    fine(daemon.cli("resume", "won", "--say", "summary"))
    until(lambda: networks.said_at_the_sink, "a summary")
    assert networks.said_at_the_sink == ["5 messages waited during a pause and are not said one by one: won."]


def test_drafts_and_shadows(daemon, networks):
    """A draft waits for a person, a shadow is only recorded, and `--shadow` makes everything one."""
    daemon.keep("sink")
    (rule,) = daemon.config["rules"]
    daemon.config["rules"] = [rule | {"id": "draft", "mode": "draft"}, rule | {"id": "shadow", "mode": "shadow"}, rule | {"id": "live"}]
    daemon.write()
    daemon.start()
    daemon.post(daemon.body())
    until(lambda: len(networks.said_at_the_sink) == 1, "one is live")
    (held,) = listed(daemon, "queue", "list", "--state", "held")
    assert (held["rule"], held["reason"]) == ("draft", "draft")
    (told,) = json.loads(daemon.cli("explain", "crm/Deal/1", "-o", "json").stdout)["records"]
    assert {("draft", "held"), ("shadow", "unsaid"), ("live", "delivered")} == {
        (one["rule"], one["state"]) for one in told["changes"][0]["deliveries"]
    }


def test_a_shadow_says_nothing_of_what_waited_either(daemon, networks):
    """Neither what was queued before, nor what a person releases or replays meanwhile; all of it once it runs for real."""
    daemon.keep("sink")
    daemon.start()
    fine(daemon.cli("pause", "sink", "--reason", "later"))
    for n in (1, 2):
        daemon.post(daemon.body(n))
    until(lambda: daemon.destination("sink")["queued"] == 2, "both wait")
    fine(daemon.cli("queue", "hold", "--record", "crm/Deal/2", "-y"))
    daemon.stop()

    daemon.start("--shadow")
    fine(daemon.cli("resume", "sink"))
    fine(daemon.cli("queue", "release", "--all", "-y"))
    daemon.post(daemon.body(3))
    until(lambda: daemon.ask("explain", name="crm/Deal/3")["records"], "the third is taken in")
    time.sleep(0.5)
    assert networks.said_at_the_sink == []
    sink = daemon.destination("sink")
    assert (sink["state"], sink["words"]) == ("silent", "it runs with --shadow")
    assert "--shadow" in daemon.cli("retract", "1", "-y").stderr
    daemon.stop()

    daemon.start()
    daemon.quiet()
    assert len(networks.said_at_the_sink) == 2


def test_why_and_why_not(daemon, networks):
    """From a record, its id, a message, an address that only its network knows; and for what never came."""
    daemon.keep("sink", "wins")
    daemon.start()
    daemon.post(daemon.body(7, 1, stage="open"))
    daemon.post(daemon.body(7, 2))
    daemon.quiet()
    by_record = json.loads(daemon.cli("explain", "crm/Deal/7", "-o", "json").stdout)["records"]
    won, opened = by_record[0]["changes"]
    assert (opened["rules"][0]["matched"], "stage is won: it is open" in opened["rules"][0]["reason"]) == (False, True)
    assert [one["state"] for one in won["deliveries"]] == ["delivered", "delivered"]
    assert by_record[0]["now"] == {"name": "Parkers", "stage": "won"}

    for name in ("7", "https://crm.example.com/deals/7/edit", won["id"], str(won["deliveries"][0]["id"])):
        found = json.loads(daemon.cli("explain", name, "-o", "json").stdout)["records"]
        assert [one["record"] for one in found] == ["crm/Deal/7"], name
    link = "https://acme.slack.com/archives/C1/p1700000001000100"
    assert [one["record"] for one in json.loads(daemon.cli("explain", link, "-o", "json").stdout)["records"]] == ["crm/Deal/7"]
    text = fine(daemon.cli("explain", "7"))
    assert "rule won: does not run: stage is won: it is open" in text
    said = re.search(r'-> sink: delivered.*\n +"(.+)"\n', text)
    assert said, text
    assert said[1] == next(one["text"] for one in won["deliveries"] if one["destination"] == "sink"), "what was said stands beside it"

    never = fine(daemon.cli("explain", "crm/Deal/999"))
    assert "no change of such a record has come in" in never
    daemon.kill()
    assert "rule won: runs" in fine(daemon.cli("explain", "7")), "the database is enough"


def test_a_record_by_its_name(daemon, networks):
    """With a daemon and without: one is explained, of several there is a list; what is secret finds nobody."""
    daemon.keep("sink")
    daemon.config["sources"]["crm"]["records"]["Deal"]["fields"]["note"] = "secret"
    daemon.write()
    daemon.start()
    for n, name in enumerate(("Acme", "Parkers", "Big Parkers roll-out", "PARKERS (old)", "Müller"), 101):
        daemon.post(daemon.body(n, name=name, note="xyzzy-the-note"))
    daemon.post(daemon.body(1, name="Small"))
    daemon.quiet()

    for _ in range(2):
        one = fine(daemon.cli("explain", "MÜLL"))
        assert one.startswith("crm/Deal/105  revision 1\n")
        assert one.endswith("found by its name: name is Müller\n")
        said = json.loads(fine(daemon.cli("explain", "parkers", "-o", "json")))
        assert [one["record"] for one in said["found"]] == ["crm/Deal/102", "crm/Deal/104", "crm/Deal/103"]
        text = fine(daemon.cli("explain", "parkers")).splitlines()
        assert text[1].split(maxsplit=1) == ["crm/Deal/102", "name: Parkers"]
        assert text[-1] == '3 records have "parkers" in their names. Next: `crmbridge explain crm/Deal/102`'
        assert "nothing here is known as xyzzy" in fine(daemon.cli("explain", "xyzzy"))

        (told,) = json.loads(fine(daemon.cli("explain", "1", "-o", "json")))["records"]
        assert told["record"] == "crm/Deal/101", "the first delivery is about it"
        assert fine(daemon.cli("explain", "1")).endswith(
            "1 is delivery 1 here; it is also the id of crm/Deal/1: `crmbridge explain crm/Deal/1`\n"
        )
        assert "delivery 101" not in fine(daemon.cli("explain", "crm/Deal/1"))
        daemon.stop()


def test_replay_says_only_what_never_was(daemon, networks, monkeypatch):
    """A rule that came too late speaks for the past; what was said stays said, unless it is wanted again."""
    daemon.keep("sink", "wins")
    for step in list(daemon.config["rules"][0]["publish"]):
        if step["to"] == "wins":
            daemon.config["rules"][0]["publish"].remove(step)
    daemon.write()
    daemon.start()
    for n in range(3):
        daemon.post(daemon.body(n))
    daemon.quiet()
    daemon.config["rules"][0]["publish"].append({"to": "wins", "text": "late: {{ record.name }}"})
    daemon.write()
    fine(daemon.cli("reload"))

    dry = json.loads(daemon.cli("replay", "--since", "1h", "--dry-run", "-o", "json").stdout)
    assert (dry["changes"], dry["messages"], {one["to"] for one in dry["examples"]}) == (3, 3, {"wins"})
    assert networks.said_on_slack == []
    assert fine(daemon.cli("replay", "--since", "1h", "--yes")).endswith("3 queued\n")
    until(lambda: len([one for one in networks.said_on_slack if one.startswith("late")]) == 3, "what was never said")
    assert len(networks.said_at_the_sink) == 3
    assert json.loads(daemon.cli("replay", "--since", "1h", "--dry-run", "-o", "json").stdout)["messages"] == 0
    fine(daemon.cli("replay", "--since", "1h", "--record", "crm/Deal/1", "--rule", "won", "--again", "--yes"))
    until(lambda: len(networks.said_at_the_sink) == 4, "once more, as it was wanted")

    daemon.kill()  # now the verb works on the database by itself, and the journal comes in bites
    monkeypatch.setattr("crmbridge.operate.replay._PAGE", 1)
    monkeypatch.setattr("crmbridge.operate.replay._BITE", 1)
    time.sleep(1.1)  # what is said again is so once a second
    again = json.loads(daemon.cli("replay", "--since", "1h", "--again", "--dry-run", "-o", "json").stdout)
    assert (again["changes"], again["messages"], len(again["examples"])) == (3, 6, 6)


def test_taking_back(daemon, networks):
    """By its number, its id at the network, or a rule's since an hour; a network that cannot says so."""
    daemon.keep("feed", "wins")
    daemon.start()
    for n in range(2):
        daemon.post(daemon.body(n, name=f"Parkers {n}"))
        daemon.quiet()
    (later,) = [
        one for one in daemon.ask("explain", name="crm/Deal/1")["records"][0]["changes"][0]["deliveries"] if one["destination"] == "wins"
    ]
    assert later["receipt"]["url"].startswith("https://acme.slack.com/archives/C1/p17"), "the login told where links begin"
    posts = {one["destination"]: one for one in daemon.ask("explain", name="crm/Deal/0")["records"][0]["changes"][0]["deliveries"]}

    assert fine(daemon.cli("retract", posts["feed"]["receipt"]["url"], "--yes")) == "1 published, 0 waiting\n1 taken back, 0 dropped\n"
    assert requests.get(posts["feed"]["receipt"]["url"], timeout=5, allow_redirects=False).status_code in (302, 303, 404)
    fine(daemon.cli("retract", posts["wins"]["receipt"]["remote_id"], "--yes"))
    assert [one.path for one in networks.slack.seen][-1] == "/chat.delete"
    assert daemon.cli("retract", "--rule", "won", "--yes").returncode == 1
    rest = fine(daemon.cli("retract", "--rule", "won", "--since", "1h", "--yes"))
    assert rest == "2 published, 0 waiting\n2 taken back, 0 dropped\n"
    assert daemon.cli("retract", "--rule", "won", "--since", "1h", "--yes").returncode == 1


def test_a_restored_database_is_silent_until_it_is_adopted(daemon, networks, tmp_path):
    """What waits in it may have been said long ago: it is held, and a person decides."""
    daemon.keep("sink")
    networks.sink.refuse()
    daemon.start()
    daemon.post(daemon.body(1))
    until(lambda: daemon.destination("sink")["queued"] == 1, "it waits")
    fine(daemon.cli("backup", str(tmp_path / "kept")))
    assert daemon.cli("backup", str(tmp_path / "kept")).returncode == 1
    assert daemon.cli("restore", str(tmp_path / "kept"), "--yes").returncode == 1, "a daemon runs"
    assert daemon.stop() == 0
    fine(daemon.cli("restore", str(tmp_path / "kept"), "--yes"))
    assert [path for path in (tmp_path / "data").iterdir() if ".before-" in path.name]

    networks.sink.then()
    daemon.start()
    said = daemon.cli("status")
    assert (said.returncode, "Nothing is published" in said.stdout) == (1, True)
    daemon.post(daemon.body(2))
    until(lambda: daemon.destination("sink")["queued"] == 2, "changes come in")
    fine(daemon.cli("adopt", "--yes"))
    assert daemon.destination("sink")["held"] == 2
    assert daemon.cli("adopt", "--yes").returncode == 1
    assert daemon.stop() == 0
    daemon.start()
    assert "Nothing is published" not in daemon.cli("status").stdout


def test_a_backup_is_verified_and_one_that_is_spoilt_is_not_restored(daemon, networks, tmp_path):
    """Made by the schedule at the first start and by order; looked at with no daemon and no configuration."""
    daemon.keep("sink")
    daemon.config["backup"] = {"folder": str(tmp_path / "nightly")}
    daemon.write()
    daemon.start()
    daemon.post(daemon.body(1))
    daemon.quiet()
    until(lambda: daemon.ask("status")["backup"]["made"], "the first is made")
    fine(daemon.cli("backup", str(tmp_path / "kept")))
    assert "\nbackup: 20" in daemon.cli("status").stdout
    assert daemon.stop() == 0
    (nightly,) = (tmp_path / "nightly").iterdir()

    for one in (nightly, tmp_path / "kept"):
        said = fine(inside(["backup", "--verify", one]))
        assert "crmbridge store, schema" in said
        assert said.endswith(f"it is whole: `crmbridge restore {one}` takes it\n")
    assert ", events 1," in said
    assert json.loads(inside(["backup", "--verify", tmp_path / "kept", "-o", "json"]).stdout)["ok"] is True
    assert inside(["backup", "--verify", tmp_path / "nowhere"]).returncode == 1

    spoilt = tmp_path / "kept" / "crmbridge.db"
    spoilt.write_bytes(spoilt.read_bytes()[:-4096])
    said = inside(["backup", "--verify", tmp_path / "kept"])
    assert (said.returncode, "wrong: crmbridge.db: it has" in said.stdout) == (1, True)
    before = (tmp_path / "data" / "crmbridge.db").read_bytes()
    refused = daemon.cli("restore", str(tmp_path / "kept"), "--yes")
    assert (refused.returncode, "cannot be restored: crmbridge.db: " in refused.stderr) == (1, True)
    assert (tmp_path / "data" / "crmbridge.db").read_bytes() == before

    (nightly / "backup.json").unlink()
    assert "an earlier crmbridge made it" in fine(daemon.cli("restore", str(nightly), "--yes"))
    daemon.start()
    assert "Nothing is published" in daemon.cli("status").stdout
    assert daemon.stop() == 0

    shutil.rmtree(tmp_path / "data")  # a new machine has no such folder yet
    fine(daemon.cli("restore", str(nightly), "--yes"))
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_kill_in_the_midst_of_a_backup_leaves_none_that_looks_whole(daemon, networks, tmp_path):
    """`kill -9` once the copy is begun; the next daemon makes it, and clears away the half."""
    daemon.keep("sink")
    daemon.config["backup"] = {"folder": str(tmp_path / "nightly")}
    daemon.start()
    daemon.stop()
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "crmbridge.db")) as db:
        db.execute("CREATE TABLE ballast (b BLOB)")
        db.executemany("INSERT INTO ballast VALUES (randomblob(1000000))", [()] * 60)
        db.commit()
    daemon.write()
    daemon.spawn()
    until(lambda: list(tmp_path.glob("nightly/.*/*/crmbridge.db")) or list(tmp_path.glob("nightly/crmbridge-*")), "it is begun")
    daemon.kill()
    for one in tmp_path.glob("nightly/crmbridge-*"):
        fine(inside(["backup", "--verify", one]))
    daemon.start()
    until(lambda: daemon.ask("status")["backup"]["made"], "it is made")
    (whole,) = (tmp_path / "nightly").iterdir()
    fine(inside(["backup", "--verify", whole]))


def test_a_rolled_back_database_is_noticed(daemon, networks, tmp_path):
    """A copy of yesterday's file in place of today's, with everything beside it."""
    daemon.keep("sink")
    daemon.start()
    daemon.stop()
    data = tmp_path / "data"
    old = (data / "crmbridge.db").read_bytes()
    for _ in range(2):
        daemon.start()
        daemon.stop()
    (data / "crmbridge.db").write_bytes(old)
    daemon.start()
    assert "rolled back" in daemon.ask("status")["mute"]


def test_forgetting(daemon, networks):
    """Nothing of the record is left in the database; what the networks hold stays there."""
    daemon.keep("sink")
    daemon.start()
    daemon.post(daemon.body(1, name="Secretive & Sons"))
    daemon.quiet()
    assert "1 change and 1 message" in fine(daemon.cli("forget", "crm/Deal/1", "--yes"))
    assert "no change of such a record" in fine(daemon.cli("explain", "crm/Deal/1"))
    assert daemon.stop() == 0
    for path in (daemon.folder / "data").iterdir():
        if path.is_file() and path.suffix == ".db" and "chirp" not in path.name:
            assert b"Secretive" not in path.read_bytes(), path


def test_alerts_and_heartbeat(daemon, networks):
    """Who looks after it is told once when it begins and once when it is over."""
    daemon.keep("sink", "wins")
    (daemon.folder / "secrets" / "beat").write_text(f"{networks.sink.url}/beat\n")
    daemon.config["alerts"] = {"to": "sink", "heartbeat": {"file": "secrets/beat"}}
    daemon.write()
    networks.slack.then(answer(200, {"ok": False, "error": "invalid_auth"}))
    daemon.start()
    daemon.post(daemon.body())

    def alarms():
        told = [one.json()["data"] for one in list(networks.sink.seen) if one.method == "POST"]
        return [one["text"] for one in told if one["rule"] == "alerts"]

    until(lambda: alarms(), "somebody is told")
    assert "The destination wins is paused: Slack refused: invalid_auth" in alarms()[0]
    assert any(one.path == "/beat" for one in networks.sink.seen)
    fine(daemon.cli("resume", "wins"))
    until(lambda: len(alarms()) == 2, "it is over")
    assert alarms()[1] == "crmbridge: Over: destination wins"


def test_a_record_does_nothing_to_the_terminal_of_who_looks(daemon):
    """Escape sequences, carriage returns, turned text and lines of its own are shown as what they are, by every verb."""
    evil = "Parkers\x1b[2J\x1b]0;owned\x07\r\u202eevil\ndelivery 1  delivered"
    daemon.keep("sink")
    daemon.write()
    daemon.start()
    fine(daemon.cli("pause", "all", "--reason", "a look first"))
    assert daemon.post(daemon.body(1, name=evil)) == 202
    until(lambda: daemon.destination("sink")["queued"] == 1, "it waits")
    (daemon.folder / "change.json").write_text(json.dumps({"source": "crm", "record": "Deal", "fields": {"name": evil, "stage": "won"}}))
    verbs = [["queue", "list"], ["queue", "show", "1"], ["explain", "crm/Deal/1"], ["render", str(daemon.folder / "change.json")]]
    for verb in verbs:
        shown = fine(daemon.cli(*verb))
        assert not set(shown) & set("\x1b\x07\r\u202e"), verb
        assert not [line for line in shown.splitlines() if line.startswith("delivery 1  delivered")], verb
        assert "Parkers" in json.dumps(json.loads(fine(daemon.cli(*verb, "-o", "json"))))


def test_a_misspelt_order_is_no_order(daemon, networks):
    """An order on nothing looks as if it were done; of an option that is given twice nobody knows which was meant."""
    daemon.keep("sink").start()
    for verb in (["queue", "drop"], ["queue", "list"], ["dead", "list"], ["dead", "drop"]):
        said = daemon.cli(*verb, "--destination", "snik", *(["-y"] if verb[1] == "drop" else []))
        assert (said.returncode, 'there is no destination "snik"; did you mean "sink"?' in said.stderr) == (1, True), said
    rule = daemon.config["rules"][0]["id"]
    said = daemon.cli("queue", "list", "--rule", f"{rule}x")
    assert (said.returncode, f'did you mean "{rule}"?' in said.stderr) == (1, True)
    twice = daemon.cli("queue", "drop", "--record", "crm/Deal/1", "--record", "crm/Deal/2", "-y")
    assert (twice.returncode, "give it once: crm/Deal/1 or crm/Deal/2?" in twice.stderr) == (2, True)


def test_a_paused_destination_is_not_tried(daemon, networks):
    """Unless that is meant: whoever silenced it relies on it."""
    daemon.keep("sink").start()
    fine(daemon.cli("pause", "sink", "--reason", "a fair"))
    said = daemon.cli("send-test", "sink", "-y")
    assert (said.returncode, said.stderr) == (1, "crmbridge: sink is paused (a fair); --even-paused says it all the same\n")
    assert networks.said_at_the_sink == []
    fine(daemon.cli("send-test", "sink", "-y", "--even-paused"))
    assert len(networks.said_at_the_sink) == 1


def test_a_restored_backup_does_not_ask_for_itself(daemon, networks, tmp_path):
    """It holds its own order, half done: nobody need give that again."""
    daemon.keep("sink").start()
    fine(daemon.cli("backup", str(tmp_path / "kept")))
    assert daemon.stop() == 0
    fine(daemon.cli("restore", str(tmp_path / "kept"), "--yes"))
    daemon.start()
    assert "this database may be the backup that it made" in daemon.cli("orders").stdout
