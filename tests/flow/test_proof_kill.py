"""Nothing is lost and nothing is said twice, however the process ends: `kill -9` and SIGTERM at random moments, under load."""

import time

from flow.proofs.forms import forms
from flow.proofs.harness import Bridge, Sink, Source, counted, cycles, judge, keyed, nothing_is_dead, posts

SOON, LATE = 30, 5  # events per second: a daemon that lives half a second at a time says no more


def run(tmp_path, figures, name, count, end):
    """`count` endings; returns (lost, doubled) at the keyed sink, the counting sink and the feed."""
    began = time.monotonic()
    with (
        Sink("key", "--delay", 0.03) as key,
        Sink("slack", "--delay", 0.03) as slack,
        Bridge(tmp_path, {"key": keyed(key.port), "slack": counted(slack.port), "feed": {"type": "chirp"}}) as daemon,
    ):
        daemon.start()
        with Source(daemon, SOON if count <= 20 else LATE) as source:
            cycles(daemon, source, count, lambda: end(daemon), seed=count)
            n = source.finish()["acknowledged"]
        daemon.quiet()
        nothing_is_dead(daemon)
        assert daemon.stop() == 0
        assert "Traceback" not in daemon.output
        at_key, at_slack = key.counts(), slack.counts()
    found = judge("key", n, at_key["said"]), judge("slack", n, at_slack["said"]), judge("feed", n, posts(daemon))
    figures(
        name,
        ends=count,
        n=n,
        lost=sum(lost for lost, _ in found),
        doubled_keyed=found[0][1],
        doubled_counted=found[1][1],
        doubled_feed=found[2][1],
        resent_keyed=at_key["requests"] - n,
        seconds=round(time.monotonic() - began),
    )
    return found


@forms("kills", 12, 1000, timeout=5400)
def test_kill_at_random_moments_loses_nothing(tmp_path, figures, kills):
    """`kill -9` under load: all that was answered 2xx is said; the feed and a keyed destination hear it once; one without a key hears
    again at most what was under way at a kill."""
    in_flight = []

    def end(daemon):
        daemon.kill()
        in_flight.append(daemon.sending("slack"))

    at_key, (lost, doubled), at_feed = run(tmp_path, figures, "kill -9", kills, end)
    figures("kill -9", in_flight_at_kills=sum(in_flight))

    assert (at_key, at_feed) == ((0, 0), (0, 0))
    assert lost == 0
    assert doubled <= sum(in_flight)


@forms("stops", 12, 200, timeout=1800)
def test_a_clean_stop_at_random_moments_doubles_nothing(tmp_path, figures, stops):
    """SIGTERM under load: exit 0 within ten seconds, without a word of an error, nothing lost, and nothing said twice
    even where there is no key."""
    slowest = []

    def end(daemon):
        began = time.monotonic()
        assert daemon.stop() == 0, daemon.output[-3000:]
        slowest.append(time.monotonic() - began)

    found = run(tmp_path, figures, "SIGTERM", stops, end)
    figures("SIGTERM", slowest_seconds=round(max(slowest), 2))

    assert found == ((0, 0), (0, 0), (0, 0))
    assert max(slowest) < 10
