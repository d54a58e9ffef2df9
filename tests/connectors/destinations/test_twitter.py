"""X: what is sent, what each answer means, how long a post is, and that a record can only ever be text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import responses
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from shared import examples

from connectors.destinations.twitter import CONNECTOR
from connectors.destinations.twitter.destination import fitting
from connectors.destinations.twitter.text import ZW, _bound, _parser, post_text, weight
from crmbridge.contract import Setting
from crmbridge.errors import AuthFailed, DeliveryError, RateLimited, Rejected, Transient
from crmbridge.model import Audience, Literal, Receipt, Text, Value, inside_link, shortened, spans, visible
from crmbridge.testing import ScriptedServer, answer, message

POST = "https://api.x.com/2/tweets"
KEY = "0123456789abcdef0123456789abcdef"
SECRETS = {"consumer_key": "ck-123456", "consumer_secret": "cs-123456", "access_token": "1-at-123456", "access_token_secret": "ats-123456"}
YES = {"data": {"id": "1445880548472328192", "text": "x", "edit_history_tweet_ids": ["1445880548472328192"]}}


def account(**options: Any) -> Any:
    return CONNECTOR.build(CONNECTOR.options(**{**SECRETS, **options}), Setting(name="brand"))


# --- requests ---------------------------------------------------------------------------------


def test_a_post_as_x_takes_it() -> None:
    with responses.RequestsMock() as net:
        net.post(POST, status=201, json=YES)
        receipt = account().publish(message(link="https://crm.example/a"), KEY, Receipt(remote_id="99"))
        sent = net.calls[0].request
    assert receipt == Receipt(remote_id="1445880548472328192", url="https://x.com/i/status/1445880548472328192")
    assert json.loads(sent.body) == {"text": "Welcome, Parkers!\nhttps://crm.example/a", "reply": {"in_reply_to_tweet_id": "99"}}
    authorization = sent.headers["Authorization"]
    authorization = authorization.decode() if isinstance(authorization, bytes) else authorization
    assert authorization.startswith("OAuth ")
    assert 'oauth_consumer_key="ck-123456"' in authorization


def test_the_connector_states_what_x_is() -> None:
    assert CONNECTOR.audience is Audience.PUBLIC
    assert not CONNECTOR.idempotent
    assert account().limits.length == 280
    assert account(long_posts=True).limits.length == 25_000
    with pytest.raises(ValueError):
        CONNECTOR.options(**SECRETS, api_url="api.example")


def test_tweepy_is_imported_only_when_built() -> None:
    said = "import sys; import connectors.destinations.twitter; sys.exit('tweepy' in sys.modules or 'twitter_text' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", said], cwd=Path(__file__).parents[3], check=False).returncode == 0


def test_the_parser_needs_no_pkg_resources() -> None:
    said = (
        "import sys; sys.modules['pkg_resources'] = None\n"
        "from connectors.destinations.twitter.text import weight\n"
        "assert weight('see a.com 👩‍🚀') == 4 + 23 + 1 + 2\n"
        "assert 'pkg_resources' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", said], cwd=Path(__file__).parents[3], check=False).returncode == 0


def test_another_address_keeps_the_path() -> None:
    with ScriptedServer(answer(201, YES)) as server:
        destination = account(api_url=f"{server.url}/gate/")
        destination.publish(message(), KEY, None)
        server.default = answer(200, {"data": {"id": "1"}})
        destination.check()
        destination.close()
    assert [(seen.method, seen.path) for seen in server.seen] == [("POST", "/gate/2/tweets"), ("GET", "/gate/2/users/me")]


def test_a_secret_that_is_missing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X_KEY", raising=False)
    with pytest.raises(AuthFailed, match="env X_KEY"):
        account(consumer_key={"env": "X_KEY"}).publish(message(), KEY, None)


@pytest.mark.parametrize(("status", "kind"), [(401, AuthFailed), (402, AuthFailed), (429, RateLimited), (503, Transient)])
def test_check_says_what_is_wrong(status: int, kind: type[DeliveryError]) -> None:
    with responses.RequestsMock() as net:
        net.get("https://api.x.com/2/users/me", status=status, json={"title": "No"})
        with pytest.raises(kind):
            account().check()


# --- length -----------------------------------------------------------------------------------


def cases(vectors: Path, file: str, group: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((vectors / "twitter-text" / file).read_text(encoding="utf-8"))["tests"][group]
    assert found
    return found


@pytest.mark.parametrize("group", ["WeightedTweetsWithDiscountedEmojiCounterTest", "UnicodeDirectionalMarkerCounterTest"])
def test_lengths_are_those_of_twitter_text(vectors: Path, group: str) -> None:
    for case in cases(vectors, "conformance/validate.yml", group):
        units, expected = weight(case["text"]), case["expected"]
        if len(case["text"]) > 5600:  # far over in both, and counted from above by ours
            assert units >= expected["weightedLength"] > 280
            continue
        assert units == expected["weightedLength"], case["description"]
        assert (0 < units <= 280) == expected["valid"] or re.search("[\ufffe\ufeff\uffff]", case["text"]), case["description"]


def test_lengths_are_those_of_the_python_port(vectors: Path) -> None:
    groups = yaml.safe_load((vectors / "twitter-text/added-by-swen128/added.yml").read_text(encoding="utf-8"))["tests"]
    counted = 0
    for group in groups.values():
        for case in group:
            if isinstance(case["expected"], dict):
                assert weight(case["text"]) == case["expected"]["weightedLength"], case["description"]
                counted += 1
    assert counted >= 5


def config(vectors: Path, version: int) -> dict[str, Any]:
    raw = json.loads((vectors / f"twitter-text/config/v{version}.json").read_text(encoding="utf-8"))
    return {
        "max_weighted_tweet_length": raw["maxWeightedTweetLength"],
        "scale": raw["scale"],
        "default_weight": raw["defaultWeight"],
        "emoji_parsing_enabled": raw.get("emojiParsingEnabled", False),
        "transformed_url_length": raw["transformedURLLength"],
        "ranges": raw["ranges"],
    }


@pytest.fixture(scope="module")
def parse() -> Any:
    _parser()
    import twitter_text

    return twitter_text.parse_tweet


def test_the_parser_passes_the_older_configurations(vectors: Path, parse: Callable[..., Any]) -> None:
    """The same parser with X's earlier weights: what we ship is not tuned to one table."""
    for case in cases(vectors, "conformance/validate.yml", "tweets"):
        assert parse(case["text"], config(vectors, 1)).valid == case["expected"], case["description"]
    for case in cases(vectors, "conformance/validate.yml", "WeightedTweetsCounterTest"):
        found = parse(case["text"], config(vectors, 2))
        assert (found.weightedLength, found.valid) == (case["expected"]["weightedLength"], case["expected"]["valid"]), case["description"]


