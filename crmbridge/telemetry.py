"""Logs, redaction and metrics: what crmbridge says about itself.

A secret's value is registered here when it is first read (`hide`); from then on it appears as `***` in
every log record and in every text that passed `redact`.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import logging
import os
import platform
import socket
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any, Final, TextIO
from urllib.parse import quote

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from crmbridge import __version__

# --- redaction ------------------------------------------------------------------------------

_MASK = "***"
_SHORTEST = 6  # below that, masking would eat ordinary words
_hidden: tuple[str, ...] = ()
_lock = threading.Lock()


def hide(secret: str) -> None:
    """Keep `secret`, and its URL-encoded, base64, JSON and repr forms, out of everything that is written from now on."""
    global _hidden
    if len(secret) < _SHORTEST or secret in _hidden or secret.endswith("://"):  # a scheme alone stands in every address
        return
    with _lock:
        _hidden = tuple(sorted({*_hidden, *_forms(secret)}, key=len, reverse=True))


def forget(secret: str) -> None:
    """Hide `secret` no longer: it is worth nothing any more, and every line is searched for all that is hidden."""
    global _hidden
    with _lock:
        gone = _forms(secret)
        _hidden = tuple(one for one in _hidden if one not in gone)


def _forms(secret: str) -> set[str]:
    forms = {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}
    return forms | {written[1:-1] for form in forms for written in (json.dumps(form), json.dumps(form, ensure_ascii=False), repr(form))}


def redact(text: str) -> str:
    """`text` with every hidden secret masked."""
    for secret in _hidden:
        if secret in text:
            text = text.replace(secret, _MASK)
    return text


# --- logs -----------------------------------------------------------------------------------

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}


def one_line(text: str) -> str:
    """`text` with control characters written out, so that a record can never forge a log line."""
    return text.translate(_CONTROLS)


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the `extra=` fields of a log record."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


class _Formatter(logging.Formatter):
    """Message, `extra=` fields and, for an exception, its traceback: redacted as a whole."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(self.line(record, facts_of(record)))

    def line(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        raise NotImplementedError


# What JSON lets stand, though terminals obey it and some readers end a line there.
_JSON_CONTROLS = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029)}
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def _as_json(entry: dict[str, Any]) -> str:
    try:
        return orjson.dumps(entry, str).decode()
    except TypeError:  # a lone surrogate, a number beyond 64 bits: a log line must come out all the same
        return _encode(entry)


@functools.lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def line(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        entry = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **facts,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        line = _as_json(entry)
        return line if line.isascii() and "\x7f" not in line else line.translate(_JSON_CONTROLS)


_COLOURS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}  # yellow, red, bold red: ECMA-48, SGR


class TextFormatter(_Formatter):
    """For people: time, level, message, then the facts as `name=value`. With `colour`, levels that want to be seen have one."""

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colours = _COLOURS if colour else {}

    def line(self, record: logging.LogRecord, facts: dict[str, Any]) -> str:
        stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
        tail = "".join(f" {name}={one_line(str(value))}" for name, value in facts.items() if value not in ("", None))
        level = f"{record.levelname.lower():7}"
        if colour := self._colours.get(record.levelname):
            level = f"\033[{colour}m{level}\033[0m"
        text = f"{stamp} {level} {one_line(record.getMessage())}{tail}"
        if not record.exc_info:
            return text
        # Set in, so that no line of an exception's own words begins like a line of the log.
        return "\n".join([text, *(f"    {one_line(line)}" for line in self.formatException(record.exc_info).split("\n"))])


_NOISY = ("urllib3", "requests", "requests_oauthlib", "oauthlib", "tweepy", "aiohttp.access", "apscheduler", "asyncio")


