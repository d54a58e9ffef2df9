"""What people mean by a scope, a time, an address."""

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from shared import NOW

from crmbridge import registry
from crmbridge.operate.selection import OrderRefused, instant, read, remote_ids
from crmbridge.store.terms import Selection

AT = {name: SimpleNamespace(connector=registry.load("destinations", name)) for name in ("slack", "twitter", "chirp")}


def test_times():
    """Ago, or an instant; anything else is refused with what is expected."""
    assert instant("2h", NOW) == NOW - timedelta(hours=2)
    assert instant("2026-11-22T10:00", NOW) == datetime(2026, 11, 22, 10, tzinfo=timezone.utc)
    for wrong in ("999999d", "yesterday", "", "-2h", "2 h", "2y"):
        with pytest.raises(OrderRefused, match="neither a time ago"):
            instant(wrong, NOW)


def test_a_scope_that_says_nothing_is_refused():
    """An order must not touch everything because somebody forgot a word."""
    for nothing in ({}, {"names": []}, {"destination": None}, {"all": False}):
        with pytest.raises(OrderRefused, match="say which"):
            read(nothing, NOW)
    assert read({"all": True}, NOW) == Selection()
    assert read({}, NOW, whole=True) == Selection()
    assert read({"rule": "won", "since": "1d"}, NOW) == Selection(rule="won", since=NOW - timedelta(days=1))
    with pytest.raises(OrderRefused, match="no destinatoin"):
        read({"destinatoin": "x"}, NOW)


def test_what_people_hold():
    """A Slack permalink, an X link, a Chirp post, an id."""
    assert remote_ids("https://acme.slack.com/archives/C012AB3CD/p1699999999000100?thread_ts=1", AT) == ["1699999999.000100"]
    assert remote_ids("https://x.com/i/status/1729000000000000001", AT) == ["1729000000000000001", "status", "i"]
    assert remote_ids("https://bridge.example.com/chirp/p/abc123", AT) == ["abc123", "p", "chirp"]
    assert remote_ids("1729000000000000001", AT) == ["1729000000000000001"]
