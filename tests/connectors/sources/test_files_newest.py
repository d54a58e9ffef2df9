"""Which files are read, and when: what is written later is the newest state, whatever its bytes were before; nothing is read twice."""

import hashlib
import json
import logging
import os
import shutil
from pathlib import Path

import pytest
from standins.exports import Exports

from connectors.sources.files import cursor as cursors
from connectors.sources.files.cursor import REMEMBERED, Place, Progress, Reading
from connectors.sources.files.folder import File, Folder
from crmbridge.errors import SourceError

OPEN, WON = b"Id,Name,Stage\n1,Parkers,open\n", b"Id,Name,Stage\n1,Parkers,won\n"


@pytest.fixture
def exports(tmp_path):
    return Exports(tmp_path)


@pytest.fixture
def few(monkeypatch):
    """How many files are remembered: as many as usual would take seconds to write."""
    monkeypatch.setattr(cursors, "REMEMBERED", 40)
    return 40


def stages(exports):
    told, named = exports.poll()
    assert named == []
    return [fields["Stage"] for _, fields in told]


def test_a_b_a_b_is_four(exports):
    """In four files, and in one that is written again and again; each once, after a restart too."""
    for name in ("{}.csv", "same.csv"):
        for number, content in enumerate((OPEN, WON, OPEN, WON)):
            exports.put(name.format(number), content)
            assert stages(exports) == ["won" if content == WON else "open"], (name, number)
            assert stages(exports) == []
            exports.restart()
            assert stages(exports) == []
            exports.tick()


def renamed(exports, path):
    path.rename(path.with_name("other.csv"))


def moved_away_and_back(exports, path):
    path.rename(path.with_name("kept"))
    assert stages(exports) == []
    path.with_name("kept").rename(path)


def copied_with_its_stamp(exports, path):
    shutil.copy2(path, path.with_name("copy.csv"))


def of_other_rights(exports, path):
    path.chmod(0o640)


def of_another_number_on_the_disk(exports, path):
    shutil.copy2(path, path.with_name("kept"))
    path.with_name("kept").rename(path)


def touched(exports, path):
    os.utime(path, (exports.now.timestamp(), exports.now.timestamp()))


def put_back_later(exports, path):
    exports.put("back.csv", path.read_bytes())


def written_over(exports, path):
    exports.put(path.name, path.read_bytes())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (renamed, []),
        (moved_away_and_back, []),
        (copied_with_its_stamp, []),
        (of_other_rights, []),
        (of_another_number_on_the_disk, []),
        (touched, ["open"]),
        (put_back_later, ["open"]),
        (written_over, ["open"]),
    ],
)
def test_what_is_written_later_is_the_newest_state(exports, change, told):
    """And what keeps its stamp is not."""
    path = exports.put("a.csv", OPEN)
    exports.tick()
    exports.put("b.csv", WON)
    assert stages(exports) == ["open", "won"]
    exports.tick()
    change(exports, path)
    assert stages(exports) == told
    exports.restart()
    assert stages(exports) == []


def test_what_arrives_late_is_read(exports):
    """rsync keeps stamps: a file may be older than what was read; and so is one of an exporter whose clock went back."""
    exports.put("b.csv", WON)
    assert stages(exports) == ["won"]
    exports.put("a.csv", b"Id,Name,Stage\n2,Acme,open\n", at=-3600)
    assert stages(exports) == ["open"]
    exports.put("c.csv", WON, at=-1800)
    assert stages(exports) == ["won"]
    assert stages(exports) == []


def test_a_file_from_a_clock_that_is_ahead_is_read_once_nothing_changes_it(tmp_path):
    """And it makes no record of later look old."""
    exports = Exports(tmp_path, settle=5, created="Made", begun=False)
    exports.put("a.csv", b"Id,Name,Stage,Made\n", at=-10)
    exports.poll()
    exports.put("b.csv", b"Id,Name,Stage,Made\n1,a,open,2026-11-22T12:00:00Z\n", at=86_400)
    assert exports.poll() == ([], [])
    exports.tick(6)
    (found,) = exports.seen()
    assert found.occurred_at == exports.now
    assert not found.existed
    exports.tick(600)
    exports.put("c.csv", b"Id,Name,Stage,Made\n2,b,open,2026-11-22T12:10:00Z\n")
    exports.tick(6)
    (found,) = exports.seen()
    assert not found.existed


@pytest.mark.parametrize(("at", "year"), [(10**30, 9999), (-(10**30), 1970), (1_795_348_800 * 10**9, 2026)])
def test_a_stamp_may_be_any_number(at, year):
    assert File(Path(), "a.csv", (0, 0, at, 0)).written.year == year


