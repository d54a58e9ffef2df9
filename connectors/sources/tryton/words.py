"""What Tryton writes in JSON, and what we write to it: instants, domains, queries. Pure.

https://docs.tryton.org/latest/server/topics/domain.html
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlencode

from crmbridge.model import cursors, from_us, to_us

Domain = list[Any]
CREATED: Final = "create_date"
WRITTEN: Final = "write_date"


def instant(raw: Any) -> int | None:
    """A stamp as microseconds since 1970; Tryton's server works in UTC and writes no zone. None where there is none."""
    moment = read(raw)
    return to_us(moment) if isinstance(moment, datetime) else None


def written(us: int) -> dict[str, Any]:
    """A stamp as Tryton reads it, to the microsecond."""
    at = from_us(us)
    names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    return {"__class__": "datetime", **{name: getattr(at, name) for name in names}}


def read(raw: Any) -> Any:
    """A value by the class that it says; what says none stays as it is."""
    if not isinstance(raw, Mapping) or "__class__" not in raw:
        return raw
    try:
        match raw["__class__"]:
            case "Decimal":
                return Decimal(raw["decimal"])
            case "datetime":
                day = (raw["year"], raw["month"], raw["day"], raw["hour"], raw["minute"], raw["second"], raw["microsecond"])
                return datetime(*day, tzinfo=timezone.utc)
            case "date":
                return date(raw["year"], raw["month"], raw["day"])
            case "time":
                return f"{raw['hour']:02}:{raw['minute']:02}:{raw['second']:02}"
            case "timedelta":
                return Decimal(str(timedelta(seconds=float(raw["seconds"])).total_seconds()))
            case "bytes":
                return None  # a file is no news
    except (KeyError, TypeError, ValueError, OverflowError, InvalidOperation):
        return json.dumps(raw, sort_keys=True, default=str)
    return raw


def encoded(value: Any) -> str:
    """As domains, orders and the context travel: JSON in URL-safe base64."""
    return base64.urlsafe_b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


def query(fields: Sequence[str], domain: Domain, order: Sequence[str], limit: int) -> str:
    """The query of a search that reads `fields`, in ascending order."""
    ascending = encoded([[name, "ASC"] for name in order])
    return urlencode([*(("f", name) for name in fields), ("d", encoded(domain)), ("o", ascending), ("s", str(limit))])


def behind(stamp: str, position: cursors.Position) -> Domain:
    """The records behind a position of the stream of `stamp`: those never written have no write_date, and are a stream of their own."""
    domain: Domain = [] if stamp == WRITTEN else [[WRITTEN, "=", None]]
    if position.after is not None:
        at, id = int(position.after[0]), int(position.after[1])
        return [*domain, ["OR", [stamp, ">", written(at)], [[stamp, "=", written(at)], ["id", ">", id]]]]
    if position.start is not None:
        return [*domain, [stamp, ">=", written(int(position.start))]]
    return [*domain, [stamp, "!=", None]]
