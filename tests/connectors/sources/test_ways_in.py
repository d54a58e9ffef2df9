"""Every type of value through every source's way in, and back out as text: what the CRM meant is what is said.

The truth is drawn; it is written as each source's vendor, file or database writes it, read by that source's own code, and shown by a
template. What is shown is read again here, by other means.
"""

import csv
import io
import json
import sqlite3
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared import NOW, examples

from connectors.sources.files.options import FilesOptions
from connectors.sources.files.source import FilesSource
from connectors.sources.hubspot.values import properties
from connectors.sources.odoo.fields import Described as OfOdoo
from connectors.sources.oracle_crm_on_demand.dialect import value_of
from connectors.sources.salesforce.fields import Described as OfSalesforce
from connectors.sources.sql.options import SqlOptions
from connectors.sources.sql.source import SqlSource
from connectors.sources.tryton.fields import values as of_tryton
from connectors.sources.webhook.options import WebhookOptions
from connectors.sources.webhook.source import WebhookSource
from crmbridge.contract import Setting, WebhookRequest
from crmbridge.http import strict_json
from crmbridge.model import ChangeEvent, ChangeKind, Choice, FieldSpec, FieldType, Reading, cursors, plain
from crmbridge.rest import RestOptions
from crmbridge.rest.source import RestSource
from crmbridge.rules.engine import Engine
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.rule import Rule, Step
from crmbridge.rules.template import compile_template

from crmbridge.model import Audience  # isort: skip

UTC = timezone.utc
ZONES = ["Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland", "Asia/Kolkata", "UTC"]
STYLES = {"1234.5": ("", "."), "1,234.5": (",", "."), "1.234,5": (".", ","), "1 234,5": (" ", ","), "1'234.5": ("'", ".")}
TYPES = ["number", "money", "date", "datetime", "boolean", "set", "text"]

NUMBERS = st.decimals(Decimal(-(10**9)), Decimal(10**9), places=2)
TRUTHS = {
    "number": NUMBERS,
    "money": NUMBERS,
    "date": st.dates(date(2024, 1, 1), date(2028, 12, 31)),
    "datetime": st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)).map(lambda at: at.replace(microsecond=0, second=0, tzinfo=UTC)),
    "boolean": st.booleans(),
    "set": st.sets(st.sampled_from(["gold", "silver", "blue", "red"]), min_size=1).map(lambda some: tuple(sorted(some))),
    "text": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=30).filter(str.strip),
}


class How:
    """How one source writes: its numbers, days and clock."""

    def __init__(self, numbers, month_first, zone):
        self.numbers, self.month_first, self.zone = numbers, month_first, zone

    @property
    def options(self):
        return {"numbers": self.numbers, "dates": "12/31/2026" if self.month_first else "31/12/2026", "zone": self.zone}

    def text(self, type_, truth):
        """As people's software writes it."""
        match type_:
            case "number" | "money":
                group, point = STYLES[self.numbers]
                whole, _, cents = f"{abs(truth):.2f}".partition(".")
                return ("-" if truth < 0 else "") + f"{int(whole):,}".replace(",", group) + point + cents
            case "date":
                return f"{truth:%m/%d/%Y}" if self.month_first else f"{truth:%d.%m.%Y}"
            case "datetime":
                day = "%m/%d/%Y %I:%M %p" if self.month_first else "%d.%m.%Y %H:%M"
                return truth.astimezone(ZoneInfo(self.zone)).strftime(day)
            case "boolean":
                return "WAHR" if truth else "FALSCH"
            case "set":
                return "; ".join(reversed(truth))
        return truth


def as_json(type_, truth):
    """As an interface writes it: numbers as numbers, days and instants as ISO 8601 has them."""
    match type_:
        case "number" | "money":
            return float(truth)
        case "date" | "datetime":
            return truth.isoformat().replace("+00:00", "Z")
        case "set":
            return list(reversed(truth))
    return truth


def spec(type_):
    return {"x": FieldSpec(type=FieldType(type_))}


def setting(type_, **more):
    return Setting(name="crm", records={"Deal": spec(type_)}, now=lambda: NOW, **more)


# --- the ways in: (type, truth, how, folder) -> the value that is read


def by_files_csv(type_, truth, how, folder):
    out = io.StringIO()
    csv.writer(out, delimiter="|").writerows([["id", "x"], ["1", how.text(type_, truth)]])
    (folder / "a.csv").write_text(out.getvalue(), encoding="utf-8", newline="")
    return by_files(type_, how, folder, {"match": "*.csv", "delimiter": "|"})


def by_files_json(type_, truth, how, folder):
    (folder / "a.jsonl").write_text(json.dumps({"id": 1, "x": as_json(type_, truth)}) + "\n", encoding="utf-8")
    return by_files(type_, how, folder, {"match": "*.jsonl"})