@pytest.mark.parametrize("how", ["replaced", "touched", "in place"])
def test_a_file_that_changes_between_two_pages_is_read_anew(tmp_path, how):
    exports = Exports(tmp_path, page=10)
    rows = b"".join(b"%d,Deal,open\n" % n for n in range(25))
    path = exports.put("a.csv", b"Id,Name,Stage\n" + rows)
    assert len(exports.page().observations) == 10
    exports.tick()
    content = path.read_bytes() if how == "touched" else path.read_bytes().replace(b"open", b"won")
    if how == "replaced":
        path.unlink()
    exports.put("a.csv", content)
    assert stages(exports) == [("open" if how == "touched" else "won")] * 25


def test_a_file_that_changes_within_a_read_is_told_and_read_anew(exports, monkeypatch):
    """What was read of it is believed by nobody."""
    path = exports.put("a.csv", OPEN)
    real = Folder.digest

    def digest(self, file):
        found = real(self, file)
        exports.put("a.csv", WON, at=1)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Folder, "digest", digest)
        with pytest.raises(SourceError, match=f"{path} was changed while it was read"):
            exports.page()
    exports.tick()
    assert stages(exports) == ["won"]


def test_a_file_that_is_taken_away_while_it_is_read_is_told(tmp_path, caplog):
    exports = Exports(tmp_path, page=10)
    path = exports.put("a.csv", b"Id,Name,Stage\n" + b"".join(b"%d,Deal,open\n" % n for n in range(25)))
    exports.page()
    path.unlink()
    assert stages(exports) == []
    (said,) = [one for one in caplog.records if "taken away" in one.message]
    assert (said.file, said.lines_read) == ("a.csv", 11)


@pytest.mark.parametrize("stay", [True, False])
def test_years_of_exports_take_a_bounded_cursor(exports, few, stay):
    """Whether they are left there or not; none is read twice, and one that comes again is the newest."""
    for number in range(few + 60):
        path = exports.put(f"{number}.csv", b"Id,Name,Stage\n%d,Deal,%s\n" % (number, b"won" if number % 2 else b"open"))
        if number % 7 == 0 or number > few:
            exports.ids()
        if not stay:
            path.unlink()
        exports.tick()
    assert len(exports.cursor) < 200 + 42 * few
    exports.restart()
    assert stages(exports) == []
    exports.put("0.csv", OPEN)
    assert stages(exports) == ["open"]


def test_many_files_of_one_instant_are_all_read(exports, few):
    """Whatever unpacks an archive stamps them so."""
    for number in range(few + 60):
        exports.put(f"{number}.csv", b"Id,Name,Stage\n%d,Deal,open\n" % number)
    assert len(set(exports.ids())) == few + 60
    exports.tick()
    exports.put("new.csv", WON)
    assert stages(exports) == ["won"]
    assert len(exports.cursor) < 200 + 42 * few
    assert stages(exports) == []


def earlier(done, until, now=None):
    """A cursor as version 1 wrote it."""
    types = {"Deal": {"done": done, "until": until, "now": now, "whole": True}}
    return json.dumps({"v": 1, "types": types, "current": None}, separators=(",", ":"))


def test_a_cursor_of_the_first_version_opens(exports):
    """What it knew is read no more, what is written since is, and what was under way goes on."""
    one, two = exports.put("a.csv", OPEN), exports.put("b.csv", WON, at=0.123456789)
    known = [old_digest(path) for path in (one, two)]
    exports.tick()
    exports.cursor = earlier(known, two.stat().st_mtime)
    assert stages(exports) == []
    exports.put("c.csv", OPEN)
    assert stages(exports) == ["open"]
    exports.restart()
    assert stages(exports) == []
    rows = exports.put("d.csv", OPEN + b"2,Acme,open\n")
    exports.cursor = earlier(
        [*known, old_digest(exports.folder / "c.csv")], exports.now.timestamp(), ["d.csv", old_digest(rows), len(OPEN), 2]
    )
    assert exports.ids() == ["2"]
    assert stages(exports) == []


def old_digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def test_a_cursor_is_what_it_was():
    """Written down and read again; one of a later version is refused."""
    reading = Reading("a.csv", "abc", 7, 2, 9)
    place = Place({"Deal": Progress(frozenset({(1, "a"), (2, "b")}), 1, (5, ("c",)), 1.5, reading, True), "Lead": Progress()}, "Lead")
    assert cursors.load(cursors.dump(place)) == place
    with pytest.raises(ValueError, match="not written by this version"):
        cursors.load(json.dumps({"v": 3}))


def test_what_version_1_knew_ends_once_nothing_needs_it():
    progress = Progress(earlier=(100, ("old",)))
    assert progress.knows(100, "old")
    assert not progress.knows(101, "old")
    for at in range(200, 200 + REMEMBERED + 1):
        progress = progress.passed(at, "new")
    assert progress.earlier == (0, ())
    assert progress.knows(100, "old")
    assert len(progress.done) <= REMEMBERED


def test_a_file_without_a_heading_says_so_in_the_log(exports, caplog):
    caplog.set_level(logging.WARNING)
    exports.put("a.csv", b"")
    assert exports.poll() == ([], [])
    assert [one.message for one in caplog.records] == ["a file has no heading"]
