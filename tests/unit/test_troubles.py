"""Every kind of trouble from the facts that show it; since when, told to whom, and when it is over."""

import asyncio
import re
from dataclasses import replace
from datetime import datetime, timedelta

import click
import pytest
from shared import NOW

from crmbridge.cli import cli as main
from crmbridge.config.models import AlertsModel
from crmbridge.contract import Promise, Right
from crmbridge.errors import LoginRefused, SourceError, StoreError
from crmbridge.http import Refused, describe
from crmbridge.intake.doubts import Doubt, Kind
from crmbridge.intake.poller import Cause, cause
from crmbridge.model import Network, State, Why, plain
from crmbridge.store import SqliteStore
from crmbridge.store.interface import Pause, PauseKind, Scope, Tally, Waiting
from crmbridge.supervise import Parts
from crmbridge.telemetry import Metrics
from crmbridge.troubles import find as finder
from crmbridge.troubles.alerts import Alerts
from crmbridge.troubles.facts import (
    BackupFacts,
    DatabaseFacts,
    DestinationFacts,
    DestinationState,
    Facts,
    Happened,
    SourceFacts,
    SourceState,
)
from crmbridge.troubles.find import failing, find
from crmbridge.troubles.pulse import Pulse
from crmbridge.troubles.status import set_gauges, shown
from crmbridge.troubles.trouble import Code, Severity
from crmbridge.troubles.watch import Watch

LACKING = Right(
    name="read mail.tracking.value (ir.model.access)",
    promise=Promise.OLD_VALUES,
    lost="states between two polls are not seen",
    refused="HTTP 403",
)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
GOOD_SOURCE = SourceFacts(
    name="crm", type="sql", state=SourceState.READING, polled=True, every=timedelta(seconds=30), began=NOW - HOUR, polled_at=NOW
)
GOOD_DESTINATION = DestinationFacts(name="wins", type="slack", state=DestinationState.OK)
GOOD = Facts(now=NOW, late=5 * MINUTE, sources=[GOOD_SOURCE], destinations=[GOOD_DESTINATION], free=10**12)


def source(**facts):
    return {"sources": [replace(GOOD_SOURCE, **facts)]}


def failed(why, **facts):
    return source(state=SourceState.FAILING, failures=3, cause=why, error="why", failing_since=NOW - MINUTE, **facts)


def destination(state=DestinationState.OK, **facts):
    return {"destinations": [replace(GOOD_DESTINATION, state=state, failure="why", since=NOW - MINUTE, **facts)]}


def tally(state, reason, *, looked_for=False):
    return {"tallies": [Tally("wins", state, Why.of(reason), looked_for, 7)]}


def inbox(*, failed, records=False, age=HOUR):
    return {"inbox": [Waiting("crm", failed, records, 7, NOW - age)]}


def pause(kind=PauseKind.DESTINATION, name="wins", waiting=0, age=HOUR):
    return {"pauses": [(Pause(kind=kind, name=name, reason="why", since=NOW - age), waiting)]}


def lately(age=MINUTE, about="x"):
    return Happened(about, "why", NOW - age, 2)


def doubt(kind, about):
    return {"doubts": [Doubt(kind, about, "why", NOW - HOUR, NOW - MINUTE)]}


