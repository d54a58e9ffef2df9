"""The step from what a daemon knows of its parts to what is wrong. Pure: the clock is among the facts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from crmbridge.intake.doubts import DoubtKind
from crmbridge.intake.poller import Cause
from crmbridge.model import State, Why, counted, times, verbs
from crmbridge.store.terms import PauseKind
from crmbridge.troubles.facts import DestinationFacts, DestinationState, Facts, SourceFacts
from crmbridge.troubles.trouble import Code, Severity, Trouble

LOW_DISK: Final = 100 * 1024 * 1024
"""Free bytes below which people are told, while there is still time."""
LATELY: Final = timedelta(minutes=10)
"""How long a single event is told of."""
LASTING: Final = timedelta(days=1)
"""How long an unread value is told of, if no new one comes."""
_POLLS: Final = 10  # intervals without a good poll, before a source that reports no failure counts as stalled
_STALLED: Final = timedelta(minutes=5)
_REFUSALS: Final = 3  # webhooks that are refused before people are told: a single one may come from a stranger

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


def find(facts: Facts) -> list[Trouble]:
    """List all that is wrong, the worst first."""
    order = list(Severity)
    found = [*_daemon(facts), *_orders(facts), *_sources(facts), *_destinations(facts), *_messages(facts), *_telling(facts)]
    return sorted(found, key=lambda one: order.index(one.severity))


def failing(troubles: list[Trouble]) -> bool:
    """Say whether any of these troubles needs somebody's attention."""
    return any(one.failing for one in troubles)


def _trouble(code: Code, severity: Severity, about: str, what: str, do: str, *, count: int = 1, since: datetime | None = None) -> Trouble:
    return Trouble(code=code, severity=severity, about=about, what=what, do=do, count=count, since=since)


# --- the daemon itself


def _daemon(facts: Facts) -> Iterator[Trouble]:
    if facts.mute:
        yield _trouble(Code.ADOPT, _ERROR, "", f"Nothing is published: {facts.mute}", "crmbridge adopt")
    if facts.reload_error:
        words = f"The changed configuration is refused, the old one runs on: {facts.reload_error}"
        yield _trouble(Code.RELOAD_REFUSED, _ERROR, "", words, "crmbridge lint, then crmbridge reload")
    elif facts.changed_files:
        words = f"The configuration has changed since it was read: {', '.join(facts.changed_files)}"
        yield _trouble(Code.CONFIG_CHANGED, _WARNING, "", words, "crmbridge lint, then crmbridge reload")
    for why in facts.secrets:
        yield _trouble(
            Code.SECRET_UNREADABLE, _ERROR, why.partition(":")[0], f"A secret cannot be read any more: {why}", "crmbridge doctor"
        )
    for one in facts.databases:
        if one.full:
            words = f"The disk is full: nothing new is taken in ({one.name})"
            yield _trouble(Code.DISK_FULL, _ERROR, one.name, words, "make room on the disk; it goes on by itself")
        elif one.refusing:
            words = f"The database {one.name} refuses writes: {one.refusing}"
            yield _trouble(Code.DATABASE_REFUSES, _ERROR, one.name, words, "make its disk writable; it goes on by itself")
    if facts.free is not None and facts.free < LOW_DISK and not any(one.full for one in facts.databases):
        words = f"Only {facts.free // 2**20} MB are left on the disk of the database"
        yield _trouble(Code.DISK_LOW, _WARNING, "", words, "make room on the disk")
    if (backup := facts.backup) and backup.failure:
        made = backup.made
        good = f"the last good one is of {made:%Y-%m-%d %H:%M} UTC" if made else "there is no good one yet"
        words = f"The backup failed: {backup.failure}; {good}"
        do = f"see that {backup.folder} can be written and has room; it is tried again by itself every 15 minutes"
        yield _trouble(Code.BACKUP_FAILED, _ERROR, "", words, do, since=backup.since)
    if facts.clock and facts.now - facts.clock.at < LATELY:
        words, do = (
            f"The clock of this machine jumped {facts.clock.what}",
            "check time synchronisation (timedatectl), then crmbridge status --seen",
        )
        yield _trouble(Code.CLOCK_JUMPED, _WARNING, "", words, do, count=facts.clock.count)
    if facts.loop and facts.now - facts.loop.at < LATELY:
        words, do = (
            f"The daemon answered nobody for {facts.loop.what}",
            "look at the log before that, then crmbridge status --seen",
        )
        yield _trouble(Code.LOOP_HELD, _WARNING, "", words, do, count=facts.loop.count)
    for part in facts.parts:
        if facts.now - part.at < LATELY:
            words = f"A part of crmbridge failed and was begun again ({part.about}): {part.what}"
            yield _trouble(
                Code.PART_FAILED,
                _ERROR,
                part.about,
                words,
                "report it, with the log of that moment, then crmbridge status --seen",
                count=part.count,
            )
    if facts.unclean and facts.now - facts.unclean.at < LATELY:
        words = f"The last process ended without being asked to: {facts.unclean.what}"
        yield _trouble(
            Code.ENDED_UNCLEANLY,
            _WARNING,
            "",
            words,
            "look at the log and at the kernel's (journalctl -k), then crmbridge status --seen",
            since=facts.unclean.at,
        )


