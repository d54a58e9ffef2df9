"""What reaches a terminal: no words of a record's do anything there but stand."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbridge.cli.terminal import safe, say, say_entry, say_over


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Parkers GmbH & Co, Zürich, 東京, 👩‍👩‍👧, مرحبا", "Parkers GmbH & Co, Zürich, 東京, 👩‍👩‍👧, مرحبا"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2J\x1b]0;title\x07", "\\u001b[2J\\u001b]0;title\\u0007"),
        ("over\rwritten", "over\\rwritten"),
        ("back\x08space\x7f", "back\\bspace\\u007f"),
        ("\x9b31mred", "\\u009b31mred"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("\u2066x\u2069\u200e\u061c", "\\u2066x\\u2069\\u200e\\u061c"),
        ("un\u200bseen\ufeff\u2060", "un\\u200bseen\\ufeff\\u2060"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("\U000e0041\udc80", "\\udb40\\udc41\\udc80"),
    ],
)
def test_odd_characters_are_written_out(text, shown):
    """Letters, accents, emoji and scripts stay; what a terminal obeys, or hides, is seen."""
    assert safe(text) == shown


@given(st.text())
def test_json_stays_the_same_json(text):
    """An answer for programs means the same after it."""
    assert json.loads(safe(json.dumps({"text": text}, ensure_ascii=False))) == {"text": text}


@given(st.text())
def test_an_entry_begins_one_line(capsys_text, text):
    """Whatever it holds: what else begins a line is set in."""
    out = capsys_text(lambda: say_entry(f"entry {text}"))
    assert out.startswith("entry ")
    assert all(line.startswith("    | ") for line in out.removesuffix("\n").split("\n")[1:])


@pytest.fixture(scope="module")
def capsys_text():
    import contextlib
    import io

    def run(call):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            call()
        return out.getvalue()

    return run


def test_styles_and_places_are_ours(capsys):
    say("red\x1b[0m", fg="red")
    say("to people", err=True, nl=False)
    say_over("3 of \x1b5")
    say_over("")
    out, err = capsys.readouterr()
    assert "\\u001b[0m" in out
    assert err == "to people\r3 of \\u001b5\r", "where no terminal is, no codes are"