TROUBLES = [
    (Code.SOURCE_NEVER_READ, "crm", failed(Cause.OTHER, polled_at=None)),
    (Code.SOURCE_FAILING, "crm", failed(Cause.OTHER)),
    (Code.SOURCE_FAILING, "crm", failed(Cause.STORE)),
    (Code.SOURCE_LOGIN, "crm", failed(Cause.LOGIN, polled_at=None)),
    (Code.SOURCE_LIMITED, "crm", failed(Cause.LIMITED, retry_at=NOW + HOUR)),
    (Code.SOURCE_FAULTY, "crm", failed(Cause.FAULT)),
    (Code.SOURCE_STALLED, "crm", source(polled_at=NOW - 6 * MINUTE)),
    (Code.SOURCE_QUIET, "crm", source(expect=HOUR, began=NOW - 3 * HOUR, heard_at=NOW - 2 * HOUR)),
    (Code.SOURCE_QUIET, "crm", source(expect=MINUTE)),
    (Code.RIGHT_MISSING, "crm", source(lacking=[LACKING])),
    (Code.HOOK_REFUSED, "crm", source(polled=False, refused=3, refusal="invalid signature")),
    (Code.HOOK_UNREADABLE, "crm", source(unreadable="HTTP 500")),
    (Code.REQUESTS_LATE, "crm", inbox(failed=False)),
    (Code.REQUESTS_FAILED, "crm", inbox(failed=True)),
    (Code.RECORDS_ASIDE, "crm", inbox(failed=True, records=True)),
    (Code.FIELD_UNREAD, "crm/Deal.Amount", doubt(Kind.UNREAD, "crm/Deal.Amount")),
    (Code.FIELD_GONE, "crm/Deal.Stage", doubt(Kind.GONE, "crm/Deal.Stage")),
    (Code.WALK_FAILING, "crm/Deal", doubt(Kind.WALK, "crm/Deal")),
    (Code.STAMPS_AHEAD, "crm", doubt(Kind.AHEAD, "crm")),
    (Code.STAMPS_BEHIND, "crm", doubt(Kind.BEHIND, "crm")),
    (Code.RULE_UNDECIDED, "x", {"undecided": [lately()]}),
    (Code.DESTINATION_UNREACHED, "wins", destination(DestinationState.UNREACHED)),
    (Code.DESTINATION_REFUSED, "wins", destination(DestinationState.REFUSED)),
    (Code.DESTINATION_LIMITED, "wins", destination(DestinationState.WAITING, until=NOW + HOUR)),
    (Code.DESTINATION_FAILING, "wins", destination(DestinationState.FAILING)),
    (Code.DESTINATION_ILL, "wins", destination(DestinationState.ILL)),
    (Code.DESTINATION_FAULTY, "wins", destination(fault="KeyError")),
    (Code.DESTINATION_LATE, "wins", destination(oldest_queued=NOW - HOUR)),
    (Code.DESTINATION_GONE, "wins", destination(DestinationState.GONE, counts={"queued": 1})),
    (Code.DEAD_REJECTED, "wins", tally(State.DEAD, "rejected")),
    (Code.DEAD_UNRENDERABLE, "wins", tally(State.DEAD, "unrenderable")),
    (Code.DEAD_EXPIRED, "wins", tally(State.DEAD, "expired")),
    (Code.DEAD_QUARANTINED, "wins", tally(State.DEAD, "quarantined")),
    (Code.HELD_SURGE, "wins", tally(State.HELD, "surge")),
    (Code.HELD_DRAFT, "wins", tally(State.HELD, "draft")),
    (Code.HELD_CAP, "wins", tally(State.HELD, "cap")),
    (Code.HELD_BY_HAND, "wins", tally(State.HELD, "by hand")),
    (Code.HELD_ADOPTED, "wins", tally(State.HELD, "adopted")),
    (Code.UNKNOWN, "wins", tally(State.UNKNOWN, "it may or may not be published")),
    (Code.PAUSED, "wins", pause()),
    (Code.PAUSED, "all", pause(PauseKind.ALL, "", waiting=3, age=MINUTE)),
    (Code.PAUSE_FORGOTTEN, "won", pause(PauseKind.RULE, "won", waiting=3)),
    (Code.SHADOW, "", {"shadow": True}),
    (Code.ADOPT, "", {"mute": "it was restored"}),
    (Code.RELOAD_REFUSED, "", {"reload_error": "no", "changed_files": ["a.yaml"]}),
    (Code.CONFIG_CHANGED, "", {"changed_files": ["a.yaml"]}),
    (Code.SECRET_UNREADABLE, "wins.token", {"secrets": ["wins.token: no such file"]}),
    (Code.DISK_LOW, "", {"free": 10**6}),
    (Code.DISK_FULL, "a.db", {"databases": [DatabaseFacts("a.db", "full", True)], "free": 0}),
    (Code.DATABASE_REFUSES, "a.db", {"databases": [DatabaseFacts("a.db", "read-only", False)]}),
    (Code.BACKUP_FAILED, "", {"backup": BackupFacts("/mnt/backups", NOW - HOUR, 7, "No space left on device", NOW - MINUTE)}),
    (Code.BACKUP_FAILED, "", {"backup": BackupFacts("/mnt/backups", None, 0, "why", NOW - MINUTE)}),
    (Code.CLOCK_JUMPED, "", {"clock": lately()}),
    (Code.LOOP_HELD, "", {"loop": lately()}),
    (Code.PART_FAILED, "x", {"parts": [lately()]}),
    (Code.ENDED_UNCLEANLY, "", {"unclean": lately()}),
    (Code.HEARTBEAT_FAILED, "", {"heartbeat": "HTTP 500"}),
    (Code.ALERTS_UNHEARD, "ops", {"alerts_to": "ops", "alerts_waiting": NOW - HOUR}),
]


