"""What is written twice is generated once."""

import json

import pytest
from repo.generated import ROOT, wanted

from crmbridge.config.load import load

FILES = wanted()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_files_are_up_to_date(path):
    """Else: python tests/repo/generated.py"""
    assert FILES[path] == path.read_text("utf-8")


def test_the_reference_is_a_valid_configuration():
    """It passes the linter and its own rule test."""
    config = load(ROOT / "config" / "crmbridge.yaml", secrets=False)

    assert [rule.id for rule in config.rules] == ["won"]


def test_the_schema_knows_every_key():
    """An editor that follows it accepts the reference's keys, and no key of our own invention."""
    schema = json.loads((ROOT / "config" / "schema.json").read_text("utf-8"))

    assert {"crmbridge", "sources", "destinations", "rules"} <= schema["properties"].keys()
    assert schema["additionalProperties"] is False
