"""A connector as somebody in a hurry would write it; test_contract.py demands that the contract suite sees through it."""

from __future__ import annotations

import logging
from datetime import datetime

import requests

from crmbridge.contract import Ability, Connector, Limits, Options, Setting
from crmbridge.errors import Transient
from crmbridge.model import Message, Receipt, Text, plain
from crmbridge.testing import NetworkDestinationContract, answer


class CarelessOptions(Options):
    token: str = "canary-0123456789"
    url: str = ""


class Careless:
    """Repeats, follows redirects, takes an error for success, loses exceptions, never looks and shows its token."""

    limits = Limits(length=10)

    def __init__(self, options: CarelessOptions, setting: Setting) -> None:
        self.options = options
        self.closed = False
        self.deleted = False

    def measure(self, text: Text) -> int:
        return 5

    def check(self) -> None:
        requests.get(self.options.url, timeout=2)

    def publish(self, message: Message, key: str, parent: Receipt | None) -> Receipt:
        logging.getLogger("careless").debug("with %s", self.options.token)
        if len(plain(message.text)) == self.limits.length:
            raise ValueError("off by one")
        shown = message.media.alt[0].text if message.media else ""
        words = shown + plain(message.text) + (message.link or "") + (message.channel.key if message.channel else "")
        for _ in range(2):
            try:
                answer = requests.post(self.options.url, data=words.encode(), timeout=0.3)
            except requests.ConnectionError:
                continue
            if answer.status_code == 429:
                raise Transient("slow down")
            requests.get(self.options.url, timeout=0.3)  # is it there?
            return Receipt(remote_id="")
        raise ValueError("gave up")

    def edit(self, receipt: Receipt, message: Message, key: str) -> Receipt:
        requests.post(self.options.url, data=plain(message.text).encode(), timeout=0.3)
        return receipt

    def delete(self, receipt: Receipt) -> None:
        requests.delete(self.options.url, timeout=0.3)
        if self.deleted:
            raise KeyError("it is gone already")
        self.deleted = True

    def find(self, message: Message, key: str, parent: Receipt | None, since: datetime) -> Receipt | None:
        return None

    def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed twice")
        self.closed = True


class TestCareless(NetworkDestinationContract):
    connector = Connector(
        name="careless",
        summary="",
        options=CarelessOptions,
        build=Careless,
        can=lambda _: frozenset({Ability.EDIT, Ability.DELETE}),
        lay_out=lambda _, layout: layout["no"],
    )
    success = staticmethod(answer(200))
    head_gone = staticmethod(answer(404))
    canaries = ("canary-0123456789",)
