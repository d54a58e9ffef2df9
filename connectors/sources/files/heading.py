"""The heading of a CSV file: where it stands, what the columns are called, and what the columns that are wanted are called there."""

from __future__ import annotations

import codecs
import contextlib
import csv
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import BinaryIO, Final

from connectors.sources.files.lines import MAX_LINE, Line, Lines, encoding_of
from connectors.sources.files.options import Export

_SEP: Final = re.compile(r'"?sep=(?P<delimiter>[^"\r\n])"?[\r\n]*', re.IGNORECASE)
_DELIMITERS: Final = (",", ";", "\t", "|")
_BELOW: Final = 20  # rows below the first one that are looked at for the heading
_SHOWN: Final = 12  # columns that are named to a person
_LETTERS: Final = 60  # of each


@dataclass(frozen=True, slots=True)
class Heading:
    """What must be known of a file to read its rows."""

    encoding: str
    delimiter: str = ","
    names: tuple[str, ...] = ()
    """Empty for a file without any; a column without a name is called nothing."""
    offset: int = 0
    """The byte behind it."""
    line: int = 0
    """Its last line."""


def plain(file: BinaryIO, one: Export) -> Heading:
    """What is known of a file without columns. Raises ValueError."""
    encoding, offset = encoding_of(file, codecs.lookup(one.encoding).name)
    lines = _skipped(Lines(file, encoding, offset, 0), one)
    last = lines.taken[-1:]
    return Heading(encoding, offset=last[0].end if last else offset, line=last[0].number if last else 0)


def heading(file: BinaryIO, one: Export, used: Set[str]) -> Heading:
    """Of a CSV file, `used` being the columns that the configuration names. Raises ValueError, with the line, where there is none.

    What a line holds that has none of them is not told: it may be no heading, but what nobody may see.
    """
    encoding, offset = encoding_of(file, codecs.lookup(one.encoding).name)
    lines = Lines(file, encoding, offset, 0)
    said = _separator(lines)
    delimiter = said or one.delimiter
    csv.field_size_limit(MAX_LINE)
    rows = _rows(_skipped(lines, one), delimiter)
    found = next(rows, None)
    if found is None:
        last = lines.taken[-1:]
        return Heading(encoding, delimiter, (), last[0].end if last else offset, last[0].number if last else 0)
    cells, taken = found
    names = _names(cells, used, taken[0].number)
    for name in filter(None, (one.id, one.changed)):
        if name not in names:
            why = f"no column {name}; it has {listed(names)}" if used & set(names) else "none of the columns that are configured"
            hint = _hint(name, delimiter, taken, rows, first=2 if said else 1)
            raise ValueError(f"line {taken[0].number} has {why}{hint}")
    return Heading(encoding, delimiter, names, taken[-1].end, taken[-1].number)


def _skipped(lines: Lines, one: Export) -> Lines:
    """Behind the lines that are left out."""
    for _ in range(one.skip_first):
        lines.begin()
        if next(lines, None) is None:
            break
    return lines


def _separator(lines: Lines) -> str | None:
    """What a first line such as `sep=;` says, which Excel writes and reads."""
    first = next(lines, "")
    if said := _SEP.fullmatch(first):
        return said["delimiter"]
    lines.give_back(lines.taken)
    lines.begin()
    return None


def _rows(lines: Lines, delimiter: str) -> Iterator[tuple[list[str], list[Line]]]:
    """Rows that are not empty, and their lines. Raises ValueError."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        before = lines.taken
        lines.begin()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            number = lines.taken[0].number
            raise ValueError(f"line {number}, where the heading should be: {broken(error, lines.taken)}") from None
        if cells is None:
            lines.taken = before
            return
        if any(map(str.strip, cells)):
            for line in lines.taken:
                if line.odd:
                    raise ValueError(f"line {line.number}, where the heading should be, {line.odd}")
                if "\0" in line.text:
                    raise ValueError(f"line {line.number}, where the heading should be, holds NUL bytes: is it `encoding: utf-16`?")
            yield cells, lines.taken


def broken(error: csv.Error, taken: Sequence[Line]) -> str:
    """What is wrong with the quotes of a row, in words."""
    if "expected after" in str(error):
        return "text stands behind a closing quote; a quote within a value is written twice"
    return "a quote is opened and not closed" + ("" if taken[-1].ended else ": is the file cut off?")


def _names(cells: Sequence[str], used: Collection[str], line: int) -> tuple[str, ...]:
    """What columns are called: without blanks around, and told apart where several have one name. Raises ValueError."""
    names = [cell if cell in used else cell.strip() for cell in cells]
    while names and not names[-1]:  # a delimiter at the end of the line
        names.pop()
    count = Counter(name for name in names if name)
    for name in used:
        if count[name] > 1:
            raise ValueError(
                f"line {line} names the column {name[:_LETTERS]} {count[name]} times; "
                f"say which one is meant: in the configuration they are called {name[:_LETTERS]} (1) to {name[:_LETTERS]} ({count[name]})"
            )
    numbers = {name: itertools.count(1) for name in count}
    told = tuple(f"{name} ({next(numbers[name])})" if count[name] > 1 else name for name in names)
    if twice := [name for name, times in Counter(filter(None, told)).items() if times > 1]:
        raise ValueError(f"line {line} names the column {twice[0][:_LETTERS]} twice; give the columns different names in the export")
    return told


def _hint(name: str, delimiter: str, taken: Sequence[Line], rows: Iterator[tuple[list[str], list[Line]]], first: int) -> str:
    """What would help a heading that lacks a column, where that can be seen; `first` is the first line that could be skipped."""
    with contextlib.suppress(csv.Error):  # it is no heading, whatever it is cut at
        for other in _DELIMITERS:
            cut = next(csv.reader([line.text for line in taken], delimiter=other), [])
            if other != delimiter and name in map(str.strip, cut):
                return f", for it is cut at {delimiter!r}: say `delimiter: {_yaml(other)}`"
    with contextlib.suppress(ValueError):  # what stands below is none either
        for cells, below in itertools.islice(rows, _BELOW):
            if name in map(str.strip, cells):
                return f". Line {below[0].number} has {name}: say `skip_first: {below[0].number - first}`"
    return ""


def listed(names: Sequence[str]) -> str:
    """The names of columns, for a person, as many as can be read at a glance."""
    shown = ", ".join(name[:_LETTERS] for name in names[:_SHOWN] if name)
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _yaml(delimiter: str) -> str:
    return '"\\t"' if delimiter == "\t" else f'"{delimiter}"'
