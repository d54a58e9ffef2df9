"""Odoo's two ways to be asked: JSON-RPC, where each call carries the password, and JSON-2, with a key as bearer.

https://www.odoo.com/documentation/14.0/developer/misc/api/odoo.html
https://www.odoo.com/documentation/19.0/developer/reference/external_api.html
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from typing import Any, Final

from connectors.sources.odoo.options import OdooOptions
from crmbridge.contract import Setting, login_secret
from crmbridge.errors import LoginRefused, SourceError
from crmbridge.http import AccessToken, HttpSession, Tokens, VendorRefused, understood
from crmbridge.telemetry import redact

Domain = Sequence[Sequence[Any]]
"""Conditions of a search, all of which hold."""
Row = dict[str, Any]
_STATUSES: Final = {
    "AccessDenied": 401,
    "SessionExpiredException": 401,
    "AccessError": 403,
    "MissingError": 404,
    "NotFound": 404,
    "UserError": 422,
    "ValidationError": 422,
}
"""JSON-RPC answers 200 to everything; these are what JSON-2 would say. What is not here is Odoo's own trouble."""
_LATER: Final = 500


class Api:
    """One database, read by any number of threads. Everything raises SourceError."""

    def __init__(self, options: OdooOptions, setting: Setting) -> None:
        self._options = options
        self._now = setting.now
        self._session = HttpSession(setting.network)
        self._ids = itertools.count(1)
        rpc = options.api == "jsonrpc"
        self._tokens = Tokens(
            self._logged_in if rpc else self._given, now=setting.now, keep=setting.token_file if rpc else None, login=self._login
        )
        # active_test: archived (lost) records are records too; bin_size: of files only the size.
        self._context: dict[str, Any] = {"active_test": False, "bin_size": True}
        if options.language:
            self._context["lang"] = options.language

    def search_read(self, model: str, domain: Domain, fields: Sequence[str], *, order: str = "id", limit: int | None = None) -> list[Row]:
        """Records for which `domain` holds, as far as this login may see them."""
        bounds = {"limit": limit} if limit is not None else {}
        rows = self._call(model, "search_read", "domain", domain, {"fields": list(fields), "order": order, **bounds})
        if not isinstance(rows, list) or not all(isinstance(one, dict) and _is_id(one.get("id")) for one in rows):
            raise SourceError(f"{model}: the answer to a search is no list of records")
        return rows

    def search(self, model: str, domain: Domain, limit: int) -> list[int]:
        """Only the ids, in order."""
        ids = self._call(model, "search", "domain", domain, {"order": "id", "limit": limit})
        if not isinstance(ids, list) or not all(map(_is_id, ids)):
            raise SourceError(f"{model}: the answer to a search is no list of ids")
        return ids

    def there(self, model: str, ids: Sequence[int]) -> set[int]:
        """Which of these are there and may be seen. What is gone is left out; for one that may not be seen, the whole is Refused (403)."""
        rows = self._call(model, "read", "ids", list(ids), {"fields": ["write_date"]})
        if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
            raise SourceError(f"{model}: the answer to a reading is no list of records")
        return {one["id"] for one in rows if _is_id(one.get("id"))}

    def fields_get(self, model: str) -> dict[str, Row]:
        """The fields of a model that this login may see, by name."""
        attributes = ["string", "type", "selection", "relation"]
        try:
            found = self._call(model, "fields_get", None, None, {"attributes": attributes})
        except VendorRefused as error:
            if error.status in (404, 422):
                older = ", or no JSON-2, which came with Odoo 19" if self._options.api == "json2" else ""
                raise VendorRefused(f"there is no model {model} here{older}: {error}"[:400], error.status, error.body) from None
            raise
        if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
            raise SourceError(f"{model}: its description has no fields")
        return found

    def close(self) -> None:
        self._session.close()

    # --- asking

    def _call(self, model: str, method: str, name: str | None, first: Any, more: dict[str, Any]) -> Any:
        """A method with its first argument, if any, and others by name. A login that is refused is made once more."""
        token = self._tokens.get()
        try:
            return self._ask(token, model, method, name, first, more)
        except VendorRefused as error:
            if error.status != 401:
                raise
        self._tokens.refused(token)
        return self._ask(self._tokens.get(), model, method, name, first, more)

    def _ask(self, token: AccessToken, model: str, method: str, name: str | None, first: Any, more: dict[str, Any]) -> Any:
        given = {**more, "context": self._context}
        if self._options.api == "json2":
            headers = {"Authorization": f"bearer {token.value}", "X-Odoo-Database": self._options.database}
            body = given | ({name: first} if name else {})
            return self._post(f"/json/2/{model}/{method}", body, headers)
        login = [self._options.database, int(token.facts["uid"]), self._password()]
        return self._rpc("object", "execute_kw", [*login, model, method, [first] if name else [], given])

    def _rpc(self, service: str, method: str, args: Sequence[Any]) -> Any:
        params = {"service": service, "method": method, "args": args}
        answer = self._post("/jsonrpc", {"jsonrpc": "2.0", "method": "call", "id": next(self._ids), "params": params}, {})
        if isinstance(answer, dict) and "error" in answer:
            status = _status(answer["error"])
            raise VendorRefused(words(answer) or "Odoo says that there was an error, and not which", status, answer)
        if not isinstance(answer, dict) or "result" not in answer:
            raise SourceError("the answer is not Odoo's: is this the right address?")
        return answer["result"]

    def _post(self, path: str, body: Any, headers: dict[str, str]) -> Any:
        return understood(
            lambda: self._session.post(f"{self._options.url}{path}", json=body, headers={"Accept": "application/json", **headers}),
            words=words,
            now=self._now(),
        )

    # --- logging in

    def _logged_in(self, _: AccessToken | None) -> AccessToken:
        """The user's number, which each call of JSON-RPC carries beside the password. It does not expire.

        It is no secret, and too short for one: the token's value only says which login it was.
        """
        uid = self._rpc("common", "authenticate", [self._options.database, self._options.user, self._password(), {}])
        if not _is_id(uid):
            raise LoginRefused("the login is refused: the user, the password or the API key is wrong, or this user may not log in")
        return AccessToken(secrets.token_hex(16), facts={"uid": str(uid)})

    def _given(self, _: AccessToken | None) -> AccessToken:
        return AccessToken(self._password())

    def _login(self) -> str:
        return "\0".join([self._options.url, self._options.database, self._options.user, self._options.password.reveal()])

    def _password(self) -> str:
        return login_secret(self._options.password)


def words(body: Any) -> str:
    """What an error says: JSON-RPC's `error.data`, or JSON-2's own body. Tracebacks (`debug`) stay unread."""
    fault = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(fault, dict):
        return ""
    data = fault["data"] if isinstance(fault.get("data"), dict) else fault
    said = " ".join(str(data.get("message") or fault.get("message") or "").split())
    name = str(data.get("name") or "").rpartition(".")[2]
    return redact(f"{said} ({name})" if name else said)[:400]


def _status(fault: Any) -> int:
    data = fault.get("data") if isinstance(fault, dict) else None
    name = str(data.get("name") or "") if isinstance(data, dict) else ""
    return _STATUSES.get(name.rpartition(".")[2], _LATER)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
