"""How a rest source logs in: which grant it asks for, with what it was given last."""

import json
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
from pydantic import ValidationError
from shared import NOW

from crmbridge.http import AccessToken, HttpSession
from crmbridge.model import Network
from crmbridge.rest.login import Login
from crmbridge.rest.login_options import OAuth2Login
from crmbridge.testing import ScriptedServer

CLIENT = {"scheme": "oauth2", "client_id": "app", "client_secret": "canary-client-secret"}


@pytest.fixture
def asked():
    """What a token endpoint was asked for, and a login at it."""
    found = []

    def give(exchange):
        found.append(dict(parse_qsl(exchange.seen.body.decode())))
        body = {"access_token": f"t{len(found)}", "expires_in": 60, "refresh_token": f"r{len(found)}"}
        exchange.reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    with ScriptedServer(give) as server:

        def login(**options):
            session = HttpSession(Network(deadline=5.0))
            return Login(OAuth2Login(**CLIENT, token_url=f"{server.url}/token", **options), session, lambda: NOW)

        yield found, login


def test_a_code_is_exchanged_once(asked):
    """It is good once: what it was worth is refreshed from then on, after a restart too."""
    found, login = asked
    one = login(code="canary-code", redirect_uri="https://us.example/back")
    first = one.obtain(None)
    assert (first.value, first.refresh, first.expires_at) == ("t1", "r1", NOW + timedelta(seconds=60))
    second = one.obtain(first)
    login(code="canary-code").obtain(second)
    shown = [(form["grant_type"], form.get("code"), form.get("redirect_uri"), form.get("refresh_token")) for form in found]
    assert shown == [
        ("authorization_code", "canary-code", "https://us.example/back", None),
        ("refresh_token", None, None, "r1"),
        ("refresh_token", None, None, "r2"),
    ]


def test_another_code_is_another_login(asked):
    """What was kept of the one before is not its own."""
    _, login = asked
    assert login(code="one").name() != login(code="two").name() != login().name()


def test_the_client_alone_is_never_asked_to_refresh(asked):
    """Whatever an answer held beside the token."""
    found, login = asked
    login().obtain(AccessToken("t", NOW, "r"))
    assert [form["grant_type"] for form in found] == ["client_credentials"]


@pytest.mark.parametrize("options", [{"code": "c", "refresh_token": "r"}, {"redirect_uri": "https://us.example"}])
def test_what_does_not_go_together(options):
    with pytest.raises(ValidationError, match="code"):
        OAuth2Login(**CLIENT, token_url="https://crm.example/token", **options)
