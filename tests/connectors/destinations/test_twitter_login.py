"""X: who we are. Keys whose signature is over the host that is asked, or a token that is renewed once for all and never lost."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import pytest
import responses
from oauthlib.common import Request
from oauthlib.oauth1.rfc5849 import signature

from connectors.destinations.twitter import CONNECTOR
from crmbridge.contract import Setting
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Transient
from crmbridge.model import Network, Receipt
from crmbridge.testing import ScriptedServer, answer, message
from crmbridge.testing.server import Exchange, cut, hang

ROOT = Path(__file__).parents[3]
KEY = "0123456789abcdef0123456789abcdef"
KEYS = {"consumer_key": "ck-123456", "consumer_secret": "cs-123456", "access_token": "1-at-123456", "access_token_secret": "ats-123456"}
USER = {"client_id": "client-123456", "client_secret": "client-secret-123456", "refresh_token": "rt_issued_0"}
NOW = datetime(2026, 11, 30, 12, 0, tzinfo=timezone.utc)
YES = {"data": {"id": "77", "text": "x"}}


# --- which of the two -------------------------------------------------------------------------


@pytest.mark.parametrize("good", [KEYS, USER, {"client_id": "c", "refresh_token": "r"}])
def test_one_login_is_configured(good: dict[str, str]) -> None:
    assert CONNECTOR.options(**good).objections(public=True) == []


FOUR = "consumer_key, consumer_secret, access_token and access_token_secret"


@pytest.mark.parametrize(
    ("options", "where", "words"),
    [
        ({}, ["consumer_key"], f"is missing: write {FOUR} (OAuth 1.0a), or client_id and refresh_token (OAuth 2.0)"),
        ({**KEYS, **USER}, ["client_id"], f"does not go with consumer_key: write {FOUR}, or client_id and refresh_token"),
        ({**KEYS, "refresh_token": "r"}, ["refresh_token"], "does not go with consumer_key"),
        ({**KEYS, "client_secret": "r"}, ["client_secret"], "does not go with consumer_key"),
        ({"consumer_key": "a", "access_token": "b"}, ["consumer_secret", "access_token_secret"], "is missing beside consumer_key"),
        ({"client_id": "a"}, ["refresh_token"], "is missing beside client_id"),
        ({"refresh_token": "a"}, ["client_id"], "is missing beside refresh_token"),
        ({"client_secret": "a"}, ["client_id", "refresh_token"], "is missing beside client_secret"),
    ],
)
def test_what_is_no_login_is_said(options: dict[str, str], where: list[str], words: str) -> None:
    found = CONNECTOR.options(**options)
    assert [path for path, _ in found.objections(public=True)] == [(name,) for name in where]
    assert all(said.startswith(words) for _, said in found.objections(public=True))
    with pytest.raises(ValueError, match=f"{where[0]} {words[:10]}"):
        CONNECTOR.build(found, Setting(name="brand"))


# --- OAuth 1.0a -------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["https://api.x.com", "https://gateway.example/x", "http://127.0.0.1:8099"])
def test_the_signature_is_over_the_host_that_is_asked(address: str) -> None:
    """By two judges: oauthlib's verification, and RFC 5849 as one reads it."""
    options = KEYS if address == "https://api.x.com" else {**KEYS, "api_url": address}
    with responses.RequestsMock() as net:
        net.post(f"{address}/2/tweets", status=201, json=YES)
        CONNECTOR.build(CONNECTOR.options(**options), Setting(name="brand")).publish(message(), KEY, None)
        sent = net.calls[0].request
    assert sent.url == f"{address}/2/tweets"
    header = sent.headers["Authorization"]
    header = header.decode() if isinstance(header, bytes) else header
    said = {name: unquote(value) for name, value in re.findall(r'(oauth_\w+)="([^"]*)"', header)}
    signed = said.pop("oauth_signature")

    request = Request(sent.url, http_method="POST")
    request.params, request.signature = list(said.items()), signed
    assert signature.verify_hmac_sha1(request, "cs-123456", "ats-123456")
    for other in ("https://api.twitter.com/2/tweets", f"{address}/2/tweet"):
        wrong = Request(other, http_method="POST")
        wrong.params, wrong.signature = request.params, signed
        assert not signature.verify_hmac_sha1(wrong, "cs-123456", "ats-123456")

    parameters = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(said.items()))
    base = "&".join(quote(part, safe="") for part in ("POST", f"{address}/2/tweets", parameters))
    assert signed == base64.b64encode(hmac.digest(b"cs-123456&ats-123456", base.encode(), hashlib.sha1)).decode()


