"""Who gave an order, from the command line through each door to the list of orders and the log."""

import json
import os
import pwd

import pytest
from flow.daemon import free_port, until

ME = pwd.getpwuid(os.getuid()).pw_name


def listed(daemon, *options):
    return json.loads(daemon.cli("orders", "-o", "json", *options).stdout)["orders"]


@pytest.fixture
def quiet(daemon):
    daemon.keep("sink")
    daemon.write()
    return daemon


def test_who_dropped_what_is_known_afterwards(quiet, monkeypatch):
    """The question of the morning after."""
    daemon = quiet.start()
    monkeypatch.setenv("CRMBRIDGE_ACTOR", "Ann Østergård")
    daemon.cli("pause", "sink", "--reason", "a fair")
    for number in range(3):
        daemon.post(daemon.body(number))
    until(lambda: daemon.destination("sink")["queued"] == 3, "they wait")
    assert daemon.cli("queue", "drop", "--all", "--yes").stdout == "3 deliveries\n3 done\n"
    dropped, paused = listed(daemon)
    assert (paused["verb"], paused["arguments"]) == ("pause", {"name": "sink", "reason": "a fair"})
    assert (dropped["verb"], dropped["came_to"], dropped["actor"]) == ("queue_drop", {"count": 3}, "Ann Østergård")
    assert dropped["door"] == f"socket, user {ME}"
    assert f"dropped by hand, order {dropped['id']}" in daemon.cli("explain", "crm/Deal/1").stdout
    shown = daemon.cli("orders", str(dropped["id"])).stdout
    assert all(word in shown for word in ("Ann Østergård", f"socket, user {ME}", "queue drop where=all:yes", "count 3")), shown
    lines = [json.loads(line) for line in daemon.output.splitlines() if '"crmbridge.security"' in line]
    assert [(one["message"], one["verb"], one["actor"]) for one in lines] == [
        ("ordered", "pause", "Ann Østergård"),
        ("ordered", "queue_drop", "Ann Østergård"),
    ]


def test_bites_of_the_command_line_are_one_order(quiet, monkeypatch):
    daemon = quiet.start()
    daemon.cli("pause", "sink", "--reason", "a fair")
    monkeypatch.setattr("crmbridge.cli.queue._BITE", 2)
    for number in range(5):
        daemon.post(daemon.body(number))
    until(lambda: daemon.destination("sink")["queued"] == 5, "they wait")
    daemon.cli("queue", "hold", "--all", "--yes")
    held, _ = listed(daemon)
    assert held["came_to"] == {"count": 5}


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"SUDO_USER": "bob"}, "bob"),
        ({"DOAS_USER": "carol"}, "carol"),
        ({"CRMBRIDGE_ACTOR": "ann", "SUDO_USER": "bob"}, "ann"),
        ({"CRMBRIDGE_ACTOR": "a\r\nX-Evil: 1 \x1b[31m"}, "a X-Evil: 1 [31m"),
        ({"CRMBRIDGE_ACTOR": "ä" * 2000}, "ä" * 100),
        ({"CRMBRIDGE_ACTOR": "x" * 500}, "x" * 100),
    ],
)
def test_a_name_is_what_people_call_themselves_and_no_more(quiet, monkeypatch, told, name):
    """What the kernel knows of them stands beside it, and a name breaks out of nothing."""
    daemon = quiet.start()
    for variable in ("CRMBRIDGE_ACTOR", "SUDO_USER", "DOAS_USER"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in told.items():
        monkeypatch.setenv(variable, value)
    daemon.cli("pause", "sink", "--reason", "x")
    (one,) = listed(daemon)
    assert (one["actor"], one["door"]) == (name, f"socket, user {ME}")
    assert "\x1b" not in daemon.cli("orders").stdout
    assert "X-Evil: 1 \x1b" not in daemon.output


def test_who_comes_by_the_token_is_known_by_address(quiet):
    quiet.config["admin"] = {"listen": f"127.0.0.1:{free_port()}", "token": {"file": "secrets/admin"}}
    (quiet.folder / "secrets" / "admin").write_text("a-token-of-the-admin-door\n")
    quiet.write()
    quiet.start()
    quiet.cli("pause", "sink", "--reason", "x")
    quiet.ask("resume", name="sink")  # by a program that gives no name
    resumed, paused = listed(quiet)
    assert paused["door"] == resumed["door"] == "token, from 127.0.0.1"
    assert (paused["actor"] != "", resumed["actor"]) == (True, "")


def test_an_order_where_no_daemon_runs_is_written_down_too(quiet, monkeypatch):
    quiet.start()
    quiet.stop()
    monkeypatch.setenv("CRMBRIDGE_ACTOR", "ann")
    quiet.cli("pause", "sink", "--reason", "x")
    refused = quiet.cli("resume", "all")
    assert (refused.returncode, "all was not paused" in refused.stderr) == (1, True)
    assert [(one["verb"], one["actor"], one["door"], one["error"]) for one in listed(quiet)] == [
        ("resume", "ann", f"no daemon, user {ME}", "all was not paused"),
        ("pause", "ann", f"no daemon, user {ME}", ""),
    ]


def test_people_of_the_feed_are_orders_and_their_passwords_no_words_of_them(daemon):
    daemon.start()
    for command in (
        ["user", "add", "susan", "--password", "correct horse battery"],
        ["user", "password", "susan", "--password", "stable correct hen"],
        ["user", "link", "susan"],
        ["user", "remove", "susan", "--yes"],
    ):
        assert daemon.cli("chirp", *command).returncode == 0
    daemon.stop()
    assert daemon.cli("chirp", "user", "add", "bob", "--password", "hen and stable doors").returncode == 0
    found = listed(daemon)[::-1]
    assert [one["verb"] for one in found] == ["user_add", "user_password", "user_link", "user_remove", "user_add"]
    assert [one["arguments"].get("password") for one in found] == ["***", "***", None, None, "***"]
    for words in ("correct horse", "stable correct", "hen and stable"):
        assert words not in json.dumps(found) + daemon.output


def test_there_is_no_such_order(quiet):
    quiet.start()
    assert quiet.cli("orders").stdout == "none\n"
    missing = quiet.cli("orders", "7")
    assert (missing.returncode, missing.stderr) == (1, "crmbridge: there is no order 7; `retention.orders` says how long they are kept\n")