def by_files(type_, how, folder, export):
    options = FilesOptions(folder=str(folder), settle=0, types={"Deal": {"id": "id", **export}}, **how.options)
    (one,) = FilesSource(options, setting(type_)).poll(None).observations
    return one.fields["x"]


def by_webhook(type_, truth, how, folder, written=None):
    options = WebhookOptions(
        signature={"scheme": "none"},
        map={"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body"},
        **how.options,
    )
    body = json.dumps({"id": 1, "x": as_json(type_, truth) if written is None else written}).encode()
    (one,) = WebhookSource(options, setting(type_)).parse(WebhookRequest({}, body, "", NOW))
    return one.fields["x"]


def by_webhook_texts(type_, truth, how, folder):
    return by_webhook(type_, truth, how, folder, how.text(type_, truth))


def by_rest(type_, truth, how, folder, written=None):
    auth = {"scheme": "bearer", "token": "t"}
    options = RestOptions(url="http://127.0.0.1:1", auth=auth, types={"Deal": {"path": "/x", "changed": "at"}}, **how.options)
    raw = {"id": 1, "at": "2026-01-01T00:00:00Z", "x": as_json(type_, truth) if written is None else written}
    source = RestSource(options, setting(type_))
    _, (one,) = source._rows.read(source._streams["Deal"], [strict_json(json.dumps(raw).encode())], cursors.Position())
    return one.fields["x"]


def by_rest_texts(type_, truth, how, folder):
    return by_rest(type_, truth, how, folder, how.text(type_, truth))


def by_sql(type_, truth, how, folder):
    """Texts in a database: as the software around it writes."""
    return in_sqlite("TEXT", how.text(type_, truth), type_, how, folder)


def by_sql_columns(type_, truth, how, folder):
    """Columns that declare their types, and a field that declares none but of a set."""
    declared = {"number": "NUMERIC", "money": "DECIMAL(12,2)", "date": "date", "datetime": "datetime", "boolean": "bool", "set": "TEXT"}
    stored = {
        "number": lambda: float(truth),
        "money": lambda: float(truth),
        "date": truth.isoformat if type_ == "date" else None,
        "datetime": lambda: truth.astimezone(ZoneInfo(how.zone)).strftime("%Y-%m-%d %H:%M:%S"),
        "boolean": lambda: int(truth),
        "set": lambda: ";".join(truth),
    }
    value = stored[type_]() if type_ in stored else truth
    return in_sqlite(declared.get(type_, "TEXT"), value, "set" if type_ == "set" else "any", how, folder)


def in_sqlite(column, value, type_, how, folder):
    path = folder / "crm.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as crm:
        crm.execute(f"CREATE TABLE deal (id INTEGER PRIMARY KEY, at INTEGER, x {column})")
        crm.execute("INSERT INTO deal VALUES (1, 5, ?)", (value,))
    crm.close()
    options = SqlOptions(sqlite=str(path), tables={"Deal": {"table": "deal", "changed": "at"}}, **how.options)
    (one,) = SqlSource(options, setting(type_)).poll(None).observations
    return one.fields["x"]


def by_salesforce(type_, truth, how, folder):
    kinds = {"number": "double", "money": "currency", "set": "multipicklist", "text": "string"}
    field = {"name": "x", "type": kinds.get(type_, type_), "picklistValues": []}
    raw = {"set": lambda: ";".join(truth), "datetime": lambda: truth.strftime("%Y-%m-%dT%H:%M:%S.000+0000")}
    value = raw[type_]() if type_ in raw else as_json(type_, truth)
    return OfSalesforce({"fields": [field]}, Reading()).values({"x": value}, {"x": FieldSpec()})["x"]


def by_hubspot(type_, truth, how, folder):
    kinds = {"number": "number", "money": "number", "date": "date", "datetime": "datetime", "boolean": "bool", "text": "string"}
    options = [{"value": one, "label": one.title()} for one in truth] if type_ == "set" else []
    listed = {"name": "x", "label": "X", "type": kinds.get(type_, "enumeration"), "options": options, "fieldType": "checkbox"}
    raw = {
        "number": lambda: str(truth),
        "money": lambda: str(truth),
        "date": truth.isoformat if type_ == "date" else None,
        "datetime": lambda: str(int(truth.timestamp() * 1000)),
        "boolean": lambda: str(truth).lower(),
        "set": lambda: ";".join(reversed(truth)),
    }
    return properties([listed], {}, Reading())["x"].value(raw[type_]() if type_ in raw else truth, FieldSpec())


