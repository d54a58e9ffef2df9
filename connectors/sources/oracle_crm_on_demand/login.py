"""Sessions at the vendor: one login for all who ask, no hammering with a password that is refused."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta

import requests

from connectors.sources.oracle_crm_on_demand import dialect
from connectors.sources.oracle_crm_on_demand.options import OracleOptions
from connectors.sources.oracle_crm_on_demand.zone import Zone
from crmbridge.contract import Setting, login_secret
from crmbridge.errors import SourceError
from crmbridge.http import AccessToken, HttpSession, Tokens, VendorRefused, read, understood
from crmbridge.model import parse_instant
from crmbridge.telemetry import hide

_FAREWELL = 2.0  # seconds that logging off may take
_QUARTER = timedelta(minutes=15)


class Login:
    """Logs in, and off. A session's Cookie header is its token.

    A company may have about ten sessions: one that is replaced is logged off first, and one that is kept for the next
    process (`state_folder`) is used again. https://docs.oracle.com/cd/G30551_01 "Login with Oracle CRM On Demand REST API"
    """

    def __init__(self, options: OracleOptions, setting: Setting, session: HttpSession) -> None:
        self._options = options
        self._setting = setting
        self._session = session
        self._shown = ""
        """The Cookie header that was used last."""
        self._refused: tuple[str, datetime] | None = None
        """A password that was refused, and until when it is not tried again."""
        self._lock = threading.Lock()
        self.tokens = Tokens(self._obtain, now=setting.now, keep=setting.token_file, login=self._name)

    def _name(self) -> str:
        """Whose sessions these are."""
        return "\0".join([self._options.url, self._options.user, self._options.password.reveal()])

    def headers(self, token: AccessToken) -> dict[str, str]:
        """What shows a session, and how answers are wanted."""
        self._shown = token.value
        return {"Accept": dialect.ACCEPT, dialect.LANGUAGE_HEADER: self._options.language, "Cookie": token.value}

    def check_zone(self, zone: Zone) -> None:
        """Compare the vendor's clock as it was at login with ours. Raises SourceError if the zone cannot be the user's."""
        token = self.tokens.get()
        ahead, at = token.facts.get("ahead"), parse_instant(token.facts.get("at", ""))
        if not ahead or at is None:
            return
        shown = round(timedelta(seconds=float(ahead)) / _QUARTER) * _QUARTER
        wanted = zone.offset(at) if dialect.SERVER_DATE_IS_LOCAL else timedelta(0)
        if shown != wanted:
            self._shown = token.value
            self.tokens.refused(token)  # the next check compares anew
            raise SourceError(
                f"the vendor's clock shows {_hours(shown)} from our UTC, and time_zone {zone.name} has {_hours(wanted)}:"
                " set time_zone to the zone in the integration user's profile (best is UTC there), or set this machine's clock"
            )

    def log_off(self) -> None:
        """End the session that was used last, as far as that can be done in a moment."""
        with self._lock:
            cookies, self._shown = self._shown, ""
        if cookies:
            with contextlib.suppress(requests.RequestException, OSError), HttpSession(self._setting.network) as session:
                session.get(f"{self._address}?action=logoff", headers={"Cookie": cookies}, timeout=_FAREWELL)

    @property
    def _address(self) -> str:
        return f"{self._options.url}{dialect.ROOT}/Connection"

    def _obtain(self, last: AccessToken | None) -> AccessToken:
        self._shown = (last.value if last else "") or self._shown
        self.log_off()
        now = self._setting.now()
        password = self._password(now)
        name = base64.b64encode(f"{self._options.user}:{password}".encode()).decode()
        hide(name)
        headers: dict[str, str] = {}
        asked = {"Authorization": f"Basic {name}", "Accept": dialect.ACCEPT}
        try:
            body = understood(
                lambda: read(self._session, self._address, headers=asked), words=dialect.error_words, now=now, heard=headers.update
            )
        except VendorRefused as error:
            if error.status not in (401, 403) or dialect.too_fast(str(error)):
                raise
            until = now + dialect.LOCKED_OUT
            self._refused = (password, until)
            raise SourceError(_no_login(self._options.user, str(error)), until) from None
        cookies = dialect.session_cookies(headers)
        if not cookies:
            raise SourceError(f"the vendor answered the login without a {dialect.SESSION_COOKIE} cookie")
        for cookie in cookies.split("; "):
            hide(cookie.partition("=")[2])
        self._refused = None
        return AccessToken(cookies, now + dialect.SESSION_LIFETIME, facts=_clock(body, now))

    def _password(self, now: datetime) -> str:
        password = login_secret(self._options.password)
        if self._refused and self._refused[0] == password and now < self._refused[1]:
            raise SourceError(_no_login(self._options.user, "not tried again yet, lest the user be locked"), self._refused[1])
        return password


def _no_login(user: str, why: str) -> str:
    return f'{user} cannot log in ({why}): is the password right, and has its role the privilege "Restful Services Integration"?'


def _clock(body: object, now: datetime) -> Mapping[str, str]:
    """How many seconds the vendor's clock, as it shows it, is ahead of our UTC."""
    connection = body.get("Connection") if isinstance(body, Mapping) else None
    if isinstance(connection, list) and connection:
        connection = connection[0]
    text = connection.get("ServerDate") if isinstance(connection, Mapping) else None
    shown = parse_instant(str(text or ""))
    return {"ahead": str((shown - now).total_seconds()), "at": now.isoformat()} if shown else {}


def _hours(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
