"""Rows of a file from a byte on, a page at a time, in bounded memory. Raises ValueError with the line."""

from __future__ import annotations

import csv
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from connectors.sources.files.options import Export
from crmbridge.http import strict_json

MAX_LINE: Final = 1024 * 1024  # bytes
_BOM: Final = b"\xef\xbb\xbf"


def digest(path: Path) -> str:
    """Names the content of a file. Raises OSError."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1024 * 1024):
            found.update(piece)
    return found.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Row:
    """One row, and the line on which it ends."""

    line: int
    values: Mapping[str, Any] = field(default_factory=dict)
    odd: str = ""
    """What is wrong with it, if something is; its values then say nothing."""


class Lines:
    """Lines of a binary file as text, and how many bytes and lines they were."""

    def __init__(self, file: BinaryIO, encoding: str, offset: int, line: int) -> None:
        self._file = file
        self._encoding = "utf-8" if encoding == "utf-8-sig" else encoding
        self.offset = offset
        self.line = line
        file.seek(offset)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MAX_LINE + 1)
        if not raw:
            raise StopIteration
        self.line += 1
        if len(raw) > MAX_LINE:
            raise ValueError(f"line {self.line} is longer than {MAX_LINE} bytes")
        text = raw.removeprefix(_BOM) if self.offset == 0 else raw
        self.offset += len(raw)
        try:
            return text.decode(self._encoding)
        except UnicodeDecodeError:
            raise ValueError(f"line {self.line} is not {self._encoding}") from None


def read(file: BinaryIO, form: str, one: Export, offset: int, line: int, most: int) -> tuple[list[Row], int, int]:
    """At most `most` rows; where the next ones begin (byte, line). A row that is broken is there as an odd one."""
    lines = Lines(file, one.encoding, offset, line)
    rows = _csv(file, one, lines) if form == "csv" else _json(lines)
    return list(itertools.islice(rows, most)), lines.offset, lines.line


def _json(lines: Lines) -> Iterator[Row]:
    while True:
        try:
            text = next(lines, None)
            if text is None:
                return
            if not text.strip():
                continue
            row = strict_json(text.encode())
        except ValueError as error:
            yield Row(lines.line, odd=_at(lines.line, error))
            continue
        yield Row(lines.line, row) if isinstance(row, dict) else Row(lines.line, odd=f"line {lines.line} is no JSON object")


def _at(line: int, error: Exception) -> str:
    """The words of an error, with the line unless they name it."""
    return str(error) if str(error).startswith("line ") else f"line {line}: {error}"


def _csv(file: BinaryIO, one: Export, lines: Lines) -> Iterator[Row]:
    """Quoted values may hold line ends; the reader takes as many lines as a row needs, and no more."""
    csv.field_size_limit(MAX_LINE)
    heading = Lines(file, one.encoding, 0, 0)
    names = next(csv.reader(heading, delimiter=one.delimiter, strict=True), [])
    if len(set(names)) < len(names):
        raise ValueError("line 1 names a column twice")
    if lines.offset == 0:
        lines.offset, lines.line = heading.offset, heading.line
    file.seek(lines.offset)
    reader = csv.reader(lines, delimiter=one.delimiter, strict=True)
    while True:
        try:
            values = next(reader, None)
        except (csv.Error, ValueError) as error:
            yield Row(lines.line, odd=_at(lines.line, error))
            continue
        if values is None:
            return
        if not values:
            continue
        if len(values) != len(names):
            yield Row(lines.line, odd=f"line {lines.line} has {len(values)} values, and the heading {len(names)} names")
            continue
        yield Row(lines.line, {name: value if value != "" else None for name, value in zip(names, values, strict=True)})