def test_addresses_are_those_of_twitter_text(vectors: Path) -> None:
    for case in cases(vectors, "conformance/extract.yml", "urls"):
        assert [found["url"] for found in _parser()[0](case["text"])] == case["expected"], case["description"]


MIXED = st.text(alphabet="ab. /:-é日😷👩\u200d🚀\ufe0f1\u20e3©#@\n\u200bcomhttps", max_size=60)


@settings(max_examples=examples(300))
@given(MIXED)
@example("https://a.com/日本 x.de,y.fr 1️⃣ ©a.com")
def test_our_length_is_the_parsers(parse: Callable[..., Any], text: str) -> None:
    expected = parse(text).weightedLength
    assert weight(text) == expected or (text.count(".") > 4 and weight(text) >= expected)
    assert _bound(text) >= expected


def test_a_budget_holds_for_hostile_text() -> None:
    weight("warm a.com 😷")
    for text in [
        "a." * 50_000,
        "a.a.a.a " * 12_500,
        "a." * 140 + "!",
        "word " * 20_000,
        "😷" * 2800,
        "a.com " * 900,
        "é." * 2800,
        "x.com/" + "(" * 5000,
        "a-" * 50_000 + ".com",
        "é" * 1000 + "/x.com",
        "é" * 5000 + "/x.com",
        "a-" * 2500 + "/x.com",
    ]:
        for sent in (text, post_text((Value(text),))):
            began = time.process_time()
            units = weight(sent)
            assert time.process_time() - began < 0.5, text[:10]
            assert units > 280


def test_long_posts_are_bounded_from_above() -> None:
    text = "Ordinary words, quite a lot of them. " * 600
    assert weight(text) == len(text)
    assert weight(text + "a.com") == len(text) + 5 + 23


