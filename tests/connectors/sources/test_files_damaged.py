"""Damaged exports: every row is told, or named with its file and line; and nothing that is no row is told as one."""

import codecs
import contextlib
import io
import random
import re

import pytest
from shared import examples
from standins.exports import SPEC, Exports

from connectors.sources.files.options import Export
from connectors.sources.files.rows import Row, missing, read
from crmbridge.errors import SourceError
from crmbridge.model import FieldSpec

HEAD = b"Id,Name,Stage\n"


# fmt: off
READ = {
    "a mark of UTF-8": (b"\xef\xbb\xbf" + HEAD + "1,Möller,won\n".encode(), {}, "1"),
    "a mark, before another encoding that is configured": (b"\xef\xbb\xbf" + HEAD + "1,Möller,won\n".encode(), {"encoding": "cp1252"}, "1"),
    "UTF-16 by its mark": (
        codecs.BOM_UTF16_LE + "Id|Name|Stage\r\n1|Möller|won\r\n2|ਊ\U0001f389|won".encode("utf-16-le"), {"delimiter": "|"}, "12"),
    "UTF-16 of the other kind": (codecs.BOM_UTF16_BE + "Id,Name,Stage\r1,Möller,won\r".encode("utf-16-be"), {}, "1"),
    "UTF-16 without a mark": ("Id,Name,Stage\n1,Möller,won\n".encode("utf-16-le"), {"encoding": "utf-16"}, "1"),
    "sep=": (b"sep=;\r\nId;Name;Stage\r\n1;a;won\r\n", {}, "1"),
    "sep= in quotes, for a tab, behind a mark": (b'\xef\xbb\xbf"sep=\t"\nId\tName\tStage\n1\ta\twon\n', {}, "1"),
    "CR": (b"Id,Name,Stage\r1,a,won\r2,b,won\r", {}, "12"),
    "CRLF": (b"Id,Name,Stage\r\n1,a,won\r\n2,b,won\r\n", {}, "12"),
    "line ends of all kinds": (b"Id,Name,Stage\r\n1,a,won\n2,b,won\r3,c,won\r\n4,d,won", {}, "1234"),
    "CR within a value": (b'Id,Name,Stage\n1,"a\rb",won\n2,c,won\n', {}, "12"),
    "no end of the last line": (HEAD + b"1,a,won", {}, "1"),
    "blanks around names": (b" Id , Name,Stage \n1,a,won\n", {}, "1"),
    "a delimiter at the end of each line": (b"Id,Name,Stage,\n1,a,won,\n2,b,won,\n", {}, "12"),
    "a delimiter at the end of the heading": (b"Id,Name,Stage,\n1,a,won\n", {}, "1"),
    "delimiters at the end of the rows": (HEAD + b"1,a,won,,\n", {}, "1"),
    "a column without a name": (b"Id,,Name,Stage\n1,x,a,won\n", {}, "1"),
    "a name that stands twice and is not wanted": (b"Id,X,Name,X,Stage\n1,x,a,y,won\n", {}, "1"),
    "blank lines": (b"\n\r\n" + HEAD + b"\n1,a,won\n,,\n   \n2,b,won\n\n\n", {}, "12"),
    "a title": (b'Deals of "today"\n\n' + HEAD + b"1,a,won\n", {"skip_first": 2}, "1"),
    "a title behind sep=": (b"sep=,\nDeals\n" + HEAD + b"1,a,won\n", {"skip_first": 1}, "1"),
    "a footer": (HEAD + b'1,a,won\n\n\nGrand Totals (1 records)\n\n"Copyright (c) Acme, Inc."\nConfidential Information\n', {}, "1"),
    "a footer with commas": (HEAD + b"1,a,won\n,,\nCopyright (c) Acme, Inc.\n", {}, "1"),
    "a footer without an end": (HEAD + b"1,a,won\n\nConfidential", {}, "1"),
    "a footer alone": (HEAD + b"\nNo records were found\n", {}, ""),
    "lines to ignore": (
        HEAD + b"1,a,won\nGrand Total (1),,300\n-- end of page, 1 --\n2,b,won\n", {"ignore": ["Grand Total*", "-- * --"]}, "12"),
    "lines to ignore, with broken quotes": (HEAD + b'Total "x"y\n"Total" of\n1,a,won\n', {"ignore": ["Total*", '"Total*']}, "1"),
    "an empty file": (b"", {}, ""),
    "a mark alone": (b"\xef\xbb\xbf", {}, ""),
    "blank lines alone": (b"\n\n", {}, ""),
    "a heading alone": (HEAD, {}, ""),
    "a heading alone, without an end": (HEAD[:-1], {}, ""),
    "inch signs": (HEAD + b'1,TV 55",won\n2,TV 60" and 65",won\n', {}, "12"),
}
NAMED = {
    "fewer values": (HEAD + b"1,a,won\n2,b\n3,c,won\n", {}, "13", ["line 3 has 2 values, and the heading 3 names"]),
    "more values": (
        HEAD + b"1,a,b,won\n2,b,won\n", {}, "2",
        ["line 2 has 4 values, and the heading 3 names; a value that holds ',' must stand in quotes"]),
    "the file cut within a row": (HEAD + b"1,a,won\n2,b", {}, "1", ["line 3 has 2 values, and the heading 3 names: is the file cut off?"]),
    "the file cut within quotes": (HEAD + b'1,a,won\n2,"b, c', {}, "1", ["line 3, Name: a quote is opened and not closed"]),
    "the file cut within a text of several lines": (
        HEAD + b'1,a,won\n2,"Hi Bob,\nit, is, fine\nBye', {}, "1", ["lines 3 to 5, Name: a quote is opened"]),
    "a footer that may be a row": (HEAD + b"1,a,won\n\n17,Par", {}, "1", ["line 4 has 2 values"]),
    "a footer right behind the rows": (HEAD + b"1,a,won\nGrand Totals (1 records)\n", {}, "1", ["line 3 has 1 value"]),
    "a footer in the midst": (HEAD + b"1,a,won\n\nPage 1\n2,b,won\n", {}, "12", ["line 4 has 1 value"]),
    "an open quote in the midst": (HEAD + b'1,"a,won\n2,b,won\n3,c,won\n', {}, "23", ["line 2, Name: a quote is opened and not closed"]),
    "an open quote, and a footer": (
        HEAD + b'1,"a,won\n2,b,won\n\nGrand Totals (2 records)\n', {}, "2", ["line 2, Name: a quote is opened"]),
    "an open quote that another closes": (
        HEAD + b'1,"a,won\n2,"b",won\n3,c,won\n', {}, "23", ["line 2, Name: text stands behind a closing quote"]),
    "an open quote before a value of several lines": (
        HEAD + b'1,"a,won\n2,b,won\n3,"c\nd",won\n4,e,won\n', {}, "234", ["line 2, Name: text stands behind"]),
    "several lines whose quotes are wrong": (
        HEAD + b'1,"a\nb"x,won,y\n2,b,won\n', {}, "2", ["lines 2 to 3, Name: text stands behind a closing quote"]),
    "text behind a quote": (
        HEAD + b'1,"a"b,won\n2,b,won\n', {}, "2", ["line 2: text stands behind a closing quote; a quote within a value is written twice"]),
    "a NUL byte": (HEAD + b"1,a\0b,won\n2,b,won\n", {}, "2", ["line 2, Name: 'a\\x00b' holds a NUL byte"]),
    "a block of NULs": (HEAD + b"1,a,won\n" + bytes(5000) + b"\n2,b,won\n", {}, "12", ["line 3 holds a NUL byte"]),
    "another encoding": (
        HEAD + b"1,M\xf6ller,won\n2,b,won\n", {}, "2", ["line 2, Name: 'M\ufffdller' is not utf-8: say with `encoding` what it is"]),
    "another encoding, of a value that nobody may see": (
        b"Id,Name,Stage,Note,Else\n1,a,won,M\xf6ller,\n2,a,won,,M\xf6ller\n3,,,,\n", {}, "3",
        ["line 2, Note: is not utf-8", "line 3, Else: is not utf-8"]),
    "a byte that cp1252 has not": (HEAD + b"1,\x81,won\n2,b,won\n", {"encoding": "cp1252"}, "2", ["line 2, Name: '\ufffd' is not cp1252"]),
    "half a character of UTF-16": (
        codecs.BOM_UTF16_LE + "Id,Name,Stage\n1,a,won\n2,b,w".encode("utf-16-le") + b"o", {}, "1",
        ["line 3, Stage: 'w\ufffd' is not utf-16-le"]),
    "half a pair of UTF-16": (
        codecs.BOM_UTF16_LE + "Id,Name,Stage\n1,\ud83d,won\n2,b,won\n".encode("utf-16-le", "surrogatepass"), {}, "2", ["line 2"]),
    "a line without end": (HEAD + b"1," + b"x" * 3_000_000 + b",won\n2,b,won\n", {}, "2", ["line 2 is longer than 1048576 bytes"]),
    "a line without end, of CR": (
        b"Id,Name,Stage\r1," + b"x" * 3_000_000 + b",won\r2,b,won\r", {}, "2", ["line 2 is longer than 1048576 bytes"]),
    "lines to ignore that a broken quote took with it": (
        HEAD + b'"Total\n1,a,won\n2,b c,won \n', {"ignore": ['"Total*']}, "", ["lines 2 to 4, Id: a quote is opened and not closed"]),
    "an open quote, where lines end with a delimiter": (
        HEAD + b'1,"a,won,\n2,b,won,\n3,c,won,\n', {}, "23", ["line 2, Name: a quote is opened"]),
    "NUL bytes behind an open quote": (
        HEAD + b'1,"a,won\n2,b\0,won\n3,c,won\n', {}, "3", ["line 2, Name: a quote", "line 3, Name: 'b\\x00'"]),
    "NUL bytes in a text that is cut": (HEAD + b'1,"a b,\nc \0 d\n', {}, "", ["lines 2 to 3, Name: a quote is opened"]),
    "no id": (HEAD + b",a,won\n2,b,won\n", {}, "2", ["line 2 has no Id"]),
}
REFUSED = {
    "an open quote in the heading": (
        b'Id,"Name,Stage\n1,a,won\n', {}, "line 1, where the heading should be: a quote is opened and not closed"),
    "text behind a quote in the heading": (b'"Id"x,Name\n', {}, "line 1, where the heading should be: text stands behind a closing quote"),
    "no id": (b"Key,Name,Stage\n1,a,won\n", {}, "line 1 has no column Id; it has Key, Name, Stage"),
    "no stamp": (HEAD + b"1,a,won\n", {"changed": "Modified"}, "line 1 has no column Modified; it has Id, Name, Stage"),
    "another delimiter": (
        b"Id;Name;Stage\n1;a;won\n", {},
        "line 1 has none of the columns that are configured, for it is cut at ',': say `delimiter: \";\"`"),
    "another delimiter, in part": (
        b'Id;Name,first;Stage\n1;a;won\n', {}, "line 1 has none of the columns that are configured, for it is cut at ',': say"),
    "a title": (
        b"Deals\n\nof today\n" + HEAD + b"1,a,won\n", {},
        "line 1 has none of the columns that are configured. Line 4 has Id: say `skip_first: 3`"),
    "a title behind sep=": (b"sep=;\nDeals\nId;Name;Stage\n", {}, "Line 3 has Id: say `skip_first: 1`"),
    "no heading": (b"1,secret,won\n2,secret,won\n", {}, "line 1 has none of the columns that are configured"),
    "a heading of several lines": (b'a,"b\nc"\n1,a\n', {}, "line 1 has none of the columns that are configured"),
    "a name twice": (
        b"Id,Name,Name,Stage\n1,a,b,won\n", {},
        "line 1 names the column Name 2 times; say which one is meant: in the configuration they are called Name (1) to Name (2)"),
    "an id twice": (b"Id,Id\n1,a\n", {}, "line 1 names the column Id 2 times"),
    "UTF-16 without a mark": (
        "Id,Name\n1,a\n".encode("utf-16-le"), {}, "line 1, where the heading should be, holds NUL bytes: is it `encoding: utf-16`?"),
    "UTF-32": (codecs.BOM_UTF32_LE + "Id\n".encode("utf-32-le"), {}, "line 1: the file is UTF-32, which is not read"),
    "another encoding": (b"Id,Gr\xf6\xdfe\n1,a\n", {}, "line 1, where the heading should be, is not utf-8: say with `encoding` what it is"),
    "no text": (random.Random(1).randbytes(5000), {}, "line 1"),
    "not one row that can be read": (HEAD + b"1,a\n" * 12, {}, "line 2 has 2 values, and the heading 3 names"),
}
# fmt: on


