"""What an answer of X means for the post, for the messages behind it, and for whoever looks after the account. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Final

from connectors.destinations.twitter.answers import TABLE, Answer, Row, Then, Until
from crmbridge.errors import AuthFailed, DeliveryError, Duplicate, HeadGone, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.http import retry_after
from crmbridge.telemetry import redact

_AN_HOUR: Final = timedelta(hours=1)
_EACH: Final = 300  # characters of one of X's texts
_WHOLE: Final = 600
_FARTHEST: Final = timedelta(days=400)  # no honest limit ends later
_UNIX: Final = re.compile(r"\d{9,11}", re.ASCII)
_NAMED: Final = re.compile(r"[^a-z0-9-]+")
_LIMITS: Final = ("x-app-limit-24hour", "x-user-limit-24hour")


def meaning(status: int, headers: Mapping[str, str], said: Any, now: datetime, *, reply: bool = False) -> DeliveryError:
    """What an answer without a post leads to. `said` is its JSON, or None if it is none; `reply`: it was to be a reply."""
    problem = said if isinstance(said, dict) else {}
    texts = tuple(_texts(problem))
    names = frozenset(_names(problem)) if isinstance(said, (dict, list)) else frozenset({"not json"})
    plain = isinstance(said, (dict, list)) and all(text.lower().rstrip(".") == "forbidden" for text in texts)
    read_only = status == 403 and headers.get("x-access-level", "").strip().lower() == "read"
    answer = Answer(status, names, " ".join(texts).lower(), reply, plain, read_only)
    row = next(row for row in TABLE if row.fits(answer))
    return _error(row, _told(row, status, problem, texts), row.code or _word(problem) or str(status), headers, problem, now)


def _error(row: Row, text: str, code: str, headers: Mapping[str, str], problem: Mapping[str, Any], now: datetime) -> DeliveryError:
    match row.then:
        case Then.WAIT:
            until = until_named(row.until, headers, problem, now) or (now + row.otherwise if row.otherwise else None)
            return RateLimited(text, until, code=code) if until else AuthFailed(text, code=code)
        case Then.PAUSE:
            return AuthFailed(text, code=code)
        case Then.DUPLICATE:
            return Duplicate(text, code=code)
        case Then.ANEW:
            return HeadGone(text, code=code)
        case Then.RETRY:
            return Transient(text, code=code)
        case Then.UNKNOWN:
            return OutcomeUnknown(text, code=code)
    return Rejected(text, code=code)


def until_named(where: Iterable[Until], headers: Mapping[str, str], problem: Mapping[str, Any], now: datetime) -> datetime | None:
    """The latest instant that X names in one of these places; None if it names none.

    A day is over at its end in UTC, the clock that X bills by: that is never too early. What lies behind us is no reason to
    ask again at once: a day that X still calls the end of a limit ends in an hour.
    """
    found: list[datetime | None] = []
    for place in where:
        match place:
            case Until.BODY:
                ends = _day_or_moment(problem.get("reset_date"))
                found.append(max(ends, now + _AN_HOUR) if ends else None)
            case Until.AFTER:
                found.append(retry_after(headers, now))
            case Until.DAY:
                found += [_unix(headers.get(f"{limit}-reset")) for limit in _LIMITS if headers.get(f"{limit}-remaining", "0") == "0"]
            case Until.WINDOW:
                found.append(_unix(headers.get("x-rate-limit-reset")))
    return max((moment for moment in found if moment is not None and moment - now < _FARTHEST), default=None)


def _unix(value: Any) -> datetime | None:
    return datetime.fromtimestamp(int(value), timezone.utc) if isinstance(value, str) and _UNIX.fullmatch(value) else None


def _day_or_moment(value: Any) -> datetime | None:
    """The instant that a body gives: a day, a day with its time, or Unix seconds."""
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if moment := _unix(text):
        return moment
    try:
        if len(text) == len("2026-12-01"):
            return datetime.combine(date.fromisoformat(text), time(), timezone.utc) + timedelta(days=1)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


# --- X's own words ----------------------------------------------------------------------------


def _first(problem: Mapping[str, Any]) -> Mapping[str, Any]:
    errors = problem.get("errors")
    return errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}


def _texts(problem: Mapping[str, Any]) -> Iterator[str]:
    """What X says in words, in the order in which it reads best; nothing twice."""
    first, said = _first(problem), ""
    for text in (problem.get("title"), problem.get("detail"), first.get("title"), first.get("message"), first.get("detail")):
        if isinstance(text, str) and (one := " ".join(text[:_EACH].split())) and one not in said:
            said += f"{one}\n"
            yield one


def _names(problem: Mapping[str, Any]) -> Iterator[str]:
    """What X calls it, in lower case: the end of the type, the title, the reason, a number of v1.1."""
    for one in (problem, _first(problem)):
        kind = one.get("type")
        for name in (kind.rstrip("/").rpartition("/")[2] if isinstance(kind, str) else None, one.get("title"), one.get("reason")):
            if isinstance(name, str):
                yield _NAMED.sub("", name[:_EACH].lower())
        if isinstance(one.get("code"), int):
            yield str(one["code"])


def _word(problem: Mapping[str, Any]) -> str:
    """X's own word for it, for people to look for: `client-forbidden`."""
    kind = problem.get("type") or _first(problem).get("type")
    name = kind.rstrip("/").rpartition("/")[2] if isinstance(kind, str) else ""
    return name if name and len(name) < 60 and not _NAMED.search(name) else ""


def _told(row: Row, status: int, problem: Mapping[str, Any], texts: Iterable[str]) -> str:
    """One bounded line: what it is, then the status and all that X said, then what it is called."""
    said = f"HTTP {status} {'; '.join(texts)}".strip()
    called = [one for name in ("reason", "type") if isinstance(one := problem.get(name) or _first(problem).get(name), str)]
    called += [f"reset_date {problem['reset_date']}"] if isinstance(problem.get("reset_date"), (str, int)) else []
    extra = ", ".join(" ".join(one[:_EACH].split()) for one in called if one != "about:blank")
    line = f"{row.says}: {said}" if row.says else said
    return redact(f"{line} ({extra})" if extra else line)[:_WHOLE]
