"""A step's subject, from YAML to the message and back; who may read it, who has none, and what becomes of it where the text is replaced."""

import json
from datetime import timedelta

import pytest
import yaml
from shared import NOW, changed_deal, deals

from crmbridge.cli.people import delivery_lines
from crmbridge.config.load import load
from crmbridge.contract import Ability
from crmbridge.errors import ConfigError
from crmbridge.intake.deliveries import summary
from crmbridge.model import Literal, Value, dump_message, load_message
from crmbridge.registry import load as connector
from crmbridge.registry import names
from crmbridge.rules.rule import Surge

MAIL = {"type": "email", "host": "localhost", "from": "news@acme.example", "to": "sales@acme.example"}
CONFIG = {
    "crmbridge": 1,
    "sources": deals(Name="public", Face="internal", Key="secret"),
    "destinations": {
        "mail": MAIL,
        "list": {**MAIL, "audience": "public"},
        "nobody": {name: value for name, value in MAIL.items() if name != "to"},
        "wins": {"type": "slack", "token": {"env": "SLACK"}, "channel": "#wins"},
        "out": {"type": "webhook", "url": "https://a.example/in", "secret": {"env": "S"}},
    },
}


def event(**fields):
    given = {"Name": "Parkers & Sons", "Face": "x", "Key": "k", **fields}
    return changed_deal(given, {}, NOW)


@pytest.fixture
def config(tmp_path):
    """The configuration with one step by e-mail, or to another; `more` is written beside it."""

    def made(step, more=None, event="updated"):
        rule = {"id": "r", "when": {"source": "crm", "record": "Deal", "event": event}, "publish": [{"to": "mail", "text": "x", **step}]}
        (tmp_path / "crmbridge.yaml").write_text(yaml.safe_dump({**CONFIG, **(more or {}), "rules": [rule]}))
        return load(tmp_path / "crmbridge.yaml", secrets=False)

    return made


def problems(config, *args, **more):
    with pytest.raises(ConfigError) as caught:
        config(*args, **more)
    return [f"{one.path}: {one.message}" for one in caught.value.problems]


def test_a_subject_keeps_apart_what_came_from_a_record(config):
    (one,) = config({"subject": "Won: {{ record.Name }}!"}).engine.run(event()).rendered
    assert one.message.subject == (Literal("Won: "), Value("Parkers & Sons"), Literal("!"))
    (one,) = config({}).engine.run(event()).rendered
    assert one.message.subject is None


def test_a_subject_is_kept_and_read_again(config):
    (one,) = config({"subject": "Won: {{ record.Name }}"}).engine.run(event()).rendered
    assert load_message(dump_message(one.message)) == one.message
    raw = json.loads(dump_message(one.message))
    del raw["subject"]  # as an earlier version wrote it
    assert load_message(json.dumps(raw)).subject is None


def test_a_subject_that_cannot_be_said_is_a_dead_letter(config):
    outcome = config({"subject": "{{ record.Name | money }}"}).engine.run(event())
    assert not outcome.rendered
    assert "record.Name: a text is not a number" in outcome.unrenderable[0].error


@pytest.mark.parametrize(("to", "field", "kind"), [("mail", "Key", "secret"), ("list", "Key", "secret"), ("list", "Face", "internal")])
def test_a_subject_shows_only_what_its_readers_may_read(config, to, field, kind):
    (one,) = problems(config, {"to": to, "subject": f"{{{{ record.{field} }}}}"})
    assert one.startswith(f"rules[0].publish[0].subject: record.{field} is {kind} and {to} is read by the")


def test_who_has_no_subjects_is_not_asked_for_one(config):
    for to in ("wins", "out"):
        assert problems(config, {"to": to, "subject": "x"}) == [f"rules[0].publish[0].subject: {to} has no subjects"]
    can = {name: Ability.SUBJECT in _can(name) for name in names("destinations")}
    assert can == {name: name == "email" for name in can}


def _can(name):
    options = {
        "chirp": {},
        "console": {},
        "email": {name: value for name, value in MAIL.items() if name != "type"},
        "file": {"path": "x"},
        "slack": {"token": "x", "channel": "#x"},
        "teams": {"url": "http://127.0.0.1:1/?sig=x"},
        "twitter": dict.fromkeys(("consumer_key", "consumer_secret", "access_token", "access_token_secret"), "x"),
        "webhook": {"url": "https://a.example", "secret": "x"},
    }
    found = connector("destinations", name)
    return found.can(found.options(**options[name]))


def test_a_forgotten_brace_is_named(config):
    assert problems(config, {"subject": "record.Name"}) == [
        'rules[0].publish[0].subject: is a text as it stands; write "{{ record.Name }}"'
    ]
    (one,) = problems(config, {"subject": "{{ record.Nam }}"})
    assert one.startswith("rules[0].publish[0].subject: record.Nam is not among the configured fields")


def test_what_was_nothing_before_is_not_printed(config):
    (one,) = problems(config, {"subject": "was {{ before.Name }}"}, event=["created", "updated"])
    assert one.startswith("rules[0].publish[0].subject: before.Name is empty where the record has just been created")


def test_a_field_that_may_be_empty_is_found(config):
    found = config({"subject": "{{ record.Name }}"})
    (rule,) = found.rules
    assert rule.unsure(rule.steps[0]) == {"Name"}


@pytest.mark.parametrize("channel", ["#wins", "ann", "a@b.example; c@d.example", "a@b.example\nBcc: c@d.example"])
def test_a_channel_is_an_address(config, channel):
    (one,) = problems(config, {"channel": channel})
    assert one.startswith("rules[0].publish[0].channel: `")
    assert "is no e-mail address" in one
    (one,) = problems(config, {}, more={"alerts": {"to": "mail", "channel": channel}})
    assert one.startswith("alerts.channel: `")


def test_a_channel_is_no_record(config):
    (one,) = problems(config, {"channel": {"for": "record.Name", "title": "record.Name"}})
    assert "cannot make channels about records" in one
    found = problems(config, {"channel": "{{ record.Name }}@acme.example"})
    assert ["nothing is filled in here" in one or "no e-mail address" in one for one in found] == [True, True]


def test_addresses_are_channels(config):
    (one,) = config({"channel": "Ann <a@b.example>, c@d.example"}).engine.run(event()).rendered
    assert one.message.channel.key == "Ann <a@b.example>, c@d.example"
    assert config({}, more={"alerts": {"to": "mail", "channel": "ops@acme.example"}})


def test_somebody_receives(config):
    (one,) = problems(config, {"to": "nobody"})
    assert "nobody has no channel of its own" in one


def test_people_see_the_subject():
    nothing = dict.fromkeys(("key", "channel", "reason", "accepted_at", "due", "expires_at", "link", "last_error", "no_link", "event"))
    one = {**nothing, "id": 1, "state": "queued", "destination": "mail", "rule": "r", "step": "s", "record": "crm/Deal/1", "text": "x"}
    one |= {"reason": "", "attempts_failed": [], "media": None, "receipt": None, "subject": "Won: Parkers"}
    assert "  subject      Won: Parkers" in list(delivery_lines(one))
    assert not [line for line in delivery_lines({**one, "subject": None}) if "subject" in line]


def test_words_in_place_of_others_have_no_subject_of_theirs(config):
    """A flood's summary is not called what one of its messages is."""
    (one,) = config({"subject": "Won: {{ record.Name }}"}).engine.run(event()).rendered
    assert summary(one.message, Surge(20, timedelta(minutes=1)), event()).message.subject is None