@pytest.mark.parametrize("what", READ)
def test_what_can_be_understood_is_read(tmp_path, what):
    data, options, ids = READ[what]
    exports = Exports(tmp_path, **options)
    exports.put("a.csv", data)
    told, named = exports.poll()
    assert ([id for id, _ in told], named) == (list(ids), [])
    assert all(fields["Stage"] == "won" for _, fields in told)
    assert exports.poll() == ([], [])


@pytest.mark.parametrize("what", NAMED)
def test_a_row_that_cannot_be_read_is_named_and_the_others_are_read(tmp_path, what):
    """By its file and line, with the column and the value where there are any; so on pages of any size."""
    data, options, ids, words = NAMED[what]
    exports = Exports(tmp_path, **options)
    path = exports.put("a.csv", data)
    told, named = exports.poll()
    assert [id for id, _ in told] == list(ids)
    assert all(fields["Stage"] != "lost" for _, fields in told)
    assert len(named) == len(words)
    for reason, expected in zip(named, words, strict=True):
        assert reason.startswith(f"{path} of 2026-11-22 12:00:00Z: ")
        assert expected in reason
        assert "M\ufffdller" not in reason or "Name" in reason


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_cannot_be_read_is_named_and_the_next_ones_are_read(tmp_path, what):
    """Once; and again as soon as it is mended, or the configuration is. Where nothing else was ever read, the source fails and says so."""
    data, options, words = REFUSED[what]
    good = b"Id,Name,Stage,Note,Modified\n1,a,won,,2026-11-22\n"
    exports = Exports(tmp_path, begun=False, **options)
    path = exports.put("a.csv", data)
    with pytest.raises(SourceError, match=re.escape(words)) as said:
        exports.poll()
    assert str(said.value).startswith(f"{path} of ")
    assert "secret" not in str(said.value)
    with pytest.raises(SourceError, match=re.escape(words)):
        exports.source.check()
    exports.put("b.csv", good, at=-5)
    exports.source.check()
    told, (named,) = exports.poll()
    assert words in named
    assert [id for id, _ in told] == ["1"]
    exports.tick()
    exports.put("c.csv", good)
    assert exports.ids() == ["1"]
    exports.restart()
    assert exports.ids() == []
    exports.tick()
    exports.put("a.csv", good)
    assert exports.ids() == ["1"]