def _orders(facts: Facts) -> Iterator[Trouble]:
    if facts.shadow:
        yield _trouble(Code.SHADOW, _NOTE, "", "Nothing is published: it runs with --shadow", "run it without --shadow")
    for pause, waits in facts.pauses:
        name = "all" if pause.kind is PauseKind.ALL else pause.name
        what = "Everything" if pause.kind is PauseKind.ALL else f"The {pause.kind} {pause.name}"
        if waits and facts.now - pause.since > facts.late:
            words = f"{what} is paused ({pause.reason}), and {counted(waits, 'message', 'wait')} behind that"
            yield _trouble(
                Code.PAUSE_FORGOTTEN,
                _WARNING,
                name,
                words,
                f"crmbridge resume {name}, with --say nothing to leave out what waits",
                count=waits,
                since=pause.since,
            )
        else:
            yield _trouble(Code.PAUSED, _NOTE, name, f"{what} is paused: {pause.reason}", f"crmbridge resume {name}", since=pause.since)


def _telling(facts: Facts) -> Iterator[Trouble]:
    if facts.heartbeat:
        yield _trouble(Code.HEARTBEAT_FAILED, _WARNING, "", f"The heartbeat is not taken: {facts.heartbeat}", "check alerts.heartbeat")
    if facts.alerts_waiting and facts.now - facts.alerts_waiting > facts.late:
        words = f"Alerts do not get out: the oldest waits for {facts.alerts_to} since {facts.alerts_waiting:%Y-%m-%d %H:%M}"
        do = f"crmbridge queue list --destination {facts.alerts_to}"
        yield _trouble(Code.ALERTS_UNHEARD, _ERROR, facts.alerts_to or "", words, do, since=facts.alerts_waiting)


# --- sources


def _sources(facts: Facts) -> Iterator[Trouble]:
    for one in facts.sources:
        yield from _polled(one, facts.now)
        yield from _called(one, facts.now)
        yield from _entitled(one)
    yield from _doubts(facts)
    for waiting in facts.inbox:
        about, count = waiting.source, waiting.count
        do = "crmbridge dead list, then crmbridge dead retry or dead drop"
        if waiting.failed and waiting.records:
            words = f"{counted(count, 'record')} of {about} could not be interpreted and {verbs(count)['are']} put aside"
            mend = "crmbridge dead list, mend the record or how it is read and touch the export, or crmbridge dead drop"
            yield _trouble(Code.RECORDS_ASIDE, _ERROR, about, words, mend, count=count, since=waiting.oldest)
        elif waiting.failed:
            words = f"{counted(count, 'webhook request')} of {about} could not be interpreted"
            yield _trouble(Code.REQUESTS_FAILED, _ERROR, about, words, do, count=count, since=waiting.oldest)
        elif facts.now - waiting.oldest > facts.late:
            what, wait = counted(count, "webhook request"), verbs(count)["wait"]
            words = f"{what} of {about} {wait} to be interpreted, the oldest since {waiting.oldest:%H:%M:%S}"
            yield _trouble(Code.REQUESTS_LATE, _WARNING, about, words, f"crmbridge doctor {about}", count=count, since=waiting.oldest)
    for rule in facts.undecided:
        if facts.now - rule.at < LATELY:
            words = f"The rule {rule.about} could not be decided {times(rule.count)} lately: {rule.what}"
            yield _trouble(
                Code.RULE_UNDECIDED, _WARNING, rule.about, words, "crmbridge explain RECORD, then crmbridge status --seen", count=rule.count
            )


