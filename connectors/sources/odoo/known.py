"""What the cursor says of one type besides how far it was read: its ids, and its log. Pure.

Odoo keeps nothing of a deleted record, nor of the loser of a merge; and a source stores nothing. So the cursor holds the
ids that there were at the last walk through all of them: what lacks at the next one was deleted. They are kept as lengths
of gaps and runs, packed: some bytes where they are consecutive, about one byte for each where they are not.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """What the cursor says of one type's ids."""

    walk: int
    """The number of the walk, from 1; 0 before the first."""
    walked: int
    """When it began: milliseconds since 1970, by our clock."""
    ids: frozenset[int] | None
    """None: not known."""
    rewound: bool = False
    """This cursor was made for an instant (`since`): there was no walk, and records are read as they are now."""
    told: int | None = None
    """Messages of the log up to this number are told; None: nobody looked yet."""
    found: int | None = None
    """The highest number of a message that the pass under way has found."""

    def dump(self) -> str:
        """As text that sorts behind that of the walk before."""
        ids = pack(self.ids) if self.ids is not None else "-"
        marks = ["-" if mark is None else str(mark) for mark in (self.told, self.found)]
        return " ".join([f"{self.walk:010}", str(self.walked), str(int(self.rewound)), *marks, ids])


def load(text: object) -> Known | None:
    """The inverse of `dump`; None where there is nothing yet. Raises ValueError."""
    if not text or not isinstance(text, str):
        return None
    try:
        walk, walked, rewound, *marks, ids = text.split(" ")
        told, found = (None if mark == "-" else int(mark) for mark in marks)
        return Known(int(walk), int(walked), None if ids == "-" else frozenset(unpack(ids)), rewound == "1", told, found)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"the ids in the stored cursor cannot be read: {error}") from None


def pack(ids: Collection[int]) -> str:
    """Ids as text: the lengths of gaps and runs, alternating."""
    lengths: list[int] = []
    end = 0  # the last id that was told
    for id in sorted(ids):
        if lengths and id == end + 1:
            lengths[-1] += 1
        else:
            lengths += [id - end - 1, 1]
        end = id
    return base64.urlsafe_b64encode(zlib.compress(",".join(map(str, lengths)).encode())).decode()


def unpack(text: str) -> list[int]:
    """The inverse of `pack`, in order. Raises ValueError, zlib.error."""
    written = zlib.decompress(base64.urlsafe_b64decode(text)).decode()
    lengths = [int(one) for one in written.split(",")] if written else []
    ids: list[int] = []
    end = 0
    for gap, run in zip(lengths[::2], lengths[1::2], strict=True):
        ids += range(end + gap + 1, end + gap + run + 1)
        end += gap + run
    return ids
