"""Nothing that was acknowledged is lost when the power goes, whatever the disk had not yet written."""

import time

import pytest
from flow.proofs.faults import Bench
from flow.proofs.forms import forms
from flow.proofs.powercut import images, record


@pytest.fixture
def bench(tmp_path, strace):
    return Bench(tmp_path, strace)


def judged(bench, synchronous, count, seed, further):
    """What is wrong with each image, where something is."""
    _, ops = record(bench, f"{synchronous}{seed}", synchronous)
    made = images(bench, ops, count, seed, f"image-{synchronous}{seed}-")
    return [
        problem
        for number, (path, acknowledged) in enumerate(made)
        if (problem := bench.found(path, acknowledged, further=further and number % 10 == 0))
    ]


@forms("count", 150, 3000, timeout=3600)
def test_a_power_cut_loses_nothing_acknowledged(bench, figures, count):
    """Images of a power cut at random instants, with lost and torn writes: each opens, whole, with everything acknowledged, the
    backup of a migration too. The same with `synchronous=NORMAL` must lose something, or the proof would not bite."""
    began = time.monotonic()
    seeds = 3 if count >= 3000 else 1
    wrong = [problem for seed in range(seeds) for problem in judged(bench, "FULL", count // seeds, seed, further=True)]
    canary = [problem for problem in judged(bench, "NORMAL", min(count, 150), 0, further=False) if "acknowledged" in problem]
    figures("power cut", images=count, lost_or_damaged=len(wrong), lost_by_the_canary=len(canary), seconds=round(time.monotonic() - began))

    assert wrong == []
    assert len(canary) > 10
