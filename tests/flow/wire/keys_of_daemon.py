"""The keys that only a running daemon shows: where it listens and keeps things, whom it tells of itself, when it polls and forgets."""

import contextlib
import json
import os
import re
import signal
import subprocess
from datetime import datetime, timezone

import requests
from flow.daemon import CRMBRIDGE
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of
from flow.wire.running import Running

proves = proofs_of(Running)
FED = {
    "destinations/feed": {"type": "chirp"},
    "rules/0/publish/0": {"to": "feed", "channel": {"for": "event.record_id", "title": "record.name"}, "text": "{{ record.name }}"},
}


@proves("store.path", ("a/one.db", ["a/one.db"]), ("two.db", ["two.db"]))
@proves("chirp.path", ("feed.db", ["crmbridge.db", "feed.db"]), ("x.db", ["crmbridge.db", "x.db"]), given=FED)
def where_it_keeps_things(stage):
    """Its databases, beside the configuration."""
    stage.go()
    return sorted(str(one.relative_to(stage.folder)) for one in stage.folder.rglob("*.db"))


@proves("server.listen", ("$one", [True, False]), ("$two", [False, True]))
def where_it_listens(stage):
    """Which of two ports answers."""
    stage.go()
    return [stage.get("/healthz", port) is not None for port in (0, 1)]


@proves("admin.listen", (ABSENT, [True, False]), ("admin.sock", [False, True]))
def where_orders_are_taken(stage):
    """Which of two sockets answers."""
    stage.go()
    return [stage.ask("status", path) is not None for path in ("crmbridge.sock", "admin.sock")]


@proves(
    "admin.token",
    ("first-canary-of-the-admin", [200, 401, 401]),
    ("other-canary-of-the-admin", [401, 200, 401]),
    given={"admin/listen": "$two"},
)
def who_may_order(stage):
    """What two tokens get at an address, and who shows none."""
    stage.go()
    url = f"http://127.0.0.1:{stage.ports[1]}/metrics"
    tokens = ["Bearer first-canary-of-the-admin", "bearer other-canary-of-the-admin", ""]
    return stage.meanwhile(lambda: [requests.get(url, headers={"Authorization": one}, timeout=30).status_code for one in tokens])


SAFE = FED | {"sources/crm/signature": {"scheme": "bearer", "secret": "canary-wire"}}


@proves("server.public_url", (ABSENT, False), ("https://bridge.example.com", True), given=SAFE)
def how_cookies_are_sent(stage):
    """Whether the feed's cookie is for an encrypted connection only."""
    return "Secure" in stage.go().get("/chirp/sign-in").headers["Set-Cookie"]


@proves("server.trusted_proxies", (ABSENT, 400), ("192.0.2.0/24", 429), given=SAFE)
def who_asks_behind_a_proxy(stage):
    """What the sixth wrong sign-in gets, each from another address as a proxy on this machine says: all one, unless it is trusted."""
    url = f"http://127.0.0.1:{stage.go().ports[0]}/chirp/sign-in"

    def guess() -> int:
        with requests.Session() as browser:
            for n in range(6):
                proof = re.search(r'name="proof" value="([^"]*)"', browser.get(url, timeout=30).text)[1]
                fields = {"proof": proof, "login": "susan", "password": "wrong password"}
                status = browser.post(url, data=fields, headers={"X-Forwarded-For": f"192.0.2.{n}"}, timeout=60).status_code
            return status

    return stage.meanwhile(guess)


@proves("chirp.name", (ABSENT, True), ("Acme News", False), given=FED)
def what_the_feed_is_called(stage):
    """Whether it is called Chirp; never whatever else it could be."""
    page = stage.go().get("/chirp/sign-in").text
    assert ("Acme News" in page) is not ("Chirp" in page)
    return "Chirp" in page


@proves(
    "sources.every",
    ("5m", "minutes"),
    ("2h", "hours"),
    given={"sources": {"crm": {"type": "files", "folder": ".", "types": {"Deal": {"match": "x"}}}}, "rules": []},
)
def when_it_polls_again(stage):
    """How long it rests after a poll: about five minutes, or two hours."""
    ranges = {"minutes": (270, 330), "hours": (6480, 7920)}
    stage.go()
    return stage.until(
        lambda: [name for name, (least, most) in ranges.items() if any(least <= one <= most for one in stage.asked_to_wait)], "a rest"
    )[0]


# --- whom it tells

REFUSED = {"destinations/third": {"type": "webhook", "url": "$third/in", "secret": "whsec_YzRuYXJ5"}}


@proves("alerts.to", ("other", [True, None]), ("third", [None, True]), (ABSENT, [None, None]), given=REFUSED)
@proves("alerts.channel", (ABSENT, [True, None]), ("#ops", ["#ops", None]), given=REFUSED | {"alerts/to": "other"})
def who_hears_of_troubles(stage):
    """Which of two endpoints hears of a dead letter, and in which channel, if there is one."""
    third = stage.server("third")
    stage.path.write_text(stage.path.read_text().replace("$third", third.url))
    stage.sink.default = lambda exchange: exchange.reply(400, b"", {})
    stage.go().change()
    stage.until(lambda: stage.count("alerts"), "somebody is told, or would be")
    stage.until(lambda: stage.deliveries("queued") + stage.deliveries("sending") == 0, "nothing waits")
    said = [[one.json()["data"] for one in server.seen] for server in (stage.other, third)]
    assert all("refused by the network" in one["text"] for one in [*said[0], *said[1]])
    return [(one[0]["channel"] or True) if one else None for one in said]


BEATEN = {"alerts/to": "other", "alerts/heartbeat": "http://127.0.0.1:1/beat"}