def test_keys_that_may_only_read_are_told_before_the_first_post() -> None:
    with responses.RequestsMock() as net:
        net.get("https://api.x.com/2/users/me", json={"data": {"id": "1"}}, headers={"x-access-level": "read"})
        with pytest.raises(AuthFailed, match=r"x-access-level: read.*Read and write"):
            CONNECTOR.build(CONNECTOR.options(**KEYS), Setting(name="brand")).check()


# --- OAuth 2.0 --------------------------------------------------------------------------------


class X:
    """X's API and its token endpoint, which takes each refresh token once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.good = "rt_issued_0"
        self.count = 0
        self.valid: set[str] = set()
        self.keeps = False
        """Whether a token goes on to be taken when the next one is given."""
        self.forms: list[Mapping[str, list[str]]] = []
        self.kept_when_used: list[str | None] = []
        self.keep: Path | None = None
        self.scope: str | None = "tweet.read tweet.write users.read offline.access"
        self.server = ScriptedServer(self.answer)

    def answer(self, exchange: Exchange) -> None:
        if exchange.seen.path == "/2/oauth2/token":
            return self.renew(exchange)
        token = exchange.seen.headers.get("authorization", "").removeprefix("Bearer ")
        with self.lock:
            self.kept_when_used.append(self.keep.read_text() if self.keep and self.keep.exists() else None)
            known = token in self.valid
        if not known:
            return answer(401, {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"})(exchange)
        return answer(201 if exchange.seen.method == "POST" else 200, YES)(exchange)

    def renew(self, exchange: Exchange) -> None:
        form = parse_qs(exchange.seen.body.decode())
        with self.lock:
            self.forms.append(form)
            if form["refresh_token"] != [self.good]:
                said = {"error": "invalid_request", "error_description": "Value passed for the token was invalid."}
                return answer(400, said)(exchange)
            self.count += 1
            self.good, token = f"rt_issued_{self.count}", f"at_issued_{self.count}"
            self.valid = {token, *(self.valid if self.keeps else ())}
        said = {"token_type": "bearer", "expires_in": 7200, "access_token": token, "refresh_token": self.good}
        return answer(200, said | ({"scope": self.scope} if self.scope else {}))(exchange)


@pytest.fixture
def x() -> Iterator[X]:
    made = X()
    with made.server:
        yield made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def account(x: X, state: Path | None, *, now: datetime = NOW, deadline: float = 8.0, **options: Any) -> Any:
    """A destination, as another process would build it too."""
    setting = Setting(name="brand", state_folder=state, now=lambda: now, network=Network(deadline=deadline))
    return CONNECTOR.build(CONNECTOR.options(**{**USER, "api_url": x.server.url, **options}), setting)


def posted(destination: Any) -> Receipt | DeliveryError:
    try:
        found: Receipt = destination.publish(message(), KEY, None)
    except DeliveryError as error:
        return error
    return found


def test_a_post_shows_the_token_of_the_account(x: X, state: Path) -> None:
    assert posted(account(x, state)) == Receipt(remote_id="77", url="https://x.com/i/status/77")
    renewal, post = x.server.seen
    assert renewal.headers["authorization"] == "Basic " + base64.b64encode(b"client-123456:client-secret-123456").decode()
    assert parse_qs(renewal.body.decode()) == {"grant_type": ["refresh_token"], "refresh_token": ["rt_issued_0"]}
    assert (post.path, post.headers["authorization"]) == ("/2/tweets", "Bearer at_issued_1")


def test_a_public_client_says_its_id_and_no_secret(x: X, state: Path) -> None:
    assert isinstance(posted(account(x, state, client_secret=None)), Receipt)
    assert "authorization" not in x.server.seen[0].headers
    assert x.forms == [{"grant_type": ["refresh_token"], "refresh_token": ["rt_issued_0"], "client_id": ["client-123456"]}]


def test_the_token_lasts_two_hours_and_across_processes(x: X, state: Path) -> None:
    first = account(x, state)
    for _ in range(3):
        assert isinstance(posted(first), Receipt)
    assert isinstance(posted(account(x, state, now=NOW + timedelta(minutes=110))), Receipt)
    assert x.count == 1
    assert isinstance(posted(account(x, state, now=NOW + timedelta(minutes=119))), Receipt)
    assert [form["refresh_token"] for form in x.forms] == [["rt_issued_0"], ["rt_issued_1"]]


def test_a_new_refresh_token_is_on_the_disk_before_its_token_is_used(x: X, state: Path) -> None:
    x.keep = state / "brand.x.token"
    assert isinstance(posted(account(x, state)), Receipt)
    assert isinstance(posted(account(x, state, now=NOW + timedelta(hours=3))), Receipt)
    kept = [json.loads(one or "{}") for one in x.kept_when_used]
    assert [(one["value"], one["refresh"]) for one in kept] == [("at_issued_1", "rt_issued_1"), ("at_issued_2", "rt_issued_2")]
    assert x.keep.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in state.iterdir() if path.suffix != ".lock"] == ["brand.x.token"]
    assert "rt_issued_0" not in x.keep.read_text()


def test_a_new_first_refresh_token_replaces_what_was_kept(x: X, state: Path) -> None:
    assert isinstance(posted(account(x, state)), Receipt)
    x.good = "rt_issued_again"  # the account agreed anew
    assert isinstance(posted(account(x, state, refresh_token="rt_issued_again")), Receipt)
    assert [form["refresh_token"] for form in x.forms] == [["rt_issued_0"], ["rt_issued_again"]]


def test_a_new_first_refresh_token_is_taken_by_a_process_that_runs(x: X, state: Path, tmp_path: Path) -> None:
    """The login has ended, a person puts a new token into the file, and reloads: nothing is built anew, for no text has changed."""
    file = tmp_path / "refresh"
    file.write_text("rt_issued_0\n")
    destination = account(x, state, refresh_token={"file": str(file)})
    assert isinstance(posted(destination), Receipt)
    x.good, x.valid = "rt_issued_again", set()
    ended = posted(destination)
    assert isinstance(ended, AuthFailed)
    assert "make a new one" in str(ended)
    file.write_text("rt_issued_again\n")
    time.sleep(0.6)  # a secret's file is looked at twice a second
    assert isinstance(posted(destination), Receipt)
    assert [form["refresh_token"] for form in x.forms] == [["rt_issued_0"], ["rt_issued_1"], ["rt_issued_again"]]


def test_many_threads_renew_once(x: X, state: Path) -> None:
    destinations = [account(x, state) for _ in range(4)]
    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(lambda number: posted(destinations[number % 4]), range(24)))
    assert all(isinstance(one, Receipt) for one in outcomes), outcomes
    assert x.count == 1


WORKER = """
import sys
from datetime import datetime, timezone
from pathlib import Path
from connectors.destinations.twitter import CONNECTOR
from crmbridge.contract import Setting
from crmbridge.testing import message
url, state, moments = sys.argv[1], Path(sys.argv[2]), [datetime.fromisoformat(one) for one in sys.argv[3:]]
clock = [moments[0]]
options = CONNECTOR.options(client_id="client-123456", client_secret="client-secret-123456", refresh_token="rt_issued_0", api_url=url)
destination = CONNECTOR.build(options, Setting(name="brand", state_folder=state, now=lambda: clock[0]))
for clock[0] in moments:
    destination.publish(message(), "0" * 32, None)
