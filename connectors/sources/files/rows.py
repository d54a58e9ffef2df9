"""Rows of a file from a byte on, a page at a time, in bounded memory. A row that is broken is there as an odd one, with its line."""

from __future__ import annotations

import csv
import fnmatch
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from connectors.sources.files.heading import Heading, broken, heading, plain
from connectors.sources.files.lines import STRANGE, Line, Lines
from connectors.sources.files.options import Export
from crmbridge.http import strict_json

_FOOTER: Final = 50  # lines; a longer one is none
_LETTERS: Final = 60  # of a value that are shown
_SURE: Final = 2  # separators in the lines behind an open quote, from which they are rows and no prose


@dataclass(slots=True)
class Row:
    """One row, and the line on which it begins."""

    line: int
    values: Mapping[str, Any] = field(default_factory=dict)
    odd: str = ""
    """What is wrong with it, if something is; its values are then for a person only, and none where they may stand under wrong names."""
    end: tuple[int, int] = (0, 0)
    """The byte behind it, and its last line."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a file that follow each other."""

    rows: Sequence[Row]
    columns: tuple[str, ...]
    """As the heading names them; none where there is no heading."""
    end: tuple[int, int]
    """The byte and the line behind them."""
    whole: bool
    """The file ends with them."""
    footer: tuple[int, int] | None = None
    """The first and the last of the lines at its end that were taken for a footer."""


@dataclass(slots=True)
class _Footer:
    """What was found to be one, once the file has ended."""

    lines: tuple[int, int] | None = None


def read(
    file: BinaryIO,
    form: str,
    one: Export,
    most: int,
    *,
    begin: tuple[int, int] = (0, 0),
    used: Set[str] = frozenset(),
    shown: Collection[str] = (),
) -> Part:
    """At most `most` rows from `begin` (byte, line) on.

    `used` are the columns that the configuration names, `shown` those whose values people may see. Raises ValueError, with the
    line, for a file of which nothing can be read: one without a heading that fits.
    """
    head = heading(file, one, used) if form == "csv" else plain(file, one)
    offset, line = max(begin, (head.offset, head.line))
    lines, footer = Lines(file, head.encoding, offset, line), _Footer()
    found = _csv(lines, head, one, shown, footer) if form == "csv" else _json(lines, one)
    rows = list(itertools.islice(found, most)) if form != "csv" or head.names else []
    whole = len(rows) < most
    return Part(rows, head.names, rows[-1].end if rows else (offset, line), whole, footer.lines if whole else None)


def missing(wanted: Iterable[str], columns: Sequence[str], rows: Iterable[Row]) -> list[str]:
    """Which of the wanted columns stand neither in the heading nor, where there is none, in any row that can be read. Pure."""
    there = set(columns)
    seen = bool(columns)
    for row in rows if not columns else ():
        if not row.odd:
            there |= row.values.keys()
            seen = True
    return sorted(set(wanted) - there) if seen else []


def _ignored(one: Export) -> Callable[[str], bool]:
    """Whether a text is one that the configuration leaves out."""
    if not one.ignore:
        return lambda _: False
    pattern = re.compile("|".join(map(fnmatch.translate, one.ignore)))
    return lambda text: pattern.match(text.strip()) is not None


def _json(lines: Lines, one: Export) -> Iterator[Row]:
    ignored = _ignored(one)
    while True:
        lines.begin()
        text = next(lines, None)
        if text is None:
            return
        line = lines.taken[0]
        if not line.odd and (not text.strip() or ignored(text)):
            continue
        end = (line.end, line.number)
        try:
            row = strict_json(text.encode())
        except ValueError as error:
            yield Row(line.number, odd=_at([line], f" {line.odd}" if line.odd else f": {error}"), end=end)
            continue
        if line.odd or not isinstance(row, dict):
            yield Row(line.number, odd=_at([line], f" {line.odd or 'is no JSON object'}"), end=end)
        else:
            yield Row(line.number, row, end=end)


def _at(lines: Sequence[Line], odd: str) -> str:
    """On which lines something is wrong, and what."""
    first, last = lines[0].number, lines[-1].number
    return f"line {first}{odd}" if first == last else f"lines {first} to {last}{odd.replace(' has ', ' have ', 1)}"


# --- CSV


def _csv(lines: Lines, head: Heading, one: Export, shown: Collection[str], footer: _Footer) -> Iterator[Row]:
    """Rows that are none because they are blank, or to be ignored, or a footer, are left out."""
    ignored = _ignored(one)
    blank, held = False, list[Row]()  # held: what may turn out to be the footer
    for cells, taken, odd in _cells(lines, head, one):
        if not odd and _blank(cells) and not any(line.odd for line in taken):
            blank = True
            continue
        # Of several lines that a broken quote took, only the first would be known to be one of those.
        if one.ignore and len(taken) == 1 and ((cells and ignored(cells[0])) or ignored(taken[0].text)):
            continue
        row = _row(cells, taken, odd, head, shown)
        if (blank or held) and not odd and len(held) < _FOOTER and _wordy(cells, taken, len(head.names)):
            held.append(row)
            continue
        yield from held
        yield row
        blank, held = False, []
    if held:
        footer.lines = (held[0].line, held[-1].end[1])


def _blank(cells: Sequence[str]) -> bool:
    return not any(map(str.strip, cells))


def _wordy(cells: Sequence[str], taken: Sequence[Line], width: int) -> bool:
    """A line of fewer values than the heading, that says something to people: `Copyright (c) Acme, Inc.`, and not `17,Par`."""
    cells = _trimmed(cells, 0)
    return len(cells) < width and not any(line.odd for line in taken) and (len(cells) == 1 or " " in cells[0].strip())


