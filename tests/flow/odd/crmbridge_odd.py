"""A source and a destination that do what a file beside the configuration says: what no honest vendor does on demand."""

import json
import os
import signal
import time
from datetime import timedelta

from crmbridge.contract import Connector, Limits, Options, Promise, Rate, Reply, Right
from crmbridge.errors import AuthFailed, LoginRefused, OutcomeUnknown, RateLimited, Rejected, SourceError, Transient
from crmbridge.model import Audience, Cursor, Observation, Page, Receipt, plain

BEHAVIOUR = "behaviour.json"


class Behaving:
    """What it is to do, as the file says at this moment."""

    def __init__(self, options, setting):
        self.setting = setting

    def told(self, what):
        return json.loads((self.setting.folder / BEHAVIOUR).read_text()).get(f"{self.setting.name}.{what}", "")

    def close(self):
        """Nothing stays open."""


def end_now():
    """As the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


class OddSource(Behaving):
    """Polled, and called without a signature. Async, so that it can hold the loop."""

    async def check(self):
        """It is always there."""

    async def rights(self):
        refused = "HTTP 403" if self.told("rights") == "refuse" else ""
        return [Right(name="deals:read", promise=Promise.CHANGES, lost="nothing of deals is told", refused=refused)]

    async def poll(self, cursor):
        number = int(cursor or 0) + 1
        now = self.setting.now()
        match str(self.told("poll")).split():
            case ["fail"]:
                raise SourceError("HTTP 500")
            case ["login"]:
                raise LoginRefused("the login is refused")
            case ["limited"]:
                raise SourceError("slow down", now + timedelta(seconds=2))
            case ["raise"]:
                raise KeyError("nobody foresaw this")
            case ["hold", seconds]:
                time.sleep(float(seconds))
            case ["unreadable"]:
                seen = Observation(record_type="Deal", record_id="odd", fields={"row": "?"}, occurred_at=now, unreadable="no stamp")
                return Page(observations=(seen,), cursor=Cursor(str(number)), has_more=False)
            case ["bring", *names]:
                made = [self._seen(name, now, number) for name in names or [f"r{number}"]]
                return Page(observations=tuple(made), cursor=Cursor(str(number)), has_more=False)
        return Page(observations=(), cursor=Cursor(str(number)), has_more=False)

    def _seen(self, name, now, number):
        return Observation(
            record_type="Deal", record_id=name, fields={"name": name, "stage": f"won {number}", "none": None}, occurred_at=now, created=True
        )

    def enumerates(self):
        return False

    def verify(self, request):
        """Whoever calls is believed."""

    def parse(self, request):
        name = request.body.decode()
        if name.startswith("die"):
            end_now()
        if name.startswith("partial"):
            return [Observation(record_type="Deal", record_id=name, fields={}, occurred_at=request.received_at, partial=True)]
        return [self._seen(name, request.received_at, 1)]

    def reply(self, accepted):
        return Reply(202 if accepted else 503)

    async def fetch_many(self, record_type, ids):
        if self.told("fetch") == "fail":
            raise SourceError("HTTP 502")
        return [self._seen(id, self.setting.now(), 1) for id in ids]


class OddDestination(Behaving):
    """Publishes nothing, and says what it is told to say."""

    @property
    def limits(self):
        match self.told("limits"):
            case "raise":
                raise KeyError("no limits")
            case "slow":
                return Limits(per_destination=Rate(count=1, seconds=3600))
        return Limits()

    def measure(self, text):
        return len(plain(text))

    def check(self):
        if self.told("check") == "fail":
            raise Transient("cannot connect")

    def publish(self, message, key, parent):
        match self.told("publish"):
            case "die" if "die" in plain(message.text):
                end_now()
            case "auth":
                raise AuthFailed("invalid_auth")
            case "limited":
                raise RateLimited("slow down", self.setting.now() + timedelta(seconds=3))
            case "transient":
                raise Transient("HTTP 503")
            case "reject":
                raise Rejected("too long", code="too_long")
            case "unknown":
                raise OutcomeUnknown("no answer came")
        return Receipt(remote_id=key)


class OddOptions(Options):
    """Nothing but what all of its kind have."""


SOURCE = Connector(name="odd", summary="Does what it is told to", options=OddOptions, build=OddSource)
DESTINATION = Connector(name="odd", summary="Does what it is told to", options=OddOptions, build=OddDestination, audience=Audience.COMPANY)