def test_what_does_not_fit_is_rejected() -> None:
    assert fitting(message(Literal("日" * 140)), 280) == "日" * 140
    with pytest.raises(Rejected, match="weighs 282"):
        fitting(message(Literal("日" * 141)), 280)
    assert fitting(message(Literal("x" * 256), link="https://crm.example.com/" + "y" * 900), 280)
    with pytest.raises(Rejected, match="weighs 281"):
        fitting(message(Literal("x" * 257), link="https://crm.example.com/"), 280)
    for empty in [(), (Value("\0"),), (Literal(" "),)]:
        with pytest.raises(Rejected, match="empty"):
            fitting(message(text=empty), 280)


# --- escaping ---------------------------------------------------------------------------------

# An own reading of twitter-text's conformance rules for what the Python port does not extract.
MENTION = re.compile(r"(?:^|[^A-Za-z0-9_!#$%&*@＠]|(?:rt|RT|rT|Rt):?)[@＠]([A-Za-z0-9_]{1,20})")
HASHTAG = re.compile(r"(?:^|[^\w&])[#＃](?!\ufe0f|\u20e3)((?=[\w\u200c\u200d]*[^\W\d_])[\w\u200c\u200d·・]+)")
CASHTAG = re.compile(r"(?:^|[\s\u200b(\"'.,:;!?])\$([A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?)(?![A-Za-z])")


def entities(text: str) -> list[tuple[str, str]]:
    found = [("url", entity["url"]) for entity in _parser()[0](text)]
    for kind, pattern in (("mention", MENTION), ("hashtag", HASHTAG), ("cashtag", CASHTAG)):
        found += [(kind, name) for name in pattern.findall(text)]
    return sorted(found)


def own_entities(text: Text) -> list[tuple[str, str]]:
    """The entities of the rule's own words, each value being nothing that could be part of one."""
    words = "".join(span.text if isinstance(span, Literal) else " " if visible(span.text) else "" for span in text)
    return entities(words)


