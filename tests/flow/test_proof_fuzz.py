"""Anything may arrive, and anything may be written in a configuration: it is answered or refused in words, and soon."""

import contextlib
import gc
import hashlib
import hmac
import http.client
import json
import os
import random
import string
import time
from collections import Counter
from datetime import UTC
from pathlib import Path

import pytest
from flow.daemon import HOOK_SECRET, STILL
from flow.proofs.forms import forms
from flow.proofs.harness import SURGE, Bridge, Sink, keyed
from flow.proofs.mutate import mutant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared import ROOT, examples

from crmbridge.config.load import load
from crmbridge.errors import ConfigError, RenderError
from crmbridge.model import Reading
from crmbridge.rules.compiler import Bindings, CompileError
from crmbridge.rules.expression import compile_expression
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.template import compile_template

SOON = 1.0  # seconds of work for any one input: of CPU time, for the machine has other things to do
ALLOWED = {200, 202, 400, 401, 408, 413, 415, 417}  # 417: an `Expect` that nobody knows
LOUD = ("Traceback", "unforeseen", "a part of crmbridge failed", "request failed")

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=40),
    st.text("<>&@#*_`~:|/\\{}%\u202e\u200b\u2066\ud800\x00\x1b\n", max_size=40),
    st.sampled_from(["{{ record.name }}", "<!channel>", "@everyone", "9" * 5000, "1e999999999", "x" * 20_000]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4))
)
FIELDS = st.dictionaries(st.sampled_from(["name", "bucket", "amount", "due", "other", ""]), VALUES, max_size=5)
CHANGES = st.fixed_dictionaries({}, optional={"id": VALUES, "version": VALUES, "fields": st.one_of(FIELDS, VALUES), "more": VALUES})
GOOD = st.fixed_dictionaries({"id": st.integers(0, 30), "version": st.integers(0, 10**6), "fields": FIELDS})
BODIES = st.one_of(
    GOOD.map(lambda change: json.dumps(change).encode()),
    GOOD.map(lambda change: json.dumps(change, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    CHANGES.map(lambda change: json.dumps(change).encode("utf-8", "surrogatepass")),
    st.binary(max_size=200),
    VALUES.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
    st.tuples(CHANGES, st.integers(0, 200)).map(lambda made: json.dumps(made[0]).encode()[: made[1]]),
)
VISIBLE = "".join(one for one in string.printable if one not in "\r\n\x0b\x0c")
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "X-Signature", "Content-Encoding", "X-Request-Id", "Accept", "Expect", "Cookie"]),
    st.one_of(
        st.text(VISIBLE, max_size=60), st.sampled_from(["application/json", "gzip", "100-continue", "0" * 64, "text/plain; charset=utf-9"])
    ),
    max_size=4,
)


@pytest.fixture
def daemon(tmp_path):
    """A text that uses all fields, so that values are read, compared and said."""
    with Sink("key") as sink, Bridge(tmp_path, {"key": keyed(sink.port)}) as made:
        fields = dict.fromkeys(("name", "bucket", "amount", "due", "other"), "public")
        made.config["sources"]["crm"]["records"]["Deal"]["fields"] = fields
        made.config["rules"] = [
            {
                "id": "any",
                "when": {"source": "crm", "record": "Deal"},
                "publish": [{"to": "key", "text": "ev-00000000 {{ record.name }} {{ record.amount }} {{ record.due }} {{ record.other }}"}],
                **SURGE,
            }
        ]
        made.write()
        yield made.start()


def work(daemon):
    """Seconds of CPU time that the daemon has used."""
    user, system = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@forms("count", 1000, 20_000, timeout=1800)
