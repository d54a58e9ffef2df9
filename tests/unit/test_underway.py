"""What a process was working on when it ended, as the next one finds it."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from crmbridge.model import RecordRef
from crmbridge.store import underway
from crmbridge.store.underway import Left, UnderWay

REF = RecordRef("crm", "Deal", "7/é")


def test_what_was_begun_and_not_ended_is_left(tmp_path):
    path = tmp_path / "u"
    first = UnderWay(path)
    with first.slot() as done, first.slot() as open_, first.slot() as record, first.slot() as sent:
        done.begin(underway.requests([1]))
        done.end()
        open_.begin(underway.requests([2, 3]))
        record.begin(underway.record(REF))
        sent.begin(underway.deliveries([9]))

        assert UnderWay(path).left == Left((2, 3), (REF,), (9,))
    assert first.left.nothing
    assert UnderWay(path).left.nothing  # it was read once, and slots that are given back are empty


def test_a_killed_process_leaves_its_work(tmp_path):
    """The pages of a mapped file outlive kill -9, without a system call after the mapping."""
    script = """
        import os, signal, sys
        from pathlib import Path
        from crmbridge.store import underway
        place = underway.UnderWay(Path(sys.argv[1]))
        with place.slot() as slot:
            slot.begin(underway.requests([42]))
            os.kill(os.getpid(), signal.SIGKILL)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script), tmp_path / "u"], check=False)

    assert ended.returncode == -signal.SIGKILL
    assert UnderWay(tmp_path / "u").left == Left((42,))


@pytest.mark.parametrize(
    "name", [b"\xff\xfe", b"[1]", b'{"requests": ["x"]}', b'{"requests": 3}', b'{"record": ["a"]}', json.dumps({"requests": 1}).encode()]
)
def test_a_stranger_s_bytes_tell_nothing(tmp_path, name):
    place = UnderWay(tmp_path / "u")
    with place.slot() as odd, place.slot() as good:
        odd.begin(name)
        good.begin(underway.deliveries([5]))

        assert UnderWay(tmp_path / "u").left == Left((), (), (5,))


def test_names_and_things_beyond_the_room_are_not_noted(tmp_path):
    """It is for who comes after us; nothing here depends on it."""
    place = UnderWay(tmp_path / "u")
    with place.slot() as large:
        large.begin(underway.requests(list(range(10**9, 10**9 + 1000))))
        assert UnderWay(tmp_path / "u").left.nothing
    slots = [place.slot() for _ in range(70)]
    for slot in slots:
        slot.__enter__().begin(underway.requests([1]))
    for slot in slots:
        slot.__exit__(None, None, None)
    with place.slot() as again:
        again.begin(underway.requests([8]))
        assert UnderWay(tmp_path / "u").left == Left((8,))


def test_without_a_file_it_works_all_the_same(tmp_path, caplog):
    """A disk that is full or read-only costs the note, and nothing else."""
    (tmp_path / "folder").mkdir()
    for place in (UnderWay(), UnderWay(tmp_path / "folder")):
        with place.slot() as slot:
            slot.begin(underway.requests([1]))
        assert place.left.nothing
    assert "cannot be noted" in caplog.text


def test_the_file_is_ours_alone(tmp_path):
    UnderWay(tmp_path / "u")
    assert os.stat(tmp_path / "u").st_mode & 0o777 == 0o600


def test_what_was_left_before_the_machine_began_anew_tells_nothing(tmp_path, monkeypatch):
    """After a power cut the file may be older than what was done: a message that is out would be said again."""
    (tmp_path / "boot").write_text("first boot\n")
    monkeypatch.setattr(underway, "_BOOT_ID", tmp_path / "boot")
    with UnderWay(tmp_path / "u").slot() as slot:
        slot.begin(underway.deliveries([1]))
        assert UnderWay(tmp_path / "u").left == Left((), (), (1,))
        slot.begin(underway.deliveries([1]))
        (tmp_path / "boot").write_text("second boot\n")
        assert UnderWay(tmp_path / "u").left.nothing
        monkeypatch.setattr(underway, "_BOOT_ID", tmp_path / "nowhere")
        slot.begin(underway.deliveries([1]))
        assert UnderWay(tmp_path / "u").left.nothing


def test_whether_the_last_process_was_asked_to_end(tmp_path, monkeypatch):
    """Killed while it did nothing is told too; what ended with the machine is not."""
    first = UnderWay(tmp_path / "u")
    assert not first.unclean
    second = UnderWay(tmp_path / "u")
    assert (second.unclean, second.left.nothing) == (True, True)
    second.close()
    assert not UnderWay(tmp_path / "u").unclean
    (tmp_path / "boot").write_text("another boot\n")
    monkeypatch.setattr(underway, "_BOOT_ID", tmp_path / "boot")
    assert not UnderWay(tmp_path / "u").unclean
