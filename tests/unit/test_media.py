"""A step's picture, from YAML to the message and back: its address, its words, who may read it, and who cannot show it."""

import json

import pytest
import yaml
from shared import NOW, changed_deal, deals

from crmbridge.config.load import load
from crmbridge.contract import Ability
from crmbridge.errors import ConfigError
from crmbridge.model import Literal, Media, Value, dump_message, load_message
from crmbridge.registry import load as connector

KEYS = {name: {"env": "X"} for name in ("consumer_key", "consumer_secret", "access_token", "access_token_secret")}
CONFIG = {
    "crmbridge": 1,
    "sources": deals(Name="public", Photo="public", Face="internal", Key="secret"),
    "destinations": {
        "brand": {"type": "twitter", **KEYS},
        "wins": {"type": "slack", "token": {"env": "SLACK"}, "channel": "#wins"},
        "feed": {"type": "chirp"},
        "out": {"type": "webhook", "url": "https://a.example/in", "secret": {"env": "S"}},
        "file": {"type": "file", "path": "out.jsonl"},
        "screen": {"type": "console"},
    },
}
PHOTO = "https://pictures.example/a.png"


def event(**fields):
    given = {"Name": "Parkers & Sons", "Photo": PHOTO, "Face": "x", "Key": "k", **fields}
    return changed_deal(given, {}, NOW)


@pytest.fixture
def config(tmp_path):
    """The configuration with one step to X, or to another."""

    def made(media, to="brand", **step):
        rules = [{"id": "r", "when": {"source": "crm", "record": "Deal"}, "publish": [{"to": to, "text": "x", "media": media, **step}]}]
        (tmp_path / "crmbridge.yaml").write_text(yaml.safe_dump({**CONFIG, "rules": rules}))
        return load(tmp_path / "crmbridge.yaml", secrets=False)

    return made


@pytest.fixture
def shown(config):
    """The picture that a step's message has."""

    def show(url, alt="{{ record.Name }} in words", **fields):
        (one,) = config({"url": url, "alt": alt}).engine.run(event(**fields)).rendered
        return one.message.media

    return show


def test_an_address_and_what_it_shows(shown):
    assert shown("{{ record.Photo }}") == Media(PHOTO, (Value("Parkers & Sons"), Literal(" in words")))
    assert shown("https://pictures.example/{{ record.Name }}.png?a={{ record.Name }}").url == (
        "https://pictures.example/Parkers%20%26%20Sons.png?a=Parkers%20%26%20Sons"
    )
    assert shown(PHOTO, "a constant") == Media(PHOTO, (Literal("a constant"),))


@pytest.mark.parametrize("nothing", ["", None, "  "])
def test_no_address_is_no_picture(shown, nothing):
    assert shown("{{ record.Photo | default('') }}", Photo=nothing) is None


@pytest.mark.parametrize(
    ("url", "value", "why"),
    [
        ("{{ record.Photo }}", "ftp://a.example/x.png", "not an http or https address"),
        ("{{ record.Photo }}", "photo.png", "not an http or https address"),
        ("https://{{ record.Photo }}/a.png", "evil.example/x", "is no part of one"),
        ("https://pictures.example/{{ record.Photo }}/a", "..", "would lead to another place"),
        ("{{ record.Photo | date('%Y') }}", "x", "record.Photo"),
    ],
)
def test_what_is_no_address_costs_the_picture_and_not_the_message(shown, url, value, why):
    found = shown(url, Photo=value)
    assert (found.url, found.alt) == ("", ())
    assert why in found.fault


def test_words_that_cannot_be_rendered_cost_the_picture(shown):
    found = shown("{{ record.Photo }}", "{{ record.Name | money }}")
    assert found.url == ""
    assert "record.Name: a text is not a number" in found.fault


def problems(config, *args, **more):
    with pytest.raises(ConfigError) as caught:
        config(*args, **more)
    return [f"{one.path}: {one.message}" for one in caught.value.problems]


def test_what_a_picture_shows_is_said(config):
    (one,) = problems(config, {"url": PHOTO})
    assert one.startswith("rules[0].publish[0].media.alt")


def test_a_forgotten_brace_is_named(config):
    found = problems(config, {"url": "record.Photo", "alt": "record.Name"})
    assert sorted(found) == [
        'rules[0].publish[0].media.alt: is a text as it stands; write "{{ record.Name }}"',
        'rules[0].publish[0].media.url: is a text as it stands; write "{{ record.Photo }}"',
    ]
    assert "media.url" in problems(config, {"url": "photo.png", "alt": "x"})[0]
    assert "media.url" in problems(config, {"url": "ftp://a.example/{{ record.Name }}", "alt": "x"})[0]


