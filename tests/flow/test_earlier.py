"""A store, a feed and a configuration of an earlier version open in this one, and go on where they stood.

`tests/fixtures/2121495` is what that commit left: changes, messages in every state, a dead letter, a request that nobody could
interpret, a pause, a feed with posts and a person. The databases are kept as SQL text, so that a reader sees what is in them.
"""

import contextlib
import shutil
import sqlite3

import pytest
import yaml
from flow.daemon import Daemon, Networks, inside, until
from shared import ROOT

EARLIER = ROOT / "tests" / "fixtures" / "2121495"


def restored(folder):
    """The databases as files."""
    for name in ("crmbridge", "chirp"):
        with contextlib.closing(sqlite3.connect(folder / f"{name}.db")) as db:
            db.executescript((EARLIER / f"{name}.sql").read_text("utf-8"))


@pytest.fixture
def earlier(tmp_path):
    """A folder as the earlier version left it."""
    shutil.copy(EARLIER / "crmbridge.yaml", tmp_path / "crmbridge.yaml")
    (tmp_path / "hook").write_text("hook-of-the-fixture\n")
    (tmp_path / "token").write_text("xoxb-of-the-fixture\n")
    (tmp_path / "data").mkdir()
    restored(tmp_path / "data")
    return tmp_path


def test_its_configuration_is_fine(earlier):
    """No key has changed its meaning; what users must edit stands in CHANGELOG.md."""
    said = inside(["lint", "-c", earlier / "crmbridge.yaml"])
    assert said.returncode == 0, said.stdout + said.stderr
    assert inside(["test", "-c", earlier / "crmbridge.yaml"]).returncode == 0


def test_its_store_and_feed_go_on(earlier):
    """What was said, held, dead or silenced then is so now; once adopted, what waits is said."""
    with Networks() as networks, Daemon(earlier) as daemon:
        config = yaml.safe_load((EARLIER / "crmbridge.yaml").read_text("utf-8"))
        config["store"]["path"] = "data/crmbridge.db"
        config["retention"] = {"journal": "99999d", "delivered": "99999d"}  # it grows older with every day
        config["server"]["listen"] = f"127.0.0.1:{daemon.port}"
        config["destinations"]["wins"]["api_url"] = networks.slack.url
        daemon.config = config
        daemon.write()
        daemon.start()

        status = daemon.ask("status")
        troubles = {(one["code"], one["about"]): one["count"] for one in status["troubles"]}
        assert troubles[("held_surge", "out")] == 3
        assert troubles[("dead_unrenderable", "wins")] == 1
        assert troubles[("requests_failed", "crm")] == 1
        assert ("paused", "wins") in troubles
        assert "restored" in status["mute"]  # its identity stayed where it ran

        told = inside(["explain", "crm/Deal/1", "-c", daemon.path]).stdout
        assert "-> out: delivered" in told
        posts = daemon.feed_posts()
        assert "Østergård is lost, €1,200.50" in posts

        assert inside(["adopt", "--yes", "-c", daemon.path]).returncode == 0
        assert inside(["queue", "release", "--all", "--yes", "-c", daemon.path]).returncode == 0
        said = earlier / "said.jsonl"
        until(lambda: said.exists() and len(said.read_text("utf-8").splitlines()) == 3, "what was held is said")
        assert inside(["dead", "show", "request:7", "-c", daemon.path]).returncode == 0
        assert inside(["dead", "drop", "--all", "--yes", "-c", daemon.path]).returncode == 0
        assert inside(["resume", "wins", "-c", daemon.path]).returncode == 0
        until(lambda: not daemon.ask("status")["troubles"], f"all is well: {daemon.ask('status')['troubles']}")
        assert (earlier / "data" / "crmbridge.db.schema2.bak").exists()  # made before the migration
        assert daemon.stop() == 0
