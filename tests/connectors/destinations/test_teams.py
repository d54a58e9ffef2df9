"""Microsoft Teams: the contract, the request, its address, and what each answer means."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, ClassVar

import pytest

from connectors.destinations.teams import CONNECTOR
from connectors.destinations.teams.destination import LENGTH, accepted, card, worded
from connectors.destinations.teams.errors import CODES, answer_table, meaning, said
from connectors.destinations.teams.escape import ZW
from connectors.destinations.teams.layout.check import MOST, size
from connectors.destinations.teams.options import url_complaint
from crmbridge.contract import Ability, Rate, Setting
from crmbridge.errors import AuthFailed, DeliveryError, OutcomeUnknown, RateLimited, Rejected
from crmbridge.http import Answer
from crmbridge.model import Channel, Literal, Network, Receipt, Value, dump_message, load_message
from crmbridge.testing import NetworkDestinationContract, ScriptedServer, answer, message

KEY = "0123456789abcdef0123456789abcdef"
SIG = "canary-sig-of-the-trigger_x-9"
PATH = f"/powerautomate/automations/direct/workflows/f00/triggers/manual/paths/invoke?api-version=1&sp=%2Frun&sv=1.0&sig={SIG}"
NOW = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)
CARD = {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "x"}]}


class TestContract(NetworkDestinationContract):
    connector = CONNECTOR
    options: ClassVar = {"url": f"https://f.0a.environment.api.powerplatform.com:443{PATH}"}
    changes: ClassVar = {"channel": None}
    names_posts = False
    takes_key = False  # nothing of a message is for machines alone
    canaries = (SIG,)
    success = staticmethod(answer(202, b"", {"x-ms-workflow-run-id": "08584305523881234567890123456CU18"}))

    def make_at(self, url: str, setting: Setting) -> Any:
        return super().make_at(f"{url}{PATH}", setting)

    def make(self, setting: Setting) -> Any:
        raise NotImplementedError


def publish(server: ScriptedServer, said: Any, path: str = PATH) -> Receipt:
    async def whole() -> Receipt:
        built = CONNECTOR.options(url=f"{server.url}{path}")
        destination = CONNECTOR.build(built, Setting(name="team", network=Network(deadline=20)))
        try:
            receipt: Receipt = await destination.publish(load_message(dump_message(said)), KEY, None)
            return receipt
        finally:
            await destination.close()

    return asyncio.run(whole())


# --- the request ------------------------------------------------------------------------------


def test_a_message_as_it_is_posted() -> None:
    with ScriptedServer(answer(202, b"", {"x-ms-workflow-run-id": "0858430CU18"})) as server:
        receipt = publish(server, message(Literal("**Won:** "), Value("A_*b*"), channel=None, link="https://crm.example/1"))
    told = "accepted by the workflow and not posted yet: run 0858430CU18 in its history tells what became of it"
    assert receipt == Receipt(remote_id="", extra={"note": told})
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", PATH)
    assert seen.headers["content-type"] == "application/json; charset=utf-8"
    assert seen.json() == {
        "type": "message",
        "attachments": [
            {
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": None,
                "content": {
                    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                    "type": "AdaptiveCard",
                    "version": "1.2",
                    "body": [{"type": "TextBlock", "text": "**Won:** A\u02cd\u2217b\u2217", "wrap": True}],
                    "actions": [{"type": "Action.OpenUrl", "title": "Open in CRM", "url": "https://crm.example/1"}],
                },
            }
        ],
    }


def test_a_card_goes_out_with_the_link_and_the_text_for_whom_it_is_too_new() -> None:
    own = [{"type": "Action.OpenUrl", "title": "Help", "url": "https://help.example/"}]
    made = card(message(Literal("A\nB"), blocks=CARD | {"actions": own}, link="https://crm.example/1"))
    assert made["actions"] == [*own, {"type": "Action.OpenUrl", "title": "Open in CRM", "url": "https://crm.example/1"}]
    assert made["fallbackText"] == "A\n\nB"
    assert made["body"] == CARD["body"]
    plain = card(message(blocks=CARD | {"fallbackText": "See Teams on the desktop"}))
    assert plain == CARD | {"fallbackText": "See Teams on the desktop"}


def test_without_a_link_there_is_no_button() -> None:
    assert "actions" not in card(message())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo", "one\n\ntwo"),
        ("one\n\n\n two ", "one\n\n two"),
        ("- one\n- two\n- three", "- one\n- two\n- three"),
        ("News:\n1. one\n2. two\nEnd", "News:\n\n1. one\n2. two\n\nEnd"),
        ("-5 %\n-6 %", "-5 %\n\n-6 %"),
    ],
)
def test_a_line_is_a_line(text: str, expected: str) -> None:
    assert worded((Literal(text),)) == expected


def test_a_channel_is_refused() -> None:
    with ScriptedServer() as server, pytest.raises(Rejected, match="take the channel off the step"):
        publish(server, message(channel=Channel("c", "C")))
    assert not server.seen


def test_what_is_too_large_for_the_workflow_is_refused_here() -> None:
    """It would say yes, and fail behind our back."""
    with pytest.raises(Rejected, match=rf"the text has {LENGTH + 1} bytes as Teams counts them, and {LENGTH} are the limit"):
        card(message(Literal("x" * (LENGTH + 1))))
    with pytest.raises(Rejected, match=rf"{LENGTH + 1} bytes"):
        card(message(Literal('"' * (LENGTH // 4) + "x" * (LENGTH % 4 + 1))))  # each quote is four bytes to Teams
    big = CARD | {"body": [{"type": "TextBlock", "text": (Value("x" * (MOST - 50)),)}]}
    with pytest.raises(Rejected, match=r"card: \d+ bytes, and the workflow can post \d+.*https://learn.microsoft.com/") as caught:
        card(message(blocks=big))
    assert caught.value.code == "invalid_card"
    big["body"] = [{"type": "TextBlock", "text": (Value("x" * (MOST - 400)),)}]
    assert "fallbackText" not in card(message(Literal("y" * 400), blocks=big)), "there is no room for what the card says already"
    with pytest.raises(Rejected, match="the card has") as caught:
        card(message(blocks=big, link="https://crm.example/" + "y" * 400))
    assert caught.value.code == "too_large"


def test_the_longest_text_goes_out_with_the_longest_link() -> None:
    made = card(message(Literal("x" * LENGTH), link="https://crm.example/" + "x" * 1_980))
    assert size(made) <= MOST


def test_quotes_count_as_often_as_teams_escapes_them() -> None:
    destination = CONNECTOR.build(CONNECTOR.options(url="https://a.b"), Setting(name="team"))
    assert destination.measure((Literal("abc"),)) == 3
    assert destination.measure((Literal('"'),)) == 4
    assert destination.measure((Literal("ü"),)) == 2


def test_what_it_can_is_said() -> None:
    options = CONNECTOR.options(url="https://a.b")
    assert CONNECTOR.can(options) == {Ability.CARD}
    limits = CONNECTOR.build(options, Setting(name="team")).limits
    assert (limits.per_destination, limits.per_lane) == (Rate(count=25, seconds=300), Rate(count=4, seconds=1))


# --- the address ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"https://default0a.73.environment.api.powerplatform.com:443{PATH}", ""),
        (f"https://default0a.b.environment.api.gov.powerplatform.microsoft.us:443{PATH}", ""),
        (f"https://x.environment.api.high.powerplatform.microsoft.us{PATH}", ""),
        (f"https://x.environment.api.appsplatform.us{PATH}", ""),
        (f"https://x.environment.api.powerplatform.partner.microsoftonline.cn{PATH}", ""),
        (f"https://prod-30.westeurope.logic.azure.com:443{PATH}", ""),
        (f"HTTPS://X.ENVIRONMENT.API.POWERPLATFORM.COM{PATH}", ""),
        ("http://127.0.0.1:8080/in", ""),
        ("http://[::1]:8080/in", ""),
        (f"http://x.environment.api.powerplatform.com{PATH}", "is not an https address"),
        ("ftp://x.api.powerplatform.com/?sig=a", "is not an https address"),
        ("https://", "is not an https address"),
        ("https://[", "is not an https address"),
        ("acme.webhook.office.com/webhookb2/x", "is not an https address"),
        ("https://acme.webhook.office.com/webhookb2/x", "which Microsoft has retired"),
        ("https://outlook.office.com/webhook/x", "which Microsoft has retired"),
        (f"https://x.environment.api.powerplatform.com.evil.example{PATH}", "is not an address of Microsoft's"),
        (f"https://evilapi.powerplatform.com{PATH}", "is not an address of Microsoft's"),
        (f"https://api.powerplatform.com@evil.example{PATH}", "is not an address of Microsoft's"),
        ("https://hooks.slack.com/services/x", "For others write `type: webhook`"),
        ("https://x.environment.api.powerplatform.com/invoke?api-version=1", "has no `sig`, so its trigger asks for a login"),
        ("https://x.environment.api.powerplatform.com/invoke?sig=", "has no `sig`"),
    ],
)
def test_only_microsoft_s_addresses_are_taken(url: str, words: str) -> None:
    complaint = url_complaint(url)
    assert words in complaint
    assert bool(words) is bool(complaint)
    assert "sig=" not in complaint
    assert "evil" not in complaint


def test_a_wrong_address_in_a_file_pauses_the_destination(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://acme.webhook.office.com/webhookb2/x")
    destination = CONNECTOR.build(CONNECTOR.options(url={"file": str(tmp_path / "url")}), Setting(name="team"))

    async def whole() -> None:
        with pytest.raises(AuthFailed, match="which Microsoft has retired"):
            await destination.publish(message(channel=None), KEY, None)
        with pytest.raises(AuthFailed, match="which Microsoft has retired"):
            destination.check()
        await destination.close()

    asyncio.run(whole())


def test_the_signature_never_shows_even_alone() -> None:
    """Microsoft may quote a part of the address, and a client's error its path."""
    odd = answer(400, {"error": {"code": "Odd", "message": f"the key {SIG} and /x?sig={SIG} are bad"}})
    with ScriptedServer(odd) as server, pytest.raises(Rejected) as caught:
        publish(server, message(channel=None))
    assert SIG not in str(caught.value)
    for raw, shown in (("other-canary%2Bsig%3D", "other-canary%2Bsig%3D"), ("third-canary%2Bsig%3D", "third-canary+sig=")):
        odd = answer(400, {"error": {"code": "Odd", "message": f"the key {shown} is bad"}})
        with ScriptedServer(odd) as server, pytest.raises(Rejected) as caught:
            publish(server, message(channel=None), path=f"/invoke?sp=%2Frun&sig={raw}&v=1")
        assert shown not in str(caught.value)