ATTACKS = [
    "@jack",
    "＠jack",
    ".@jack",
    "x @jack y",
    "@",
    "＠",
    "jack",
    "#winning",
    "＃winning",
    "#",
    "#1st",
    "#日本",
    "$TSLA",
    "$",
    "$a.b",
    "Booking.com",
    "booking.co.uk",
    "https://evil.example.com/x",
    "http://evil.com",
    "evil.com/path?q=1",
    "www.evil.com",
    "a.b.c.com",
    ".com",
    "evil.",
    "evil",
    "http://",
    "https:/",
    "//evil.com",
    "://evil.com",
    "日本.com",
    "é.com",
    "Node.js",
    "U.S.A.",
    "e.g. this",
    "x.co/y",
    "bob@acme.com",
    "RT @jack",
    "rt",
    "RT:",
    "/status/1",
    "/x",
    "?q=x",
    ":8080/x",
    "_",
    "é",
    "·x",
    "-",
    ".",
    "..com",
    "a\u200d.com",
    "#\u200dx",
    "@\u200djack",
    "evil\u200b.com",
    "evil.\u200bcom",
    "\u202eevil.com",
    "x\ny.com",
    "#a#b@c$D e.com",
    "evil。com",
    "xn--p1ai.com",
    "a.рф",
    "t.co/abc",
    "co",
]
CONTEXTS: list[tuple[str, str]] = [
    ("", ""),
    ("Hello ", "!"),
    ("Hello ", " is in"),
    ("@", " x"),
    ("#", ""),
    ("$", ""),
    ("#win", "ner"),
    ("@acme", " ok"),
    ("x", "y"),
    ("", ".com"),
    ("", "com"),
    ("", "@acme"),
    ("", "#tag x"),
    ("", "//foo.com"),
    ("", "://foo.com"),
    ("see a.com", ""),
    ("see a.com ", " b.de"),
    ("(", ")"),
    ('"', '"'),
    ("#", "#"),
    ("RT", ": x"),
    ("http://", "/x"),
    ("", ", @acme"),
    ("", ": #x"),
    ("", ". Next.com"),
    ("a.com/", ""),
    ("a", "'s a.de"),
    ("@acme ", " #win $TSLA https://crm.example.com/x"),
    ("x.", ""),
    ("https:", ""),
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_becomes_an_entity(attack: str) -> None:
    for before, after in CONTEXTS:
        text = (Literal(before), Value(attack), Literal(after))
        assert entities(post_text(text)) == own_entities(text), post_text(text)


def goes_on(text: Text) -> bool:
    """Whether a record goes on with an address that the rule began: tested below."""
    own = ""
    for span in text:
        if isinstance(span, Literal):
            own += span.text
        elif visible(span.text):
            if inside_link(own):
                return True
            own += " "
    return False


PIECES = st.text(alphabet="@#$.:/ aZ1_é日com\n\u200b\u200d-＠＃?(", max_size=8)


@settings(max_examples=examples(500))
@given(
    st.lists(
        st.one_of(st.builds(Value, PIECES), st.builds(Literal, st.sampled_from([part for pair in CONTEXTS for part in pair]))), max_size=5
    )
)
@example([Literal("http://"), Literal("http://"), Value("1"), Literal("@"), Literal("com")])
def test_no_record_becomes_an_entity(parts: list[Literal | Value]) -> None:
    text = tuple(parts)
    assume(not goes_on(text))
    assert entities(post_text(text)) == own_entities(text), post_text(text)


WORDS = st.one_of(PIECES, st.sampled_from(ATTACKS), st.tuples(st.sampled_from(ATTACKS), PIECES).map("".join))
SPANS = st.one_of(
    st.builds(Value, WORDS, st.booleans()),
    st.sampled_from([part for pair in CONTEXTS for part in pair if part and "https" not in part]).map(Literal),
)


def stays_text(parts: list[Literal | Value], room: float) -> None:
    """Shortened to `room` of its weight, it has the entities of the rule's own words, and weighs no more than that if it was shortened."""
    text = spans(parts)
    assume(not goes_on(text))
    limit = int(weight(post_text(text)) * room)
    short = shortened(text, lambda one: weight(post_text(one)) <= limit)
    assert entities(post_text(short)) == own_entities(short), post_text(short)
    assert [span for span in short if isinstance(span, Literal)] == [span for span in text if isinstance(span, Literal)]
    assert short == text or weight(post_text(short)) <= limit


@settings(max_examples=examples(300))
@given(st.lists(SPANS, max_size=5), st.floats(0, 1))
def test_shortened_it_is_text(parts: list[Literal | Value], room: float) -> None:
    stays_text(parts, room)


@pytest.mark.long
@pytest.mark.timeout(1200)
@settings(max_examples=10_000)
@given(st.lists(SPANS, max_size=5), st.floats(0, 1))
def test_shortened_it_is_text_ten_thousand_times(parts: list[Literal | Value], room: float) -> None:
    stays_text(parts, room)


@given(PIECES)
def test_an_address_that_the_rule_began_goes_on(words: str) -> None:
    assume(visible(words))
    (kind, url), = entities(post_text((Literal("see https://crm.example.com/"), Value(words), Literal(" now"))))  # fmt: skip
    assert kind == "url"
    assert url.startswith("https://crm.example.com/")


@pytest.mark.parametrize("before", ["https://intranet/", "http://crm.internal/?u="])
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_address_unknown_to_x_opens_no_door(before: str, attack: str) -> None:
    text = (Literal(before), Value(attack), Literal(" ok"))
    assert entities(post_text(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "Parkers & Sons",
        "Order #4711",
        "$100",
        "3.5 %",
        "J. R. Smith",
        "v1.2.3",
        "O'Neil (UK)",
        "שלום",
        "می‌خواهم",
        "👩‍🚀",
        "a-b",
        "100 %",
        "e.g. x",
        "U.S.",
    ],
)
def test_ordinary_words_pass_untouched(text: str) -> None:
    assert post_text((Literal("Welcome, "), Value(text), Literal("!"))) == f"Welcome, {text}!"


def test_the_rules_words_pass_as_written() -> None:
    own = "Hi @acme #win $TSLA see a.com & https://crm.example.com/x 👩‍🚀"
    assert post_text((Literal(own),)) == own
    assert post_text((Literal("e\u0301\ufeff"),)) == "é"


def test_what_people_see_is_what_the_record_says() -> None:
    for attack in ATTACKS:
        assert post_text((Value(attack),)).replace(ZW, "") == visible(attack)