@pytest.mark.parametrize(("code", "about", "facts"), TROUBLES, ids=lambda one: str(one) if isinstance(one, Code) else "")
def test_each_trouble_is_found_alone_and_says_what_to_do(code, about, facts):
    """One cause, one trouble: with a sentence for people and something to do."""
    (found,) = find(replace(GOOD, **facts))

    assert (found.code, found.about) == (code, about)
    assert found.what
    assert found.do
    assert found.count >= 1
    assert failing([found]) is (found.severity is not Severity.NOTE)


@pytest.mark.parametrize(("code", "about", "facts"), TROUBLES, ids=lambda one: str(one) if isinstance(one, Code) else "")
def test_what_to_do_is_a_command_that_there_is(code, about, facts):
    """Each `crmbridge ...` of it is understood by the command line, as it stands."""
    (found,) = find(replace(GOOD, **facts))
    for words in re.findall(r"crmbridge ([a-z][^,:;]*?)(?: and |, then | or |;|:|,|$)", found.do):
        command, arguments = main, words.split()
        while isinstance(command, click.Group):
            name, *arguments = arguments
            command = command.get_command(click.Context(command), name)
            assert command is not None, words
        given = [*arguments, "--config", "x.yaml"]
        command.make_context(command.name, given, resilient_parsing=False)
    assert "crmbridge" in found.do or code in BY_HAND, found.do


BY_HAND = {
    *(Code.DISK_LOW, Code.DISK_FULL, Code.DATABASE_REFUSES, Code.BACKUP_FAILED),
    *(Code.SHADOW, Code.HEARTBEAT_FAILED, Code.DESTINATION_FAULTY),
}
"""What no command of ours can end: room, rights, another address, another way to start it."""


def test_every_code_is_found_somewhere():
    assert {code for code, _, _ in TROUBLES} == set(Code)


def test_where_all_is_well_nothing_is_found():
    assert find(GOOD) == []
    assert not failing([])


@pytest.mark.parametrize(
    "facts",
    [
        source(polled_at=NOW - 4 * MINUTE),
        source(every=HOUR, polled_at=NOW - 9 * HOUR, began=NOW - 20 * HOUR),
        source(polled=False, polled_at=None),
        source(began=NOW - MINUTE, polled_at=NOW - 9 * HOUR),  # it was down for the night, and has just begun
        source(expect=2 * HOUR, heard_at=NOW - HOUR),
        source(expect=2 * HOUR),
        source(refused=2),
        inbox(failed=False, age=MINUTE),
        destination(DestinationState.GONE, counts={"dead": 0}),
        destination(DestinationState.PAUSED, oldest_queued=NOW - HOUR),
        destination(DestinationState.STARTING),
        destination(oldest_queued=NOW - MINUTE),
        tally(State.QUEUED, ""),
        tally(State.SENDING, ""),
        tally(State.UNKNOWN, "it may or may not be published", looked_for=True),
        {"clock": lately(HOUR), "loop": lately(HOUR), "parts": [lately(HOUR)], "unclean": lately(HOUR), "undecided": [lately(HOUR)]},
        {"alerts_to": "ops", "alerts_waiting": NOW - MINUTE},
        {"free": finder.LOW_DISK},
        {"backup": BackupFacts("/mnt/backups", None, 0)},
    ],
)
def test_what_is_no_trouble(facts):
    """Bounds and patience: nobody is told of what is as it should be, or over."""
    assert find(replace(GOOD, **facts)) == []


