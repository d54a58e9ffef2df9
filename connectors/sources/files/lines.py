"""Lines of a file as text, from a byte on, in bounded memory, however they end and whatever their bytes mean."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

MAX_LINE: Final = 1024 * 1024  # bytes
_MAX_ROW: Final = 4 * MAX_LINE  # bytes of the lines that one row may take
STRANGE: Final = "\ufffd"
"""Stands for bytes that are not of the encoding."""
_BLOCK: Final = 64 * 1024
_MARKS: Final = (  # the longer ones first: one of them begins like another
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_PLAIN: Final = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}  # without a mark: Windows, which writes UTF-16, writes it so
_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def encoding_of(file: BinaryIO, configured: str) -> tuple[str, int]:
    """The encoding of a file, and how many bytes its byte-order mark takes. A mark is surer than what is configured.

    `configured` is a name as `codecs.lookup` gives it. Raises ValueError for what cannot be read.
    """
    file.seek(0)
    head = file.read(4)
    for mark, name in _MARKS:
        if head.startswith(mark):
            if name == "utf-32":
                raise ValueError("line 1: the file is UTF-32, which is not read; let it be written as UTF-8")
            return name, len(mark)
    return _PLAIN.get(configured, configured), 0


@dataclass(slots=True)
class Line:
    """A line with its end, as text."""

    text: str
    number: int
    end: int
    """The byte behind it."""
    odd: str = ""
    """What is wrong with it, if something is."""
    foreign: bool = False
    """It holds bytes that are not of the encoding."""

    @property
    def ended(self) -> bool:
        """False for a last line that ends with the file."""
        return self.text.endswith(("\n", "\r"))


class Lines:
    """An iterator of texts, as the csv module wants it, that knows which lines were taken since `begin` and takes some back."""

    def __init__(self, file: BinaryIO, encoding: str, offset: int, number: int) -> None:
        self.encoding = encoding
        self.taken: list[Line] = []
        self._size = 0
        self._back: deque[Line] = deque()
        self._lines = _lines(file, encoding, offset, number)

    def begin(self) -> None:
        """What is taken from now on is another row."""
        self.taken, self._size = [], 0

    def give_back(self, lines: Iterable[Line]) -> None:
        """They come again, before all others."""
        self._back.extendleft(reversed(list(lines)))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._size > _MAX_ROW:
            raise StopIteration
        line = self._back.popleft() if self._back else next(self._lines)
        self._size += len(line.text)
        self.taken.append(line)
        return line.text


def _lines(file: BinaryIO, encoding: str, offset: int, number: int) -> Iterator[Line]:
    file.seek(offset)
    for raw, size in _pieces(file, encoding):
        number += 1
        offset += size
        if size > MAX_LINE:
            yield Line("\n", number, offset, odd=f"is longer than {MAX_LINE} bytes")
            continue
        try:
            yield Line(raw.decode(encoding), number, offset)
        except UnicodeDecodeError:
            text = raw.decode(encoding, "replace")
            yield Line(text, number, offset, odd=f"is not {encoding}: say with `encoding` what it is", foreign=True)


def _pieces(file: BinaryIO, encoding: str) -> Iterator[tuple[bytes, int]]:
    """Lines as bytes, and how many they were: of what is too long to be read little is kept."""
    wide = encoding.startswith("utf-16")
    feed = "\n".encode(encoding)
    rest, dropped = b"", 0
    while True:
        block = file.read(_BLOCK)
        pieces = _wide(rest + block, encoding) if wide else (rest + block).splitlines(keepends=True)
        # The last one may go on in the next block; so may one that ends in CR, by a LF.
        rest = pieces.pop() if block and pieces and not pieces[-1].endswith(feed) else b""
        for piece in pieces:
            yield piece, dropped + len(piece)
            dropped = 0
        if not block:
            return
        if len(rest) > MAX_LINE:
            keep = len(feed) + len(rest) % len(feed)
            dropped += len(rest) - keep
            rest = rest[-keep:]


def _wide(data: bytes, encoding: str) -> list[bytes]:
    """Lines of a text of two bytes a character; a byte without its second one belongs to the last."""
    even = len(data) - len(data) % 2
    found = [one.encode(encoding, "surrogatepass") for one in _LINE.findall(data[:even].decode(encoding, "surrogatepass"))]
    if even < len(data):
        last = data[even:]
        if found and not found[-1].endswith("\n".encode(encoding)):
            last = found.pop() + last
        found.append(last)
    return found