# --- answers ----------------------------------------------------------------------------------


def refusal(status: int, code: str = "", words: str = "", *, old: bool = False, **headers: str) -> DeliveryError:
    body = json.dumps({"error": {"code": code, "message": words}}).encode() if code else words.encode()
    return meaning(Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body), NOW, old_address=old)


@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (400, "TriggerInputSchemaMismatch", Rejected, "the trigger wants another form"),
        (400, "InvalidRequestContent", Rejected, "no JSON"),
        (413, "RequestEntityTooLarge", Rejected, "too large"),
        (413, "", Rejected, "HTTP 413"),
        (400, "", Rejected, "HTTP 400"),
        (400, "SomethingNew", Rejected, "SomethingNew"),
        (422, "", Rejected, "HTTP 422"),
        (400, "WorkflowTriggerIsNotEnabled", AuthFailed, "turn it on in the Workflows app"),
        (401, "DirectApiAuthorizationRequired", AuthFailed, "*Anyone*"),
        (401, "DirectApiInvalidAuthorizationScheme", AuthFailed, "copy it whole"),
        (401, "MisMatchingOAuthClaims", AuthFailed, "*Anyone*"),
        (403, "MisMatchingOAuthClaims", AuthFailed, "*Anyone*"),
        (401, "", AuthFailed, "HTTP 401"),
        (403, "Forbidden", AuthFailed, "Forbidden"),
        (404, "WorkflowNotFound", AuthFailed, "make it anew"),
        (404, "", AuthFailed, "make it anew"),
        (404, "NotFound", AuthFailed, "make it anew"),
        (410, "", AuthFailed, "make it anew"),
        (405, "", AuthFailed, "HTTP 405"),
        (429, "", RateLimited, "HTTP 429"),
        (429, "WorkflowTriggerIsNotEnabled", RateLimited, "HTTP 429"),
        (400, "RateLimitExceeded", RateLimited, "RateLimitExceeded"),
        (500, "InternalServerError", OutcomeUnknown, "HTTP 500"),
        (500, "TriggerInputSchemaMismatch", OutcomeUnknown, "HTTP 500"),
        (502, "NoResponse", OutcomeUnknown, "NoResponse"),
        (503, "TooManyRequests", OutcomeUnknown, "HTTP 503"),
        (504, "", OutcomeUnknown, "HTTP 504"),
        (408, "", OutcomeUnknown, "HTTP 408"),
        (302, "", Rejected, "a redirect, which is never followed"),
    ],
)
def test_what_an_answer_means(status: int, code: str, kind: type[DeliveryError], words: str) -> None:
    error = refusal(status, code, "Microsoft's own words" if code else "")
    assert type(error) is kind
    assert words in str(error)
    assert error.code in (code, str(status))


