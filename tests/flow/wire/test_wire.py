"""Every key of the configuration has two values that the outside can tell apart."""

import importlib
from pathlib import Path

import pytest
from flow.wire.keys import every_key
from flow.wire.proofs import PROOFS

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


def test_every_proof_is_of_a_key():
    """What is proved is there, and nothing that is proved is excused."""
    assert sorted({one.key for one in PROOFS} - every_key().keys()) == []
    assert sorted(ONE_VALUE.keys() & {one.key for one in PROOFS} | ONE_VALUE.keys() - every_key().keys()) == []
