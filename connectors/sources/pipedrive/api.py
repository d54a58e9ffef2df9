"""The few calls of Pipedrive's API that this source makes besides its lists. https://developers.pipedrive.com/docs/api/v1"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from crmbridge import rest
from crmbridge.contract import Setting
from crmbridge.errors import SourceError
from crmbridge.http import Kept
from crmbridge.model import clean
from crmbridge.rest import Found, Request, RestOptions

TYPES: Final[Mapping[str, str]] = {"deals": "deal", "persons": "person", "organizations": "organization"}
"""Record types, as the API calls them, with what webhooks and field lists call one."""
_MANY: Final = 50  # pages of one list
_DAY: Final = timedelta(hours=1)


class Api(rest.Api):
    """Reads one company. Raises SourceError."""

    def __init__(self, options: RestOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.stages = Kept(lambda _: {str(one["id"]): str(one["name"]) for one in self.all("/api/v2/stages")})
        self.users = Kept(lambda _: {str(one["id"]): one for one in self._data("/v1/users")})
        self._fields = Kept(self._asked_fields)
        self._me = Kept(lambda _: dict(self._data("/v1/users/me")))

    def fields(self, record_type: str, *, afresh: bool = False) -> dict[str, Any]:
        """Fields by code: name, type, options."""
        if record_type not in TYPES:
            raise SourceError(f"there is no record type {record_type}; there are {', '.join(TYPES)}")
        return self._fields.get(record_type, afresh=afresh)

    def known_fields(self, record_type: str) -> dict[str, Any]:
        """The same as far as they were learnt, without asking."""
        return self._fields.last(record_type) or {}

    def ask(self, request: Request) -> Found:
        """One request of a list; null is an empty one."""
        found = super().ask(request)
        body = self._good(request.path, found.json)
        return Found({**body, "data": [] if body.get("data") is None else body["data"]}, found.link)

    def records(self, record_type: str, *, archived: bool = False, **asked: str) -> list[dict[str, Any]]:
        """Some records; since 2025-07-15 those that are `archived` stand in a list of their own."""
        return self._list(self._get(f"/api/v2/{record_type}{'/archived' if archived else ''}", **asked))

    def all(self, path: str) -> list[dict[str, Any]]:
        """Every page of a short list."""
        found: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(_MANY):
            body = self._get(path, limit="500", **({"cursor": cursor} if cursor else {}))
            found += self._list(body)
            cursor = str((body.get("additional_data") or {}).get("next_cursor") or "")
            if not cursor:
                break
        return found

    def link(self, kind: str, id: str) -> str | None:
        """A record's address, once the company's domain is known."""
        domain = (self._me.last() or {}).get("company_domain")
        return f"https://{domain}.pipedrive.com/{kind}/{id}" if domain else None

    def introduce(self, *, afresh: bool = False) -> None:
        """Learn who we are."""
        self._me.get(afresh=afresh)

    def is_admin(self) -> bool:
        """Whether we may see what others own, as far as we were told when we were introduced."""
        return (self._me.last() or {}).get("is_admin", True) in (True, 1)

    def subscriptions(self) -> list[dict[str, Any]]:
        """Webhooks that there are."""
        return self._list(self._get("/v1/webhooks"))

    def subscribe(self, url: str, kind: str, user: str, password: str) -> None:
        """Ask to be called for all that happens to one kind of record."""
        self._vendor.post(
            lambda _: f"{self._url}/v1/webhooks",
            {
                "subscription_url": url,
                "event_action": "*",
                "event_object": kind,
                "name": f"crmbridge: {kind}s",
                "version": "2.0",
                "http_auth_user": user,
                "http_auth_password": password,
            },
        )

    @staticmethod
    def words(body: Any) -> str:
        if not isinstance(body, dict):
            return ""
        return ": ".join(str(body[name]) for name in ("error", "error_info") if body.get(name))

    def limit(self, body: Any, headers: Mapping[str, str]) -> timedelta | None:
        """How long a 429 holds: https://pipedrive.readme.io/docs/core-api-concepts-rate-limiting (2026-09-17), read 2026-11-30.

        A burst holds for the seconds that are left of its window of two. The day's tokens come again at the start of the next day, nobody
        says in which zone: an hour is a try, for a Retry-After beside them speaks of the burst. The header with the tokens that are left
        stands in no document; Pipedrive's people speak of it in their forum.
        """
        return _DAY if headers.get("x-daily-ratelimit-token-remaining") == "0" else super().limit(body, headers)

    # --- parts

    def _asked_fields(self, record_type: str) -> dict[str, Any]:
        return {clean(str(one["field_code"])): one for one in self.all(f"/api/v2/{TYPES[record_type]}Fields")}

    def _get(self, path: str, **params: str) -> dict[str, Any]:
        return self._good(path, self._vendor.get(lambda _: f"{self._url}{path}", **params))

    def _good(self, path: str, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict) or body.get("success") is not True:
            raise SourceError(f"{path}: the answer is no success: {self.words(body)}")
        return body

    def _data(self, path: str) -> Any:
        return self._get(path).get("data") or ()

    @staticmethod
    def _list(body: Mapping[str, Any]) -> list[dict[str, Any]]:
        data = body.get("data") or []
        if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
            raise SourceError("the answer holds no list")
        return data