def test_a_file_is_tried_again_when_the_configuration_is_mended(tmp_path):
    exports = Exports(tmp_path)
    exports.put("a.csv", b"Deals\nId;Name;Stage\n1;a;won\n")
    assert exports.poll()[0] == []
    exports.restart(delimiter=";")
    _, (named,) = exports.poll()
    assert "say `skip_first: 1`" in named
    exports.restart(delimiter=";", skip_first=1)
    assert exports.ids() == ["1"]
    exports.restart(delimiter=";", skip_first=1, url="https://crm.example/{id}")
    assert exports.ids() == []


def test_names_that_stand_twice_can_be_told_apart(tmp_path):
    exports = Exports(tmp_path, spec={"Name (2)": FieldSpec()})
    exports.put("a.csv", b"Id,Name,Name\n1,a,b\n")
    assert exports.poll() == ([("1", {"Name (2)": "b"})], [])


def test_all_columns_where_none_are_configured(tmp_path):
    exports = Exports(tmp_path, spec=None)
    exports.put("a.csv", b"Id, A ,B,B,\n1,a,b,c,\n")
    assert exports.poll() == ([("1", {"A": "a", "B (1)": "b", "B (2)": "c"})], [])


def test_a_link_or_a_file_that_may_not_be_read_holds_up_no_other(tmp_path):
    """It is told, and read once it can be."""
    folder = tmp_path / "in"
    folder.mkdir()
    exports = Exports(folder)
    (tmp_path / "secret.csv").write_bytes(HEAD + b"9,secret,won\n")
    (folder / "a.csv").symlink_to(tmp_path / "secret.csv")
    exports.put("b.csv", HEAD + b"1,a,won\n")
    told, (named,) = exports.poll()
    assert [id for id, _ in told] == ["1"]
    assert named.endswith("is a symbolic link, which is not followed")
    (folder / "a.csv").unlink()
    exports.put("a.csv", HEAD + b"2,a,won\n")
    assert exports.ids() == ["2"]