"""


def test_many_processes_renew_one_after_the_other(x: X, state: Path) -> None:
    """Each posts at four instants three hours apart. X takes every refresh token once, and nobody is locked out.

    The clocks of the processes are hours apart, as far as one is ahead of the others: what one was given lives on meanwhile.
    """
    x.valid, x.keeps = set(), True
    moments = [(NOW + timedelta(hours=3 * step)).isoformat() for step in range(4)]
    command = [sys.executable, "-c", WORKER, x.server.url, str(state), *moments]
    running = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for one in running:
        _, said = one.communicate(timeout=300)
        assert one.returncode == 0, said
    used = [form["refresh_token"][0] for form in x.forms]
    assert used == [f"rt_issued_{number}" for number in range(len(used))]
    assert len(used) >= 4


def test_a_refused_token_is_renewed_once(x: X, state: Path) -> None:
    destination = account(x, state)
    assert isinstance(posted(destination), Receipt)
    x.valid = set()  # X has forgotten it before its time
    assert isinstance(posted(destination), Receipt)
    assert x.count == 2
    x.server.then(answer(401, {"title": "Unauthorized"}), x.answer, answer(401, {"title": "Unauthorized"}))
    refused = posted(destination)
    assert isinstance(refused, AuthFailed)
    assert refused.code == "login"
    assert x.count == 3


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        (answer(400, {"error": "invalid_grant", "error_description": "gone"}), AuthFailed, "HTTP 400 invalid_grant gone"),
        (
            answer(400, {"error": "invalid_request", "error_description": "Value passed for the token was invalid."}),
            AuthFailed,
            "Value passed",
        ),
        (answer(401, {"error": "unauthorized_client", "error_description": "Missing valid authorization header"}), AuthFailed, "Missing"),
        (answer(403, {"title": "Forbidden", "detail": "suspended"}), AuthFailed, "suspended"),
        (answer(429, {"title": "Too Many Requests"}), RateLimited, "429"),
        (answer(403, b"<html>Just a moment..."), Transient, "403"),
        (answer(503, b"<html>"), Transient, "503"),
        (answer(200, b"<html>"), Transient, "no access_token"),
        (answer(200, {"access_token": 5}), Transient, "no access_token"),
        (answer(302, b"", {"Location": "https://evil.example/"}), Transient, "302"),
        (cut, Transient, ""),
        (hang, Transient, ""),
    ],
)
def test_a_renewal_that_fails_has_published_nothing(x: X, state: Path, behaviour: Any, kind: type[DeliveryError], words: str) -> None:
    x.server.then(behaviour)
    failed = posted(account(x, state, deadline=0.5))
    assert type(failed) is kind, failed
    assert words in str(failed)
    assert "the login cannot be renewed" in str(failed) or behaviour in (cut, hang)
    assert [seen.path for seen in x.server.seen] == ["/2/oauth2/token"]
    assert type(failed) is not OutcomeUnknown


def test_a_limit_on_renewals_is_kept(x: X, state: Path) -> None:
    x.server.then(answer(429, {}, {"Retry-After": "90"}))
    failed = posted(account(x, state))
    assert isinstance(failed, RateLimited)
    assert failed.until == NOW + timedelta(seconds=90)


@pytest.mark.parametrize("lost", [True, False])
def test_nothing_is_renewed_where_the_next_token_could_not_be_kept(x: X, state: Path, lost: bool) -> None:
    failed = posted(account(x, state / "missing" if lost else None))
    assert type(failed) is Transient
    assert "its new token could not be kept" in str(failed)
    assert x.server.seen == []


def test_what_could_not_be_kept_after_all_is_kept_later(
    x: X, state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    destination = account(x, state)
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert isinstance(posted(destination), Receipt)  # the token is good, and the old one is spent
    assert "could not be kept" in caplog.text
    assert not (state / "brand.x.token").exists()
    monkeypatch.setattr(Path, "replace", replace)
    assert isinstance(posted(destination), Receipt)
    assert json.loads((state / "brand.x.token").read_text())["refresh"] == "rt_issued_1"
    assert x.count == 1


def test_the_login_is_proved_by_asking_who_we_are(x: X, state: Path) -> None:
    destination = account(x, state)
    destination.check()
    assert [seen.path for seen in x.server.seen] == ["/2/oauth2/token", "/2/users/me"]
    x.scope = "tweet.read users.read offline.access"
    with pytest.raises(AuthFailed, match=r"the token has no tweet\.write, only: tweet\.read users"):
        account(x, state, now=NOW + timedelta(hours=3)).check()
    x.scope = None  # not told: nothing is claimed
    account(x, state, now=NOW + timedelta(hours=6)).check()


def test_our_id_is_asked_for_where_the_token_does_not_tell_it(x: X, state: Path) -> None:
    x.server.then(x.answer, x.answer, answer(200, {"meta": {"result_count": 0}}))
    assert account(x, state).find(message(), KEY, None, NOW) is None
    assert [seen.path.partition("?")[0] for seen in x.server.seen] == ["/2/oauth2/token", "/2/users/me", "/2/users/77/tweets"]


# --- logs -------------------------------------------------------------------------------------


class Raw(logging.Handler):
    """Every record of every logger, before anything is masked."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {record.getMessage()} {vars(record)}")


