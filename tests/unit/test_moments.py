"""Instants in answers are shown in one form, in the zone of the configuration."""

import click
import pytest

from crmbridge.cli.moments import moment, zone_of

AT = "2026-11-30T22:11:50.123456+00:00"


def shown(tmp_path, text, written=AT):
    path = tmp_path / "crmbridge.yaml"
    path.write_text(text)
    context = click.Context(click.Command("status"))
    context.params["path"] = path
    with context:
        first = moment(written)
        path.write_text("timezone: Asia/Tokyo\n")
        assert moment(written) == first, "one answer has one zone"
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