def test_messages_of_one_kind_are_counted_together_and_the_worst_stands_first():
    tallies = [Tally("wins", State.DEAD, Why.REJECTED, False, 2), Tally("wins", State.DEAD, None, False, 3)]
    found = find(replace(GOOD, tallies=tallies, shadow=True, changed_files=["a"]))

    assert [(one.code, one.count) for one in found] == [(Code.DEAD_REJECTED, 5), (Code.CONFIG_CHANGED, 1), (Code.SHADOW, 1)]
    assert found[0].what.startswith("5 messages for wins")


def test_the_kind_of_a_failure():
    """What helps depends on it, and no word of it."""
    later = NOW + HOUR
    assert [
        cause(one)
        for one in (
            LoginRefused("no"),
            Refused("no", 401),
            Refused("no", 403),
            Refused("slow", 429),
            Refused("gone", 404),
            SourceError("wait", later),
            SourceError("no"),
            StoreError("full"),
            TimeoutError(),
            KeyError("x"),
        )
    ] == [
        *(Cause.LOGIN, Cause.LOGIN, Cause.LOGIN, Cause.LIMITED, Cause.OTHER),
        *(Cause.LIMITED, Cause.OTHER, Cause.STORE, Cause.OTHER, Cause.FAULT),
    ]


def test_a_trouble_keeps_its_beginning_until_it_is_over():
    """As the facts have it, else when it was found first; one that comes back begins anew."""
    watch = Watch({"shadow": NOW - HOUR})
    trouble = replace(GOOD, shadow=True, mute="why", **destination(DestinationState.REFUSED))

    first = {one.code: one.since for one in watch.look(trouble)}
    later = {one.code: one.since for one in watch.look(replace(trouble, now=NOW + MINUTE))}
    assert first == later == {Code.SHADOW: NOW - HOUR, Code.ADOPT: NOW, Code.DESTINATION_REFUSED: NOW - MINUTE}

    assert watch.look(GOOD) == []
    (again,) = watch.look(replace(GOOD, now=NOW + MINUTE, shadow=True))
    assert again.since == NOW + MINUTE


def test_the_pulse_sees_jumps_and_a_loop_that_is_held():
    wall, tick = [NOW], [100.0]
    pulse = Pulse(lambda: wall[0], lambda: tick[0])

    def pass_by(seconds, jump=0.0):
        tick[0] += seconds
        wall[0] += timedelta(seconds=seconds + jump)
        return pulse.look(1.0)

    assert pass_by(1.0) == pass_by(1.9) == timedelta(0)
    assert (pulse.clock, pulse.loop) == (None, None)
    assert pass_by(1.0, jump=-3600) == timedelta(hours=-1)
    assert (pulse.clock.what, pulse.clock.count) == ("back by 3600 s", 1)
    assert pass_by(1.0, jump=7) == timedelta(seconds=7)
    assert (pulse.clock.what, pulse.clock.count, pulse.loop) == ("ahead by 7 s", 2, None)
    assert pass_by(4.0) == timedelta(0)
    assert (pulse.loop.what, pulse.loop.at) == ("3.0 s", wall[0])


async def test_a_part_that_fails_is_begun_again_and_named(monkeypatch):
    """Without ending any other; one that returns is done."""
    from crmbridge import supervise

    monkeypatch.setattr(supervise, "_FIRST", 0.001)
    parts, tries, done = Parts(lambda: NOW, describe), [], asyncio.Event()

    async def work():
        tries.append(1)
        if len(tries) < 3:
            raise KeyError("odd")
        done.set()

    async def other():
        await asyncio.Event().wait()

    parts.begin("odd", work)
    parts.begin("other", other)
    async with asyncio.timeout(10):
        await done.wait()
    fault = parts.faults["odd"]
    assert (fault.what, fault.at, fault.count, "other" in parts.faults) == ("KeyError: 'odd'", NOW, 2, False)
    await parts.end("odd")
    await parts.end_all()


class Told:
    """Alerts on a real store, with what they told."""

    def __init__(self, store, **model):
        self.clock: datetime = NOW
        self.model = AlertsModel(**({"to": "ops"} | model))
        self.store = store
        self.nudged = []
        self.alerts = Alerts(store, Network(), now=lambda: self.clock, recorded=self.nudged.append)
        self.watch = Watch()

    async def look(self, **facts):
        await self.alerts.look(self.watch.look(replace(GOOD, now=self.clock, **facts)), self.model)

    async def words(self):
        return [plain(one.message.text) for one in await self.store.select([State.QUEUED], Scope(), oldest=True)]


