"""The wall clock jumps: polls go on, no limit is undercut by the clock of who named it, nothing is lost and nothing said twice."""

import contextlib
import sqlite3
import time
from pathlib import Path

import pytest
from flow.daemon import until
from flow.proofs.forms import forms
from flow.proofs.harness import LANES, LEAST, Bridge, Sink, counted, judge, mark, nothing_is_dead
from flow.proofs.sink import EVERY
from shared import need

HOUR, DAY = 3600, 86_400
JUMPS = [HOUR, -HOUR, DAY, -DAY, 0]  # what the clock shows beside the truth; the last but one leaves what waits far ahead
LAST = 2 * DAY


def faketime():
    """The library that stands between a process and the clock; the monotonic clock stays true."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    need(found, "libfaketime", "apt-get install faketime")
    return str(found[0])


def limited(seen, limit):
    """Whether a limit is waited for, or all of them were."""
    return seen["wait"] > 0.5 or seen["limited"] >= limit


@pytest.mark.clock
@forms("rounds", 1, 20, timeout=1800)
def test_a_jump_of_the_clock_neither_hurries_nor_doubles(tmp_path, figures, rounds):
    """An hour and a day, forward and back, while a database is polled and a limit is waited for."""
    library, shown = faketime(), tmp_path / "shown"
    shown.write_text("+0")
    began, jumps, n = time.monotonic(), JUMPS * rounds, 0
    each, limit = max(2 * EVERY, -(-LEAST // len(jumps))), 6 * len(jumps)  # each jump finds a limit that is waited for
    with (
        Sink("slack", "--limit", limit, "--longer", 2) as slack,
        Bridge(tmp_path, {"slack": counted(slack.port, max_age="off")}) as daemon,
        contextlib.closing(sqlite3.connect(tmp_path / "crm.db", isolation_level=None)) as crm,
    ):
        crm.execute("PRAGMA journal_mode=WAL")
        crm.execute("CREATE TABLE deal (id INTEGER PRIMARY KEY, changed INTEGER, name TEXT, bucket TEXT)")
        table = {"table": "deal", "changed": "changed"}
        fields = {"name": "public", "bucket": "public"}
        source = {"type": "sql", "sqlite": str(tmp_path / "crm.db"), "every": "1s", "overlap": 0, "tables": {"Deal": table}}
        daemon.config["sources"] = {"crm": source | {"records": {"Deal": {"fields": fields}}}}
        daemon.environment = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(shown),
            "FAKETIME_CACHE_DURATION": "1",  # seconds; without a cache each look at the clock reads the file
            "DONT_FAKE_MONOTONIC": "1",
        }
        daemon.write()
        daemon.start()
        until(lambda: daemon.ask("status")["sources"][0]["state"] == "reading", "what exists is learnt")
        for offset in jumps:
            rows = [(number, number, mark(number), f"{number % LANES:03d}") for number in range(n, n + each)]
            crm.executemany("INSERT INTO deal VALUES (?, ?, ?, ?)", rows)
            n += each
            until(lambda: limited(slack.counts(), limit), "a limit is waited for", moved=lambda: slack.counts()["requests"])
            shown.write_text(f"{offset:+d}")
            time.sleep(1.2)  # it is seen
            until(lambda n=n: daemon.recorded() == n, f"polls go on at {offset:+d} s", moved=daemon.recorded)
            time.sleep(1)
        shown.write_text(f"+{LAST}")  # what waits for an instant of the wrong clock has its instant now
        daemon.quiet()
        nothing_is_dead(daemon)
        assert daemon.stop() == 0
        counts = slack.counts()
    lost, doubled = judge("slack", n, counts["said"])
    early = [round(one, 2) for one in counts["early"]]
    figures(
        "jumps of the clock",
        jumps=len(jumps) + 1,
        n=n,
        limits=counts["limited"],
        early=len(early),
        lost=lost,
        doubled=doubled,
        seconds=round(time.monotonic() - began),
    )

    assert (lost, doubled) == (0, 0)
    assert counts["limited"] >= 4 * len(jumps)
    assert early == []
