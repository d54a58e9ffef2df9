"""Hostile rules and records through a real daemon: what is odd costs only itself, and everybody else is served meanwhile."""

import json
import threading
import time

import pytest
import requests
from flow.daemon import Daemon, Networks, until
from flow.test_troubles import ODD

PATIENCE = 20.0  # seconds for an honest webhook, on a machine that does much else; the figures say how long it took
MANY = list(range(20_000))
NAMES = [f"name {n}" for n in MANY]

TEMPLATES = {
    "loop-keeps-nothing": "{% for i in record.x if i == 'q' %}{% endfor %}.",
    "loop-in-loop": "{% for i in record.x %}{% for j in record.x %}{{ j }}{% endfor %}{% endfor %}",
    "in-in-a-loop": "{% for i in record.x if i in record.x %}{{ i }}{% endfor %}.",
    "in-many-times": "{% if " + " or ".join(["'q' in record.x"] * 60) + " %}x{% endif %}.",
    "search-in-a-loop": "{% for i in record.x %}{% if 'q' in record.y %}{% endif %}{% endfor %}.",
    "compare-in-a-loop": "{% for i in record.x %}{% if record.y == record.y ~ 'x' %}{% endif %}{% endfor %}.",
    "filters-in-a-loop": "{% for i in record.x %}{{ record.y | slug | upper | truncate(1) }}{% endfor %}",
    "long-separator": "{{ record.x | join(record.y) }}",
    "thousand-parts": "{% for i in record.x %}" + "{{ record.name }}" * 1000 + "{% endfor %}.",
    "doubling": "{% set a = record.name %}" + "{% set a = a ~ a %}" * 40 + "{{ a | truncate(1) }}",
    "as-it-is": "{{ record.x }} {{ record.y }}",
    "as-a-number": "{{ record.x | number(10) }} {{ record.y | money('EUR') }} {{ record.y | round(10) }}",
    "as-a-date": "{{ record.x | date('" + "%9999Y" * 16 + "') }} {{ record.y | date }}",
    "arithmetic": "{{ record.x + record.y }} {{ record.x / record.y }} {{ -record.x }}",
}
CONDITIONS = {
    "if-in": "'q' in record.x and record.y in record.x",
    "if-compare": "record.x == record.y or record.x > record.y",
    "if-arithmetic": "record.x + 1 > record.y / 3",
}
MATCHES = {
    "match-contains": {"x": {"contains": "q"}, "y": {"contains": "q"}},
    "match-in": {"x": {"in": [f"v{n}" for n in range(300)]}},
    "match-order": {"x": {"gt": 3}, "y": {"lte": "q"}},
    "match-change": {"x": {"becomes": "q"}, "y": {"changed": True}},
    "match-starts": {"x": {"starts_with": "0, 1"}},
}


def rules():
    """Each hostile rule says something to the sink; one uses every key of a step for what a record says; one is honest."""

    def rule(id, publish, **facts):
        return {"id": id, "when": {"source": "crm", "record": "Deal"}, "surge": "off", "publish": publish, **facts}

    text = [{"to": "sink", "text": "{{ record.name }} matched"}]
    found = [rule(id, [{"to": "sink", "text": template}]) for id, template in TEMPLATES.items()]
    found += [rule(id, text, **{"if": condition}) for id, condition in CONDITIONS.items()]
    found += [rule(id, text, match=match) for id, match in MATCHES.items()]
    keys = {
        "text": "{{ record.x }}",
        "link": "https://crm.example.com/{{ record.x }}/{{ record.y }}",
        "thread": "record",
        "channel": {"for": "record.x", "title": "record.y"},
    }
    numbers = {"type": "pie", "segments": [{"label": "a", "value": 1.5}, {"label": "b", "value": 1}]}
    layout = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "{{ record.x }}"}, "expand": True},
        {"type": "data_visualization", "title": "n", "chart": numbers},
    ]
    found.append(rule("every-key-of-a-step", [{"to": "feed", **keys}, {"to": "wins", "text": "x", "blocks": layout}]))
    found.append(rule("honest", [{"to": "sink", "text": "honest {{ record.name }}"}], match={"honest": "yes"}))
    polled = {"id": "polled", "when": {"source": "odd", "record": "Deal"}, "surge": "off"}
    return [*found, {**polled, "publish": [{"to": "sink", "text": "polled {{ record.name }}"}]}]


def nested(depth):
    value = "x"
    for _ in range(depth):
        value = [value]
    return value


def body(number, raw_x, raw_y='"y"', **fields):
    """A webhook's body, with values as they stand in JSON text: some of them no library would write."""
    others = "".join(f", {json.dumps(name)}: {value}" for name, value in fields.items())
    return f'{{"id": "h{number}", "version": 1, "fields": {{"name": "h", "x": {raw_x}, "y": {raw_y}{others}}}}}'.encode(
        "utf-8", "surrogatepass"
    )


