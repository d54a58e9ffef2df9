"""The keys of a files source: which of the files in a folder are read, and as what."""

import os

from flow.wire.bridge import Stage, facts
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of

from crmbridge.errors import SourceError


class Files(Stage):
    """Two exports, one after the other: what the second changes is told."""

    YAML = """
crmbridge: 1
sources:
  crm:
    type: files
    folder: in
    types: {Deal: {match: "deals-*.csv"}}
    records: {Deal: {fields: {stage: public, name: public, at: internal}}}
destinations: {out: {type: console}}
"""

    def prepare(self):
        for name in ("in", "other"):
            (self.folder / name).mkdir()

    def export(self, name, content, age=60):
        """A file that was written so many seconds ago."""
        path = self.folder / "in" / name
        path.write_bytes(content.encode("latin-1"))
        stamp = self.now().timestamp() - age
        os.utime(path, (stamp, stamp))

    def polled(self, *names):
        """What a poll tells, or why it cannot."""
        try:
            return facts(self.poll(), *names)
        except SourceError as error:
            return str(error).partition(": ")[2]

    def exported(self, first, second, *names, form="deals-{}.csv"):
        """What is told of the second file."""
        self.start()
        self.export(form.format(1), first, age=3600)
        learnt = self.polled(*names)
        self.export(form.format(2), second)
        return learnt or self.polled(*names)


proves = proofs_of(Files)
NO_ID_AT_SEMICOLON = (
    "line 1 has none of the columns that are configured, for it is cut at ';': say `delimiter: \",\"`; mend the file, or take it away"
)
OPEN, WON = "id,name,stage,at\n1,Parkers,open,2026-11-22T10:00:00Z\n", "id,name,stage,at\n1,Parkers,won,2026-11-22T09:00:00Z\n"


@proves("sources.files.folder", ("in", [["1", "won"]]), ("other", []))
@proves("sources.files.types.match", ("deals-*.csv", [["1", "won"]]), ("leads-*.csv", []))
@proves("sources.files.types.changed", (ABSENT, [["1", "won"]]), ("at", []))
def two_exports(stage):
    """What is told of a record that an older state comes of."""
    return stage.exported(OPEN, WON, "record_id", "stage")


@proves("sources.files.types.id", ("id", [["1", "won"]]), ("key", [["a", "won"]]))
def two_ids(stage):
    """Which record changed."""
    return stage.exported("id,key,stage\n1,a,open\n", "id,key,stage\n1,a,won\n", "record_id", "stage")


@proves("sources.files.types.delimiter", (",", [["won;x"]]), (";", NO_ID_AT_SEMICOLON))
def a_semicolon(stage):
    """How a line is cut."""
    return stage.exported("id,stage\n1,open\n", "id,stage\n1,won;x\n", "stage")


STAGE = "sources/crm/records/Deal/fields/stage"


@proves("sources.files.numbers", ("1.234,5", [["1250"]]), ("1,234.5", [["1.25"]]), given={STAGE: "number"})
def a_number_as_text(stage):
    """What 1.250 means."""
    return stage.exported("id,stage\n1,5\n", "id,stage\n1,1.250\n", "stage")


@proves("sources.files.dates", ("31/12/2026", [["2026-03-02"]]), ("12/31/2026", [["2026-02-03"]]), given={STAGE: "date"})
def a_day_as_text(stage):
    """Which day 02/03/2026 is."""
    return stage.exported("id,stage\n1,2026-01-01\n", "id,stage\n1,02/03/2026\n", "stage")


AT = {"sources/crm/types/Deal/changed": "at"}


@proves("sources.files.zone", ("UTC", [["2026-11-22T11:00:00+00:00"]]), ("Europe/Berlin", [["2026-11-22T10:00:00+00:00"]]), given=AT)
def a_stamp_without_an_offset(stage):
    """When it was."""
    return stage.exported("id,stage,at\n1,open,2026-11-22 09:00\n", "id,stage,at\n1,won,2026-11-22 11:00\n", "occurred_at")


@proves("sources.files.types.ignore", (ABSENT, [["2 deals", None], ["3", "won"]]), (["* deals"], [["3", "won"]]))
def a_line_that_is_no_row(stage):
    """Which records are told of."""
    return stage.exported("id,stage\n1,open\n", "id,stage\n1,open\n2 deals,\n3,won\n", "record_id", "stage")