_READ_IT: Final = (
    "mend it in the CRM or its export, or say how it writes (type, numbers, dates) and crmbridge reload, then crmbridge status --seen"
)
_DOUBTS: Final = {
    DoubtKind.UNREAD: (Code.FIELD_UNREAD, _WARNING, "{about} could not be read {times}, and no rule can use it: {what}", _READ_IT),
    DoubtKind.GONE: (
        Code.FIELD_GONE,
        _ERROR,
        "{about} is configured, and missing: {what}",
        "rename it here, or give it back there: crmbridge doctor {source}",
    ),
    DoubtKind.WALK: (
        Code.WALK_FAILING,
        _WARNING,
        "What is deleted in {about}, or changed without its stamp, cannot be seen: {what}",
        "crmbridge doctor {source}",
    ),
    DoubtKind.AHEAD: (
        Code.STAMPS_AHEAD,
        _WARNING,
        "Stamps of {about} lie in the future: {what}",
        "if it writes local times, say `zone:` at the source; else set its clock, then crmbridge status --seen",
    ),
    DoubtKind.BEHIND: (
        Code.STAMPS_BEHIND,
        _WARNING,
        "Changes of {about} come with stamps of long ago: {what}",
        "if it writes local times, say `zone:` at the source; else see why its changes come so late: crmbridge doctor {source}",
    ),
}


def _doubts(facts: Facts) -> Iterator[Trouble]:
    for one in facts.doubts:
        if one.kind in (DoubtKind.UNREAD, DoubtKind.AHEAD) and facts.now - one.at > LASTING:
            continue
        code, severity, words, do = _DOUBTS[one.kind]
        said = words.format(about=one.about, times=times(one.count), what=one.what)
        yield _trouble(code, severity, one.about, said, do.format(source=one.about.partition("/")[0]), count=one.count, since=one.since)


_FAILURES: Final = {
    Cause.LOGIN: (Code.SOURCE_LOGIN, _ERROR, "refuses the login"),
    Cause.LIMITED: (Code.SOURCE_LIMITED, _WARNING, "asks us to wait"),
    Cause.FAULT: (Code.SOURCE_FAULTY, _ERROR, "fails in an unforeseen way"),
}


def _polled(one: SourceFacts, now: datetime) -> Iterator[Trouble]:
    do, since = f"crmbridge doctor {one.name}", one.failing_since
    if one.failures:
        code, severity, says = _FAILURES.get(one.cause or Cause.OTHER, (Code.SOURCE_FAILING, _WARNING, "could not be read"))
        if code is Code.SOURCE_FAILING and one.polled_at is None:
            code, says = Code.SOURCE_NEVER_READ, "could never be read yet"
        again = f"; again at {one.retry_at:%Y-%m-%d %H:%M:%S}" if one.retry_at and one.retry_at > now else ""
        yield _trouble(code, severity, one.name, f"The source {one.name} {says}: {one.error}{again}", do, count=one.failures, since=since)
    elif one.polled and now - max(one.polled_at or one.began, one.began) > max(_STALLED, _POLLS * one.every):
        words = f"The source {one.name} was not read since {one.polled_at or one.began:%Y-%m-%d %H:%M}, though nothing says why"
        yield _trouble(Code.SOURCE_STALLED, _WARNING, one.name, words, do, since=one.polled_at)
    if one.expect and now - max(one.heard_at or one.began, one.began) > one.expect:
        last = f"since {one.heard_at:%Y-%m-%d %H:%M}" if one.heard_at else "yet"
        words = f"Nothing came from the source {one.name} {last}, though something is expected more often"
        yield _trouble(Code.SOURCE_QUIET, _WARNING, one.name, words, do, since=one.heard_at or one.began)


def _called(one: SourceFacts, now: datetime) -> Iterator[Trouble]:
    if one.unreadable:
        words = f"What webhooks of {one.name} name cannot be read: {one.unreadable}"
        yield _trouble(Code.HOOK_UNREADABLE, _WARNING, one.name, words, f"crmbridge doctor {one.name}", since=one.unreadable_since)
    if one.refused >= _REFUSALS:
        words = f"The last {one.refused} webhooks to {one.name} were refused, and none accepted: {one.refusal}"
        do = f"compare the secret here with the sender's, and both clocks: crmbridge doctor {one.name}"
        yield _trouble(Code.HOOK_REFUSED, _WARNING, one.name, words, do, count=one.refused, since=one.refused_since)


def _entitled(one: SourceFacts) -> Iterator[Trouble]:
    if one.lacking:
        rights = "a right" if len(one.lacking) == 1 else f"{len(one.lacking)} rights"
        words = f"The login of {one.name} lacks {rights}: " + "; ".join(f"{right.name}, so that {right.lost}" for right in one.lacking)
        do = f"give it to the login in the CRM, then crmbridge reload: crmbridge doctor {one.name}"
        yield _trouble(Code.RIGHT_MISSING, _WARNING, one.name, words, do, count=len(one.lacking))


# --- destinations


def _destinations(facts: Facts) -> Iterator[Trouble]:
    for one in facts.destinations:
        yield from _destination(one, facts)