def test_many_odd_rows_within_a_file_are_one_thing_to_look_at(tmp_path):
    exports = Exports(tmp_path, page=10)
    good = b"".join(b"%d,a,won\n" % n for n in range(10))
    exports.put("a.csv", HEAD + good + b"x,y\n" * 10 + good)
    told, (named,) = exports.poll()
    assert len(told) == 20
    assert "lines 12 to 21: line 12 has 2 values" in named


def test_an_odd_row_has_the_name_of_its_record_where_that_is_sure(tmp_path):
    """A newer state that can be read ends it then; else it is called by its file and line."""
    exports = Exports(tmp_path)
    exports.put("a.csv", HEAD + b"1,\0,won\n2,b\n\0,c,won\n4,d,won\n")
    assert [(one.record_id, bool(one.unreadable)) for one in exports.seen()] == [
        ("1", True),
        ("a.csv:3", True),
        ("a.csv:4", True),
        ("4", False),
    ]


def test_the_same_damage_in_the_next_file_of_that_name_is_other_news(tmp_path):
    exports = Exports(tmp_path)
    exports.put("a.csv", HEAD + b"1,a\n2,b,won\n")
    _, first = exports.poll()
    exports.tick()
    exports.put("a.csv", HEAD + b"1,a\n2,b,won\n")
    _, second = exports.poll()
    assert len(first) == len(second) == 1
    assert first != second


