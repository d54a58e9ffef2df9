"""The files source: each export once, whole, in order, whatever happens to it; and the contract of all sources."""

import csv
import errno
import io
import json
import os
import subprocess
import sys
from typing import ClassVar
from unittest import mock

import pytest

from connectors.sources.files import CONNECTOR
from crmbridge.errors import SourceError
from crmbridge.model import ChangeKind, FieldSpec
from crmbridge.testing import Can, SourceContract, StandIn

COLUMNS = ("id", "title", "stage", "amount", "owner", "changed", "made", "gone")


class Exports(StandIn):
    """A CRM that exports what changed, each time in a new file."""

    form = "csv"

    def __init__(self, folder):
        super().__init__()
        self.folder = folder / "exports"
        self.folder.mkdir()
        self.number = 0
        self.files = {}

    def tell(self, what, row, before):
        if what == "hidden":
            self.files.pop(row.id).unlink()  # nobody exported it
        elif row.visible:
            self.files[row.id] = self.put([row])

    def withdraw(self, right):
        """Root reads everything, so that the newest file says itself that it is not for us."""
        super().withdraw(right)
        newest, real = max(self.folder.iterdir()), os.open

        def opened(path, *more, **named):
            if path == newest:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return real(path, *more, **named)

        self.closed = mock.patch.object(os, "open", opened)
        self.closed.start()

    def give(self, right):
        super().give(right)
        self.closed.stop()

    def put(self, rows, name=None):
        self.number += 1
        path = self.folder / (name or f"deals-{self.number:05d}.{self.form}")
        path.write_text(self.text(rows), "utf-8", newline="")
        os.utime(path, (self.now.timestamp(), self.now.timestamp()))
        return path

    def facts(self, row):
        stamps = (row.modified.isoformat(), row.created.isoformat(), "yes" if row.deleted else "")
        return dict(zip(COLUMNS, (row.id, *(row.fields[word] for word in ("title", "stage", "amount", "owner")), *stamps), strict=True))

    def text(self, rows):
        found = [self.facts(row) for row in rows]
        if self.form == "jsonl":
            return "".join(json.dumps(one) + "\n" for one in found)
        written = io.StringIO()
        writer = csv.DictWriter(written, COLUMNS)
        writer.writeheader()
        writer.writerows(found)
        return written.getvalue()


class JsonExports(Exports):
    form = "jsonl"


class Contract(SourceContract):
    connector = CONNECTOR
    record_type = "Deal"
    fields: ClassVar = {"title": "title", "stage": "stage", "amount": "amount", "owner": "owner"}
    can = frozenset({Can.POLL, Can.DELETES, Can.LINKS, Can.RIGHTS})
    proven = "real files"

    def stand_in(self, folder):
        return Exports(folder)

    def options(self, crm):
        columns = {"changed": "changed", "created": "made", "deleted": "gone"}
        deals = {"match": "deals-*", "url": "https://crm.example.com/deals/{id}", **columns}
        return {"folder": str(crm.folder), "types": {"Deal": deals}, "settle": 0, "page": 10}


class TestCsv(Contract):
    pass


class TestJsonLines(Contract):
    def stand_in(self, folder):
        return JsonExports(folder)


