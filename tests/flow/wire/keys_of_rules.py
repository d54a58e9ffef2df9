"""The keys of rules and their steps, but for their tests: what is said of a change, where, and what of it waits."""

from flow.wire.core import Core
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of

from crmbridge.model import idempotency_key

proves = proofs_of(Core)
STEP = {"to": "out", "text": "{{ record.name }}"}


@proves("rules", ([], []), ([{"id": "r", "when": {"source": "crm", "record": "Deal"}, "publish": [STEP]}], ["Parkers"]))
@proves("rules.publish.text", ("{{ record.name }} signed", ["Parkers signed"]), ("Lost: {{ record.stage | upper }}", ["Lost: WON"]))
@proves("rules.publish", ([STEP], ["Parkers"]), ([STEP, {**STEP, "id": "b"}], ["Parkers", "Parkers"]))
@proves("rules.match", ({"stage": "won"}, ["Parkers is won"]), ({"stage": "lost"}, []))
@proves("rules.if", ("record.stage == 'won'", ["Parkers is won"]), ("record.stage == 'lost'", []))
@proves(
    "rules.when", ({"source": "crm", "record": "Deal"}, ["Parkers is won"]), ({"source": "crm", "record": "Deal", "event": "created"}, [])
)
@proves("rules.when.event", (["updated"], ["Parkers is won"]), (["created", "deleted"], []))
@proves(
    "rules.when.record",
    ("Deal", ["Parkers is won"]),
    ("Lead", []),
    given={"sources/crm/records/Lead": {"fields": {"name": "public", "stage": "public"}}},
)
@proves(
    "rules.when.source",
    ("crm", ["Parkers is won"]),
    ("second", []),
    given={
        "sources/second": {
            "type": "webhook",
            "signature": {"scheme": "none"},
            "map": {"record_type": {"value": "Deal"}, "record_id": "body.id", "fields": "body"},
        }
    },
)
def a_change_is_told(stage):
    """One deal is won."""
    stage.start().change()
    return stage.texts()


@proves(
    "rules.publish.to",
    ("out", [["out", "company"]]),
    ("other", [["other", "team"]]),
    given={"destinations/other/audience": "team"},
)
def whom_it_is_told(stage):
    """What each of two endpoints hears of: the step, which is named after it, and who may read it."""
    stage.start().change()
    return [[one["step"], one["audience"]] for name in ("out", "other") for one in stage.said(name)]


def spoken(stage):
    """The rule and the step that an endpoint is told of, and whether the message's key is theirs."""
    stage.start().change()
    (event,), (one,) = stage.news(), stage.said()
    return [one["rule"], one["step"], one["key"] == idempotency_key(event.id, one["rule"], one["step"], 0)]


@proves("rules.id", ("told", ["told", "out", True]), ("won", ["won", "out", True]))
@proves("rules.publish.id", (ABSENT, ["told", "out", True]), ("team", ["told", "team", True]))
def who_speaks(stage):
    """The names that are told, and that a message's key is made of."""
    return spoken(stage)


@proves("rules.formerly", (ABSENT, False), (["old"], True), given={"rules/0/id": "new"})
@proves("rules.publish.formerly", (ABSENT, False), (["before"], True), given={"rules/0/publish/0/id": "after", "rules/0/id": "old"})
def a_rename_keeps_the_key(stage):
    """Whether the key is the one that the rule `old` gave with its step `out`, or `before` where that was renamed to `after`."""
    step = spoken(stage)[1]
    stage.change(stage="lost")
    (event,) = stage.news()
    key = idempotency_key(event.id, "old", "before" if step == "after" else "out", 0)
    return stage.said()[1]["key"] == key


@proves("rules.publish.channel", (ABSENT, [None, None]), ("#wins", ["#wins", ""]))
def the_channel_is_named(stage):
    """Where inside the destination."""
    stage.start().change()
    return [stage.said()[0][name] for name in ("channel", "title")]


@proves("rules.publish.thread", (ABSENT, [None, None]), ("record", [None, "first"]))
@proves("defaults.thread", (ABSENT, [None, None]), ("record", [None, "first"]))
@proves("defaults", ({}, [None, None]), ({"thread": "record"}, [None, "first"]))
@proves("rules.publish.on_update", ("new", [None, None]), ("thread", [None, "first"]), ("edit", [None, "first edit"]))
def the_second_message(stage):
    """What the first and second message about one record reply to, or edit."""
    stage.start().change(stage="open")
    stage.said()
    stage.change(stage="won")
    said = stage.said()
    return [one["parent"] and ("first" if one["parent"] == said[0]["key"] else "another") + " edit" * ("edit" in one) for one in said]


@proves("rules.publish.link", (ABSENT, None), ("https://crm.example/{{ record.note }}", "https://crm.example/7"))
@proves("defaults.link", (ABSENT, None), ("https://crm.example/d/{{ record.note }}", "https://crm.example/d/7"))
def the_link(stage):
    """The address that is shown with the message."""
    stage.start().change(note="7")
    return stage.said()[0]["link"]


@proves("rules.publish.max_age", ("2h", [0, 0]), ("3h", [1, 0]), ("off", [1, 1]))
@proves("destinations.max_age", ("2h", [0, 0]), ("3h", [1, 0]), ("off", [1, 1]))
def old_changes(stage):
    """What is said of a change of two and a half hours ago and of one of a week ago."""
    stage.start().change(at="2026-11-22T09:30:00+00:00")
    recent = len(stage.said())
    stage.change(id=2, at="2026-11-15T09:30:00+00:00")
    return [recent, len(stage.said()) - recent]


LATER = {"id": "later", "when": {"source": "crm", "record": "Deal"}, "publish": [{"to": "out", "text": "later"}]}


@proves("rules.stop", (False, ["Parkers is won", "later"]), (True, ["Parkers is won"]), given={"rules/1": LATER})
def a_later_rule(stage):
    """Two rules match, one behind the other."""
    stage.start().change()
    return stage.texts()


@proves("rules.mode", ("live", [1]), ("draft", [0, "held draft"]), ("shadow", [0, "unsaid shadow"]))
def what_the_mode_lets_out(stage):
    """What becomes of the message."""
    stage.start().change()
    return stage.became()


@proves("rules.surge", ({"over": 2, "per": "1m"}, [3, 2]), ("off", [4, 0]))
@proves("rules.surge.over", (2, [3, 2]), (3, [4, 1]), given={"rules/0/surge": {"per": "1m"}})
@proves("rules.surge.per", ("1m", [3, 2]), ("5s", [4, 0]), given={"rules/0/surge": {"over": 2}})
@proves("destinations.surge", ({"over": 2, "per": "1m"}, [3, 2]), ("off", [4, 0]))
@proves("destinations.surge.over", (2, [3, 2]), (3, [4, 1]), given={"destinations/out/surge": {"per": "1m"}})
@proves("destinations.surge.per", ("1m", [3, 2]), ("5s", [4, 0]), given={"destinations/out/surge": {"over": 2}})
def a_flood(stage):
    """Four changes in twelve seconds: what is said, the summary included, and what is held."""
    stage.start()
    for id in range(1, 5):
        stage.change(id=id)
        stage.clock.advance(4)
    return [len(stage.said()), stage.held()]
