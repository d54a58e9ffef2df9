"""The files that stand beside a daemon are those of the version that is installed."""

import sys

import pytest
from click.testing import CliRunner
from shared import ROOT

from crmbridge.cli.common import Failure
from crmbridge.cli.group import cli

CONFIG = ROOT / "config"


def written(folder, *options):
    return CliRunner().invoke(cli, ["install-files", str(folder), *options], catch_exceptions=False)


def test_they_are_written(tmp_path, monkeypatch):
    """The unit starts this very program; nothing has the name of somebody's own configuration."""
    monkeypatch.setattr(sys, "argv", ["/srv/bridge/bin/crmbridge"])
    folder = tmp_path / "a" / "b"
    assert written(folder).exit_code == 0
    found = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    shipped = {path.name: path.read_text("utf-8") for path in CONFIG.iterdir()}
    assert found.pop("crmbridge.reference.yaml") == shipped.pop("crmbridge.yaml")
    unit, as_shipped = found.pop("crmbridge.service"), shipped.pop("crmbridge.service")
    assert unit.count("/srv/bridge/bin/crmbridge ") == as_shipped.count("/opt/crmbridge/bin/crmbridge ") == 2
    assert found == shipped


def test_nothing_is_written_over(tmp_path):
    """But on demand."""
    (tmp_path / "alerts.yaml").write_text("mine")
    with pytest.raises(Failure, match=r"has alerts\.yaml already"):
        written(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["alerts.yaml"]
    written(tmp_path, "--force")
    assert (tmp_path / "alerts.yaml").read_text() == (CONFIG / "alerts.yaml").read_text()
