"""The administrator's door at an address: orders, metrics for a Prometheus, and nothing for anybody without the token."""

import json
import shutil
import subprocess

import pytest
import requests
from flow.daemon import free_port, until
from prometheus_client.parser import text_string_to_metric_families
from shared import need

TOKEN = "a-token-of-the-admin-door"


@pytest.fixture
def door(daemon):
    daemon.keep("sink")
    daemon.config["admin"] = {"listen": f"127.0.0.1:{free_port()}", "token": {"file": "secrets/admin"}}
    (daemon.folder / "secrets" / "admin").write_text(TOKEN + "\n")
    daemon.write()
    return daemon


def test_orders_and_metrics_at_an_address_are_for_who_has_the_token(door):
    door.start()
    url = f"http://{door.config['admin']['listen']}"
    assert not list(door.folder.rglob("*.sock")), "and no socket is made"
    assert json.loads(door.cli("queue", "list", "-o", "json").stdout) == {"deliveries": [], "count": 0}
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for headers in (
        {},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic " + TOKEN},
        {"Cookie": TOKEN},
    ):
        for ask in (
            lambda h: requests.get(f"{url}/metrics", headers=h, timeout=30),
            lambda h: requests.post(f"{url}/api/v1/status", headers=h, timeout=30),
        ):
            answer = ask(headers)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "crmbridge_" not in answer.text
    assert requests.get(f"{url}/metrics", headers=bearer, timeout=30).status_code == 200
    assert requests.get(f"{url}/readyz", timeout=30).status_code == 200, "health is for everyone"
    (door.folder / "secrets" / "admin").write_text("another-token-of-the-door")
    until(lambda: requests.get(f"{url}/metrics", headers=bearer, timeout=30).status_code == 401, "a token that was changed ends")
    assert door.cli("pause", "sink", "--reason", "x").returncode == 0
    assert TOKEN not in door.output
    assert '"logger":"crmbridge.security","message":"admin refused","address":"127.0.0.1","path":"/metrics"' in door.output


def test_orders_work_where_no_daemon_listens_at_the_address(door):
    door.start()
    door.stop()
    assert door.cli("pause", "sink", "--reason", "a fair").returncode == 0
    door.start()
    assert [one["reason"] for one in door.ask("overview")["pauses"]] == ["a fair"]


def test_every_series_is_there_from_the_start_and_prometheus_likes_them(door):
    """An alert on the growth of a counter misses the first failure, if the series begins with it."""
    door.start()
    answer = requests.get(f"http://{door.config['admin']['listen']}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
    there = {sample.name: sample for family in text_string_to_metric_families(answer.text) for sample in family.samples}
    assert {"crmbridge_build_info", "process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total"} <= there.keys()
    assert {
        "crmbridge_oldest_waiting_seconds",
        "crmbridge_inbox",
        "crmbridge_inbox_oldest_seconds",
        "crmbridge_deliveries_open",
    } <= there.keys()
    assert {"crmbridge_feed_posts_total", "crmbridge_feed_streams", "crmbridge_feed_sign_ins_total"} <= there.keys()
    assert {"crmbridge_http_requests_total", "crmbridge_http_connections"} <= there.keys()
    samples = {
        (one.name, *one.labels.values()): one.value for family in text_string_to_metric_families(answer.text) for one in family.samples
    }
    assert samples["crmbridge_deliveries_total", "sink", "rejected"] == 0
    assert samples["crmbridge_received_total", "crm", "2xx"] == 0
    assert samples["crmbridge_quarantined_total", "crm"] == 0
    promtool = shutil.which("promtool")
    need(promtool, "promtool", "apt-get install prometheus")
    checked = subprocess.run([promtool, "check", "metrics"], input=answer.text, capture_output=True, text=True, check=False, timeout=60)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_how_long_the_oldest_message_waits_is_told(door, networks):
    door.start()
    door.cli("pause", "sink", "--reason", "a fair")
    door.post(door.body(1))
    until(lambda: door.destination("sink")["queued"] == 1, "it waits")

    def told(name, *labels):
        answer = requests.get(f"http://{door.config['admin']['listen']}/metrics", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
        families = text_string_to_metric_families(answer.text)
        return next(one.value for family in families for one in family.samples if (one.name, *one.labels.values()) == (name, *labels))

    until(lambda: told("crmbridge_oldest_waiting_seconds", "sink") > 0, "its age is told")
    assert told("crmbridge_deliveries_open", "sink", "queued") == 1
    assert told("crmbridge_http_requests_total", "server", "2xx") >= 1


@pytest.mark.parametrize(
    ("admin", "said"),
    [
        ({"listen": "0.0.0.0:9099"}, "an address needs a `token`"),
        ({"listen": "127.0.0.1:port", "token": TOKEN}, "expected HOST:PORT"),
        ({"listen": "127.0.0.1:9099", "token": "short"}, "a token of fewer than 20 characters is soon guessed"),
    ],
)
def test_a_door_that_anybody_could_open_is_not_made(daemon, admin, said):
    daemon.keep("sink")
    daemon.config["admin"] = admin
    daemon.write()
    ended = daemon.cli("run")
    assert (ended.returncode, said in ended.stderr) == (3, True), ended.stderr
