"""The few calls of Tryton's REST API that this source makes; all of them with one key, and none of them writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from connectors.sources.tryton import words
from connectors.sources.tryton.options import TrytonOptions
from connectors.sources.tryton.words import Domain
from crmbridge.contract import Setting, login_secret
from crmbridge.errors import SourceError
from crmbridge.http import AccessToken, HttpSession, Kept, Tokens, Vendor, VendorRefused

_IDS: Final = 200  # in one address, of which servers read some thousand characters
_ASKED: Final = 500  # ids in the body of one call

T = TypeVar("T")
Record = dict[str, Any]
Revisions = dict[int, list[int]]
"""The instants at which records were made, written and deleted, the oldest first, by id."""


class Api:
    """Reads one database. Every method raises SourceError."""

    def __init__(self, options: TrytonOptions, setting: Setting) -> None:
        self._options = options
        self._now: Callable[[], datetime] = setting.now
        self._session = HttpSession(setting.network)
        self._tokens = Tokens(lambda _: AccessToken(login_secret(options.key)), now=setting.now)
        self._context: dict[str, Any] = {"active_test": False, "language": options.language}  # what is archived is not deleted
        if options.company is not None:
            self._context["company"] = options.company
        self._fields = Kept(lambda model: self._post(model, "fields_get", {}))
        self._lists = Kept(lambda method: self._post("ir.model", method, {}))

    def search(
        self, model: str, fields: Sequence[str], domain: Domain, order: Sequence[str] = (), limit: int = _IDS, at: int | None = None
    ) -> list[Record]:
        """Records with `fields`, as they are, or `at` an instant as its history says: without those that were not there, or not for us."""
        asked = words.query(["id", *fields], domain, order, limit)
        found = self._told(model, lambda: self._vendor(at).get(lambda _: f"{self._base}/{model}?{asked}"))
        if not isinstance(found, list) or not all(isinstance(one, dict) and isinstance(one.get("id"), int) for one in found):
            raise SourceError(f"{model}: the answer is no list of records")
        return found

    def read(self, model: str, fields: Sequence[str], ids: Sequence[int], at: int | None = None) -> dict[int, Record]:
        """Single records by id."""
        found: dict[int, Record] = {}
        for some in _parts(ids, _IDS):
            found |= {one["id"]: one for one in self.search(model, fields, [["id", "in", list(some)]], at=at)}
        return found

    def revisions(self, model: str, ids: Sequence[int]) -> Revisions:
        """What history there is of these ids, of deleted records too."""
        found: Revisions = {}
        for some in _parts(ids, _ASKED):
            answer = self._post(model, "history_revisions", {"ids": list(some)})
            for one in answer if isinstance(answer, list) else ():
                at = words.instant(one[0]) if isinstance(one, list) and len(one) >= 2 else None
                if at is None or not isinstance(one[1], int):
                    raise SourceError(f"{model}: a revision has no instant or no id")
                found.setdefault(one[1], []).append(at)
        return {id: sorted(set(instants)) for id, instants in found.items()}

    def described(self, model: str) -> dict[str, Any]:
        """A model's fields, as this user may see them."""
        if model not in self.models():
            raise SourceError(f"{model}: there is no such model; is its module activated, and the name right, like sale.opportunity?")
        fields = self._fields.get(model)
        if not isinstance(fields, dict):
            raise SourceError(f"{model}: its description has no fields")
        return fields

    def models(self) -> list[Any]:
        """All models."""
        return self._names("list_models")

    def keeps_history(self, model: str) -> bool:
        return model in self._names("list_history")

    def forget(self) -> None:
        """Ask for descriptions anew."""
        self._fields.forget()
        self._lists.forget()

    def close(self) -> None:
        self._session.close()

    # --- asking

    @property
    def _base(self) -> str:
        return f"{self._options.url}/{self._options.database}/rest/model"

    def _names(self, method: str) -> list[Any]:
        found = self._lists.get(method)
        if not isinstance(found, list):
            raise SourceError(f"the answer to {method} is no list")
        return found

    def _post(self, model: str, method: str, arguments: dict[str, Any]) -> Any:
        return self._told(f"{model}/{method}", lambda: self._vendor(None).post(lambda _: f"{self._base}/{model}/{method}", arguments))

    def _vendor(self, at: int | None) -> Vendor:
        """Asks in our context; with `at`, as of that instant."""
        context = self._context if at is None else {**self._context, "_datetime": words.written(at)}
        return Vendor(
            self._session,
            self._tokens,
            words=_said,
            now=self._now,
            authorize=lambda token: {"Authorization": f"Bearer {token.value}", "X-Tryton-Context": words.encoded(context)},
        )

    def _told(self, what: str, ask: Callable[[], Any]) -> Any:
        """Tryton's refusals are web pages without words of its own."""
        try:
            return ask()
        except VendorRefused as error:
            match error.status:
                case 401:
                    why = "the key is not one of a validated user application for the REST API in this database"
                case 403:
                    why = f"the user of the key may not read {what}"
                case 404:
                    why = f"there is no REST API for a database {self._options.database} here"
                case _:
                    raise
            raise VendorRefused(f"{error}: {why}", error.status, error.body, error.retry_at) from None


def _said(body: Any) -> str:
    """`{"status": 400, "message": "...", "description": "..."}`"""
    return " ".join(str(body.get(name) or "") for name in ("message", "description")).strip() if isinstance(body, dict) else ""


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