@proves("alerts.after", ("1s", True), ("1h", False), given=BEATEN)
def whether_it_is_told_already(stage):
    """A heartbeat that nobody takes, once it has lasted for a second: whether it is told when something worse is."""
    stage.sink.default = lambda exchange: exchange.reply(400, b"", {})
    stage.go()
    stage.until(lambda: troubles(stage, "heartbeat_failed", older=1), "the heartbeat is missed for a second")
    stage.change()
    stage.until(lambda: any("refused by the network" in one for one in alarms(stage)), "something worse is told")
    return any("heartbeat" in one for one in alarms(stage))


@proves("alerts.late", ("1s", "pause_forgotten"), ("1h", "paused"))
def whether_a_pause_is_forgotten(stage):
    """What a pause of more than a second is called, behind which a message waits."""
    stage.go().ask("pause", name="out", reason="quiet")
    stage.change()
    stage.until(lambda: stage.deliveries("queued") == 1, "a message waits")
    return stage.until(lambda: troubles(stage, "pause", older=1), "the pause is a second old")[0]


@proves("sources.expect", ("1s", True), ("1h", False))
def whether_something_is_expected(stage):
    """Whether a source of which nothing is heard for a second is a trouble."""
    stage.go()
    stage.until(lambda: age(stage.ask_from_a_thread("status")["started"]) > 1, "it runs for a second")
    return stage.meanwhile(lambda: troubles(stage, "source_quiet")) == ["source_quiet"]


def troubles(stage, code, older=0.0):
    """The troubles whose codes begin so, and that were there for so many seconds before the daemon was asked."""
    asked = datetime.now(timezone.utc)
    found = stage.ask_from_a_thread("status")["troubles"]
    return [one["code"] for one in found if one["code"].startswith(code) and age(one["since"], asked) > older]


def age(moment, now=None):
    """Seconds since, by now or by another moment."""
    return ((now or datetime.now(timezone.utc)) - datetime.fromisoformat(moment)).total_seconds()


def alarms(stage):
    """What was told to who looks after it."""
    return [one.json()["data"]["text"] for one in list(stage.other.seen) if one.method == "POST"]


@proves("alerts.heartbeat", ("$other/one", ["/one"]), ("$other/two", ["/two"]))
def who_hears_that_all_is_well(stage):
    """What is read once all is well."""
    stage.go()
    return [one.path for one in stage.heard(stage.other)]


@proves(
    "destinations.on_resume",
    ("all", ["Parkers is one", "Parkers is two"]),
    ("latest", ["Parkers is two"]),
    ("summary", ["2 messages waited during a pause and are not said one by one: told."]),
)
def what_is_said_after_a_pause(stage):
    """Of two changes of one record that a pause held back."""
    stage.go().ask("pause", name="out", reason="quiet")
    for name in ("one", "two"):
        stage.change(stage=name)
    stage.until(lambda: stage.deliveries("queued") == 2, "two messages wait")
    stage.ask("resume", name="out")
    stage.until(lambda: stage.deliveries("queued") == 0 and stage.deliveries("sending") == 0, "nothing waits")
    return [one.json()["data"]["text"] for one in stage.sink.seen]


# --- what it forgets


@proves("retention.journal", ("30d", [0, 2]), ("50d", [1, 2]), given={"retention": {"delivered": "1000d"}})
@proves("retention.delivered", ("30d", [2, 0]), ("50d", [2, 1]), given={"retention": {"journal": "1000d"}})
def what_it_forgets(stage):
    """How many changes and messages are left of one of 40 days ago and one of 400."""
    stage.earlier()
    stage.go()
    stage.until(lambda: stage.count("events") < 2 or stage.count("deliveries") < 2, "retention has run")
    return [stage.count("events"), stage.count("deliveries")]


@proves("retention.observations", ("30d", 0), ("50d", 1), given={"retention": {"journal": "1000d", "delivered": "1000d"}})
def which_repeats_it_forgets(stage):
    """How many requests are known of one of 40 days ago and one of 400."""
    stage.earlier()
    stage.go()
    stage.until(lambda: stage.count("bodies") < 2, "retention has run")
    return stage.count("bodies")


@proves("retention.orders", ("30d", 0), ("50d", 1))
def which_orders_it_forgets(stage):
    """How many orders are known of one of 40 days ago and one of 400."""
    stage.earlier()
    stage.go()
    stage.until(lambda: stage.count("orders") < 2, "retention has run")
    return stage.count("orders")


# --- what it writes


def written(stage):
    """What a process writes from its start to its end."""
    output = stage.folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen([CRMBRIDGE, "run", "-c", stage.path], stdout=file, stderr=file, env=os.environ)

    def ready():
        assert process.poll() is None, output.read_text()
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"http://127.0.0.1:{stage.ports[0]}/readyz", timeout=30).status_code == 200

    try:
        stage.until(ready, "the daemon is ready")
        process.send_signal(signal.SIGTERM)
        stage.until(lambda: process.poll() is not None, "the daemon has ended")
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
    return output.read_text().splitlines()


@proves("log.level", ("info", "from info on"), ("error", "nothing"))
def what_is_logged(stage):
    """The least level of what a daemon that is well writes."""
    levels = {json.loads(line)["level"] for line in written(stage)}
    return "nothing" if not levels else f"from {'debug' if 'debug' in levels else 'info'} on"


@proves("log.style", ("json", "json"), ("text", "text"))
def how_it_is_logged(stage):
    """Whether lines are JSON."""
    lines = written(stage)
    return "json" if all(line.startswith("{") for line in lines) else "text" if not any(line.startswith("{") for line in lines) else "mixed"