def by_odoo(type_, truth, how, folder):
    kinds = {"number": "float", "money": "monetary", "set": "many2many", "text": "char"}
    raw = {"datetime": lambda: truth.strftime("%Y-%m-%d %H:%M:%S")}
    value = raw[type_]() if type_ in raw else as_json(type_, truth)
    return OfOdoo({"x": {"type": kinds.get(type_, type_)}}, Reading()).value("x", value, FieldSpec())


def by_tryton(type_, truth, how, folder):
    parts = {
        "year": "year",
        "month": "month",
        "day": "day",
        "hour": "hour",
        "minute": "minute",
        "second": "second",
        "microsecond": "microsecond",
    }
    raw = {
        "money": lambda: {"__class__": "Decimal", "decimal": str(truth)},
        "date": lambda: {"__class__": "date", "year": truth.year, "month": truth.month, "day": truth.day},
        "datetime": lambda: {"__class__": "datetime", **{name: getattr(truth, name) for name in parts}},
    }
    kinds = {"number": "float", "money": "numeric", "set": "multiselection", "text": "char"}
    value = raw[type_]() if type_ in raw else as_json(type_, truth)
    return of_tryton({"x": value}, {"x": FieldSpec()}, {"x": {"type": kinds.get(type_, type_)}}, Reading())["x"]


def by_oracle(type_, truth, how, folder):
    """Everything is text there."""
    raw = {"boolean": lambda: "Y" if truth else "N", "set": lambda: ";".join(truth)}
    value = raw[type_]() if type_ in raw else str(as_json(type_, truth)) if type_ not in ("number", "money") else str(truth)
    return Reading().read(value_of({"x": value}, "x"), spec(type_)["x"])


WAYS = [
    *(by_files_csv, by_files_json, by_webhook, by_webhook_texts, by_rest, by_rest_texts, by_sql, by_sql_columns),
    *(by_salesforce, by_hubspot, by_odoo, by_tryton, by_oracle),
]


# --- back out


def shown(text, value, zone):
    """What a template says of a value, where people's clocks hang in `zone`."""
    step = Step(
        id="s", identity="s", destination="out", audience=Audience.COMPANY, text=compile_template(text, fields=None, filters=FILTERS)
    )
    rule = Rule(id="r", identity="r", source="crm", record="Deal", kinds=frozenset(ChangeKind), clauses=(), condition=None, steps=(step,))
    facts = {"id": "e", "source": "crm", "record_type": "Deal", "record_id": "1", "revision": 1, "kind": ChangeKind.UPDATED}
    event = ChangeEvent(**facts, occurred_at=NOW, fields={"x": value}, before={})
    return plain(Engine([rule], {}, ZoneInfo(zone)).render(rule, step, event).text)


def meant(type_, value, zone):
    """The truth again, from what people read."""
    match type_:
        case "number":
            return Decimal(shown("{{ record.x | number(2) }}", value, zone).replace(",", ""))
        case "money":
            return Decimal(shown("{{ record.x | money('EUR') }}", value, zone).replace(",", "").replace("€", ""))
        case "date":
            return datetime.strptime(shown("{{ record.x | date }}", value, zone), "%d %B %Y").date()
        case "datetime":
            wall = datetime.strptime(shown("{{ record.x | date('%Y-%m-%d %H:%M %z') }}", value, zone), "%Y-%m-%d %H:%M %z")
            assert shown("{{ record.x }}", value, zone) == f"{wall:%Y-%m-%d %H:%M}"
            return wall.astimezone(UTC)
        case "boolean":
            return shown("{% if record.x %}on{% else %}off{% endif %}", value, zone) == "on"
        case "set":
            names = [one.value if isinstance(one, Choice) else one for one in value]
            assert shown("{{ record.x | length }}", value, zone) == str(len(names))
            return tuple(sorted(names))
    return shown("{{ record.x }}", value, zone)


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.removeprefix("by_"))
def test_what_was_meant_is_what_is_said(tmp_path_factory, way, type_):
    """Whatever the source's numbers, days and clock, and wherever its readers are."""
    folder = tmp_path_factory.mktemp("crm")

    @settings(max_examples=examples(12))
    @given(TRUTHS[type_], st.sampled_from(list(STYLES)), st.booleans(), st.sampled_from(ZONES), st.sampled_from(ZONES))
    def holds(truth, numbers, month_first, zone, reader):
        value = way(type_, truth, How(numbers, month_first, zone), folder)
        said = meant(type_, value, reader)
        if type_ == "datetime" and said != truth:  # an hour that a wall clock shows twice
            place = ZoneInfo(zone)
            assert abs(said - truth) <= timedelta(hours=1)
            assert said.astimezone(place).replace(tzinfo=None, fold=0) == truth.astimezone(place).replace(tzinfo=None, fold=0)
        elif type_ == "text":
            assert said.split() == truth.split()
        else:
            assert said == truth

    holds()