def _destination(one: DestinationFacts, facts: Facts) -> Iterator[Trouble]:
    name, doctor = one.name, f"crmbridge doctor {one.name}, crmbridge queue list --destination {one.name}"
    match one.state:
        case DestinationState.REFUSED:
            words = f"The destination {name} is paused: {one.failure}"
            yield _trouble(Code.DESTINATION_REFUSED, _ERROR, name, words, f"put it right, then crmbridge resume {name}", since=one.since)
        case DestinationState.ILL:
            words = f"The destination {name} looks ill, one probe at a time: {one.failure}"
            yield _trouble(Code.DESTINATION_ILL, _WARNING, name, words, doctor, since=one.since)
        case DestinationState.FAILING:
            yield _trouble(Code.DESTINATION_FAILING, _WARNING, name, f"The destination {name} fails: {one.failure}", doctor)
        case DestinationState.UNREACHED:
            words = f"The destination {name} could not be reached when crmbridge began: {one.failure}"
            yield _trouble(Code.DESTINATION_UNREACHED, _WARNING, name, words, doctor, since=one.since)
        case DestinationState.WAITING if one.until is not None:
            words = f"The destination {name} asks us to wait until {one.until:%Y-%m-%d %H:%M:%S}: {one.failure}"
            yield _trouble(Code.DESTINATION_LIMITED, _WARNING, name, words, f"crmbridge queue list --destination {name}", since=one.since)
        case DestinationState.GONE if any(one.counts.get(state) for state in ("queued", "sending", "held", "unknown")):
            words = f"Messages wait for {name}, which is not configured"
            do = f"put {name} back, or crmbridge queue drop --destination {name} and crmbridge unknown list"
            yield _trouble(Code.DESTINATION_GONE, _ERROR, name, words, do)
    if one.fault:
        words = f"Publishing to {name} stumbles: {one.fault}"
        yield _trouble(Code.DESTINATION_FAULTY, _ERROR, name, words, "it is tried again by itself; report it, with the log of that moment")
    if one.state in (DestinationState.OK, DestinationState.FAILING) and one.oldest_queued and facts.now - one.oldest_queued > facts.late:
        words = f"Messages for {name} wait since {one.oldest_queued:%Y-%m-%d %H:%M:%S}"
        do = f"crmbridge queue list --destination {name}"
        yield _trouble(Code.DESTINATION_LATE, _WARNING, name, words, do, since=one.oldest_queued)


# --- messages


_DEAD: Final[dict[Why | None, tuple[Code, str]]] = {
    Why.UNRENDERABLE: (Code.DEAD_UNRENDERABLE, "could not be rendered"),
    Why.EXPIRED: (Code.DEAD_EXPIRED, "{were} not said in time"),
    Why.QUARANTINED: (Code.DEAD_QUARANTINED, "ended the process, or cannot be read"),
}
_HELD: Final[dict[Why | None, tuple[Code, str]]] = {
    Why.SURGE: (Code.HELD_SURGE, "{are} held by the flood guard"),
    Why.DRAFT: (Code.HELD_DRAFT, "of draft rules {wait} for your word"),
    Why.CAP: (Code.HELD_CAP, "{are} held because the cap is reached"),
    Why.ADOPTED: (Code.HELD_ADOPTED, "may have been said before the database was adopted"),
}


def _messages(facts: Facts) -> Iterator[Trouble]:
    counts: dict[tuple[Code, str], tuple[str, str, int]] = {}
    for one in facts.tallies:
        name = one.destination
        match one.state:
            case State.DEAD:
                code, words = _DEAD.get(one.why, (Code.DEAD_REJECTED, "{were} refused by the network"))
                do = f"crmbridge dead list --destination {name}, then crmbridge dead retry or crmbridge dead drop"
            case State.HELD:
                code, words = _HELD.get(one.why, (Code.HELD_BY_HAND, "{were} held by hand"))
                do = f"crmbridge queue list --state held --destination {name}, then crmbridge queue release or crmbridge queue drop"
            case State.UNKNOWN if not one.looked_for:
                code, words, do = Code.UNKNOWN, "may or may not be published", "crmbridge unknown list, then unknown resolve"
            case _:
                continue
        counts[code, name] = (words, do, counts.get((code, name), ("", "", 0))[2] + one.count)
    for (code, name), (words, do, count) in counts.items():
        severity = _WARNING if code in (Code.HELD_DRAFT, Code.HELD_BY_HAND) else _ERROR
        yield _trouble(code, severity, name, f"{counted(count, 'message')} for {name} {words.format(**verbs(count))}", do, count=count)
