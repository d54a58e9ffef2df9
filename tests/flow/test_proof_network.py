"""What lies between us and a network: answers that are lost on their way, and limits that are meant."""

import random
import time

from flow.daemon import STILL, until
from flow.proofs.forms import forms
from flow.proofs.harness import Bridge, Proxy, Sink, Source, counted, judge, keyed, nothing_is_dead

CHANCE = 0.1


@forms("least", 1000, 10_000, timeout=1200)
def test_a_lost_answer_doubles_only_where_it_must(tmp_path, figures, least):
    """One answer in ten is lost after the far side acted. Where there is a key, it is said once; with `on_unknown: resend` it is
    said once more for each lost answer, exactly; with `on_unknown: hold` it is said once, and each lost answer waits for a
    person as `unknown`; where the destination can be asked, it is said once, though what it shows lags two seconds."""
    began = time.monotonic()
    with (
        Sink("key") as key,
        Sink("slack") as again,
        Sink("slack") as hold,
        Sink("slack", "--history", "--lag", 2) as asked,
        Proxy(key.port, CHANCE, 1) as key_proxy,
        Proxy(again.port, CHANCE, 2) as again_proxy,
        Proxy(hold.port, CHANCE, 3) as hold_proxy,
        Proxy(asked.port, CHANCE, 4) as asked_proxy,
        Bridge(
            tmp_path,
            {
                "key": keyed(key_proxy.port),
                "again": counted(again_proxy.port, on_unknown="resend"),
                "hold": counted(hold_proxy.port, on_unknown="hold"),
                "asked": counted(asked_proxy.port, on_unknown="resend"),
            },
        ) as daemon,
    ):
        daemon.start()
        with Source(daemon, 90, least) as source:
            n = source.finish()["acknowledged"]
        daemon.quiet(looked_for=("again", "asked"))  # in one look: what is in doubt may be sent again, and be in doubt again
        lost_key, doubled_key = judge("key", n, key.counts()["said"])
        lost_again, doubled_again = judge("again", n, again.counts()["said"])
        lost_hold, doubled_hold = judge("hold", n, hold.counts()["said"])
        lost_asked, doubled_asked = judge("asked", n, asked.counts()["said"])
        cuts = {"key": key_proxy.cuts, "again": again_proxy.cuts, "hold": hold_proxy.cuts, "asked": asked_proxy.cuts}
        unknown = daemon.destination("hold")["unknown"]
        assert sum(one["dead"] for one in daemon.ask("status")["destinations"]) == 0
        assert daemon.stop() == 0
    figures(
        "lost answers",
        n=n,
        lost=lost_key + lost_again + lost_hold + lost_asked,
        cuts=cuts,
        doubled={"key": doubled_key, "resend": doubled_again, "hold": doubled_hold, "find": doubled_asked},
        unknown=unknown,
        seconds=round(time.monotonic() - began),
    )

    assert (lost_key, lost_again, lost_hold, lost_asked) == (0, 0, 0, 0)
    assert min(cuts.values()) >= n * CHANCE / 2
    assert (doubled_key, doubled_again, doubled_hold, doubled_asked) == (0, cuts["again"], 0, 0)
    assert unknown == cuts["hold"]


@forms("limits", 60, 1000, timeout=1800)
def test_a_limit_is_never_undercut(tmp_path, figures, limits):
    """429 with Retry-After, again and again, and the daemon killed or stopped within the wait: no request comes before the
    permitted instant, by the clock of who named it, and nothing is lost or doubled."""
    began, restarts, chance = time.monotonic(), 0, random.Random(limits)
    with Sink("slack", "--limit", limits) as slack, Bridge(tmp_path, {"slack": counted(slack.port)}) as daemon:
        daemon.start()
        with Source(daemon, 1000, max(1000, 8 * limits)) as source:
            n = source.finish()["acknowledged"]
        seen, moved, arrived = 0, time.monotonic(), 0
        while (counts := slack.counts())["limited"] < limits:
            if counts["requests"] > arrived:
                moved, arrived = time.monotonic(), counts["requests"]
            assert time.monotonic() - moved < STILL, counts
            if counts["wait"] > 1.5 and counts["windows"] > seen:
                seen = counts["windows"]
                until(lambda: daemon.destination("slack")["state"] == "waiting", "the wait is known")
                time.sleep(0.2)  # and durable
                if chance.random() < 0.5:
                    daemon.kill()
                else:
                    assert daemon.stop() == 0
                restarts += 1
                daemon.start()
            time.sleep(0.05)
        daemon.quiet()
        nothing_is_dead(daemon)
        assert daemon.stop() == 0
        counts = slack.counts()
    lost, doubled = judge("slack", n, counts["said"])
    figures(
        "limits",
        n=n,
        limits=counts["limited"],
        early=len(counts["early"]),
        lost=lost,
        doubled=doubled,
        restarts=restarts,
        seconds=round(time.monotonic() - began),
    )

    assert counts["early"] == []
    assert (lost, doubled) == (0, 0)
    assert restarts >= limits // 30