@pytest.fixture
async def told(tmp_path):
    store = SqliteStore(tmp_path / "store.db", synchronous="OFF")
    one = Told(store)
    yield one
    await one.alerts.close()
    store.close()


async def test_people_are_told_once_when_it_begins_and_once_when_it_is_over(told):
    await told.look(mute="it was restored")
    await told.look(mute="it was restored")
    told.clock += MINUTE
    await told.look()

    assert await told.words() == ["crmbridge: Nothing is published: it was restored (to do: crmbridge adopt)", "crmbridge: Over: adopt"]
    assert told.nudged == [{"ops"}, {"ops"}]


async def test_what_may_end_by_itself_is_told_when_it_lasts(told):
    """A minute is the default; a note is told to nobody."""
    await told.look(heartbeat="HTTP 500", shadow=True)
    told.clock += timedelta(seconds=59)
    await told.look(heartbeat="HTTP 500", shadow=True)
    assert await told.words() == []
    told.clock += timedelta(seconds=1)
    await told.look(heartbeat="HTTP 500", shadow=True)
    assert await told.words() == ["crmbridge: The heartbeat is not taken: HTTP 500 (to do: check alerts.heartbeat)"]


async def test_one_thing_that_fails_in_several_ways_is_told_once_and_over_once(told):
    """Timeouts and limits in turn are one trouble to whoever is woken by it; what needs a person after all is told again."""
    for why in (Cause.OTHER, Cause.LIMITED, Cause.OTHER, Cause.LIMITED):
        told.clock += MINUTE
        await told.look(**failed(why))
    assert len(await told.words()) == 1
    await told.look(**failed(Cause.LOGIN))
    await told.look(**failed(Cause.LOGIN))
    await told.look()
    said = await told.words()
    assert ["refuses the login" in one for one in said] == [False, True, False]
    assert said[-1] == "crmbridge: Over: source crm"


async def test_many_troubles_make_one_message_of_bounded_length(told):
    await told.look(tallies=[Tally(f"d{n}", State.DEAD, Why.REJECTED, False, 1) for n in range(30)], mute="x" * 5000)

    (words,) = await told.words()
    assert words.endswith("and 11 more: crmbridge status")
    assert len(words) < 6000


async def test_an_alert_that_does_not_get_out_is_a_trouble_itself(told):
    assert await told.alerts.waiting_since() is None
    await told.look(mute="why")
    assert await told.alerts.waiting_since() == NOW


def test_status_says_everything_in_enums_with_words_beside():
    facts = replace(GOOD, **pause(waiting=3), **destination(DestinationState.REFUSED, words="no", counts={"queued": 2}))
    said = shown(facts, Watch().look(facts))

    assert said["ok"] is False
    assert [(one["code"], one["severity"], one["about"]) for one in said["troubles"]] == [
        ("destination_refused", "error", "wins"),
        ("pause_forgotten", "warning", "wins"),
    ]
    (wins,) = said["destinations"]
    assert (wins["state"], wins["words"], wins["queued"], wins["dead"]) == ("refused", "no", 2, 0)
    assert said["sources"][0]["state"] == "reading"
    assert said["pauses"][0]["waiting"] == 3


def test_metrics_hold_each_trouble_as_long_as_it_is_there():
    metrics, watch = Metrics(), Watch()
    trouble = replace(GOOD, **tally(State.DEAD, "rejected"), **destination(DestinationState.REFUSED))
    labels = {"code": "dead_rejected", "severity": "error", "about": "wins"}

    set_gauges(metrics, trouble, watch.look(trouble))
    value = metrics.registry.get_sample_value
    assert value("crmbridge_trouble", labels) == 7
    assert value("crmbridge_trouble_since_seconds", {"code": "dead_rejected", "about": "wins"}) == NOW.timestamp()
    assert value("crmbridge_destination_paused", {"destination": "wins"}) == 1
    set_gauges(metrics, GOOD, watch.look(GOOD))
    assert value("crmbridge_trouble", labels) is None
    assert value("crmbridge_destination_paused", {"destination": "wins"}) == 0
