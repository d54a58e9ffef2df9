"""What crmbridge says about itself: no secret in it, no line that a record forged, and systemd hears the truth."""

import base64
import io
import json
import logging
import os
import socket
import sys
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared import examples

from crmbridge import telemetry
from crmbridge.telemetry import (
    JsonFormatter,
    Metrics,
    TextFormatter,
    configure_logging,
    hide,
    one_line,
    redact,
    tell_systemd,
    watchdog_interval,
)


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch):
    """Each test hides its own secrets."""
    monkeypatch.setattr(telemetry, "_hidden", ())


@pytest.fixture
def root():
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:], logger.level = handlers, level


SECRET = 'p4ss"wörd/+ \\x&='


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        json.dumps(SECRET)[1:-1],
        json.dumps({"token": SECRET}),
        json.dumps({"token": SECRET}, ensure_ascii=False),
        f"https://hooks.example/{quote(SECRET, safe='')}?x=1",
        f"Authorization: Bearer {SECRET}",
    ],
)
def test_a_secret_is_masked_in_every_form(form):
    """As it is, in an address, in base64, in JSON."""
    hide(SECRET)
    said = redact(f"before {form} after")

    assert "***" in said
    assert "p4ss" not in said
    assert said.startswith("before ")
    assert said.endswith(" after")


def test_a_longer_secret_is_masked_before_its_part():
    """Else what is left of it would show."""
    hide("secret-one")
    hide("secret-one-and-more")

    assert redact("secret-one-and-more secret-one") == "*** ***"


def test_short_words_are_not_masked():
    """`abc` as a test's secret would eat every log; twice hidden is hidden once."""
    hide("abc")
    hide("longer-secret")
    before = telemetry._hidden
    hide("longer-secret")

    assert redact("abc") == "abc"
    assert before is telemetry._hidden


def test_a_scheme_alone_is_not_masked():
    """An address that was not written to its end would else eat the links of every message."""
    hide("https://")

    assert redact("see https://crm.example/a") == "see https://crm.example/a"


def logged(formatter, message, *args, error=None, **facts):
    record = logging.getLogger("crmbridge.test").makeRecord("crmbridge.test", logging.WARNING, "f", 1, message, args, error, extra=facts)
    return formatter.format(record)


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_no_log_holds_a_secret(formatter):
    """In the message, its arguments, a fact, or an exception's text."""
    hide(SECRET)
    try:
        raise ValueError(f"cannot use {SECRET}")
    except ValueError:
        error = sys.exc_info()
    said = logged(formatter, "a %s b", SECRET, error=error, url=f"https://h/{quote(SECRET, safe='')}", header={"k": SECRET})

    assert "p4ss" not in said
    assert said.count("***") >= 4
    assert "ValueError" in said


FORGED = "x\n2026 error forged\r\x1b[31mred\x1b[0m\u2028\u2029\x85\x00\x7f\x9b1m\tend"


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_no_record_forges_a_line(formatter):
    """Line ends and terminal commands in a name are written out."""
    said = logged(formatter, FORGED, reason=FORGED, nested={"a": FORGED})

    assert len(said.splitlines()) == 1
    assert not [char for char in said if ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0]


def test_no_exception_forges_a_line():
    """Its words are set in for people, and one string for programs."""
    try:
        raise ValueError(FORGED)
    except ValueError:
        error = sys.exc_info()
    lines = logged(TextFormatter(), "failed", error=error).split("\n")

    assert not [line for line in lines[1:] if not line.startswith("    ")]
    assert "\x1b" not in "".join(lines)
    assert len(logged(JsonFormatter(), "failed", error=error).splitlines()) == 1


CONTROLS = st.sampled_from([*map(chr, (*range(0x20), 0x7F, 0x85, 0x9B, 0x2028, 0x2029)), "\r\n", "\x1b[2J", "\ud800", '"', "\\", "=", " "])
HOSTILE = st.lists(st.one_of(CONTROLS, st.text(max_size=3), st.just('2026 error {"level":"error"}'))).map("".join)


def adds_no_line(message, fact):
    """A record's words in a message, a fact, a nested fact and an exception, in both forms."""
    try:
        raise ValueError(fact)
    except ValueError:
        error = sys.exc_info()
    for formatter in (JsonFormatter(), TextFormatter()):
        said = logged(formatter, "%s", message, fact=fact, nested={"a": [fact]})
        assert len(said.splitlines()) == 1
        assert not [char for char in said if ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0]
        said.encode("utf-8", "backslashreplace")
        lines = logged(formatter, "%s", message, error=error).splitlines()
        assert not [line for line in lines[1:] if not line.startswith("    ")]
    assert len(lines) > 1
    assert json.loads(logged(JsonFormatter(), "%s", message, fact=fact)).keys() == {"time", "level", "logger", "message", "fact"}
    assert len(one_line(message + "x").splitlines()) == 1