HOSTILE = {
    "a list of 20,000 numbers": body(1, json.dumps(MANY), json.dumps("y" * 200_000)),
    "a list of 20,000 names": body(2, json.dumps(NAMES), json.dumps(NAMES)),
    "a list of 200,000": body(3, json.dumps([1] * 200_000)),
    "a text of 900 kB": body(4, json.dumps("x" * 900_000), json.dumps("x")),
    "a text that is nearly a number": body(5, json.dumps(" " * 400_000 + "1"), json.dumps("1" * 400_000)),
    "lists in lists": body(6, json.dumps(nested(50)), json.dumps([MANY[:9000], MANY[:9000]])),
    "lists too deep": body(7, json.dumps(nested(100))),
    "a number beyond all reason": body(8, "1e999999999999"),
    "a number of 400 digits": body(9, "9" * 400, "-0"),
    "a number of 5,000 digits": body(10, "9" * 5000),
    "a number next to nothing": body(11, "1e-400", "0"),
    "not a number": body(12, "NaN"),
    "true, null": body(13, "true", "null"),
    "a mapping": body(14, '{"a": {"b": [1, {"c": 2}]}}', "{}"),
    "a lone surrogate": body(15, '"\\ud800"', '"\\u0000\\u202e"'),
    "a thousand fields": body(16, "1", "1", **{f"f{n}": '"v"' for n in range(1000)}),
    "a date of no calendar": body(17, '"9999-99-99T99:99:99Z"', '"0000-00-00"'),
    "an empty list, an empty text": body(18, "[]", '""'),
    "a list of nulls": body(19, "[null, null]", '[true, 1, "a", null]'),
    "no id": b'{"version": 1, "fields": {}}',
    "an id that is a list": b'{"id": [1], "version": 1, "fields": {"name": "h"}}',
    "fields that are a list": b'{"id": "h20", "version": 1, "fields": [1, 2]}',
    "a version of words": b'{"id": "h21", "version": "soon", "fields": {"name": "h"}}',
    "no JSON": b"{",
}


class Prober(threading.Thread):
    """Asks /healthz all the time, as an orchestrator does."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.slowest, self.failed, self.asked, self.ended = url, 0.0, [], 0, False

    def run(self):
        while not self.ended:
            began = time.monotonic()
            try:
                assert requests.get(f"{self.url}/healthz", timeout=10).status_code == 200
            except Exception as error:
                self.failed.append(repr(error))
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.asked += 1
            time.sleep(0.02)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.join(15)


class Served:
    """The daemon, and how long honest webhooks took beside the hostile ones."""

    def __init__(self, daemon, networks):
        self.daemon, self.networks, self.slowest, self.numbers = daemon, networks, 0.0, iter(range(1, 10_000))

    def honest(self):
        """One is published within its time."""
        name = f"n{next(self.numbers)}"
        began = time.monotonic()
        assert self.daemon.post(self.daemon.body(name, 1, name=name, honest="yes", x="x", y="y")) == 202
        until(lambda: f"honest {name}" in self.networks.said_at_the_sink, f"{name} is published", PATIENCE)
        self.slowest = max(self.slowest, time.monotonic() - began)

    def polled(self):
        return len([one for one in self.networks.said_at_the_sink if one.startswith("polled ")])


@pytest.fixture
def served(tmp_path):
    with Networks() as networks, Daemon(tmp_path, networks) as daemon:
        fields = dict.fromkeys(["name", "x", "y", "honest", *(f"f{n}" for n in range(20))], "internal")
        daemon.config["sources"]["crm"]["records"]["Deal"]["fields"] = fields
        odd = {"type": "odd", "every": "1s", "records": {"Deal": {"fields": {"name": "internal", "stage": "internal"}}}}
        daemon.config["sources"]["odd"] = odd
        daemon.config["destinations"].pop("brand")
        daemon.config["rules"] = rules()
        daemon.config["log"] = {"level": "error"}
        daemon.environment = {"PYTHONPATH": str(ODD)}
        (tmp_path / "behaviour.json").write_text(json.dumps({"odd.poll": "bring"}))
        daemon.write()
        yield Served(daemon, networks)


def test_hostile_records_cost_only_themselves(served, figures):
    """Each behind an honest one; health answers throughout, polled sources are read on, and every culprit is named.

    Killed in the midst of it and begun again, it is the same.
    """
    daemon = served.daemon.start()
    served.honest()
    answers = {}
    with Prober(daemon.url) as prober:
        for name, data in HOSTILE.items():
            answers[name] = daemon.post(data)
            served.honest()
        polled = served.polled()
        for data in HOSTILE.values():  # all at once, and the process is killed while it works on them
            daemon.post(data.replace(b'"version": 1', b'"version": 2'))
    daemon.kill()
    daemon.start()
    with Prober(daemon.url) as again:
        served.honest()
        daemon.quiet()
        until(lambda: served.polled() > polled + 2, "the polled source is read on", PATIENCE)
    assert prober.failed == again.failed == []
    assert min(prober.asked, again.asked) > 5
    refused = {name for name, status in answers.items() if status != 202}
    assert refused == {"lists too deep", "not a number", "no JSON"}, refused

    dead = daemon.ask("dead_list", limit=1000)
    culprits = {one["record"] for one in dead["deliveries"]} | {f"crm/{one['record']}" for one in dead["requests"] if one["record"]}
    assert {f"crm/Deal/h{n}" for n in (1, 2, 4, 5, 6, 9, 11, 13, 15, 17, 18, 19)} <= culprits
    assert all(one["reason"] for one in dead["requests"])
    reasons = {one["reason"].partition(" (item")[0] for one in dead["requests"]}
    for words in ("more than 25,000 items", "record_id: nothing stands", "fields: no mapping", "neither a number nor an instant"):
        assert any(words in one for one in reasons), (words, reasons)
    told = json.loads(daemon.cli("explain", "crm/Deal/h1", "-o", "json").stdout)["records"][0]["changes"][0]
    errors = " ".join(one["last_error"] for one in told["deliveries"]) + " ".join(one["reason"] for one in told["rules"])
    assert "too much work" in errors
    assert {one["rule"] for one in told["deliveries"]} >= {"loop-in-loop", "in-in-a-loop", "as-it-is"}
    figures(
        "hostile",
        bodies=2 * len(HOSTILE),
        rules=len(rules()),
        health_ms=round(1000 * max(prober.slowest, again.slowest)),
        honest_ms=round(1000 * served.slowest),
        asked=prober.asked + again.asked,
    )