@proves("sources.files.types.skip_first", (0, [["1", "won"]]), (1, [["a", "won"]]))
def a_second_heading(stage):
    """Which line names the columns."""
    stage.start()
    stage.export("deals-1.csv", "id,key,stage\nkey,id,stage\n1,a,open\n", age=3600)
    stage.polled()
    stage.export("deals-2.csv", "id,key,stage\nkey,id,stage\n1,a,won\n")
    return stage.polled("record_id", "stage")


@proves("sources.files.types.encoding", ("latin-1", [["won\x80"]]), ("cp1252", [["won€"]]))
def a_byte(stage):
    """What a byte that is no ASCII is read as."""
    return stage.exported("id,stage\n1,open\n", "id,stage\n1,won\x80\n", "stage")


@proves(
    "sources.files.types.format",
    ("jsonl", [["won"]]),
    ("csv", "line 1 has none of the columns that are configured; mend the file, or take it away"),
    given={"sources/crm/types/Deal/match": "*.txt"},
)
def json_lines(stage):
    """What a file of JSON lines is read as, whose name says nothing of it."""
    first, second = ('{"id": 1, "stage": "open"}\n' * 2, '{"id": 1, "stage": "won"}\n' * 2)
    return stage.exported(first, second, "stage", form="{}.txt")


@proves("sources.files.types.created", (ABSENT, [["created", "2"], ["created", "3"]]), ("made", [["created", "3"]]))
def an_older_record(stage):
    """Which of two records that were not exported before are told as new."""
    second = "id,made,stage\n2,2020-01-01T00:00:00Z,open\n3,2026-11-22T11:30:00Z,open\n"
    return stage.exported("id,made,stage\n1,2020-01-01T00:00:00Z,open\n", second, "kind", "record_id")


@proves("sources.files.types.deleted", (ABSENT, []), ("gone", [["deleted", "1"]]))
def a_deleted_record(stage):
    """What a mark in a column means."""
    return stage.exported("id,gone,stage\n1,,open\n", "id,gone,stage\n1,yes,open\n", "kind", "record_id")


ALL = {"sources/crm/records": ABSENT}
COLUMNS = ["at", "gone", "made", "name", "stage"]


def but(name):
    """All columns but one."""
    return [one for one in COLUMNS if one != name]


@proves("sources.files.types.id", ("id", COLUMNS), ("name", ["at", "gone", "id", "made", "stage"]), given=ALL)
@proves("sources.files.types.changed", (ABSENT, COLUMNS), ("at", but("at")), given=ALL)
@proves("sources.files.types.created", (ABSENT, COLUMNS), ("made", but("made")), given=ALL)
@proves("sources.files.types.deleted", (ABSENT, COLUMNS), ("gone", but("gone")), given=ALL)
def which_columns_are_fields(stage):
    """The fields of a change where none are configured: all columns that say nothing else."""
    heading = "id,name,stage,at,made,gone\n1,Parkers,"
    stage.start()
    stage.export("deals-1.csv", f"{heading}open,2026-11-22T10:00:00Z,2020-01-01T00:00:00Z,\n", age=3600)
    stage.poll()
    stage.export("deals-2.csv", f"{heading}won,2026-11-22T10:30:00Z,2020-01-01T00:00:00Z,\n")
    (event,) = stage.poll()
    return sorted(event.fields)


@proves("sources.files.types.url", (ABSENT, [[None]]), ("https://crm.example/{id}", [["https://crm.example/1"]]))
def the_address_of_a_record(stage):
    """What a change says of it."""
    return stage.exported(OPEN, WON, "url")


@proves("sources.files.settle", (5, [["won"]]), (90, []))
def a_fresh_file(stage):
    """Whether a file is read that was written a minute ago."""
    return stage.exported(OPEN, WON, "stage")


@proves("sources.files.page", (10, [10, 5, 0]), (20, [15, 0]))
def rows_of_one_read(stage):
    """How many rows each transaction brings, of fifteen."""
    stage.start()
    stage.export("deals-1.csv", "id,stage\n" + "".join(f"{id},open\n" for id in range(15)))
    stage.polled()
    return stage.batches