@settings(max_examples=examples(300))
@given(HOSTILE, HOSTILE)
def test_any_text_is_one_line(message, fact):
    """For both forms, and it can be written as UTF-8."""
    adds_no_line(message, fact)


@pytest.mark.long
@pytest.mark.timeout(1200)
@settings(max_examples=10_000)
@given(HOSTILE, HOSTILE)
def test_any_text_is_one_line_ten_thousand_times(message, fact):
    """The same, at length."""
    adds_no_line(message, fact)


def test_json_logs_are_for_programs():
    """One object, with time, level, logger, message and the facts as they are."""
    said = json.loads(logged(JsonFormatter(), "a %d", 5, source="crm", count=3, moment={1}))

    assert tuple(said[name] for name in ("level", "logger", "message", "source", "count", "moment")) == (
        "warning",
        "crmbridge.test",
        "a 5",
        "crm",
        3,
        "{1}",
    )
    assert said["time"].endswith("Z")


def test_text_logs_are_for_people():
    """Facts behind the message; what is empty is left out."""
    said = logged(TextFormatter(), "a webhook was refused", source="crm", reason="", status=None)

    assert said.endswith("warning a webhook was refused source=crm")


def test_configuring(root):
    """Everything goes to one place, and vendor clients' own debug logs stay off: they print tokens."""
    stream = io.StringIO()
    configure_logging(level="debug", style="json", stream=stream)
    logging.getLogger("crmbridge.x").debug("mine")
    for name in ("urllib3.connectionpool", "requests_oauthlib.oauth1_auth", "oauthlib.oauth1", "tweepy.client", "apscheduler.executors"):
        logging.getLogger(name).debug("a token")

    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["mine"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "style", "no_colour", "shown"),
    [
        (io.StringIO, "auto", "", "{"),
        (Terminal, "auto", "", "\033[33mwarning\033[0m "),
        (Terminal, "auto", "1", "warning careful"),
        (Terminal, "json", "", '"level":"warning"'),
        (io.StringIO, "text", "", "warning careful"),
    ],
)
def test_who_watches_sees_lines_for_people(root, monkeypatch, stream, style, no_colour, shown):
    """On a terminal, with the colours that they did not switch off; a program gets JSON."""
    monkeypatch.setenv("NO_COLOR", no_colour)
    out = stream()
    configure_logging(style=style, stream=out)
    logging.getLogger("crmbridge.x").warning("careful")
    assert shown in out.getvalue()
    assert ("\033" in out.getvalue()) == ("\033" in shown)


def test_lone_surrogates_reach_the_stream(root):
    """A broken record must not break the log itself."""
    raw = io.BytesIO()
    configure_logging(style="text", stream=io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True))
    logging.getLogger("crmbridge.x").warning("a", extra={"name_": "\ud800"})

    assert b"\\ud800" in raw.getvalue()


def test_metrics_are_their_own():
    """Two daemons in one process do not share a registry."""
    one, other = Metrics(), Metrics()
    one.reload_ok.set(1)

    assert b"crmbridge_last_reload_successful 1.0" in one.exposition()
    assert b"crmbridge_last_reload_successful 0.0" in other.exposition()


# --- systemd --------------------------------------------------------------------------------------


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path, monkeypatch, abstract):
    """Over a real socket, by path or in the abstract namespace."""
    name = f"@crmbridge-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        tell_systemd("READY=1\nSTATUS=läuft")
        assert manager.recv(4096).decode() == "READY=1\nSTATUS=läuft"


def test_systemd_that_is_not_there(tmp_path, monkeypatch):
    """Says nothing, and fails nothing."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_systemd("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    tell_systemd("READY=1")


@pytest.mark.parametrize(
    ("microseconds", "pid", "expected"),
    [
        (None, None, None),
        ("", None, None),
        ("20000000", None, 10.0),
        ("20000000", "mine", 10.0),
        ("20000000", "1", None),
        ("-5", None, None),
        ("x", None, None),
        ("٣", None, None),
        ("0", None, None),
    ],
)
def test_the_watchdog(monkeypatch, microseconds, pid, expected):
    """Half of its patience; nothing where it is not asked for, or of another process, or senseless."""
    for name, value in {"WATCHDOG_USEC": microseconds, "WATCHDOG_PID": str(os.getpid()) if pid == "mine" else pid}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    assert expected == watchdog_interval()
