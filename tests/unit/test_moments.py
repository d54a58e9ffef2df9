"""Instants in answers are shown in one form, in the zone of the configuration."""

import click
import pytest

from crmbridge.cli.common import written
from crmbridge.cli.moments import moment, zone_of
from crmbridge.config.document import read
from crmbridge.config.load import admin_door

AT = "2026-11-30T22:11:50.123456+00:00"


def shown(tmp_path, text, at=AT):
    path = tmp_path / "crmbridge.yaml"
    path.write_text(text)
    context = click.Context(click.Command("status"))
    context.params["path"] = path
    with context:
        first = moment(at)
        path.write_text("timezone: Asia/Tokyo\n")
        assert moment(at) == first, "one answer has one zone"
    return first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("timezone: Europe/Berlin\n", "2026-11-30 23:11:50 CET"),
        ("timezone: Asia/Kathmandu\nrules: [{}]\n", "2026-12-01 03:56:50 +0545"),
        ("crmbridge: 1\n", "2026-11-30 22:11:50 UTC"),
        ("timezone: Nowhere/Land\n", "2026-11-30 22:11:50 UTC"),
        ("timezone: [1]\n", "2026-11-30 22:11:50 UTC"),
        ("timezone: {{\n", "2026-11-30 22:11:50 UTC"),
    ],
)
def test_an_instant_stands_in_the_zone_of_the_configuration(tmp_path, text, said):
    """Also where other things in it are wrong; in UTC where it names no zone."""
    assert shown(tmp_path, text) == said


def test_without_a_configuration(tmp_path):
    """There is nothing to show, no file, no verb."""
    assert moment(None) == moment("") == ""
    assert moment(AT) == "2026-11-30 22:11:50 UTC"
    assert str(zone_of(tmp_path / "none.yaml")) == "UTC"


def test_a_verb_reads_its_file_once(tmp_path, monkeypatch):
    """Where the daemon is, and in which zone its people are, stand in the same file."""
    reads = []
    monkeypatch.setattr("crmbridge.cli.common.read", lambda path, name: reads.append(path) or read(path, name))
    path = tmp_path / "crmbridge.yaml"
    path.write_text("timezone: Europe/Berlin\nadmin: {listen: here.sock}\n")
    with click.Context(click.Command("x")) as context:
        context.params["path"] = path
        assert admin_door(path, written(path))[0] == str(tmp_path / "here.sock")
        assert moment("2026-06-01T10:00:00+00:00") == "2026-06-01 12:00:00 CEST"
    assert len(reads) == 1