def _trimmed(cells: Sequence[str], width: int) -> Sequence[str]:
    """Without empty values at the end that are more than `width`."""
    count = len(cells)
    while count > width and not cells[count - 1].strip():
        count -= 1
    return cells[:count]


def _row(cells: Sequence[str], taken: Sequence[Line], odd: str, head: Heading, shown: Collection[str]) -> Row:
    """One row as its heading has it."""
    names = head.names
    first, end = taken[0].number, (taken[-1].end, taken[-1].number)
    bad = None
    for line in taken:
        if line.odd or "\0" in line.text:
            bad = line
            break
    if len(cells) > len(names):
        cells = _trimmed(cells, len(names))
    fits = not odd and len(cells) == len(names)
    values = {name: cell or None for name, cell in zip(names, cells, strict=True) if name} if fits else {}
    if bad and not odd:
        return Row(first, values, _at([bad], _told(values, bad, shown)), end)
    if fits:
        return Row(first, values, "", end)
    if not odd:
        odd = f" has {_counted(cells, 'value')}, and the heading {_counted(names, 'name')}"
        if len(cells) > len(names):
            odd += f"; a value that holds {head.delimiter!r} must stand in quotes"
        elif not taken[-1].ended:
            odd += ": is the file cut off?"
    return Row(first, odd=_at(taken, odd), end=end)


def _counted(found: Sequence[str], what: str) -> str:
    return f"{len(found)} {what}" + ("" if len(found) == 1 else "s")


def _told(values: Mapping[str, str | None], bad: Line, shown: Collection[str]) -> str:
    """What is wrong with a line, in which column, and the value itself where people may see it."""
    sign, odd = (STRANGE, bad.odd) if bad.odd else ("\0", "holds a NUL byte")
    for name, value in values.items():
        if value and sign in value:
            return f", {name}: {f'{value[:_LETTERS]!r} ' if name in shown else ''}{odd}"
    return f" {odd}"


def _cells(lines: Lines, head: Heading, one: Export) -> Iterator[tuple[list[str], list[Line], str]]:
    """Values of each row, its lines, and what is wrong with its quotes. The reader takes as many lines as a row needs, and no more."""
    reader = csv.reader(lines, delimiter=head.delimiter, strict=True)
    alone = _Alone(head, one.id)
    while True:
        lines.begin()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield from _recovered(lines, alone, broken(error, lines.taken), head)
            continue
        if cells is None:
            return
        yield cells, lines.taken, ""


def _recovered(lines: Lines, alone: _Alone, odd: str, head: Heading) -> Iterator[tuple[list[str], list[Line], str]]:
    """What can be read of the lines that a broken row took.

    Where each line behind the first is by itself a row as the heading wants it, they are rows, and the quote was a stray one. Else
    they may as well be the text of the value that the quote began, and are named with it: text of a record is never taken for one.
    """
    first, *rest = lines.taken
    opened = rest[-1:] if rest and alone.opens(rest[-1].text) else []  # a row of several lines may begin with the last one
    rest = rest[: len(rest) - len(opened)]
    rows = alone.rows(rest)
    if rows and sum(len(cells) - 1 for cells in rows if cells) >= _SURE:
        yield [], [first], _column(first, head) + odd
        for line, cells in zip(rest, rows, strict=True):
            yield cells, [line], ""
        lines.give_back(opened)
    else:
        yield [], lines.taken, _column(first, head) + odd


def _column(line: Line, head: Heading) -> str:
    """In which column a quote was opened, as far as the line before it can be believed."""
    try:
        cells = next(csv.reader([line.text], delimiter=head.delimiter), [])
    except csv.Error:
        cells = []
    name = head.names[len(cells) - 1] if 0 < len(cells) <= len(head.names) else ""
    return f", {name}: " if name and line.text.count('"') % 2 else ": "


class _Alone:
    """What a line is by itself, whatever stood before it."""

    def __init__(self, head: Heading, id: str) -> None:
        apart = re.escape(head.delimiter)
        value = f'(?:[^"{apart}\\r\\n]*|"(?:[^"]|"")*")'
        self._whole = re.compile(f"{value}(?:{apart}{value})*[\\r\\n]*")
        self._opens = re.compile(f'(?:{value}{apart})*"(?:[^"]|"")*')
        self._delimiter, self._width, self._id = head.delimiter, len(head.names), head.names.index(id)

    def opens(self, text: str) -> bool:
        """Whether a line ends within a quoted value."""
        return self._opens.fullmatch(text) is not None

    def rows(self, lines: Sequence[Line]) -> list[list[str]]:
        """The values of lines each of which is a row beyond doubt, or blank, but for a footer at their end; else nothing."""
        rows = [cells for line in lines if (cells := self._cells(line)) is not None]
        if len(rows) < len(lines):
            return []
        end = len(rows)
        while end and (_blank(rows[end - 1]) or _wordy(rows[end - 1], lines[end - 1 : end], self._width)):
            end -= 1
        if end < len(rows) and not _blank(rows[end]):
            end = len(rows)
        return rows if all(map(self._beyond_doubt, rows[:end])) else []

    def _cells(self, line: Line) -> list[str] | None:
        """The values of a line; None of one that is odd, or not in order by itself."""
        if line.odd or not self._whole.fullmatch(line.text):
            return None
        return list(_trimmed(next(csv.reader([line.text], delimiter=self._delimiter), []), self._width))

    def _beyond_doubt(self, cells: Sequence[str]) -> bool:
        """As many values as the heading has names, an id, and no blanks around a value, as prose has."""
        return _blank(cells) or (len(cells) == self._width and bool(cells[self._id]) and all(cell == cell.strip() for cell in cells))
