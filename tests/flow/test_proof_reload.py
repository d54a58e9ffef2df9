"""No mistake in a configuration stops a daemon that runs: it is refused, said, and the old one speaks on."""

import random
import signal
import time

from flow.daemon import until
from flow.proofs.forms import forms
from flow.proofs.harness import Bridge, Sink, Source, judge, keyed, nothing_is_dead
from flow.proofs.mutate import mutant
from prometheus_client.parser import text_string_to_metric_families

from crmbridge.config.load import load
from crmbridge.errors import ConfigError


def metrics(daemon):
    found = text_string_to_metric_families(daemon.admin("GET", "/metrics")[1])
    return {(one.name, *one.labels.values()): one.value for family in found for one in family.samples}


def refused_mutants(text, count, seed, path):
    """`count` texts that `load` refuses; what it accepts is no mistake."""
    chance = random.Random(seed)
    while count:
        made = mutant(text, chance)
        try:
            path.write_text(made)
            load(path, secrets=False)
        except ConfigError:
            count -= 1
            yield made


@forms("count", 40, 200, timeout=900)
def test_a_refused_configuration_changes_nothing(tmp_path, figures, count):
    """Mutants of the configuration, each by SIGHUP, under load: every one that the loader refuses leaves the old one at work, the
    metric says so, nothing is lost or doubled, and a good one afterwards is applied."""
    began = time.monotonic()
    with Sink("key") as key, Bridge(tmp_path, {"key": keyed(key.port)}) as daemon:
        daemon.config["rules"] = daemon.config["rules"][:3]
        daemon.config["rules"][0].pop("match")  # every number
        daemon.write()
        good = daemon.path.read_text()
        mutants = list(refused_mutants(good, count, 1, tmp_path / "mutant.yaml"))
        daemon.start()
        with Source(daemon, 60) as source:
            for number, text in enumerate(mutants, 1):
                daemon.path.write_text(text)
                daemon.process.send_signal(signal.SIGHUP)
                name = ("crmbridge_reloads_total", "refused")
                until(lambda name=name, number=number: metrics(daemon).get(name) == number, f"mutant {number} is refused:\n{text}")
                found = metrics(daemon)
                assert found[("crmbridge_last_reload_successful",)] == 0
                assert found[("crmbridge_reloads_total", "applied")] == 0
                assert daemon.ask("status")["rules"] == 3
            daemon.path.write_text(good)
            at = time.monotonic()
            daemon.process.send_signal(signal.SIGHUP)
            until(lambda: metrics(daemon)[("crmbridge_last_reload_successful",)] == 1, "the good one is applied")
            applied = time.monotonic() - at
            n = source.finish()["acknowledged"]
        daemon.quiet()
        nothing_is_dead(daemon)
        assert "Traceback" not in daemon.output
        assert daemon.stop() == 0
        counts = key.counts()
    lost, _ = judge("key", n, counts["said"])
    doubled = counts["requests"] - expected(n)
    figures(
        "refused reloads",
        mutants=count,
        n=n,
        lost=lost,
        doubled=doubled,
        good_one_s=round(applied, 2),
        seconds=round(time.monotonic() - began),
    )

    assert (lost, doubled) == (0, 0)


def expected(n):
    """Messages of n numbers: one of every number, and one more of those in the buckets 1 and 2."""
    return n + sum(number % 100 in (1, 2) for number in range(n))
