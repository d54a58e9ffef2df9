"""Every key of the configuration has two values that the outside can tell apart."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from flow.wire.keys import every_key
from flow.wire.proofs import PROOFS

from crmbridge.contract import Options

for module in sorted(Path(__file__).parent.glob("keys_of_*.py")):
    importlib.import_module(f"flow.wire.{module.stem}")

ONE_VALUE = {
    "crmbridge": "the version of the file's form is 1 until there is another",
}
"""Keys that can have one value only, and why."""


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.label)
def test_a_key_is_heard(proof, tmp_path):
    """Each value shows what it is to show, and no two show the same: code that no longer asks for the key fails one of them."""
    expected = [seen for _, seen in proof.cases]
    assert [one for index, one in enumerate(expected) if one in expected[:index]] == []
    seen = []
    for number, (value, _) in enumerate(proof.cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        seen.append(proof.observed(value, folder))
    assert seen == expected


def test_no_model_is_forgotten():
    """All options there are in the code are keys here, however they are nested."""
    walked = {ancestor for one in every_key().values() if one.model for ancestor in one.model.__mro__}
    there = [one for one in descendants(Options) if one.__module__.startswith(("crmbridge.", "connectors."))]
    there = [one for one in there if not one.__module__.endswith(".reference")]  # the schema's own, made of these while it is written
    assert [one.__name__ for one in there if one.model_fields and one not in walked and not is_chosen(one)] == []


def descendants(model):
    """All models that are made of this one."""
    return {one for child in model.__subclasses__() for one in (child, *descendants(child))}


def is_chosen(model):
    """Whether all it has is the word that chooses it, as `signature: {scheme: none}`."""
    return set(model.model_fields) <= {"scheme"}


def test_every_proof_is_of_a_key():
    """What is proved is there, and nothing that is proved is excused."""
    assert sorted({one.key for one in PROOFS} - every_key().keys()) == []
    assert sorted(ONE_VALUE.keys() & {one.key for one in PROOFS} | ONE_VALUE.keys() - every_key().keys()) == []


SAME = {"sources.rest.webhook.": "sources.webhook."}
"""Where the same options stand in two places: in the second each is proved, in the first each of their parts. The code is one."""


def test_every_key_is_proved():
    """A new key needs a proof, or a reason why it has one value only."""
    proved = {one.key for one in PROOFS} | ONE_VALUE.keys()
    missing = [
        name
        for name, key in every_key().items()
        if not (proved_below(name, proved) if key.holds else name in proved) and not proved_elsewhere(name, proved)
    ]
    assert missing == []


def proved_elsewhere(name, proved):
    """Whether it is a part of a part that stands here and there."""
    for here, there in SAME.items():
        part, inner, _ = name.removeprefix(here).partition(".")
        if name.startswith(here) and inner:
            twin = there + name.removeprefix(here)
            return proved_below(f"{here}{part}", proved) and (twin in proved or proved_below(twin, proved))
    return False


def proved_below(name, proved):
    """Whether a key that only holds others holds one that is proved."""
    return any(one.startswith(f"{name}.") for one in proved)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_code_that_is_deaf_to_a_key_is_noticed(figures):
    """Every place that asks for a key is made deaf in turn, and all places of each key at once: the latter no proof may miss."""
    done = subprocess.run([sys.executable, Path(__file__).with_name("deaf.py")], capture_output=True, text=True, check=False)
    figures("deaf to a key", result="; ".join(done.stdout.splitlines()[:2]))
    assert done.returncode == 0, done.stdout
