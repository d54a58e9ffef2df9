"""The daemon as people run it: a real process, real sockets, kill -9, and stand-ins that count."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import requests
from flow.daemon import CRMBRIDGE, NOWHERE, SECRETS, Daemon, Networks, until
from prometheus_client.parser import text_string_to_metric_families

from crmbridge.testing import answer


def test_one_webhook_five_times_through_kills_is_one_message(tmp_path):
    """THE SHOW: sent five times, the daemon killed between and right after its 202; said once on every network."""
    with Daemon(tmp_path) as daemon, Networks() as networks:
        body = daemon.body()
        daemon.start()
        assert daemon.post(body) == 202
        daemon.kill()  # right after it took it in; nothing can have been published, for nobody listens there

        destinations = daemon.config["destinations"]
        destinations["wins"]["api_url"], destinations["brand"]["api_url"] = networks.slack.url, networks.x.url
        destinations["sink"]["url"] = networks.sink.url
        daemon.write()
        daemon.start()
        daemon.quiet(looked_for=("wins", "brand"))  # what a kill left in doubt is sent again
        daemon.kill()

        daemon.start()
        assert daemon.post(body) == 202
        daemon.kill()  # right after the 202 of a redelivery

        daemon.start()
        assert daemon.post(body) == 202
        daemon.quiet(looked_for=("wins", "brand"))  # what a kill left in doubt is sent again
        daemon.kill()

        daemon.start()
        assert [daemon.post(body), daemon.post(body)] == [202, 202]
        daemon.quiet(looked_for=("wins", "brand"))  # what a kill left in doubt is sent again
        time.sleep(0.3)

        assert networks.said_on_slack == ["Parkers signed"]
        assert networks.said_on_x == ["Parkers signed"]
        assert len(set(networks.keys_at_the_sink)) == 1
        (page,) = daemon.feed_pages()
        assert page.count("Parkers signed") == 1
        assert daemon.feed_posts() == ["Parkers signed"]
        assert daemon.ask("dead_list")["deliveries"] + daemon.ask("unknown_list")["deliveries"] == []


def test_there_and_back_by_bodies_that_nothing_names(tmp_path):
    """Open, Won, Open, Lost, each sent three times with kills between: each told once, and `explain` tells what was taken for a repeat."""
    with Daemon(tmp_path) as daemon:
        said = tmp_path / "said.jsonl"
        del daemon.config["sources"]["crm"]["map"]["version"]
        daemon.config["destinations"] = {"out": {"type": "file", "path": str(said)}}
        text = "{{ before.stage | default('?') }} -> {{ record.stage }}"
        rule = {"id": "any", "when": {"source": "crm", "record": "Deal"}, "publish": [{"to": "out", "text": text}]}
        daemon.config["rules"] = [rule]
        daemon.write()
        noted = daemon.cli("lint")
        assert noted.returncode == 0
        assert "sources.crm.map: nothing tells a late repeat from a change" in noted.stdout
        assert json.loads(daemon.cli("lint", "-o", "json").stdout)["notes"][0]["path"] == "sources.crm.map"

        daemon.start()
        for stage in ("Open", "Won", "Open", "Lost"):
            body = daemon.body(stage=stage)
            assert daemon.post(body) == 202
            daemon.kill()  # right after it took it in
            daemon.start()
            daemon.quiet()
            daemon.kill()
            daemon.start()
            assert [daemon.post(body), daemon.post(body)] == [202, 202]
            daemon.quiet()
        lines = [json.loads(line) for line in said.read_text("utf-8").splitlines()]
        texts = list({line["key"]: line["text"] for line in lines}.values())  # what a kill left in doubt is written again, under its key
        assert texts == ["? -> Open", "Open -> Won", "Won -> Open", "Open -> Lost"]

        told = daemon.cli("explain", "crm/Deal/1").stdout
        again = r"note: what crm sent (\d) times, last at \S+, has the same bytes as at \S+, and nothing else of this record came between"
        assert [int(count) for count in re.findall(again, told)] == [2, 4, 2]  # Lost, Open, Won: a row for each body
        (record,) = daemon.ask("explain", name="1")["records"]
        assert [(one["same"], one["count"]) for one in record["repeats"]] == [("bytes", 2), ("bytes", 4), ("bytes", 2)]
        (source,) = daemon.ask("status")["sources"]
        assert source["repeated"] == 2  # since it was started last
        assert "2 repeats of crm since" in daemon.cli("status").stdout


def test_a_repeat_of_something_else_is_found(tmp_path):
    """Who maps as an id what is none finds out why a record was never heard of."""
    with Daemon(tmp_path).keep("sink") as daemon:
        daemon.config["sources"]["crm"]["map"] |= {"version": "body.none", "observation_id": "headers.X-Batch"}
        daemon.write()
        daemon.start()
        for id in (1, 2):
            assert daemon.post(daemon.body(id), **{"x-BATCH": "b-1"}) == 202
        until(lambda: not daemon.waiting()[0], "both are interpreted")
        for name in ("crm/Deal/2", "2"):
            told = daemon.cli("explain", name).stdout
            assert re.search(
                r"note: what crm sent at \S+ has the id b-1, which came at \S+ already: taken for a repeat, and not looked at", told
            ), told


def test_sigterm_ends_cleanly_and_doubles_nothing(tmp_path):
    """In the middle of many messages: exit 0 within 10 s; the rest goes out afterwards, each once, none unknown."""
    with Networks(delay=0.05) as networks, Daemon(tmp_path, networks) as daemon:
        daemon.keep("brand", "sink").start()
        for n in range(20):
            assert daemon.post(daemon.body(n, name=f"Account {n}")) == 202
        until(lambda: len(networks.said_on_x) >= 3, "some are published")
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 10
        assert len(networks.said_on_x) < 20, "the stop came too late to prove anything"

        daemon.start()
        daemon.quiet()
        assert sorted(f"Account {n} signed" for n in range(20)) == sorted(networks.said_on_x)
        assert 20 == len(networks.keys_at_the_sink) == len(set(networks.keys_at_the_sink))
        assert sum(one["unknown"] + one["dead"] for one in daemon.ask("status")["destinations"]) == 0
        assert daemon.stop() == 0


def test_reload(daemon, networks):
    """A good configuration speaks at once; a bad one is refused, with its reason everywhere, and the old one speaks on."""
    daemon.keep("sink").start()
    daemon.config["rules"].append(
        {
            "id": "lost",
            "when": {"source": "crm", "record": "Deal"},
            "match": {"stage": "lost"},
            "publish": [{"to": "sink", "text": "{{ record.name }} lost"}],
        }
    )
    daemon.write()
    done = daemon.cli("reload")
    assert (done.returncode, done.stdout) == (0, "reloaded: 2 rules\n")
    daemon.post(daemon.body(1, stage="lost"))
    until(lambda: networks.said_at_the_sink == ["Parkers lost"], "the new rule speaks")

    good = daemon.path.read_text()
    for how in ("verb", "signal"):
        daemon.path.write_text(good.replace("to: sink", "to: snik", 1))
        if how == "verb":
            refused = daemon.cli("reload")
            assert refused.returncode == 1
            assert 'no destination "snik"; did you mean "sink"?' in refused.stderr
        else:
            daemon.process.send_signal(signal.SIGHUP)
            until(lambda: daemon.ask("status")["last_reload"] != "ok", "the signal is heeded")
        assert 'did you mean "sink"' in daemon.ask("status")["last_reload"]
        assert "reload_refused" in daemon.cli("status").stdout
        assert "crmbridge_last_reload_successful 0.0" in daemon.admin("GET", "/metrics")[1]
        seen = len(networks.sink.seen)
        daemon.post(daemon.body(2 if how == "verb" else 3))
        until(lambda seen=seen: len(networks.sink.seen) == seen + 1, "the old rules speak on")
        daemon.path.write_text(good)
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: daemon.ask("status")["last_reload"] == "ok", "SIGHUP applies the good one")
        assert "crmbridge_last_reload_successful 1.0" in daemon.admin("GET", "/metrics")[1]

    daemon.path.write_text(good.replace("data/crmbridge.db", "data/other.db"))
    assert "store.path cannot change while crmbridge runs" in daemon.cli("reload").stderr
    daemon.path.write_text("")  # not even the daemon's address can be read from it
    assert daemon.cli("reload").returncode == 3
    daemon.path.unlink()
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: daemon.ask("status")["last_reload"] != "ok", "a file that is gone")
    daemon.path.write_text(good)
    assert daemon.cli("reload").returncode == 0
    assert daemon.stop() == 0


def test_a_file_that_is_no_yaml_shuts_nobody_out(daemon, networks):
    """The daemon runs on with what it read; who edits at night must still see it, and stop it from speaking."""
    daemon.keep("sink").start()
    good = daemon.path.read_text()
    daemon.path.write_text(good + "rules2: {\n")

    assert "sink         webhook" in daemon.cli("status").stdout
    assert daemon.cli("pause", "sink", "--reason", "at night").returncode == 0
    refused = daemon.cli("reload")
    assert (refused.returncode, "not YAML" in refused.stderr) == (1, True)
    assert "reload_refused" in daemon.cli("status").stdout

    assert daemon.stop() == 0
    said = daemon.cli("status")
    assert (said.returncode, "not YAML" in said.stderr) == (3, True)


def test_a_hang_up_while_it_starts_is_heeded_afterwards(daemon, networks):
    """It neither ends the daemon nor is lost: the file may have changed since it was read."""
    daemon.keep("sink").write()
    read_first = daemon.path.read_text()
    daemon.path.unlink()
    os.mkfifo(daemon.path)
    daemon.spawn()
    with daemon.path.open("w") as pipe:  # the daemon is reading
        daemon.process.send_signal(signal.SIGHUP)
        daemon.path.unlink()
        daemon.path.write_text(read_first.replace("signed", "went live"))
        pipe.write(read_first)
    daemon.until_ready()
    until(lambda: "reloaded" in daemon.output, "the signal is heeded")
    daemon.post(daemon.body())
    until(lambda: networks.said_at_the_sink == ["Parkers went live"], "the second file speaks")


def test_a_reload_that_cannot_be_built_changes_nothing(daemon, networks):
    """A connector that objects only when it is built must not leave half a configuration behind."""
    daemon.keep("sink").start()
    daemon.config["sources"]["other"] = {"type": "webhook", "signature": {"scheme": "none"}, "map": daemon.config["sources"]["crm"]["map"]}
    daemon.config["destinations"]["feed"] = {"type": "chirp"}
    daemon.write()
    refused = daemon.cli("reload")
    assert refused.returncode == 1
    assert "restart" in refused.stderr

    assert [one["name"] for one in daemon.ask("status")["destinations"]] == ["sink"]
    assert requests.post(f"{daemon.url}/hooks/other", data=b"{}", timeout=5).status_code == 404
    assert daemon.post(daemon.body()) == 202
    daemon.quiet()
    assert len(networks.sink.seen) == 1


def test_a_destination_with_open_messages_cannot_be_removed(daemon, networks):
    """They would be lost; once they are out it can."""
    networks.sink.default = answer(503, b"", {"Retry-After": "2"})
    daemon.keep("sink", "wins").start()
    daemon.post(daemon.body())
    until(lambda: networks.sink.seen and networks.slack.seen, "an attempt")
    whole = json.loads(json.dumps(daemon.config))
    daemon.keep("wins")
    refused = daemon.cli("reload")
    assert refused.returncode == 1
    assert "the destination sink has 1 queued message: it cannot be removed yet" in refused.stderr

    networks.sink.default = answer(200)
    daemon.quiet()
    assert daemon.cli("reload").returncode == 0
    assert [one["name"] for one in daemon.ask("status")["destinations"]] == ["wins"]
    daemon.config = whole


def test_a_wrong_token_pauses_its_destination_only(daemon, networks):
    """Nothing is lost, intake goes on, status says what to do; with the token put right and a reload all goes out."""
    networks.slack.default, good = answer(200, {"ok": False, "error": "invalid_auth"}), networks.slack.default
    daemon.keep("wins", "sink").start()
    assert daemon.post(daemon.body(1)) == 202
    until(lambda: daemon.destination("wins")["state"] == "refused", "the destination pauses")

    assert daemon.post(daemon.body(2, name="Hill")) == 202
    until(lambda: len(networks.sink.seen) == 2, "the other destination goes on")
    said = daemon.cli("status", "-o", "json")
    assert said.returncode == 1  # something needs a person
    status = json.loads(said.stdout)
    (wins, sink) = status["destinations"]
    assert (wins["queued"], sink["state"]) == (2, "ok")
    assert "invalid_auth" in wins["words"]
    assert "`crmbridge resume wins`" in wins["words"]
    assert [(one["code"], one["about"]) for one in status["troubles"]] == [("destination_refused", "wins")]
    assert requests.get(f"{daemon.url}/readyz", timeout=5).status_code == 200
    metrics = daemon.admin("GET", "/metrics")[1]
    assert 'crmbridge_destination_paused{destination="wins"} 1.0' in metrics
    assert 'crmbridge_trouble{about="wins",code="destination_refused",severity="error"} 1.0' in metrics
    assert [one.path for one in networks.slack.seen] == ["/auth.test"], "the login tells; the messages wait"

    networks.slack.default = good
    (daemon.folder / "secrets" / "slack.token").write_text("xoxb-c4nary-new-token")
    assert daemon.cli("reload").returncode == 0
    daemon.quiet()
    assert networks.said_on_slack == ["Parkers signed", "Hill signed"]
    assert networks.slack.seen[-1].headers["authorization"] == "Bearer xoxb-c4nary-new-token"


def test_a_login_that_hangs_does_not_hold_up_the_end(daemon, networks):
    """SIGTERM while a network does not answer who we are: still within the grace period."""
    networks.slack.default = networks.x.default = lambda exchange: time.sleep(30)
    daemon.keep("wins", "brand", "sink").start()
    until(lambda: networks.slack.seen and networks.x.seen, "both were asked")
    began = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - began < 10


def test_a_malformed_configuration_starts_nothing(daemon):
    """Exit 3, with every problem and its place."""
    text = daemon.path.read_text()
    daemon.path.write_text(
        text.replace("to: wins", "to: wins2").replace("scheme: hmac-sha256", "scheme: hmac-sha255").replace("timezone", "x")
    )
    ended = daemon.cli("run")

    assert ended.returncode == 3
    assert re.search(
        r"^crmbridge.yaml:\d+:\d+: rules\[0\].publish\[0\].to: no destination \"wins2\"; did you mean \"wins\"\?$",
        ended.stderr,
        re.MULTILINE,
    )
    assert re.search(r"^crmbridge.yaml:\d+:\d+: sources.crm.signature", ended.stderr, re.MULTILINE)
    assert ended.stderr.endswith("2 problems; nothing was started\n")
    assert not (daemon.folder / "data").exists()

    daemon.write()
    (daemon.folder / "secrets" / "hook").unlink()
    ended = daemon.cli("run")
    assert ended.returncode == 3
    assert "cannot be read: No such file or directory" in ended.stderr


def test_a_second_daemon_is_refused(daemon):
    """One store, one process; the first one is not disturbed."""
    daemon.keep("sink").start()
    daemon.write(daemon.path.read_text().replace(str(daemon.port), "0"))
    ended = daemon.cli("run")

    assert ended.returncode == 1
    assert f"in use by another crmbridge (process {daemon.process.pid}); stop that one first" in ended.stderr
    assert requests.get(f"{daemon.url}/readyz", timeout=5).status_code == 200
    assert daemon.stop() == 0


def test_a_taken_port_is_said(daemon):
    """With what to do, and without a traceback."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", daemon.port))
        other.listen()
        ended = daemon.cli("run")
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{daemon.port}: it is held by " in ended.stderr
    assert "Traceback" not in ended.stderr

    daemon.start()  # a start that is refused is no end that nobody asked for
    assert "ended_uncleanly" not in {one["code"] for one in daemon.ask("status")["troubles"]}


