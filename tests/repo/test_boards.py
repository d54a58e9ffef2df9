"""The board and the alert rules name series that there are, and the rules ring for what they say."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from shared import ROOT, need

from crmbridge.telemetry import Metrics
from crmbridge.troubles.trouble import Code, Severity

CONFIG = ROOT / "config"
SELECTOR = re.compile(r"\b((?:crmbridge|process)_[a-z_]+)(?:\{([^}]*)\})?")
LABEL = re.compile(r'([a-z]+)(=~|=)"([^"]*)"')
OF_PROMETHEUS = {"instance", "job"}


def promtool(*arguments):
    program = shutil.which("promtool")
    need(program, "promtool", "apt-get install prometheus")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def series():
    """The labels of every series that a daemon can have, by its name."""
    metrics = Metrics()
    metrics.begin(["crm"], ["out"], ["change"])
    found = {}
    for one in vars(metrics).values():
        if hasattr(one, "_labelnames"):
            for suffix in ("", "_total", "_bucket"):
                found[f"{one._name}{suffix}"] = {*one._labelnames} | ({"le"} if suffix == "_bucket" else set())
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set(sample.labels))
    return found


def board():
    """The board, and every expression in it."""
    found = json.loads((CONFIG / "grafana.json").read_text("utf-8"))
    targets = [one["expr"] for panel in found["panels"] for one in panel.get("targets", ())]
    return found, targets + [one["expr"] for one in found["annotations"]["list"]]


def rules():
    groups = yaml.safe_load((CONFIG / "alerts.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def strange(expression, known):
    """What an expression selects that no daemon has."""
    wrong = []
    for name, labels in SELECTOR.findall(expression):
        if name not in known:
            wrong.append(name)
            continue
        wrong += [f"{name}{{{label}}}" for label, _, _ in LABEL.findall(labels) if label not in known[name] | OF_PROMETHEUS]
    return wrong


def test_every_series_of_the_board_and_the_alerts_is_there():
    """By name and by label; one that was renamed would leave an empty panel, and an alert that never rings."""
    known = series()
    expressions = board()[1] + [rule["expr"] for rule in rules()]
    assert [one for expression in expressions for one in strange(expression, known)] == []
    assert strange('crmbridge_trouble{sort="x"} + crmbridge_nothing', known) == ["crmbridge_trouble{sort}", "crmbridge_nothing"]


def test_every_metric_of_ours_stands_on_the_board():
    """Somebody who looks there sees all there is to see."""
    shown = " ".join(board()[1])
    ours = [one._name for one in vars(Metrics()).values() if hasattr(one, "_labelnames")]
    elsewhere = ["crmbridge_trouble_since_seconds", "crmbridge_last_reload_successful"]  # status tells the one, a trouble the other
    assert [name for name in ours if not re.search(rf"\b{name}(_total|_bucket)?\{{", shown)] == sorted(elsewhere, reverse=True)
    assert len(ours) > 20


def test_panels_do_not_cover_each_other():
    """Each has its place, its number and its question."""
    panels = board()[0]["panels"]
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or panel["targets"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_the_expressions_are_ones(tmp_path):
    """By Prometheus's own parser, with Grafana's variables filled in."""
    expressions = [one.replace("$__rate_interval", "5m").replace("$instance", ".*") for one in board()[1]]
    made = {"groups": [{"name": "board", "rules": [{"record": f"panel_{n}", "expr": one} for n, one in enumerate(expressions)]}]}
    (tmp_path / "board.yaml").write_text(yaml.safe_dump(made), "utf-8")
    found = promtool("check", "rules", tmp_path / "board.yaml")
    assert found.returncode == 0, found.stdout + found.stderr
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": [{"record": "x", "expr": "sum((x)"}]}]}), "utf-8")
    assert promtool("check", "rules", tmp_path / "bad.yaml").returncode != 0


def test_the_alerts_ring_for_what_they_say(tmp_path):
    """And for nothing else: promtool plays what happens and compares."""
    shutil.copy(CONFIG / "alerts.yaml", tmp_path)
    shutil.copy(ROOT / "tests" / "repo" / "alerts_test.yaml", tmp_path)
    found = promtool("test", "rules", tmp_path / "alerts_test.yaml")
    assert found.returncode == 0, found.stdout + found.stderr
    played = (tmp_path / "alerts_test.yaml").read_text("utf-8")
    assert all(f"alertname: {rule['alert']}" in played for rule in rules())


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_names_what_there_is(rule):
    """Codes, severities and verbs; each says what to do."""
    for _, labels in SELECTOR.findall(rule["expr"]):
        for label, _, value in LABEL.findall(labels):
            if label == "severity":
                assert value in {*Severity}
            if label == "code":
                assert set(value.split("|")) <= {*Code}
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description"}
