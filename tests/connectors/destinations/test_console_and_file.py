"""The console cannot be steered by a record; the file keeps whole lines or says that it may not."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from shared import NOW

from connectors.destinations.console import CONNECTOR as CONSOLE
from connectors.destinations.console.destination import ConsoleDestination
from connectors.destinations.console.options import ConsoleOptions
from connectors.destinations.file import CONNECTOR as FILE
from connectors.destinations.file import destination as file_module
from crmbridge.contract import Setting
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, Transient
from crmbridge.model import Channel, Literal, Message, Receipt, RecordRef, Value
from crmbridge.testing import message

KEY = "0123456789abcdef0123456789abcdef"

# --- console ----------------------------------------------------------------------------------


def printed(said: Message, style: str = "plain", parent: Receipt | None = None) -> str:
    stream = io.StringIO()
    destination = ConsoleDestination(CONSOLE.options(style=style), Setting(name="try"), stream)
    assert destination.publish(said, KEY, parent).remote_id == KEY
    return stream.getvalue()


def test_a_block_for_people() -> None:
    said = message(Literal("Welcome, "), Value("Parkers\nand more"), link="https://crm.example/x")
    assert printed(said, parent=Receipt(remote_id="99")) == (
        "-> try General  in reply to 99  [rule/step crm/Account/42]  0123456789ab\n"
        "   | Welcome, Parkers\n   | and more\n   | https://crm.example/x\n"
    )  # fmt: skip


def test_a_line_for_programs() -> None:
    line = printed(message(thread="t"), style="json", parent=Receipt(remote_id="99"))
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "destination": "try", "channel": "C012345", "title": "General", "text": "Welcome, Parkers!", "link": None, "parent": "99",
        "thread": "t", "rule": "rule", "step": "step", "record": "crm/Account/42", "key": KEY,
    }  # fmt: skip


def test_edits_and_deletions_are_printed() -> None:
    for style, expected in [
        ("plain", ["-> try  edit 99", "-> try General  [rule/step crm/Account/42]  0123456789ab", "   | Other words", "-> try  delete 99"]),
        ("twitter", ["-> try  edit 99", "┌ X", "│ @try", "│ Other words", "└", "-> try  delete 99"]),
    ]:
        stream = io.StringIO()
        destination = ConsoleDestination(CONSOLE.options(style=style), Setting(name="try"), stream)
        first = Receipt(remote_id="9\n9")
        assert destination.edit(first, message(Value("Other words")), KEY) == first
        destination.delete(first)
        assert [line.replace("9 9", "99") for line in stream.getvalue().splitlines()] == expected
    stream = io.StringIO()
    destination = ConsoleDestination(CONSOLE.options(style="json"), Setting(name="try"), stream)
    destination.edit(Receipt(remote_id="99"), message(), KEY)
    destination.delete(Receipt(remote_id="99"))
    edit, said, delete = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (edit, delete) == ({"destination": "try", "edit": "99"}, {"destination": "try", "delete": "99"})
    assert said["key"] == KEY


@pytest.mark.parametrize("style", ["plain", "json"])
def test_nothing_steers_the_terminal(style: str) -> None:
    evil = "\x1b[2J\x1b]0;title\x07\x9b31m\r-> forged\x08\u202e\n-> try forged"
    said = message(Value(evil), channel=Channel(evil, evil), record=RecordRef("crm", "A", evil), link=f"https://a/{evil}", thread=evil)
    out = printed(said, style, Receipt(remote_id=evil))
    assert not {char for char in out if (ord(char) < 32 and char != "\n") or 127 <= ord(char) < 160 or char == "\u202e"}
    assert sum(line.startswith("-> ") for line in out.splitlines()) == (style == "plain")


def test_a_narrow_encoding_is_no_error(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as stream:
        ConsoleDestination(CONSOLE.options(), Setting(name="try"), stream).publish(message(Value("日本")), KEY, None)
    assert "?" in (tmp_path / "out").read_text()


def test_standard_output_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    destination = CONSOLE.build(CONSOLE.options(), Setting(name="try"))
    destination.check()
    destination.publish(message(channel=None), KEY, None)
    assert capsys.readouterr().out.startswith("-> try  [")


def test_a_closed_stream_is_unknown() -> None:
    stream = io.StringIO()
    stream.close()
    with pytest.raises(OutcomeUnknown):
        ConsoleDestination(CONSOLE.options(), Setting(name="try"), stream).publish(message(), KEY, None)


# --- file -------------------------------------------------------------------------------------


def in_folder(folder: Path, path: str = "out.jsonl") -> Any:
    return FILE.build(FILE.options(path=path), Setting(name="log", folder=folder))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_for_each_message(tmp_path: Path) -> None:
    destination = in_folder(tmp_path)
    destination.check()
    for number in range(3):
        destination.publish(message(Value(f"n\n{number}\u202e\ud800")), f"{KEY[:-1]}{number}", Receipt(remote_id="9"))
    path = tmp_path / "out.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry["text"] for entry in lines(path)] == [f"n\n{number}\ufffd" for number in range(3)]
    assert lines(path)[0] == {
        "key": f"{KEY[:-1]}0", "occurred_at": "2026-11-22T09:30:00+00:00", "destination": "here", "channel": "C012345", "title": "General",
        "text": "n\n0\ufffd", "link": None, "thread": None, "parent": "9", "rule": "rule", "step": "step",
        "record": {"source": "crm", "type": "Account", "id": "42"}, "audience": "company",
    }  # fmt: skip
    assert not FILE.idempotent


def test_edits_and_deletions_are_lines_too(tmp_path: Path) -> None:
    destination = in_folder(tmp_path)
    first = destination.publish(message(), KEY, None)
    assert destination.edit(first, message(Value("Other words")), f"{KEY[:-1]}x") == first
    destination.delete(first)
    said, edit, delete = lines(tmp_path / "out.jsonl")
    assert "edits" not in said
    assert (edit["edits"], edit["key"], edit["text"]) == (KEY, f"{KEY[:-1]}x", "Other words")
    assert delete == {"deletes": KEY}


def test_it_is_on_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    write, fsync = os.write, os.fsync
    monkeypatch.setattr(file_module.os, "write", lambda *given: done.append("write") or write(*given))
    monkeypatch.setattr(file_module.os, "fsync", lambda *given: done.append("fsync") or fsync(*given))
    in_folder(tmp_path).publish(message(), KEY, None)
    assert done == ["fsync", "write", "fsync"]  # the folder's new entry, then the line


def fail(error: int) -> Any:
    def failing(*_: Any) -> Any:
        raise OSError(error, os.strerror(error))

    return failing


def test_a_short_write_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = in_folder(tmp_path)
    destination.publish(message(), KEY, None)
    before = (tmp_path / "out.jsonl").read_bytes()
    write = os.write
    monkeypatch.setattr(file_module.os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    with pytest.raises(Transient, match="short write"):
        destination.publish(message(), KEY, None)
    assert (tmp_path / "out.jsonl").read_bytes() == before
    monkeypatch.setattr(file_module.os, "ftruncate", fail(errno.EIO))
    with pytest.raises(OutcomeUnknown, match="cannot be taken back"):
        destination.publish(message(), KEY, None)
    monkeypatch.undo()
    destination.publish(message(), KEY, None)  # a line of its own, although the one before is torn
    *_, torn, last = (tmp_path / "out.jsonl").read_text().splitlines()
    assert torn == '{"key":'
    assert json.loads(last)["key"] == KEY


def test_a_full_disk_is_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = in_folder(tmp_path)
    destination.check()
    monkeypatch.setattr(file_module.os, "write", fail(errno.ENOSPC))
    with pytest.raises(Transient, match="No space left"):
        destination.publish(message(), KEY, None)
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_a_failed_sync_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = in_folder(tmp_path)
    destination.check()
    monkeypatch.setattr(file_module.os, "fsync", fail(errno.EIO))
    with pytest.raises(OutcomeUnknown, match="may not be on disk"):
        destination.publish(message(), KEY, None)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("no/such/folder/x", AuthFailed), (".", AuthFailed), ("pipe", DeliveryError), ("/dev/null", AuthFailed), ("loop", Transient)],
)
def test_paths_that_cannot_be_appended_to(tmp_path: Path, path: str, kind: type[DeliveryError]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for method, *given in (("check",), ("publish", message(), KEY, None)):
        with pytest.raises(kind):
            getattr(in_folder(tmp_path, path), method)(*given)


def test_descriptors_do_not_pile_up(tmp_path: Path) -> None:
    destination = in_folder(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        destination.publish(message(), KEY, None)
        with pytest.raises(AuthFailed):
            in_folder(tmp_path, "/dev/null").check()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_file_may_be_rotated(tmp_path: Path) -> None:
    destination = in_folder(tmp_path)
    destination.publish(message(), KEY, None)
    (tmp_path / "out.jsonl").rename(tmp_path / "old")
    destination.publish(message(), KEY, None)
    assert len(lines(tmp_path / "old")) == len(lines(tmp_path / "out.jsonl")) == 1


class TestLooks:
    """The console's drawings of other networks."""

    def _said(self, style, *spans, **options):
        stream = io.StringIO()
        message = Message(
            destination="wins", channel=Channel("#wins"), rule="r", step="s", text=spans, record=RecordRef("crm", "T", "1"), occurred_at=NOW
        )
        ConsoleDestination(ConsoleOptions(style=style, **options), Setting(name="brand"), stream).publish(message, "k", None)
        return stream.getvalue()

    def test_slack_draws_the_author_s_marks_only(self):
        """`*bold*` and :emoji: of a record stay what they are."""
        said = self._said("slack", Literal(":tada: *"), Value("*A* :tada:"), Literal("* signed"))

        assert said == "┌ Slack  #wins\n│ crmbridge APP\n│ 🎉 **A* :tada:* signed\n└\n"

    def test_a_tweet_has_its_account(self):
        """And no line of it can leave the frame."""
        assert self._said("twitter", Value("a\n\x1b[2J└ b")) == "┌ X\n│ @brand\n│ a\n│ [2J└ b\n└\n"
