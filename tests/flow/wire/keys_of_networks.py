"""The keys of the destinations besides Slack: X, Chirp, signed endpoints, files, the console. And what only Chirp can be told."""

import base64
import contextlib
import hashlib
import hmac
import io
import json
import re
from urllib.parse import parse_qs, quote, unquote

from flow.wire import networks
from flow.wire.core import SECRET, Core
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of

from crmbridge.errors import ConfigError


class Networks(Core):
    """The same changes, told to one destination, which each proof gives."""

    YAML = Core.YAML.replace("destinations:\n", "destinations:\n  first: {type: console}\n").replace("to: out", "to: first")

    def prepare(self):
        super().prepare()
        self.x, self.y = self.server("x", networks.x()), self.server("y", networks.x())
        self.pictures = self.server("pictures", networks.pictures())
        self.chirp, self.far = self.server("chirp", networks.chirp()), self.server("far", networks.chirp())

    def told(self, **fields):
        """One change is told."""
        self.start().change(note="7", account="Parkers Ltd", **fields)
        self.publish("first")
        return self


proves = proofs_of(Networks)


def posts(server):
    """What was posted there."""
    return [one for one in server.seen if one.method == "POST"]


# --- X

X = {"type": "twitter", "api_url": "$x", "consumer_key": "ck", "consumer_secret": "cs", "access_token": "at", "access_token_secret": "ats"}
ON_X = {"destinations/first": X}


@proves("destinations.twitter.api_url", ("$x", [1, 0]), ("$y", [0, 1]), given=ON_X)
def where_a_post_goes(stage):
    """Which of two gateways hears of it."""
    stage.told()
    return [len(posts(stage.x)), len(posts(stage.y))]


@proves("destinations.twitter.consumer_key", ("ck", ["ck", "at"]), ("other", ["other", "at"]), given=ON_X)
@proves("destinations.twitter.access_token", ("at", ["ck", "at"]), ("other", ["ck", "other"]), given=ON_X)
def who_posts(stage):
    """The app and the account that a post names."""
    said = posts(stage.told().x)[0].headers["authorization"]
    return re.findall(r'oauth_(?:consumer_key|token)="([^"]*)"', said)


@proves("destinations.twitter.consumer_secret", ("cs", "cs&ats"), ("other", "other&ats"), given=ON_X)
@proves("destinations.twitter.access_token_secret", ("ats", "cs&ats"), ("other", "cs&other"), given=ON_X)
def what_signs_a_post(stage):
    """Under which of the keys that could have signed it the post's signature is right (RFC 5849, section 3.4)."""
    said = dict(re.findall(r'(oauth_\w+)="([^"]*)"', posts(stage.told().x)[0].headers["authorization"]))
    signature = unquote(said.pop("oauth_signature"))
    parameters = "&".join(f"{name}={value}" for name, value in sorted(said.items()))
    base = "&".join(quote(part, safe="") for part in ("POST", f"{stage.x.url}/2/tweets", parameters))
    for key in ("cs&ats", "other&ats", "cs&other"):
        if base64.b64encode(hmac.digest(key.encode(), base.encode(), hashlib.sha1)).decode() == signature:
            return key
    return None


# Words of their own: what is a secret once is hidden in every log and error from then on.
USER = {"type": "twitter", "api_url": "$x", "client_id": "one", "client_secret": "wire-cs-1", "refresh_token": "wire-rt-1"}
AS_USER = {"destinations/first": USER}
ASKED = ["one:wire-cs-1", "wire-rt-1"]


@proves("destinations.twitter.client_id", ("one", ASKED), ("two", ["two:wire-cs-1", "wire-rt-1"]), given=AS_USER)
@proves("destinations.twitter.client_secret", ("wire-cs-1", ASKED), ("wire-cs-2", ["one:wire-cs-2", "wire-rt-1"]), given=AS_USER)
@proves("destinations.twitter.refresh_token", ("wire-rt-1", ASKED), ("wire-rt-2", ["one:wire-cs-1", "wire-rt-2"]), given=AS_USER)
def who_asks_for_a_token(stage):
    """The client that shows itself, and what it wants a token for; the post is made with that token."""
    renewal, post = posts(stage.told().x)
    assert post.headers["authorization"] == "Bearer given"
    client = base64.b64decode(renewal.headers["authorization"].removeprefix("Basic ")).decode()
    return [client, parse_qs(renewal.body.decode())["refresh_token"][0]]