def configure_logging(*, level: str = "info", style: str = "auto", stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (stderr). Vendor clients' own debug logs stay off: they print tokens.

    `style`: json, text, or auto: text on a terminal, else json. Colours: on a terminal, without NO_COLOR (https://no-color.org).
    """
    stream = stream or sys.stderr
    terminal = stream.isatty()
    handler = logging.StreamHandler(stream)
    in_json = style == "json" or (style == "auto" and not terminal)
    handler.setFormatter(JsonFormatter() if in_json else TextFormatter(colour=terminal and not os.environ.get("NO_COLOR")))
    # Nobody asks our logs for threads and processes; looking them up for each line costs (Python's logging HOWTO, Optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


# --- metrics --------------------------------------------------------------------------------
# No label ever holds a record's id, name or text.


SIGN_INS: Final = ("ok", "refused", "put_off", "turned_away")
"""What becomes of a password or link: right, wrong, told to wait, or too many passwords wait to be checked."""


class Metrics:
    """Every metric of one daemon. The registry is its own, so that tests can run many in a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.received = self._counter("received", "Webhook requests, by answer; handshake: nothing was stored for it", "source", "status")
        self.polls = self._counter("polls", "Polls of a source, by outcome", "source", "outcome")
        self.observations = self._counter("observations", "Observations interpreted, by outcome", "source", "outcome")
        self.rule_errors = self._counter("rule_errors", "Conditions or templates that failed", "rule")
        self.deliveries = self._counter("deliveries", "Attempts settled, by outcome", "destination", "outcome")
        self.looks = self._counter("looks", "Look-ups of lost answers, by outcome", "destination", "outcome")
        self.quarantined = self._counter("quarantined", "Records put aside because they could not be interpreted", "source")
        self.held = self._counter("held", "Messages held before they were said, by reason", "destination", "reason")
        self.reloads = self._counter("reloads", "Configuration reloads, by outcome", "outcome")
        self.paused = self._gauge("destination_paused", "1 while a destination waits for a person", "destination")
        self.waiting = self._gauge("deliveries_open", "Deliveries that are not finished, by state", "destination", "state")
        self.troubles = self._gauge("trouble", "What is wrong now, and of how many things", "code", "severity", "about")
        self.trouble_since = self._gauge("trouble_since_seconds", "Since when it is wrong", "code", "about")
        self.reload_ok = self._gauge("last_reload_successful", "1 if the last reload was applied")
        self.oldest = self._gauge("oldest_waiting_seconds", "Age of the oldest queued message; 0 if none waits", "destination")
        self.inbox = self._gauge("inbox", "Requests and records taken in and not done, by what they wait for", "source", "waits")
        self.inbox_oldest = self._gauge("inbox_oldest_seconds", "Age of the oldest request or record that is not done", "source", "waits")
        self.requests = self._counter("http_requests", "Answers, by class of their status", "server", "status")
        self.connections = self._gauge("http_connections", "Open connections", "server")
        self.posts = self._counter("feed_posts", "Posts published in the feed, by rules and by people")
        self.streams = self._gauge("feed_streams", "Open pages of the feed that show posts as they come")
        self.sign_ins = self._counter("feed_sign_ins", "Passwords and sign-in links that were shown to the feed, by outcome", "outcome")
        Info("crmbridge_build", "What runs", registry=self.registry).info({"version": __version__, "python": platform.python_version()})
        ProcessCollector(registry=self.registry)
        self._classes: dict[tuple[str, int], Counter] = {}
        self.polled_at = self._gauge("last_poll_timestamp_seconds", "When a source was last read", "source")
        self.backup_made = self._gauge("backup_last_good_timestamp_seconds", "When the last good scheduled backup was made; 0 if none was")
        self.backup_size = self._gauge("backup_last_good_bytes", "The size of its databases")
        self.latency = Histogram(
            "crmbridge_delivery_seconds",
            "From acceptance to receipt",
            ["destination"],
            registry=self.registry,
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600, 3600),
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"crmbridge_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"crmbridge_{name}", text, labels, registry=self.registry)

    def answered(self, server: str, status: int) -> None:
        """Count an answer of an HTTP server. Asked for each request: the series is looked up once."""
        key = (server, status // 100)
        if (series := self._classes.get(key)) is None:
            series = self._classes[key] = self.requests.labels(server, f"{key[1]}xx")
        series.inc()

    def begin(self, sources: Iterable[str], destinations: Iterable[str], sightings: Iterable[str]) -> None:
        """Let every series be there at 0, that an alert on its growth sees the first one."""
        for source in sources:
            self.received.labels(source, "2xx")
            self.quarantined.labels(source)
            for outcome in ("ok", "failed"):
                self.polls.labels(source, outcome)
            for outcome in sightings:
                self.observations.labels(source, outcome)
        for destination in destinations:
            self.latency.labels(destination)
            for outcome in ("delivered", "transient", "rate_limited", "auth_failed", "rejected", "expired", "unknown"):
                self.deliveries.labels(destination, outcome)
        for outcome in ("applied", "refused"):
            self.reloads.labels(outcome)
        for outcome in SIGN_INS:
            self.sign_ins.labels(outcome)
        for server in ("server", "admin"):
            for status in ("2xx", "3xx", "4xx", "5xx"):
                self.requests.labels(server, status)

    def exposition(self) -> bytes:
        """Write the metrics in the Prometheus text format."""
        return generate_latest(self.registry)


# --- systemd --------------------------------------------------------------------------------


def tell_systemd(state: str) -> None:
    """Send `state` (like `READY=1`) to the service manager, if one asked for it; see sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        notify.connect(address)
        notify.sendall(state.encode())


def watchdog_interval() -> float | None:
    """Seconds between two signs of life that the service manager wants, half of its patience; None if it wants none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds)) or os.environ.get(
        "WATCHDOG_PID", str(os.getpid())
    ) != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000