@pytest.fixture
def raw() -> Iterator[Raw]:
    handler, root, below = Raw(), logging.getLogger(), logging.getLogger("urllib3")
    levels = root.level, below.level
    root.setLevel(logging.DEBUG)
    below.setLevel(logging.DEBUG)  # which says what is asked, and nothing of the headers
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
    root.setLevel(levels[0])
    below.setLevel(levels[1])


def test_no_token_reaches_a_log_at_debug(x: X, state: Path, raw: Raw) -> None:
    destination = account(x, state)
    destination.check()
    posted(destination)
    x.valid = set()
    posted(destination)
    x.server.then(answer(401, {"title": "Unauthorized"}), answer(400, {"error": "invalid_grant"}))
    assert isinstance(posted(destination), AuthFailed)
    keys = CONNECTOR.build(CONNECTOR.options(**KEYS, api_url=x.server.url), Setting(name="brand"))
    posted(keys)
    with pytest.raises(AuthFailed):
        keys.check()
    said = "\n".join(raw.lines)
    assert "POST /2/tweets" in said  # it did hear
    for secret in ("at_issued_1", "at_issued_2", "rt_issued_0", "rt_issued_1", "rt_issued_2", "client-secret-123456", *KEYS.values()):
        assert secret not in said, secret
        assert base64.b64encode(secret.encode()).decode() not in said
    assert "oauth_signature" not in said
    assert "Bearer" not in said
