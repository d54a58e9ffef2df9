"""What a step may ask for besides its words: age, edits, threads, shortening, blocks, modes and floods, from YAML to the message."""

from datetime import timedelta

import pytest
import yaml
from shared import NOW, deals

from crmbridge.config.load import load
from crmbridge.model import ChangeEvent, ChangeKind, Literal, Value, dump_message, load_message
from crmbridge.rules.rule import Mode, Surge

CONFIG = {
    "crmbridge": 1,
    "sources": deals(Name="public", Note="internal"),
    "destinations": {
        "wins": {"type": "slack", "token": {"env": "SLACK"}, "channel": "#wins"},
        "brand": {"type": "console", "audience": "public"},
        "feed": {"type": "chirp"},
    },
}
EVENT = ChangeEvent(
    id="e", source="crm", record_type="Deal", record_id="1", revision=1, kind=ChangeKind.CREATED, occurred_at=NOW,
    fields={"Name": "Parkers & Sons", "Note": "secret plans"}, before={},
)  # fmt: skip


@pytest.fixture
def said(tmp_path):
    """What one step makes of the event, with more of its rule and its destinations."""

    def say(step, rule=None, **destinations):
        config = {**CONFIG, "rules": [{"id": "r", "when": {"source": "crm", "record": "Deal"}, "publish": [step], **(rule or {})}]}
        config["destinations"] = {name: one | destinations.get(name, {}) for name, one in CONFIG["destinations"].items()}
        (tmp_path / "crmbridge.yaml").write_text(yaml.safe_dump(config))
        (one,) = load(tmp_path / "crmbridge.yaml", secrets=False).engine.run(EVENT).rendered
        return one

    return say


FEED = {"to": "feed", "channel": {"for": "event.record_id", "title": "record.Name"}, "text": "{{ record.Name }}"}


def test_how_old_news_may_be(said):
    """The public hears what is hours old at most, the company a day, the feed a week; a step and a destination may say otherwise."""
    hours = {"brand": 6, "wins": 24}
    for name, most in hours.items():
        assert said({"to": name, "text": "x"}).message.expires_at == NOW + timedelta(hours=most)
    assert said(FEED).message.expires_at == NOW + timedelta(days=7)
    assert said({"to": "wins", "text": "x", "max_age": "90m"}).message.expires_at == NOW + timedelta(minutes=90)
    assert said({"to": "wins", "text": "x", "max_age": "off"}).message.expires_at is None
    assert said({"to": "wins", "text": "x"}, wins={"max_age": "off"}).message.expires_at is None


def test_what_the_next_message_about_a_record_is(said):
    """New, a reply to the first in the channel, or an edit of what this very step said."""
    new, thread, edit = (said({"to": "wins", "text": "x", "on_update": how}).message for how in ("new", "thread", "edit"))
    assert (new.thread, new.edit) == (None, False)
    assert (thread.thread, thread.edit) == ("crm/Deal/1", False)
    assert (edit.thread, edit.edit) == ("crm/Deal/1 r/wins", True)


def test_what_may_be_shortened_is_marked(said):
    """Only the words of that lookup, and the mark survives storage."""
    text = "{{ record.Name }}: {{ record.Note }}"
    message = said({"to": "wins", "text": text, "shorten": ["record.Note"]}).message
    assert message.text == (Value("Parkers & Sons"), Literal(": "), Value("secret plans", True))
    assert load_message(dump_message(message)) == message


def test_blocks_keep_words_apart(said):
    """Every text with something to fill in is rendered like any other, and knows whose words are whose; constants stay as they are."""
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "*{{ record.Name }}* signed"}},
        {
            "type": "rich_text",
            "elements": [
                {
                    "type": "rich_text_quote",
                    "border": 0,
                    "elements": [{"type": "text", "text": "{# not said #}", "style": {"bold": False}}],
                }
            ],
        },
        {"type": "data_visualization", "title": "a", "chart": {"type": "pie", "segments": [{"label": "b", "value": 0.5}]}},
    ]
    message = said({"to": "wins", "text": "x", "blocks": blocks}).message
    assert message.blocks[0]["text"] == {"type": "mrkdwn", "text": (Literal("*"), Value("Parkers & Sons"), Literal("* signed"))}
    (quote,) = message.blocks[1]["elements"]
    assert (quote["border"], quote["elements"]) == (0, [{"type": "text", "text": (), "style": {"bold": False}}])
    assert message.blocks[2] == blocks[2]
    assert load_message(dump_message(message)) == message


def test_modes_and_floods(said):
    """The rule's word counts before its destination's, and that before the default."""
    plain = {"to": "wins", "text": "x"}
    assert (said(plain).mode, said(plain).surge) == (Mode.LIVE, Surge(20, timedelta(minutes=1)))
    assert said(plain, {"mode": "draft"}).mode is Mode.DRAFT
    assert said(plain, wins={"surge": "off"}).surge is None
    assert said(plain, {"surge": {"over": 3, "per": "1h"}}, wins={"surge": "off"}).surge == Surge(3, timedelta(hours=1))
    assert said(plain, {"surge": "off"}).surge is None