def test_whatever_arrives_is_answered(daemon, figures, count):
    """Any body, signed or not, under any headers: 2xx or the 4xx that fits, within a second; it is interpreted or kept for a
    person, and the daemon is as well as before."""
    began, seen, slowest, count = time.monotonic(), {}, [0.0], examples(count)

    @settings(max_examples=count, suppress_health_check=list(HealthCheck), database=None)
    @given(BODIES, HEADERS | st.just({}), st.integers(0, 3))
    def send(body, headers, signed):
        if signed:
            signature = hmac.digest(HOOK_SECRET.encode(), body, hashlib.sha256).hex()
            headers = {"Content-Type": "application/json"} | headers | {"X-Signature": signature}
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=STILL)
        at = work(daemon)
        with contextlib.closing(connection):
            connection.request("POST", "/hooks/crm", body, headers)
            status = connection.getresponse().status
        slowest[0] = max(slowest[0], work(daemon) - at)
        seen[status] = seen.get(status, 0) + 1
        assert status in ALLOWED, (status, body, headers)

    send()
    daemon.quiet()
    kept = sum(one["count"] for one in daemon.ask("status")["inbox"])
    assert kept < seen[202], "nothing was interpreted"
    seconds = round(time.monotonic() - began)
    figures("fuzzed webhooks", n=sum(seen.values()), statuses=seen, kept=kept, slowest_s=round(slowest[0], 2), seconds=seconds)

    assert [word for word in LOUD if word in daemon.output] == [], daemon.output[-3000:]
    assert seen.get(202, 0) > count / 10
    assert slowest[0] < SOON
    assert daemon.stop() == 0


@contextlib.contextmanager
def timed(slowest):
    """Keep the most CPU time that such a block took, without the collector's rounds through all that this process keeps."""
    gc.disable()
    at = time.process_time()
    try:
        yield
    finally:
        slowest[0] = max(slowest[0], time.process_time() - at)
        gc.enable()


@forms("count", 1000, 50_000, timeout=3600)
def test_whatever_is_written_is_read_or_refused(tmp_path, figures, count):
    """Mutants of a real configuration: the loader gives a configuration or problems with their places, and nothing else."""
    began, refused, slowest, count = time.monotonic(), 0, [0.0], examples(count)
    text = (ROOT / "examples" / "parkers" / "crmbridge.yaml").read_text("utf-8")
    chance = random.Random(count)
    path = tmp_path / "crmbridge.yaml"
    for _ in range(count):
        path.write_text(mutant(text, chance), "utf-8")
        with timed(slowest):
            try:
                load(path, secrets=False)
            except ConfigError as error:
                refused += bool(error.problems)
    figures("fuzzed configurations", n=count, refused=refused, slowest_s=round(slowest[0], 2), seconds=round(time.monotonic() - began))

    assert refused > count / 2
    assert slowest[0] < SOON


MARKS = ["{{ ", " }} ", "{% if ", " %}", "{% else %}", "{% endif %}", "{% for a in ", "{% endfor %}", "{% set a = ", "{#", "#}"]
NAMES = [
    "record.name",
    "record['x']",
    "before.name",
    "event.kind",
    "a",
    "and",
    "not",
    "in",
    "if",
    "else",
    "none",
    "true",
    "'b'",
    "1",
    "-1.5",
]
WORDS = st.sampled_from([*MARKS, *NAMES, *FILTERS, "|", *"()[]<+~.,\\\n ", "==", "9" * 40])
SOURCES = st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=24).map("".join)
READ = st.one_of(
    st.none(),
    st.booleans(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
    st.dates(),
    st.datetimes(timezones=st.just(UTC)),
    st.lists(st.text(max_size=5), max_size=4).map(tuple),
)


@forms("count", 1000, 100_000, timeout=3600)
def test_whatever_a_template_says_is_rendered_or_refused(figures, count):
    """Any source over any record: words, or CompileError or RenderError, within a second."""
    began, ended, slowest, count = time.monotonic(), Counter(), [0.0], examples(count)

    @settings(max_examples=count, suppress_health_check=list(HealthCheck), database=None)
    @given(SOURCES, READ)
    def render(source, value):
        scope = Bindings({"name": value, "x": value}, {"name": value}, {"kind": "updated"}, Reading(days=UTC))
        for make in (compile_template, compile_expression):
            with timed(slowest):
                try:
                    made = make(source, fields=None, filters=FILTERS)
                    made.render(scope) if make is compile_template else made.evaluate(scope)
                    ended["rendered"] += 1
                except (CompileError, RenderError) as error:
                    ended[type(error).__name__] += 1

    render()
    seconds = round(time.monotonic() - began)
    figures("fuzzed templates", n=sum(ended.values()), **ended, slowest_s=round(slowest[0], 2), seconds=seconds)

    assert slowest[0] < SOON
    assert ended["rendered"] > count / 100