def test_every_code_that_is_listed_means_what_the_table_says() -> None:
    for code, kind in CODES.items():
        assert type(refusal(504 if kind is OutcomeUnknown else 400, code, "x")) is kind, code
        assert f"`{code}`" in answer_table()


def test_the_wait_that_is_asked_for_is_kept() -> None:
    told = refusal(429, Retry_After="77")
    assert isinstance(told, RateLimited)
    assert told.until == NOW + timedelta(seconds=77)
    untold = refusal(429)
    assert isinstance(untold, RateLimited)
    assert untold.until == NOW + timedelta(minutes=1)


def test_an_address_of_before_the_move_is_told_where_it_fails() -> None:
    for status in (401, 404, 410):
        assert "ended on 2025-11-30" in str(refusal(status, old=True))
        assert "2025-11-30" not in str(refusal(status))
    assert "2025-11-30" not in str(refusal(400, "WorkflowTriggerIsNotEnabled", old=True))
    assert "2025-11-30" not in str(refusal(500, old=True))


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"null", b"5", b"[]", b"{}", b'{"error": 5}', b'{"error": {"code": 5, "message": 5}}', b"[" * 100_000, b"\xff\xfe"],
)
def test_odd_bodies_are_read_as_nothing(body: bytes) -> None:
    assert said(body) == ("", "")


def test_long_and_odd_words_are_bounded() -> None:
    code, words = said(json.dumps({"error": {"code": "X" * 9_000, "message": "a\n\x1b[2Jb" * 9_000}}).encode())
    assert code == ""
    assert len(words) <= 200
    assert "\x1b" not in words


@pytest.mark.parametrize("run", ["", "a b", "x" * 65, "<script>", "\u00fcberlang1"])
def test_only_a_run_s_id_is_shown(run: str) -> None:
    told = accepted(Answer(202, {"x-ms-workflow-run-id": run}, b""))
    assert told == {"note": "accepted by the workflow and not posted yet: its run history tells what became of it"}


def test_a_record_s_words_are_words_in_either_form() -> None:
    evil = Value("**[x](https://evil.example)** <at>Ann</at>")
    said_so = card(message(evil))["body"][0]["text"]
    in_card = card(message(blocks=CARD | {"body": [{"type": "TextBlock", "text": (evil,)}]}))["body"][0]["text"]
    assert said_so == in_card == f"\u2217\u2217[x\uff3d(https:{ZW}/{ZW}/evil.{ZW}example)\u2217\u2217 <{ZW}at>Ann<{ZW}/at>"
