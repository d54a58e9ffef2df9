"""Tests of webhooks: one change is told once, and no forgery is believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from crmbridge.contract import WebhookRequest
from crmbridge.errors import InvalidRequest
from crmbridge.model import ChangeKind
from crmbridge.testing.source.parts import OVERLAP, Can, SourceParts, needs
from crmbridge.testing.standin import StandIn
from crmbridge.testing.world import World

LEAST_FORGERIES = 200


class HooksContract(SourceParts):
    """The tests that hold for a source that is called."""

    @needs(Can.WEBHOOK, Can.POLL)
    def test_one_change_is_one_however_it_comes(self, world: World, worlds: Any, make: Any, crm: StandIn) -> None:
        """Expect a webhook, its redelivery and the next poll to give one event, the same that a poll alone finds."""
        polling = worlds(make())
        id = self.begun(crm, world)
        polling.poll()
        crm.update(id, stage="won")
        told = crm.told()
        assert told
        for request in [*told, *told]:
            assert world.hear(request) < 300
        (heard,) = world.news()
        assert world.poll() == []
        (polled,) = polling.poll()
        assert (heard.id, self.says(heard, "stage")) == (polled.id, "won")
        assert world.failed() == []

    @needs(Can.WEBHOOK)
    def test_what_is_new_is_new_however_it_comes(self, world: World, worlds: Any, make: Any, crm: StandIn) -> None:
        """Expect a new record to give the same event, whole and of the same kind, whether a webhook or a poll tells of it first."""
        other = worlds(make())
        self.begun(crm, world)
        if Can.POLL in self.can:
            other.poll()
        id = crm.create(title="Acme")
        for request in crm.told():
            assert world.hear(request) < 300
        heard = world.news()
        (event,) = [*heard, *self.changes(crm, world)]
        assert (event.record_id, event.kind, event.before) == (id, ChangeKind.CREATED, {})
        assert (self.says(event, "title"), self.says(event, "amount")) == ("Acme", Decimal("100.50"))
        assert self.changes(crm, world) == []
        if Can.POLL in self.can:
            (polled,) = other.poll()
            assert (polled.id, polled.kind, polled.before) == (event.id, event.kind, event.before)

    @needs(Can.WEBHOOK, Can.POLL)
    def test_what_comes_into_sight_is_not_new_by_webhook_either(self, world: World, crm: StandIn) -> None:
        """Expect no record to be told as new that is older than what was read, but that somebody gave us access to and changed."""
        self.begun(crm, world)
        old = crm.create()
        crm.hide(old)
        crm.tick(OVERLAP * 20)
        crm.create()
        crm.told()
        world.poll()
        crm.tick(OVERLAP * 20)
        crm.show(old)
        crm.update(old, stage="won")
        for request in crm.told():
            world.hear(request)
        assert [one.kind for one in [*world.news(), *world.poll()] if one.kind is ChangeKind.CREATED] == []

    @needs(Can.WEBHOOK)
    def test_a_redelivery_says_nothing(self, world: World, crm: StandIn) -> None:
        """Expect nothing from a sender that did not hear our answer and sends everything again."""
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        told = crm.told()
        for request in told:
            world.hear(request)
        assert [self.says(one, "stage") for one in world.news()] == ["won"]
        for request in told:
            world.hear(request)
        assert (world.news(), world.failed()) == ([], [])

    @needs(Can.WEBHOOK)
    def test_there_and_back_is_a_change(self, world: World, crm: StandIn) -> None:
        """Expect a change back to an earlier state to be told. Only what the sender repeats is a repeat, however equal the states are."""
        id = self.begun(crm, world)
        heard = []
        for stage in ("won", "open", "won", "open"):
            crm.update(id, stage=stage)
            for request in crm.told():
                assert world.hear(request) < 300
            heard += [self.says(one, "stage") for one in world.news()]
            crm.tick()
        assert (heard, world.failed()) == (["won", "open", "won", "open"], [])

    @needs(Can.WEBHOOK, Can.OLD_VALUES)
    def test_old_values_that_the_vendor_says(self, world: World, crm: StandIn) -> None:
        """Expect old values that the vendor tells to be known at the very first sight of a record."""
        id = crm.create()
        crm.told()
        crm.tick()
        crm.update(id, stage="won")
        for request in crm.told():
            world.hear(request)
        (event,) = world.news()
        assert (event.kind, self.says(event, "stage"), self.says(event, "stage", before=True)) == (ChangeKind.UPDATED, "won", "open")

    @needs(Can.WEBHOOK)
    def test_an_empty_or_strange_body_is_refused(self, world: World, crm: StandIn) -> None:
        """Expect an odd body to be refused by status, or to fail as a request. It never causes an error of our own."""
        id = self.begun(crm, world)
        crm.update(id, stage="won")
        (request, *_) = crm.told()
        for body in (b"", b"{}", b"[]", b"null", b"<a/>", b"\xff\xfe", b"[" * 10_000, b"<a>" * 100_000):
            status = world.hear(replace(request, body=body))
            assert status < 500
        assert world.news() == []

    @needs(Can.WEBHOOK, Can.SIGNED)
    def test_no_forgery_is_believed(self, make: Any, crm: StandIn) -> None:
        """Expect none of at least 200 forgeries to be believed, and none to be answered by an error of our own."""
        source = make()
        crm.update(crm.create(), stage="won")
        request = crm.told()[-1]
        source.verify(request)
        tried = 0
        for forged in (*_flipped(request), *self.forgeries(request)):
            tried += 1
            with pytest.raises(InvalidRequest) as told:
                source.verify(forged)
            assert 400 <= told.value.status < 500
        assert tried >= LEAST_FORGERIES


def _flipped(request: WebhookRequest) -> Iterator[WebhookRequest]:
    """Yield forgeries: one bit of the body flipped, another body, another form of the same body."""
    body = request.body
    for bit in range(0, len(body) * 8, max(1, len(body) * 8 // 150)):
        changed = bytearray(body)
        changed[bit // 8] ^= 1 << bit % 8
        yield replace(request, body=bytes(changed))
    yield from (replace(request, body=other) for other in (b"", body[:-1], body + b" ", b" " + body, body.replace(b",", b", ", 1) + b"\n"))
