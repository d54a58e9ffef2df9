"""A daemon beside a folder of exports, some of them damaged: what can be read is said, the rest is named, and nothing waits behind it."""

import json
import shutil

import pytest
import yaml
from flow.daemon import Daemon, until


@pytest.fixture
def case(vectors):
    return vectors / "cases" / "report-footer"


def test_footers_and_broken_headings_hold_up_nothing(tmp_path, case):
    """Footers are left out, `sep=` and CR are understood; a heading that cannot be read is told by its file, until it is mended."""
    shutil.copytree(case / "in", tmp_path / "in", copy_function=shutil.copyfile)
    with Daemon(tmp_path) as daemon:
        config = yaml.safe_load((case / "crmbridge.yaml").read_text("utf-8"))
        kept = {name: daemon.config[name] for name in ("store", "server", "log")}
        daemon.config = {**config, **kept}
        daemon.write()
        daemon.start()
        until(lambda: "baseline learnt" in daemon.output, "the first export is learnt")

        def said():
            path = tmp_path / "out.jsonl"
            return [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines()] if path.exists() else []

        def put(name, content=None):
            (tmp_path / "part").write_bytes((case / name).read_bytes() if content is None else content)
            (tmp_path / "part").rename(tmp_path / "in" / name)

        def troubles():
            return {(one["code"], one["about"]): one["count"] for one in daemon.ask("status")["troubles"]}

        put("b.csv")
        until(lambda: said() == ["One Won", "Two Lost"], f"the rows before the footer are said: {said()}")
        assert troubles() == {}

        put("heading-quote.csv")
        until(lambda: troubles() == {("records_aside", "crm"): 1}, f"the broken heading is a trouble: {troubles()}")
        listed = daemon.cli("dead", "list").stdout
        assert "heading-quote.csv" in listed
        assert "line 1, where the heading should be: a quote is opened and not closed" in listed

        put("heading-sep.csv", b"sep=;\nId;Name;Stage\n1;One;Open\n")
        put("heading-cr.csv", b"Id,Name,Stage\r2,Two,Open\r")
        until(lambda: {"One Open", "Two Open"} <= set(said()), f"later files are read: {said()}")
        put("again.csv", (case / "b.csv").read_bytes())
        until(lambda: said()[4:] == ["One Won", "Two Lost"], f"the bytes of an earlier file are the newest state: {said()}")
        put("heading-quote.csv", b"Id,Name,Stage\n1,One,Held\n")
        until(lambda: "One Held" in said(), "the mended file is read")
        assert troubles() == {("records_aside", "crm"): 1}
        assert daemon.cli("dead", "drop", "--all", "--yes").returncode == 0
        assert "Traceback" not in daemon.output
        assert daemon.stop() == 0
