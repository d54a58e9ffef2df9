"""Every shipped destination inherits the contract suite; and the suite itself can fail."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

from connectors.destinations.chirp import CONNECTOR as CHIRP
from connectors.destinations.console import CONNECTOR as CONSOLE
from connectors.destinations.console.destination import ConsoleDestination
from connectors.destinations.file import CONNECTOR as FILE
from connectors.destinations.slack import CONNECTOR as SLACK
from connectors.destinations.twitter import CONNECTOR as TWITTER
from connectors.destinations.webhook import CONNECTOR as WEBHOOK
from crmbridge.contract import Destination, Setting
from crmbridge.model import digest
from crmbridge.testing import DestinationContract, NetworkDestinationContract, answer, message
from crmbridge.testing.server import Exchange

SIGNING = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5"


class TestSlack(NetworkDestinationContract):
    connector = SLACK
    options: ClassVar = {"token": "xoxb-canary-0123456789", "channel": "C1"}
    url_option = "api_url"
    success = staticmethod(answer(200, {"ok": True, "channel": "C1", "ts": "1503435956.000247"}))
    canaries = ("xoxb-canary-0123456789",)
    head_gone = staticmethod(answer(200, {"ok": False, "error": "thread_not_found"}))


class TestSlackWithoutThread(TestSlack):
    """Slack takes the reply, and posts it to the channel instead."""

    head_gone = staticmethod(answer(200, {"ok": True, "channel": "C1", "ts": "1503435956.000247", "message": {"ts": "1503435956.000247"}}))


class TestSlackWebhook(NetworkDestinationContract):
    connector = SLACK
    url_option = "webhook_url"
    success = staticmethod(answer(200, b"ok"))
    canaries = ("canary-in-the-address", "/services/T0/B0")
    changes: ClassVar = {"channel": None}
    names_posts = False
    takes_key = False

    def make_at(self, url: str, setting: Setting) -> Destination:
        return super().make_at(f"{url}/services/T0/B0/canary-in-the-address", setting)


def on_x(exchange: Exchange) -> None:
    """X's yes: to a post, and to its deletion."""
    said = {"id": "1445880548472328192", "text": "Welcome"} if exchange.seen.method == "POST" else {"deleted": True}
    answer(201 if exchange.seen.method == "POST" else 200, {"data": said})(exchange)


class TestTwitter(NetworkDestinationContract):
    connector = TWITTER
    options: ClassVar = {
        "consumer_key": "canary-consumer-key",
        "consumer_secret": "canary-consumer-secret",
        "access_token": "12345-canary-token",
        "access_token_secret": "canary-token-secret",
    }
    url_option = "api_url"
    success = staticmethod(on_x)
    head_gone = staticmethod(
        answer(403, {"title": "Forbidden", "detail": "You attempted to reply to a Tweet that is deleted or not visible to you."})
    )
    canaries = ("canary-consumer-key", "canary-consumer-secret", "12345-canary-token", "canary-token-secret")
    takes_key = False


class TestTwitterUser(TestTwitter):
    """With a token of OAuth 2.0 that was kept by an earlier process."""

    options: ClassVar = {"client_id": "here", "client_secret": "canary-client-secret", "refresh_token": "canary-refresh-token"}
    canaries = ("canary-client-secret", "canary-refresh-token", "canary-at-of-x")

    def make_at(self, url: str, setting: Setting) -> Destination:
        token = {"value": "canary-at-of-x", "expires_at": None, "refresh": "canary-refresh-token", "facts": {}}
        login = "\0".join([f"{url}/2/oauth2/token", "here", "canary-refresh-token"])
        (setting.folder / "here.x.token").write_text(json.dumps({"login": digest(login), **token}))
        return super().make_at(url, replace(setting, state_folder=setting.folder))


def published(exchange: Exchange) -> None:
    """Chirp's yes to every post of a request, to an edit and to a deletion."""
    said = exchange.seen.json()
    kind = exchange.seen.path.rpartition("/")[2]
    status = {"posts": "published", "edits": "edited", "deletes": "deleted"}[kind]
    results = [{"key": one.get("key"), "status": status, "id": "7", "url": None} for one in said[kind]]
    for one, result in zip(said[kind], results, strict=True):
        if one.get("parent") == "150.1":  # a post that nobody is shown any more
            result["alone"] = True
    answer(200, {"results": results})(exchange)


class TestChirp(NetworkDestinationContract):
    connector = CHIRP
    options: ClassVar = {"secret": SIGNING}
    success = staticmethod(published)
    head_gone = staticmethod(published)
    canaries = (SIGNING,)


class TestWebhook(NetworkDestinationContract):
    connector = WEBHOOK
    options: ClassVar = {"secret": SIGNING, "headers": {"Authorization": "Bearer canary-0123456789"}}
    success = staticmethod(answer(204))
    canaries = (SIGNING, "canary-0123456789")

    def make_at(self, url: str, setting: Setting) -> Destination:
        return super().make_at(f"{url}/in/canary-in-the-address", setting)

    def test_the_address_is_never_shown(self, driver: Any, setting: Setting, server: Any) -> None:
        destination = driver.own(self.make_at(server.url, setting))
        server.refuse()
        outcome = driver.publish(destination, message())
        assert "canary-in-the-address" not in f"{outcome!r} {destination!r}"
        assert "canary-in" not in repr(WEBHOOK.options(url="https://a.example/canary-in-the-address", secret=SIGNING))


class TestConsole(DestinationContract):
    connector = CONSOLE

    def make(self, setting: Setting) -> Destination:
        return ConsoleDestination(CONSOLE.options(**self.options), setting, io.StringIO())


class TestConsoleJson(TestConsole):
    options: ClassVar = {"style": "json"}


class TestFile(DestinationContract):
    connector = FILE
    options: ClassVar = {"path": "out.jsonl"}


def test_every_promise_can_be_broken(tmp_path: Path) -> None:
    """Each test of the suite fails for the careless connector, but for the one that it honestly passes."""
    report = tmp_path / "report.xml"
    careless = Path(__file__).with_name("careless.py")
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-W", "ignore", "-p", "no:cacheprovider", f"--junitxml={report}"]
    subprocess.run([*command, str(careless)], cwd=Path(__file__).parents[3], capture_output=True, timeout=110, check=False)
    cases = [
        (case.attrib["name"].partition("[")[0], case.find("failure") is not None) for case in ElementTree.parse(report).iter("testcase")
    ]
    names = {name for name in dir(NetworkDestinationContract) if name.startswith("test_")}
    assert {name for name, _ in cases} == names
    assert names - {name for name, failed in cases if failed} == {"test_it_has_every_method"}