@pytest.mark.parametrize(
    ("name", "data", "gone"),
    [
        ("a.csv", b"Id,Name,Deal Stage,Note\n1,a,won,\n", "Stage"),
        ("a.csv", b"Id\n", "Name, Note, Stage"),
        ("a.jsonl", b'{"Id": 1, "Name": "a", "Note": ""}\n{"Id": 2}\n', "Stage"),
        ("a.jsonl", b'{"Id": 1, "Name": "a"}\n{"Id": 2, "Stage": 1, "Note": null}\n', ""),
        ("a.jsonl", b"", ""),
    ],
)
def test_fields_that_vanish_are_told_once_for_each_file(tmp_path, caplog, name, data, gone):
    exports = Exports(tmp_path, types={"Deal": {"match": "*.*", "id": "Id"}})
    for _ in range(2):
        caplog.clear()
        exports.put(name, data)
        exports.poll()
        exports.poll()
        assert [one.fields for one in caplog.records if "stand in none" in one.message] == ([gone] if gone else [])
        exports.tick()


def test_the_newest_file_is_checked(tmp_path):
    exports = Exports(tmp_path)
    exports.put("z.csv", b"Id,Name\n", at=-60)
    exports.put("a.csv", b"Id,Name,Stage,Note\n")
    exports.source.check()
    exports.put("b.csv", b"Id,Name,Deal Stage,Note\n", at=1)
    exports.tick()
    with pytest.raises(SourceError, match=r"b\.csv has no column Stage; it has Id, Name, Deal Stage, Note"):
        exports.source.check()


def test_what_is_missing():
    good, odd = Row(2, {"a": 1, "b": None}), Row(3, {"c": 1}, odd="line 3")
    assert missing("abc", ("a", "c"), [good]) == ["b"]
    assert missing("abc", (), [good, odd]) == ["c"]
    assert missing("abc", (), [odd]) == []
    assert missing("abc", ("a",), []) == ["b", "c"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoding": "utf-32"}, "is no encoding that can be read"),
        ({"encoding": "cp037"}, "is no encoding that can be read"),
        ({"encoding": "klingon"}, "is no encoding that can be read"),
        ({"delimiter": '"'}, "can be neither a quote nor the end of a line"),
        ({"delimiter": "\n"}, "can be neither a quote nor the end of a line"),
        ({"ignore": ["*"]}, "would leave out every line"),
    ],
)
def test_options_that_cannot_be_meant(options, words):
    with pytest.raises(ValueError, match=words):
        Export(match="*.csv", **options)


def test_json_lines_of_other_encodings_and_line_ends(tmp_path):
    exports = Exports(tmp_path, types={"Deal": {"match": "*.jsonl", "id": "Id", "ignore": ["#*"], "skip_first": 1}}, begun=False)
    text = '#title\r\n{"Id": 1, "Name": "Möller"}\r\n# a remark\r\n\r\n{"Id": 2}\r\n'
    exports.put("a.jsonl", codecs.BOM_UTF16_LE + text.encode("utf-16-le"))
    exports.put("b.jsonl", text.replace("Möller", "\xff").encode("latin-1"), at=1)
    exports.tick()
    told, (named,) = exports.poll()
    assert [id for id, _ in told] == ["1", "2", "2"]
    assert "b.jsonl" in named
    assert "line 2 is not utf-8" in named