@pytest.mark.parametrize("part", ["url", "alt"])
@pytest.mark.parametrize(("field", "kind"), [("Face", "internal"), ("Key", "secret")])
def test_a_picture_shows_only_what_its_readers_may_read(config, part, field, kind):
    media = {"url": PHOTO, "alt": "x", part: f"https://a.example/{{{{ record.{field} }}}}"}
    (one,) = problems(config, media)
    assert one.startswith(f"rules[0].publish[0].media: record.{field} is {kind} and brand is read by the whole world")


@pytest.mark.parametrize("to", ["wins", "feed", "out", "file", "screen"])
def test_who_cannot_show_pictures_is_not_asked_to(config, to):
    more = {"channel": {"for": "event.record_id", "title": "record.Name"}} if to == "feed" else {}
    assert problems(config, {"url": PHOTO, "alt": "x"}, to=to, **more) == [f"rules[0].publish[0].media: {to} shows no pictures"]
    kind = CONFIG["destinations"][to]["type"]
    assert Ability.MEDIA not in connector("destinations", kind).can(
        connector("destinations", kind).options(**{name: value for name, value in CONFIG["destinations"][to].items() if name != "type"})
    )


def test_what_must_be_installed_is_said(config, monkeypatch):
    monkeypatch.setattr("connectors.destinations.twitter.can_make", lambda: False)
    found = problems(config, {"url": PHOTO, "alt": "x"})
    assert found == ["rules[0].publish[0].media: pictures need an extra: pip install 'crmbridge[media]'"]


def test_a_picture_is_kept_and_read_again(config):
    (one,) = config({"url": "{{ record.Photo }}", "alt": "{{ record.Name }} in words"}).engine.run(event()).rendered
    assert load_message(dump_message(one.message)) == one.message
    (lost,) = config({"url": "{{ record.Photo }}", "alt": "x"}).engine.run(event(Photo="no")).rendered
    assert load_message(dump_message(lost.message)) == lost.message
    raw = json.loads(dump_message(one.message))
    del raw["media"]  # as an earlier version wrote it
    assert load_message(json.dumps(raw)).media is None


def test_lint_says_what_a_step_costs(tmp_path):
    step = {"to": "brand", "text": "Welcome {{ record.Name }}, thanks to @acme", "link": "https://a.example/{{ record.Name }}"}
    rules = [{"id": "r", "when": {"source": "crm", "record": "Deal"}, "publish": [step, {"to": "wins", "text": "@acme https://a.example"}]}]
    (tmp_path / "crmbridge.yaml").write_text(yaml.safe_dump({**CONFIG, "rules": rules}))
    notes = load(tmp_path / "crmbridge.yaml", secrets=False).notes
    assert [(one.path, one.message.partition(" makes")[0].partition(":")[0]) for one in notes if one.path.startswith("rules")] == [
        ("rules[0].publish[0]", "it mentions @acme"),
        ("rules[0].publish[0]", "its link"),
    ]


def test_people_see_the_picture_and_what_became_of_it():
    from crmbridge.cli.people import delivery_lines

    nothing = dict.fromkeys(
        ("key", "channel", "reason", "accepted_at", "due", "expires_at", "link", "last_error", "no_link", "event", "subject")
    )
    one = {**nothing, "id": 1, "state": "delivered", "destination": "brand", "rule": "r", "step": "s", "record": "crm/Deal/1", "text": "x"}
    one |= {"reason": "", "attempts_failed": [], "media": Media(PHOTO, (Literal("words"),)).shown()}
    one["receipt"] = {"remote_id": "7", "url": None, "note": "posted without its picture: HTTP 404"}
    lines = list(delivery_lines(one))
    assert f"  picture {PHOTO}: words" in lines
    assert "  note         posted without its picture: HTTP 404" in lines
    lines = list(delivery_lines({**one, "media": Media("", (), "it is none").shown(), "receipt": None}))
    assert "  without its picture: it is none" in lines


def test_own_words_are_those_of_every_branch():
    from crmbridge.rules.template import own_words

    assert own_words("a {{ record.X }}b{% if record.Y %}@c{% else %}d{% endif %}") == "a  b@cd"
    assert own_words("{% for x in record.L %}https://a.example/{{ x }}{% endfor %}") == "https://a.example/ "
    assert own_words("{{ broken") == ""
