"""One call of a method of Slack's Web API, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import requests

from connectors.destinations.slack.errors import bad_status, details, refused
from crmbridge.contract import Secret
from crmbridge.errors import OutcomeUnknown
from crmbridge.http import HttpSession, credential
from crmbridge.model import Network


class SlackApi:
    """The Web API as one token may use it. Every method here raises a DeliveryError unless Slack says `ok: true`."""

    def __init__(self, url: str, token: Secret, network: Network) -> None:
        self._url = url
        self._token = token
        self._session = HttpSession(network)

    def call(self, method: str, arguments: Mapping[str, Any]) -> requests.Response:
        """A method that acts, as a POST of JSON."""
        headers = {"Content-Type": "application/json; charset=utf-8", **self._authorization()}
        return _granted(self._session.post(self._url + method, json=arguments, headers=headers))

    def ask(self, method: str, arguments: Mapping[str, str], timeout: float | None = None) -> Any:
        """A method that only reads, as a GET; the answer's JSON object. `timeout`: less patience than usual, in seconds."""
        return _granted(self._session.get(self._url + method, params=arguments, headers=self._authorization(), timeout=timeout)).json()

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {credential(self._token.reveal)}"}

    def close(self) -> None:
        """Close connections."""
        self._session.close()


def _granted(answer: requests.Response) -> requests.Response:
    now = datetime.now(timezone.utc)
    said = _object(answer)
    if answer.status_code != 200:
        raise bad_status(answer.status_code, str(said.get("error", "")), answer.headers, now, details(said))
    if said.get("ok") is True:
        return answer
    if not isinstance(said.get("error"), str):
        raise OutcomeUnknown("Slack answered 200 with something unreadable")
    raise refused(said["error"], answer.headers, now, details(said))


def _object(answer: requests.Response) -> dict[str, Any]:
    """The body as a JSON object; empty if it is none."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