def test_a_newer_database_is_refused(daemon):
    """Exit 1, with the way back."""
    daemon.keep("sink").start()
    daemon.stop()
    with sqlite3.connect(daemon.folder / "data" / "crmbridge.db") as store:
        store.execute("PRAGMA user_version = 999")
    store.close()
    ended = daemon.cli("run")

    assert ended.returncode == 1
    assert "was written by a newer crmbridge (schema 999" in ended.stderr
    assert "Install that version again" in ended.stderr


def test_bad_requests_leave_nothing(daemon):
    """Each has its answer, never a 5xx, and nothing is stored."""
    daemon.keep("sink").start()
    late = {}
    head = b"POST /hooks/crm HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
    slow = [
        threading.Thread(target=lambda name=name, data=data: late.update({name: daemon.raw(data, 20)}))
        for name, data in {"body": head + b"{", "head": head[:30]}.items()
    ]
    for one in slow:
        one.start()
    url = f"{daemon.url}/hooks/crm"
    good = daemon.body()
    big = b'"' + b"x" * (1024 * 1024) + b'"'
    statuses = {
        "unsigned": requests.post(url, data=good, timeout=5).status_code,
        "badly signed": daemon.post(good, **{"X-Signature": "0" * 64}),
        "of another body": requests.post(url, data=good + b" ", headers={"X-Signature": "a" * 64}, timeout=5).status_code,
        "unknown hook": requests.post(f"{daemon.url}/hooks/nobody", data=good, timeout=5).status_code,
        "odd hook": requests.post(f"{daemon.url}/hooks/%00", data=good, timeout=5).status_code,
        "get": requests.get(url, timeout=5).status_code,
        "put": requests.put(url, data=good, timeout=5).status_code,
        "too large": daemon.post(big),
        "too large, chunked": requests.post(url, data=iter([big, big]), timeout=5).status_code,
        "form": daemon.post(b"a=1", **{"Content-Type": "application/x-www-form-urlencoded"}),
        "compressed": daemon.post(good, **{"Content-Encoding": "gzip"}),
        "no json": daemon.post(b"hello"),
        "nan": daemon.post(b'{"id": NaN}'),
        "deep": daemon.post(b"[" * 100_000),
        "no HTTP": daemon.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        "both lengths": daemon.raw(head[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "long header": daemon.raw(head[:-2] + b"X: " + b"a" * 20_000 + b"\r\n\r\n"),
    }
    for one in slow:
        one.join()

    assert statuses == {
        "unsigned": 401,
        "badly signed": 401,
        "of another body": 401,
        "unknown hook": 404,
        "odd hook": 404,
        "get": 405,
        "put": 405,
        "too large": 413,
        "too large, chunked": 413,
        "form": 415,
        "compressed": 415,
        "no json": 400,
        "nan": 400,
        "deep": 400,
        "no HTTP": 400,
        "both lengths": 400,
        "long header": 400,
    }
    assert late == {"body": 408, "head": 408}
    assert daemon.ask("status")["inbox"] == []
    assert daemon.stop() == 0
    with sqlite3.connect(daemon.folder / "data" / "crmbridge.db") as store:
        assert store.execute(
            "SELECT (SELECT count(*) FROM inbox), (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'inbox')"
        ).fetchall() == [(0, 0)]
    store.close()


def test_a_message_that_cannot_be_rendered_waits_for_its_rule(daemon, networks):
    """`dead list` shows it with its reason; the rule put right, reload, `dead retry`: published."""
    daemon.keep("sink")
    daemon.config["rules"][0]["publish"][0]["text"] = "{{ record.name }}: {{ record.note }}"
    daemon.write()
    daemon.start()
    daemon.post(daemon.body(1))
    daemon.post(daemon.body(2, note="hello"))
    until(lambda: networks.sink.seen, "the other one goes out")
    (dead,) = json.loads(daemon.cli("dead", "list", "-o", "json").stdout)["deliveries"]
    assert (dead["reason"], dead["record"], dead["state"]) == ("unrenderable", "crm/Deal/1", "dead")
    assert "record.note" in dead["last_error"]
    again = daemon.cli("dead", "retry", str(dead["id"]))
    assert (again.returncode, again.stdout) == (1, "0 deliveries queued again\n")

    daemon.config["rules"][0]["publish"][0]["text"] = '{{ record.name }}: {{ record.note | default("no note") }}'
    daemon.write()
    assert daemon.cli("reload").returncode == 0
    done = daemon.cli("dead", "retry", str(dead["id"]))
    assert (done.returncode, done.stdout) == (0, "1 delivery queued again\n")
    daemon.quiet()
    assert networks.said_at_the_sink == ["Parkers: hello", "Parkers: no note"]
    assert json.loads(daemon.cli("dead", "list", "-o", "json").stdout)["deliveries"] == []


def test_a_request_that_cannot_be_interpreted_waits_for_its_map(daemon, networks):
    """A failed request is listed and can be tried again after the map is put right."""
    daemon.keep("sink").start()
    assert daemon.post(b'{"key": 5, "fields": {"name": "Hill", "stage": "won"}}') == 202
    (failed,) = until(lambda: daemon.ask("dead_list")["requests"], "it is listed")
    assert failed["reason"] == "record_id: nothing stands at body.id (item 0)"
    assert "request:1" in daemon.cli("dead", "list").stdout

    daemon.config["sources"]["crm"]["map"]["record_id"] = "body.key"
    daemon.write()
    assert daemon.cli("reload").returncode == 0
    assert daemon.cli("dead", "retry", "request:1").stdout == "1 request queued again\n"
    until(lambda: networks.sink.seen, "it is published")
    assert networks.said_at_the_sink[0] == "Hill signed"


HOSTILE = "<!channel> @everyone <https://evil.example|x> \u202egnp.exe\u2066 \x00\x1b[31m & {{ 7*7 }} " + "ü" * 30_000 + " end"


def test_a_hostile_record_goes_through_everywhere(daemon, networks):
    """NUL, a lone surrogate, direction marks, pings and 60 KB: published on all four, and it pings nobody."""
    daemon.start()
    body = daemon.body(name=HOSTILE).replace(b" end", b"\\ud800 end")
    assert b"\\ud800" in body
    assert daemon.post(body) == 202
    daemon.quiet()

    assert {("wins", 0), ("brand", 0), ("feed", 0), ("sink", 0)} == {
        (one["name"], one["dead"]) for one in daemon.ask("status")["destinations"]
    }
    ((on_slack,), (on_x,), (at_sink,), (on_feed,)) = (
        networks.said_on_slack,
        networks.said_on_x,
        networks.said_at_the_sink,
        daemon.feed_posts(),
    )
    assert "<" not in on_slack
    assert "&lt;!channel&gt;" in on_slack
    assert not re.search(r"(?<!\u200b)@everyone", on_x) or "@everyone" not in on_x
    for text in (on_slack, on_x, at_sink):
        assert not set(text) & set("\x00\x1b\u202e\u2066\ud800")
    assert len(at_sink) > 30_000
    assert "{{ 7*7 }}" in on_feed
    assert "Traceback" not in daemon.output


def test_no_secret_is_ever_shown(daemon, networks):
    """At log level debug, through failures of all kinds: not in the output, nor in any answer."""
    networks.slack.then(answer(200, {"ok": False, "error": f"bad {SECRETS['slack.token']}"}))
    networks.x.then(answer(403, {"detail": SECRETS["x.access_token_secret"], "title": "Forbidden"}))
    networks.sink.then(answer(400, SECRETS["sink.secret"].encode()), answer(500))
    daemon.start()
    for n in range(3):
        daemon.post(daemon.body(n, name=f"A{n}"))
    daemon.post(daemon.body(), **{"X-Signature": SECRETS["hook"]})
    requests.post(f"{daemon.url}/hooks/crm", data=b"{}", headers={"Authorization": f"Bearer {SECRETS['hook']}"}, timeout=5)
    until(lambda: len(networks.sink.seen) >= 3 and len(networks.slack.seen) >= 2 and networks.x.seen, "attempts")
    shown = [
        daemon.admin("POST", f"/api/v1/{verb}", "{}")[1]
        for verb in ("status", "overview", "dead_list", "unknown_list", "tail", "user_list", "nonsense")
    ]
    shown += [daemon.admin("POST", "/api/v1/show", json.dumps({"name": str(n)}))[1] for n in range(1, 13)]
    shown += [
        daemon.admin("GET", "/metrics")[1],
        daemon.cli("config", "show").stdout,
        daemon.cli("status").stdout,
        daemon.cli("dead", "list").stdout,
    ]
    daemon.cli("reload")
    assert daemon.stop() == 0
    shown.append(daemon.output)

    assert "crmbridge has stopped" in daemon.output
    assert [
        (name, text[:300]) for name, secret in SECRETS.items() for text in shown if secret in text or secret.removeprefix("whsec_") in text
    ] == []
    assert not [text for text in shown if "c4nary" in text]


def test_metrics_can_be_read(daemon):
    """By Prometheus' own parser; health is on both doors, and metrics only on the inner one."""
    daemon.keep("sink").start()
    daemon.post(daemon.body())
    daemon.quiet()
    found = {family.name: family for family in text_string_to_metric_families(daemon.admin("GET", "/metrics")[1])}

    assert {"crmbridge_received", "crmbridge_deliveries", "crmbridge_deliveries_open", "crmbridge_last_reload_successful"} <= found.keys()
    counts = {one.labels["outcome"]: one.value for one in found["crmbridge_deliveries"].samples if one.name.endswith("_total")}
    assert {outcome: count for outcome, count in counts.items() if count} == {"delivered": 1.0}
    assert daemon.admin("GET", "/healthz") == (200, "ok\n")
    assert tuple(requests.get(daemon.url + path, timeout=5).status_code for path in ("/metrics", "/healthz", "/api/v1/status")) == (
        404,
        200,
        404,
    )


def test_systemd_hears_of_start_reload_and_stop(daemon, tmp_path):
    """READY only when it can take in; RELOADING and READY around a reload; STOPPING; and signs of life between."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        daemon.environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        daemon.keep("sink").spawn()
        first = manager.recv(4096).decode()
        assert first.startswith("READY=1\nSTATUS=")
        assert requests.get(f"{daemon.url}/readyz", timeout=5).status_code == 200
        assert daemon.post(daemon.body()) == 202
        assert [manager.recv(4096).decode() for _ in range(3)] == ["WATCHDOG=1"] * 3
        daemon.process.send_signal(signal.SIGHUP)
        heard = []
        while "READY=1" not in heard:
            heard.append(manager.recv(4096).decode())
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", next(one for one in heard if one != "WATCHDOG=1"))
        assert daemon.stop() == 0
        manager.setblocking(False)
        while "STOPPING=1" not in heard:
            heard.append(manager.recv(4096).decode())


def test_what_an_unreachable_network_gets_later(daemon, networks):
    """Refused connections are certain: tried again until it is there, and once."""
    daemon.config["destinations"]["wins"]["api_url"] = NOWHERE
    daemon.keep("wins").start()
    daemon.post(daemon.body())
    until(lambda: "transient" in daemon.output, "an attempt failed")
    daemon.config["destinations"]["wins"]["api_url"] = networks.slack.url
    daemon.write()
    assert daemon.cli("reload").returncode == 0
    daemon.quiet()

    assert networks.said_on_slack == ["Parkers signed"]
    assert os.getpid() != daemon.process.pid
    assert CRMBRIDGE.exists()
    assert subprocess.run([CRMBRIDGE, "--version"], check=False, capture_output=True).returncode == 0