# --- exports by chance ------------------------------------------------------------------------------


ENCODINGS = {"utf-8": b"", "utf-8-sig": codecs.BOM_UTF8, "cp1252": b"", "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
FOOTERS = ["Grand Totals (3 records)", "Copyright (c) 2026 Acme", "Confidential Information", "Made on 30 November"]
WORDS = ["Parkers", "Möller & Co", "a b", "", "TV 55 cm", "x" * 300, "Total", "-", "0", "sep=;"]


class Chance:
    """An export with everything that an export may have, and what is true of it."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        draw = self.random
        self.encoding = draw.choice(list(ENCODINGS))
        self.delimiter = draw.choice([",", ";", "\t", "|"])
        self.end = draw.choice(["\n", "\r\n", "\r"])
        self.mixed, self.quoted = draw.random() < 0.2, draw.random() < 0.4
        self.good, self.bad = {}, []
        self.lines, self.text, self.options = 0, [], {"encoding": self.encoding, "delimiter": self.delimiter}

    def export(self):
        draw = self.random
        if draw.random() < 0.2:
            self.line(f"sep={self.delimiter}")
            self.options["delimiter"] = draw.choice([",", ";"])
        if draw.random() < 0.2:
            self.options["skip_first"] = draw.randint(1, 3)
            for _ in range(self.options["skip_first"]):
                self.line(draw.choice(["", "Deals of today", f"a{self.delimiter}b"]))
        names = ["Id", "Name", "Stage", "Text"]
        if draw.random() < 0.2:
            names = [f" {name} " for name in names]
        trailing = self.delimiter if draw.random() < 0.2 else ""
        self.line(self.delimiter.join(names) + trailing)
        for number in range(draw.randint(0, 40)):
            self.row(str(1000 + number), trailing)
            if draw.random() < 0.05:
                self.line(draw.choice(["", " ", self.delimiter * 3]))
            if draw.random() < 0.04:
                self.options["ignore"] = ["Subtotal*"]
                self.line(f"Subtotal {number}" + self.delimiter * draw.randint(0, 3))
        if draw.random() < 0.3:
            for _ in range(draw.randint(1, 3)):
                self.line("")
            for footer in draw.sample(FOOTERS, draw.randint(1, 3)):
                self.line(footer)
        elif draw.random() < 0.1:
            self.named(1)
            self.text.append(f"2999{self.delimiter}cut")
        elif draw.random() < 0.3 and self.text:
            self.text[-1] = self.text[-1].rstrip("\r\n")
        return ENCODINGS[self.encoding] + "".join(self.text).encode(self.codec, "surrogateescape")

    @property
    def codec(self):
        return "utf-8" if self.encoding == "utf-8-sig" else self.encoding

    def line(self, text):
        end = self.random.choice(["\n", "\r\n"]) if self.mixed else self.end
        self.text.append(text + end)
        self.lines += 1

    def named(self, lines):
        """The next lines must be named."""
        self.bad.append((self.lines + 1, self.lines + lines))

    def row(self, id, trailing):
        draw = self.random
        values = [id, draw.choice(WORDS), draw.choice(["open", "won"]), self.value()]
        written = [self.written(value) for value in values]
        damage = draw.random()
        if damage < 0.03:
            self.named(1)
            self.line(self.delimiter.join(written[: draw.randint(2, 3)]))
        elif damage < 0.06:
            self.named(1)
            self.line(self.delimiter.join([*written[:2], "more", "than", "fits"]))
        elif damage < 0.08:
            self.named(1)
            self.line(self.delimiter.join([id, "a\0b", *written[2:3], "x"]))
        elif damage < 0.10:
            self.named(1)
            self.line(self.delimiter.join([id, '"a" b', "won", "x"]))
        elif damage < 0.12 and self.codec == "utf-8":
            self.named(1)
            self.line(self.delimiter.join([id, "M", "won", "x"]))
            self.text[-1] = self.text[-1].replace("M", "M\udcf6\udce4")
        elif damage < 0.14:
            self.opened(id)
        else:
            self.good[id] = tuple(value or None for value in values[1:])
            text = self.delimiter.join(written) + trailing
            end = self.random.choice(["\n", "\r\n"]) if self.mixed else self.end
            self.text.append(text + end)
            self.lines += 1 + len(re.findall("\r\n|\r|\n", text))

    def opened(self, id):
        """A stray quote, and rows behind it that are rows beyond doubt."""
        self.named(1)
        self.line(self.delimiter.join([id, '"Par', "won", "x"]))
        for more in "abc":
            self.good[id + more] = ("p", "won", "y")
            self.line(self.delimiter.join([id + more, "p", "won", "y"]))
        self.good[id + "d"] = ("q", "won", None)  # and a quoted value at which the stray one ends
        self.line(self.delimiter.join([id + "d", '"q"', "won", ""]))

    def value(self):
        draw = self.random
        if draw.random() < 0.2:
            inner = draw.choice(["\n", "\r\n", "\r"])
            return inner.join(["one", f'two "quoted"{self.delimiter} three', "", f"9{self.delimiter}x{self.delimiter}won{self.delimiter}y"])
        return draw.choice(WORDS)

    def written(self, value):
        if self.quoted or any(sign in value for sign in f'"\r\n{self.delimiter}'):
            return '"' + value.replace('"', '""') + '"'
        return value


LINES = re.compile(r": lines? (\d+)(?: to (\d+))?")


def test_of_any_export_every_row_is_told_or_named(tmp_path, figures):
    """Rows that are told are as they are, rows that are not are named by file and line: none is lost, none invented."""
    spec = dict.fromkeys(("Name", "Stage", "Text"), SPEC["Name"])
    told_rows = named_rows = 0
    for seed in range(examples(1000)):
        chance = Chance(seed)
        data = chance.export()
        folder = tmp_path / str(seed)
        folder.mkdir()
        exports = Exports(folder, spec=spec, page=chance.random.choice([10, 10, 500]), **chance.options)
        path = exports.put("a.csv", data)
        try:
            told, named = exports.poll()
        except SourceError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        assert dict(told).keys() == chance.good.keys(), (seed, path)
        assert {id: tuple(fields[name] for name in spec) for id, fields in told} == chance.good, (seed, path)
        assert len(told) == len(chance.good), seed
        places = [LINES.search(reason) for reason in named]
        found = sorted((int(one[1]), int(one[2] or one[1])) for one in places)
        assert found == sorted(chance.bad), (seed, path, named)
        assert all(str(path) in reason for reason in named), seed
        told_rows, named_rows = told_rows + len(told), named_rows + len(named)
    assert told_rows > 10_000 or examples(1000) < 1000
    figures("exports by chance", exports=examples(1000), told=told_rows, named=named_rows, lost=0, invented=0)


def by_ones_as_at_once(data, one):
    """Where a page ends changes nothing."""
    used = frozenset({"Id"})
    with contextlib.suppress(ValueError):
        rows = read(io.BytesIO(data), "csv", one, 1000, used=used).rows
        alone, begin = [], (0, 0)
        for _ in range(len(rows) + 1):
            part = read(io.BytesIO(data), "csv", one, 1, begin=begin, used=used)
            alone, begin = [*alone, *part.rows], part.end
        assert part.whole
        assert alone == rows


def test_noise_is_never_a_traceback(tmp_path):
    """Exports with bytes replaced, cut out and doubled: words for a person, whatever it is; and the next file is read."""
    for seed in range(examples(300)):
        chance = Chance(seed)
        data = bytearray(chance.export())
        for _ in range(chance.random.randint(1, 5)):
            at = chance.random.randrange(len(data) + 1)
            data[at : at + chance.random.choice([0, 1, 1, 7])] = chance.random.choice(
                [b"", b'"', b"\0", b"\r", b"\n", b"\xff", b",", b'""']
            )
        folder = tmp_path / str(seed)
        folder.mkdir()
        exports = Exports(folder, page=10, **chance.options)
        exports.put("a.csv", bytes(data))
        _, named = exports.poll()
        by_ones_as_at_once(bytes(data), Export(match="*", id="Id", **chance.options))
        assert all(re.search(r"a\.csv of [^:]+:\d\d:\d\dZ: ", reason) for reason in named), (seed, named)
        exports.tick()
        (folder / "a.csv").unlink()
        chance = Chance(seed)
        exports.put("b.csv", chance.export())
        assert {id for id, _ in exports.poll()[0]} == chance.good.keys()
