"""A thousand exports of many places: their numbers, days, clocks, separators, encodings, marks, line ends and footers, with known truth.

No value is told that was not meant, and none is lost without a word: what cannot be read is named with its file, line, column and value.
"""

import codecs
import random
import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from shared import examples

from connectors.sources.files import CONNECTOR
from crmbridge.contract import Setting
from crmbridge.model import FieldSpec, FieldType, Unread

UTC = timezone.utc
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SPEC = {"Amount": FieldSpec(type=FieldType.MONEY), "Due": FieldSpec(type=FieldType.DATE), "At": FieldSpec(type=FieldType.DATETIME)}
STYLES = {"1234.5": ("", "."), "1,234.5": (",", "."), "1.234,5": (".", ","), "1 234,5": (" ", ","), "1'234.5": ("'", ".")}
ENCODINGS = {"utf-8": b"", "utf-8-sig": codecs.BOM_UTF8, "cp1252": b"", "latin-1": b"", "utf-16": codecs.BOM_UTF16_LE}
FOOTER = ["", "Grand Totals (3 records)", "", "Copyright (c) Acme"]


class Place:
    """How one place writes its exports, by chance; and which of it its people have said to us."""

    def __init__(self, chance):
        self.numbers, self.month_first = chance.choice(list(STYLES)), chance.random() < 0.5
        self.zone = chance.choice(["UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata"])
        self.delimiter, self.encoding = chance.choice([";", ",", "\t", "|"]), chance.choice(list(ENCODINGS))
        self.end, self.footer = chance.choice(["\n", "\r\n", "\r"]), chance.random() < 0.3
        self.iso, self.said = chance.random() < 0.3, chance.random() < 0.6
        self.symbol = chance.choice(["", "", "", "EUR" if self.encoding == "latin-1" else "€"])

    def day(self, day):
        return day.isoformat() if self.iso else f"{day:%m/%d/%Y}" if self.month_first else f"{day:%d.%m.%Y}"

    def stamp(self, moment):
        wall = moment.astimezone(ZoneInfo(self.zone))
        return f"{self.day(wall.date())} {wall:%H:%M:%S}"

    def amount(self, amount):
        group, point = STYLES[self.numbers]
        whole, _, places = str(abs(amount)).partition(".")
        text = f"{int(whole):,}".replace(",", group) + (point + places if places else "")
        return f"{'-' if amount < 0 else ''}{text} {self.symbol}".strip()

    def file(self, rows):
        """The bytes of an export."""
        lines = [["Id", "Amount", "Due", "At"], *rows]
        text = self.end.join(self.delimiter.join(f'"{one}"' if self.delimiter in one else one for one in line) for line in lines) + self.end
        if self.footer:
            text += self.end.join(FOOTER) + self.end
        codec = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(self.encoding, self.encoding)
        return ENCODINGS[self.encoding] + text.encode(codec)

    def source(self, folder):
        options = {"folder": str(folder), "settle": 0, "types": {"Deal": {"match": "*.csv", "id": "Id", "delimiter": self.delimiter}}}
        options["types"]["Deal"]["encoding"] = self.encoding
        if self.said:
            options |= {"numbers": self.numbers, "dates": "12/31/2026" if self.month_first else "31/12/2026"}
        options["zone"] = self.zone  # nobody can tell from a stamp where its clock hangs
        return CONNECTOR.build(CONNECTOR.options(**options), Setting(name="crm", now=lambda: NOW, records={"Deal": SPEC}))


def truths(chance):
    """A record's values: amounts and days of every size, some of which can mean two things."""
    amount = chance.choice([chance.randint(1, 999), chance.randint(1_000, 999_999), chance.randint(10**6, 10**9)])
    cents = chance.choice(["", "", ".5", ".25", ".125"])
    day = date(2026, 1, 1) + timedelta(days=chance.randrange(700))
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(60_000_000))
    return Decimal(f"{amount}{cents}") * chance.choice([1, 1, -1]), day, moment


def test_exports_of_many_places(tmp_path, figures):
    """Read by the source's own polls."""
    counts = dict.fromkeys(("exports", "values", "told", "named", "wrong", "lost", "misnamed", "twice"), 0)
    for seed in range(examples(1000)):
        chance = random.Random(seed)
        place, folder = Place(chance), tmp_path / str(seed)
        folder.mkdir()
        meant = {str(id): truths(chance) for id in range(1, chance.randint(2, 9))}
        written = {id: (place.amount(a), place.day(d), place.stamp(m)) for id, (a, d, m) in meant.items()}
        (folder / "deals.csv").write_bytes(place.file([[id, *texts] for id, texts in written.items()]))
        page = place.source(folder).poll(None)
        assert not [one.unreadable for one in page.observations if one.unreadable], (seed, place.__dict__)
        found = {one.record_id: one.fields for one in page.observations}
        counts["exports"] += 1
        counts["lost"] += len(meant.keys() - found.keys())
        for line, (id, truth) in enumerate(meant.items(), 2):
            for column, text, value in zip(("Amount", "Due", "At"), written[id], truth, strict=True):
                counts["values"] += 1
                seen = found[id][column]
                if isinstance(seen, Unread):
                    counts["named"] += 1
                    said = re.search(rf"\(deals\.csv, line {line}\)$", seen.reason) and seen.text == text and "say `" in seen.reason
                    counts["misnamed"] += not said
                    assert not place.said, f"seed {seed}: {text!r} is not read, though somebody said how"
                elif seen == value:
                    counts["told"] += 1
                elif column == "At" and abs(seen - value) == timedelta(hours=1) and place.stamp(seen) == text:
                    counts["twice"] += 1  # the wall clock showed it twice
                else:
                    counts["wrong"] += 1
    assert (counts["wrong"], counts["lost"], counts["misnamed"]) == (0, 0, 0)
    assert counts["told"] + counts["named"] + counts["twice"] == counts["values"]
    assert counts["named"] > counts["exports"] // 4
    figures("exports of many places", **counts)