class TestFiles(Contract):
    """What is the source's own."""

    def test_a_file_is_read_once_by_whatever_name(self, world, crm):
        """Renamed, copied, put there again: nothing is said twice; and an old one does not bring old values back."""
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        assert [self.says(one, "stage") for one in world.poll()] == ["won"]
        (first, *_, last) = sorted(crm.folder.iterdir())
        last.rename(crm.folder / "deals-renamed.csv")
        assert world.poll() == []
        (crm.folder / "deals-copy.csv").write_bytes(first.read_bytes())
        crm.tick()
        assert world.poll() == []
        crm.update(id, stage="open")
        assert [self.says(one, "stage") for one in world.poll()] == ["open"]

    def test_a_file_that_is_still_written_waits(self, make, worlds, crm):
        """Until nothing has changed it for a while; names of half-written files are left alone."""
        world = worlds(make({"settle": 5}))
        self.begun(crm, world)
        crm.create(title="Acme")
        assert world.poll() == []
        crm.tick(6)
        assert [self.says(one, "title") for one in world.poll()] == ["Acme"]
        for name in (".deals-1.csv", "deals-2.csv.part", "deals-3.csv.tmp", "deals-4.csv~", "others.csv"):
            (crm.folder / name).write_text("nonsense")
        crm.tick(60)
        assert world.poll() == []

    def test_what_was_there_before_the_first_look_is_old_however_young_it_is(self, make, crm):
        """A file that was put there a moment before the first start was passed over as unfinished, and all its rows were news then."""
        source = make({"settle": 5})
        crm.create(title="Old")
        with pytest.raises(SourceError, match="may still be written: it is learnt once nothing has changed it for 5 s"):
            source.poll(None)
        crm.tick(6)
        page = source.poll(None)
        assert (len(page.observations), page.learning) == (1, True)
        while page.has_more:
            page = source.poll(page.cursor)
        crm.create(title="New")
        assert source.poll(page.cursor).observations == (), "from then on a young file only waits"

    def test_a_file_that_is_replaced_while_it_is_read(self, world, crm):
        """What it was is left, what it is now is read whole; one that is taken away is no failure."""
        self.begun(crm, world)
        rows = [crm.rows[crm.create(title=f"Deal {n}")] for n in range(25)]
        for path in crm.folder.iterdir():
            path.unlink()
        path = crm.put(rows[:25], "deals-large.csv")
        place = world.run(world.store.position("crm")).cursor
        page = world.call(world.source.poll, place)
        assert (len(page.observations), page.has_more) == (10, True)
        crm.tick()
        for row in rows:
            row.fields["stage"] = "won"
        path = crm.put(rows, "deals-large.csv")
        page = world.call(world.source.poll, page.cursor)
        assert [one.fields["stage"] for one in page.observations] == ["won"] * 10
        path.unlink()
        page = world.call(world.source.poll, page.cursor)
        assert (page.observations, page.has_more) == ((), False)

    def test_quoted_values_may_hold_line_ends(self, world, crm):
        """Over the edges of pages too; and everything else that CSV can hold."""
        self.begun(crm, world)
        words = [f'Deal "{n}",\r\nline {n}\n\nend; Ä' for n in range(25)]
        rows = [crm.rows[crm.create(title=one)] for one in words]
        for path in crm.folder.iterdir():
            path.unlink()
        crm.put(rows)
        assert [self.says(one, "title") for one in world.poll()] == words

    @pytest.mark.parametrize(
        ("encoding", "delimiter", "data"),
        [
            ("utf-8-sig", ",", "\ufeffid,title\r\n1,Möller\r\n".encode()),
            ("utf-8", ";", "id;title\n1;Möller\n".encode()),
            ("cp1252", "\t", "id\ttitle\n1\tMöller\n".encode("cp1252")),
            ("latin-1", "|", "id|title\r\n1|Möller".encode("latin-1")),
        ],
    )
    def test_encodings(self, make, worlds, crm, encoding, delimiter, data):
        """And delimiters, a byte-order mark, a last line without an end."""
        (crm.folder / "deals-1.csv").write_bytes(data)
        deals = {"match": "deals-*", "encoding": encoding, "delimiter": delimiter}
        source = make({"types": {"Deal": deals}}, records={"Deal": {"title": FieldSpec()}})
        page = source.poll(None)
        assert [(one.record_id, one.fields["title"]) for one in page.observations] == [("1", "Möller")]

    @pytest.mark.parametrize(
        ("name", "data", "words"),
        [
            ("deals-1.csv", b"id,title\n2\n", "line 2 has 1 value, and the heading 2 names"),
            ("deals-1.csv", b"id,id\n1,a\n", "line 1 names the column id 2 times"),
            ("deals-1.csv", b"id,title\n,a\n", "line 2 has no id"),
            ("deals-1.csv", b"id,title\n1,\xff\n", "line 2, title: '\ufffd' is not utf-8"),
            ("deals-1.csv", b'id,title\n1,"never ends\n', "line 2, title: a quote is opened and not closed"),
            ("deals-1.csv", b"id,title\n1," + b"x" * 1_100_000 + b"\n", "line 2 is longer than"),
            ("deals-1.jsonl", b'{"id": \n', "line 1: the body is not JSON"),
            ("deals-1.jsonl", b"[1]\n", "line 1 is no JSON object"),
            ("deals-1.jsonl", b'{"id": 1, "id": 2}\n', "a key stands twice"),
        ],
    )
    def test_a_file_of_which_nothing_can_be_read_is_told_with_its_line(self, make, worlds, crm, name, data, words):
        """And not passed over; the person mends the file, or takes it away."""
        (crm.folder / name).write_bytes(data)
        world = worlds(make({"types": {"Deal": {"match": "deals-*"}}}))
        with pytest.raises(SourceError, match=words) as told:
            world.poll()
        assert name in str(told.value)
        (crm.folder / name).unlink()
        assert world.poll() == []

    @pytest.mark.parametrize(
        ("name", "data", "words", "good"),
        [
            ("deals-1.csv", b"id,title\n1,a\n2\n3,c\n", "line 3 has 1 value, and the heading 2 names", ["1", "3"]),
            ("deals-1.csv", b"id,title\n1,a\n,b\n3,c\n", "line 3 has no id", ["1", "3"]),
            ("deals-1.csv", b"id,title\n1,a\n2,\xff\n3,c\n", "line 3, title: '\ufffd' is not utf-8", ["1", "3"]),
            ("deals-1.csv", b'id,title\n1,a\n2,"never ends\n3,c\n', "lines 3 to 4, title: a quote is opened and not closed", ["1"]),
            ("deals-1.jsonl", b'{"id": 1}\n{"id": \n{"id": 3}\n', "line 2: the body is not JSON", ["1", "3"]),
            ("deals-1.jsonl", b'{"id": 1}\n[2]\n{"id": 3}\n', "line 2 is no JSON object", ["1", "3"]),
        ],
    )
    def test_a_broken_row_is_told_with_its_line_and_the_others_are_read(self, make, worlds, crm, name, data, words, good):
        """A person finds it by file and line; what stands behind it is no worse for it."""
        (crm.folder / name).write_bytes(data)
        world = worlds(make({"types": {"Deal": {"match": "deals-*"}}}))
        assert world.poll() == []
        assert [id for id in "123" if world.knows("Deal", id)] == good
        (reason,) = world.failed()
        assert words in reason
        assert name in reason

    def test_broken_rows_of_several_files_are_told_apart(self, make, worlds, crm):
        """Each by its file and line."""
        world = worlds(make({"types": {"Deal": {"match": "deals-*"}}}))
        for name in ("deals-1.csv", "deals-2.csv"):
            (crm.folder / name).write_bytes(f"id,title\n1,{name}\n2\n3\n4,d\n".encode())
        world.poll()
        assert len(world.failed()) == 4
        rows = [row.record for row, _ in world.run(world.store.failed_requests())]
        assert sorted(rows) == [f"Deal/deals-{file}.csv:{line}" for file in (1, 2) for line in (3, 4)]

    def test_links_to_elsewhere_are_not_followed(self, make, crm, tmp_path):
        """Who may write into the folder may not read what crmbridge may."""
        (tmp_path / "secret.csv").write_text("id,title\n1,secret\n")
        (crm.folder / "deals-1.csv").symlink_to(tmp_path / "secret.csv")
        with pytest.raises(SourceError, match=r"deals-1\.csv"):
            make({"types": {"Deal": {"match": "deals-*"}}}).poll(None)

    def test_a_column_that_is_missing_is_named(self, make, crm):
        (crm.folder / "deals-1.csv").write_text("id,titel\n1,a\n")
        with pytest.raises(SourceError, match="no column amount, owner, stage, title; it has id, titel"):
            make({"types": {"Deal": {"match": "deals-*"}}}).check()

    def test_deletions_and_new_records(self, world, crm):
        """By their mark, with what they were."""
        id = self.begun(crm, world)
        new = crm.create()
        crm.delete(id)
        assert [(one.record_id, one.kind) for one in world.poll()] == [(new, ChangeKind.CREATED), (id, ChangeKind.DELETED)]


def test_a_million_rows_in_bounded_memory(tmp_path):
    """Page by page: what is read once is not kept."""
    with (tmp_path / "deals-1.csv").open("w") as file:
        file.write("id,title,stage\n")
        file.writelines(f"{n},Deal {n},open\n" for n in range(1_000_000))
    program = f"""
import resource, sys
from pathlib import Path
from connectors.sources.files import CONNECTOR
from crmbridge.contract import Setting
options = CONNECTOR.options(folder={str(tmp_path)!r}, types={{"Deal": {{"match": "deals-*"}}}}, settle=0, page=5000)
source = CONNECTOR.build(options, Setting(name="crm"))
source.poll(None)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
cursor, rows, more = None, 0, True
while more:
    page = source.poll(cursor)
    cursor, more, rows = page.cursor, page.has_more, rows + len(page.observations)
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=110, check=True)
    rows, grown = map(int, said.stdout.split())
    assert rows == 1_000_000
    assert grown < 20 * 1024, "KiB"