@proves("destinations.twitter.long_posts", (False, []), (True, [307]), given=ON_X)
def a_long_post(stage):
    """How many characters of a text of more than 280 are posted."""
    return [len(one.json()["text"]) for one in posts(stage.told(name="N" * 300).x)]


SHOWN = {
    "destinations/first": {**X, "media_from": ["127.0.0.1"]},
    "rules/0/publish/0/media": {"url": "$pictures/{{ record.name }}.png", "alt": "A picture"},
}


@proves(
    "rules.publish.media.url",
    ("$pictures/{{ record.name }}.png", ["/A%26B.png"]),
    ("$pictures/other.png?of={{ record.name }}", ["/other.png?of=A%26B"]),
    given=SHOWN,
)
def where_a_picture_is(stage):
    """What is fetched; it goes to X before the post that shows it."""
    stage.told(name="A&B")
    upload, words, post = posts(stage.x)
    assert [one.path for one in (upload, words, post)] == ["/2/media/upload", "/2/media/metadata", "/2/tweets"]
    assert base64.b64decode(upload.json()["media"]).startswith(b"\x89PNG")
    assert post.json()["media"] == {"media_ids": [words.json()["id"]]}
    return [one.path for one in stage.pictures.seen]


@proves("rules.publish.media.alt", ("A picture", "A picture"), ("{{ record.name }} & Co", "A&B & Co"), given=SHOWN)
def what_a_picture_shows(stage):
    """The words that X is given for it."""
    stage.told(name="A&B")
    return posts(stage.x)[1].json()["metadata"]["alt_text"]["text"]


@proves("rules.publish.media", (ABSENT, [0, None]), (SHOWN["rules/0/publish/0/media"], [1, 1]), given=SHOWN)
@proves("destinations.twitter.media_from", ([], [0, None]), (["127.0.0.1"], [1, 1]), given=SHOWN)
def whose_pictures_are_fetched(stage):
    """How often a host of one's own network is asked, and how many pictures the post has: none, and it goes out all the same."""
    stage.told()
    media = posts(stage.x)[-1].json().get("media")
    return [len(stage.pictures.seen), media and len(media["media_ids"])]


# --- Chirp

FEED = {"type": "chirp", "url": "$chirp", "secret": SECRET}
ABOUT = {"for": "record.note", "title": "record.account"}
ON_CHIRP = {"destinations/first": FEED, "rules/0/publish/0/channel": ABOUT}
OTHER_SECRET = "whsec_b3RoZXItd2lyZS1zZWNyZXQtMjQtYnl0ZXM="


@proves("destinations.chirp.url", ("$chirp", [1, 0]), ("$far", [0, 1]), given=ON_CHIRP)
def which_feed(stage):
    """Which of two servers hears of it."""
    stage.told()
    return [len(posts(stage.chirp)), len(posts(stage.far))]


def signed_with(seen):
    """Which secret the request proves, by Standard Webhooks."""
    text = f"{seen.headers['webhook-id']}.{seen.headers['webhook-timestamp']}.".encode() + seen.body
    for name, secret in (("one", SECRET), ("other", OTHER_SECRET)):
        mac = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), text, hashlib.sha256)
        if seen.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}":
            return name
    return None


@proves("destinations.chirp.secret", (SECRET, "one"), (OTHER_SECRET, "other"), given=ON_CHIRP)
def what_signs_for_the_feed(stage):
    """Which secret the request proves."""
    return signed_with(posts(stage.told().chirp)[0])


BY_NAME = ["crm/Parkers", "Parkers Ltd", "won"]


@proves(
    "rules.publish.channel.for", ("record.note", ["crm/7", "Parkers Ltd"]), ("record.name", ["crm/Parkers", "Parkers Ltd"]), given=ON_CHIRP
)
@proves("rules.publish.channel.title", ("record.account", ["crm/7", "Parkers Ltd"]), ("record.stage", ["crm/7", "won"]), given=ON_CHIRP)
def a_channel_about_a_record(stage):
    """Its key and title."""
    channel = posts(stage.told().chirp)[0].json()["posts"][0]["channel"]
    return [channel["key"], channel["title"]]


# --- a signed endpoint

ENDPOINT = {"type": "webhook", "url": "$sink/in", "secret": SECRET}
TO_ENDPOINT = {"destinations/first": ENDPOINT}


@proves("destinations.webhook.url", ("$sink/a", ["/a", None]), ("$other/b", [None, "/b"]), given=TO_ENDPOINT)
def which_endpoint(stage):
    """Where it is posted."""
    stage.told()
    return [next((one.path for one in posts(server)), None) for server in (stage.sink, stage.other)]


@proves("destinations.webhook.secret", (SECRET, "one"), (OTHER_SECRET, "other"), given=TO_ENDPOINT)
def what_signs_for_an_endpoint(stage):
    """Which secret the request proves."""
    return signed_with(posts(stage.told().sink)[0])


@proves("destinations.webhook.headers", (ABSENT, None), ({"X-Team": "blue"}, "blue"), given=TO_ENDPOINT)
def a_header_of_ones_own(stage):
    """What stands in it."""
    return posts(stage.told().sink)[0].headers.get("x-team")


REFUSED = ["the url is not https; set allow_http: true to accept that"]
FAR = {"destinations/first": {**ENDPOINT, "url": "http://sink.example/in"}, "network": {"proxy": "$sink"}}


@proves("destinations.webhook.allow_http", (False, REFUSED), (True, ["http://sink.example/in"]), given=FAR)
def an_unencrypted_endpoint(stage):
    """Why it is refused, or what the proxy was asked for."""
    try:
        return [one.path for one in posts(stage.told().sink)]
    except ConfigError as error:
        return [one.message for one in error.problems]


SECRET_ADDRESS = {**FAR, "destinations/first": {**ENDPOINT, "url": {"file": "address"}}}


@proves(
    "destinations.webhook.url",
    ({"file": "address"}, ["http://sink.example/in"]),
    ({"file": "other"}, ["http://sink.example/b"]),
    given={**FAR, "destinations/first": {**ENDPOINT, "allow_http": True}},
)
@proves("destinations.webhook.allow_http", (False, []), (True, ["http://sink.example/in"]), given=SECRET_ADDRESS)
def a_secret_address(stage):
    """What the proxy was asked for, where the address is a secret."""
    (stage.folder / "address").write_text("http://sink.example/in")
    (stage.folder / "other").write_text("http://sink.example/b")
    return [one.path for one in posts(stage.told().sink)]


# --- files, the console


@proves(
    "destinations.file.path",
    ("a.jsonl", [["a.jsonl"], "Parkers is won"]),
    ("b.jsonl", [["b.jsonl"], "Parkers is won"]),
    given={"destinations/first": {"type": "file"}},
)
def a_line_in_a_file(stage):
    """Which file beside the configuration it stands in."""
    found = sorted(stage.told().folder.glob("*.jsonl"))
    return [[one.name for one in found], json.loads(found[0].read_text())["text"]]


JSON = '{"destination": "first", "channel": null, "title": null, "text": "Parkers is won"'


@proves(
    "destinations.console.style",
    ("slack", ["┌ Slack", "│ crmbridge APP"]),
    ("twitter", ["┌ X", "│ @first"]),
    ("json", [JSON]),
    ("plain", ["-> first  [told/first crm/Deal/1]", "   | Parkers is won"]),
)
@proves(
    "destinations.console.channel",
    (ABSENT, ["┌ Slack", "│ crmbridge APP"]),
    ("#wins", ["┌ Slack  #wins", "│ crmbridge APP"]),
    given={"destinations/first/style": "slack"},
)
def what_is_printed(stage):
    """The beginning of its first two lines, without the key."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        stage.told()
    lines = [re.sub(r'  [0-9a-f]{12}$|, "link".*', "", line).rstrip() for line in out.getvalue().splitlines()]
    return lines[:2]
