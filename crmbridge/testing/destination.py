"""What every destination promises, as tests to inherit.

A subclass says how its connector is made. pytest then runs every test here against it. The tests drive the connector as
the core does, and use nothing but the contract.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any, ClassVar

import pytest

from crmbridge.contract import Ability, Connector, Destination, Findable, Setting, Unsaid, odd_abilities
from crmbridge.errors import DeliveryError, HeadGone, OutcomeUnknown, RateLimited, Rejected, Transient
from crmbridge.http import marked
from crmbridge.model import Channel, Literal, Media, Message, Network, Receipt, RecordRef, Value
from crmbridge.testing.driver import HOSTILE, KEY, PATIENT, Driver, hurried, message
from crmbridge.testing.server import Behaviour, ScriptedServer, answer, cut, dribble, hang, unresponsive


class DestinationContract:
    """The tests that hold for every destination. Override `make`, or give the class attributes that it uses."""

    connector: ClassVar[Connector]
    options: ClassVar[Mapping[str, Any]] = {}
    changes: ClassVar[Mapping[str, Any]] = {}
    """The parts in which every message of the suite must differ for this network."""
    names_posts: ClassVar[bool] = True
    """The network tells the id of a message that was published."""

    def said(self, *text: Literal | Value, **changes: Any) -> Message:
        """Make a message that this network takes."""
        return message(*text, **{**self.changes, **changes})

    def able(self) -> frozenset[Ability]:
        """Return what the connector says that it can do with these options."""
        return self.connector.can(self.connector.options(**self.options))

    def orders(self) -> list[str]:
        """Return the methods besides `publish` that change something at the network."""
        return [ability.value for ability in (Ability.EDIT, Ability.DELETE) if ability in self.able()]

    def make(self, setting: Setting) -> Destination:
        """Make the destination under test, able to publish."""
        built: Destination = self.connector.build(self.connector.options(**self.options), setting)
        return built

    @pytest.fixture
    def driver(self) -> Iterator[Driver]:
        with asyncio.Runner() as runner:
            made = Driver(runner)
            yield made
            made.close()

    @pytest.fixture
    def setting(self, tmp_path: Any) -> Setting:
        return Setting(name="here", network=Network(deadline=PATIENT), folder=tmp_path)

    @pytest.fixture
    def destination(self, driver: Driver, setting: Setting) -> Destination:
        return driver.own(self.make(setting))

    def test_it_has_every_method(self, destination: Destination) -> None:
        assert isinstance(destination, Destination)
        assert destination.limits.concurrency >= 1
        assert destination.limits.batch >= 1

    def test_every_option_is_described(self) -> None:
        for name, facts in self.connector.options.model_fields.items():
            assert (facts.description or "").endswith("."), name

    def test_publishing_gives_a_receipt(self, driver: Driver, destination: Destination) -> None:
        outcome = driver.publish(destination, self.said())
        assert isinstance(outcome, Receipt), outcome
        assert bool(outcome.remote_id) is self.names_posts

    def test_a_picture_that_is_none_costs_no_message(self, driver: Driver, destination: Destination) -> None:
        outcome = driver.publish(destination, self.said(media=Media("", (), "an address holds no blanks")))
        assert isinstance(outcome, Receipt), outcome

    def test_its_abilities_are_those_it_has(self, destination: Destination) -> None:
        able = self.able()
        assert odd_abilities(able, destination) == []
        assert self.names_posts or not able & {Ability.THREAD, Ability.EDIT, Ability.DELETE}

    def test_what_was_published_can_be_edited_and_deleted(self, driver: Driver, destination: Destination) -> None:
        receipt = driver.publish(destination, self.said())
        assert isinstance(receipt, Receipt)
        for name in self.orders():
            for _ in range(2):  # a repeat changes nothing more
                outcome = driver.order(destination, name, receipt, self.said(Value("Other words"), edit=True))
                assert not isinstance(outcome, DeliveryError), outcome

    def test_hostile_values_are_edited_or_refused(self, driver: Driver, destination: Destination) -> None:
        if "edit" not in self.orders():
            return
        receipt = driver.publish(destination, self.said())
        assert isinstance(receipt, Receipt)
        for words in HOSTILE:
            outcome = driver.order(destination, "edit", receipt, self.said(Literal("a"), Value(words)))
            assert isinstance(outcome, (Receipt, Rejected)), outcome

    def test_what_may_be_shortened_fits(self, driver: Driver, destination: Destination) -> None:
        length = destination.limits.length
        text = (Literal("At "), Value("Parkers & Sons <x> " * ((length or 10_000) // 10), True), Literal(" it is live."))
        assert destination.measure(text) > (length or 0)
        assert isinstance(driver.publish(destination, self.said(*text)), Receipt)

    def test_a_longer_text_measures_more(self, destination: Destination) -> None:
        short, long = ((Literal("word " * count),) for count in (1, 100))
        assert 0 < destination.measure(short) < destination.measure(long)

    def test_text_over_the_limit_is_rejected(self, driver: Driver, destination: Destination) -> None:
        length = destination.limits.length
        if length is None:  # without a limit, no text may be too long
            assert isinstance(driver.publish(destination, self.said(Literal("x" * 200_000))), Receipt)
            return
        text = (Literal("x" * (length + 1)),)
        assert destination.measure(text) > length
        assert isinstance(driver.publish(destination, self.said(*text)), Rejected)

    def test_text_at_the_limit_is_published(self, driver: Driver, destination: Destination) -> None:
        length = destination.limits.length
        assert isinstance(driver.publish(destination, self.said(Literal("x" * (length or 100_000)))), Receipt)

    @pytest.mark.parametrize("words", HOSTILE, ids=lambda words: ascii(words[:12]))
    def test_hostile_values_are_published_or_refused(self, driver: Driver, destination: Destination, words: str) -> None:
        for text in [(Value(words),), (Literal("a"), Value(words), Literal("b")), (Literal("https://a.example/"), Value(words))]:
            destination.measure(text)
            outcome = driver.publish(destination, self.said(*text))
            assert isinstance(outcome, (Receipt, Rejected)), outcome

    @pytest.mark.parametrize("link", ["javascript:alert(1)", "https://a.example/|x>\n<!channel>", "http://[", "", "https://\ud800/", "//a"])
    def test_hostile_links_are_published_or_refused(self, driver: Driver, destination: Destination, link: str) -> None:
        outcome = driver.publish(destination, self.said(link=link))
        assert isinstance(outcome, (Receipt, Rejected)), outcome

    def test_hostile_names_are_published_or_refused(self, driver: Driver, destination: Destination) -> None:
        for words in ("\0", "\ud800", "a\r\nX-Evil: 1", "x" * 10_000):
            said = self.said(channel=Channel(words, words), record=RecordRef("crm", "Account", words), thread=words)
            assert isinstance(driver.publish(destination, said), (Receipt, Rejected))

    def test_closing_twice_is_fine(self, driver: Driver, destination: Destination) -> None:
        driver.publish(destination, self.said())
        driver.call(destination.close)
        driver.call(destination.close)

    def test_a_layout_is_judged_and_never_raises(self) -> None:
        """Expect every odd layout to be judged without an exception.

        `lint` judges layouts before there is a record, and every message is judged later. An odd part must spoil no more than itself.
        """
        if (judge := self.connector.lay_out) is not None:
            for layout in (None, 5, "x", *([odd] for odd in (None, {}, {"type": 5}, (Value("x"),), Unsaid()))):
                assert judge(self.connector.options(**self.options), layout).faults, layout


class NetworkDestinationContract(DestinationContract):
    """The tests that hold for a destination that is reached over HTTP. `success` is the network's answer that it published a message."""

    success: ClassVar[Behaviour]
    url_option: ClassVar[str] = "url"
    canaries: ClassVar[tuple[str, ...]] = ()
    """The secrets among `options`. They must never be shown."""
    takes_key: ClassVar[bool] = True
    """The network is given the idempotency key."""
    head_gone: ClassVar[Behaviour | None] = None
    """The network's answer to a reply whose first message was taken back."""
    tells_wait: ClassVar[bool] = True
    """The network says with Retry-After how long to wait."""

    def make_at(self, url: str, setting: Setting) -> Destination:
        """Make the destination under test, speaking to `url`."""
        built: Destination = self.connector.build(self.connector.options(**{**self.options, self.url_option: url}), setting)
        return built

    def able(self) -> frozenset[Ability]:
        return self.connector.can(self.connector.options(**{**self.options, self.url_option: "https://here.example/"}))

    @pytest.fixture
    def server(self) -> Iterator[ScriptedServer]:
        with ScriptedServer(type(self).success) as running:
            yield running

    @pytest.fixture
    def destination(self, driver: Driver, setting: Setting, server: ScriptedServer) -> Destination:
        return driver.own(self.make_at(server.url, setting))

    def test_one_attempt_is_one_request(self, driver: Driver, destination: Destination, server: ScriptedServer) -> None:
        driver.publish(destination, self.said())
        assert len(server.seen) == 1

    def test_the_key_goes_along(self, driver: Driver, destination: Destination, server: ScriptedServer) -> None:
        driver.publish(destination, self.said())
        (seen,) = server.seen
        sent = KEY in seen.body.decode() or KEY in " ".join(seen.headers.values())
        assert sent is self.takes_key
        assert self.takes_key or not self.connector.idempotent

    def test_a_head_that_is_gone_is_said_so(self, driver: Driver, destination: Destination, server: ScriptedServer) -> None:
        """Expect a reply to a message that was taken back to be refused as HeadGone, or to be taken alone.

        A message that replies to nothing is never alone.
        """
        if gone := type(self).head_gone:
            server.then(gone, gone)
            outcome = driver.publish(destination, self.said(), Receipt(remote_id="150.1", extra={"channel": "C1"}))
            assert isinstance(outcome, HeadGone) or (isinstance(outcome, Receipt) and outcome.alone), outcome
            assert len(server.seen) == 1, "a destination never repeats"
            assert not getattr(driver.publish(destination, self.said()), "alone", False)

    @pytest.fixture
    def impatient(self, driver: Driver, setting: Setting, server: ScriptedServer) -> Destination:
        return driver.own(self.make_at(server.url, hurried(setting)))

    @pytest.mark.parametrize("behaviour", [hang, dribble])
    def test_no_answer_in_time_is_unknown(
        self, driver: Driver, impatient: Destination, server: ScriptedServer, behaviour: Behaviour
    ) -> None:
        server.then(behaviour)
        began = time.monotonic()
        outcome = driver.publish(impatient, self.said())
        assert isinstance(outcome, OutcomeUnknown), outcome
        assert time.monotonic() - began < 4, "the deadline is absolute: a byte now and then does not extend it"
        assert len(server.seen) == 1, "a destination never repeats"

    @pytest.mark.parametrize("behaviour", [cut, answer(500), answer(502), answer(504, b"<html>")])
    def test_lost_after_sending_is_unknown(
        self, driver: Driver, destination: Destination, server: ScriptedServer, behaviour: Behaviour
    ) -> None:
        server.then(behaviour)
        outcome = driver.publish(destination, self.said())
        assert isinstance(outcome, OutcomeUnknown), outcome
        assert len(server.seen) == 1, "a destination never repeats"

    def test_lost_on_a_kept_connection_is_unknown(self, driver: Driver, destination: Destination, server: ScriptedServer) -> None:
        server.then(type(self).success, cut)
        assert isinstance(driver.publish(destination, self.said()), Receipt)
        assert isinstance(driver.publish(destination, self.said()), OutcomeUnknown)
        assert len(server.seen) == 2

    def test_a_refused_connection_is_transient(self, driver: Driver, destination: Destination, server: ScriptedServer) -> None:
        server.refuse()
        assert isinstance(driver.publish(destination, self.said()), Transient)

    def test_no_connection_in_time_is_transient(self, driver: Driver, setting: Setting) -> None:
        with unresponsive() as url:
            outcome = driver.publish(driver.own(self.make_at(url, hurried(setting))), self.said())
        assert isinstance(outcome, Transient), outcome

    @pytest.mark.parametrize("as_date", [False, True])
    def test_the_wait_that_is_asked_for_is_kept(
        self, driver: Driver, destination: Destination, server: ScriptedServer, as_date: bool
    ) -> None:
        until = datetime.now(timezone.utc) + timedelta(seconds=77)
        server.then(answer(429, b"", {"Retry-After": format_datetime(until, usegmt=True) if as_date else "77"}))
        outcome = driver.publish(destination, self.said())
        assert isinstance(outcome, RateLimited), outcome
        if self.tells_wait:
            assert abs((outcome.until - until).total_seconds()) < 5
        else:  # the network gives the header another meaning, or none: still there must be no attempt before some instant
            assert outcome.until > datetime.now(timezone.utc)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirects_are_not_followed(self, driver: Driver, destination: Destination, server: ScriptedServer, status: int) -> None:
        with ScriptedServer(type(self).success) as elsewhere:
            server.then(answer(status, b"", {"Location": f"{elsewhere.url}/stolen"}))
            outcome = driver.publish(destination, self.said())
            assert isinstance(outcome, DeliveryError)
            assert not elsewhere.seen

    @pytest.fixture
    def published(self, driver: Driver, destination: Destination, server: ScriptedServer) -> Receipt:
        """Publish a message and return its receipt, with nothing else seen by the server."""
        receipt = driver.publish(destination, self.said())
        assert isinstance(receipt, Receipt)
        server.seen.clear()
        return receipt

    @pytest.mark.parametrize(
        ("behaviour", "kinds"),
        [
            (cut, OutcomeUnknown),
            (answer(500), OutcomeUnknown),
            (answer(502, b"<html>"), OutcomeUnknown),
            (answer(429, b"", {"Retry-After": "77"}), RateLimited),
            (answer(400), Rejected),
            (answer(200, b"<html>"), (OutcomeUnknown, Receipt, type(None))),  # some networks are asked for the status alone
        ],
    )
    def test_edits_and_deletions_are_answered_as_posts_are(
        self, driver: Driver, destination: Destination, server: ScriptedServer, published: Receipt, behaviour: Behaviour, kinds: Any
    ) -> None:
        for name in self.orders():
            server.seen.clear()
            server.then(behaviour)
            outcome = driver.order(destination, name, published, self.said(Value("Other words")))
            assert isinstance(outcome, kinds), (name, outcome)
            assert len(server.seen) == 1, "a destination never repeats"

    def test_edits_and_deletions_that_never_left_are_transient(
        self, driver: Driver, setting: Setting, server: ScriptedServer, published: Receipt
    ) -> None:
        server.refuse()
        other = driver.own(self.make_at(server.url, setting))  # a new destination has no kept connection
        for name in self.orders():
            outcome = driver.order(other, name, published, self.said())
            assert isinstance(outcome, Transient), (name, outcome)

    def test_edits_and_deletions_follow_no_redirect(
        self, driver: Driver, destination: Destination, server: ScriptedServer, published: Receipt
    ) -> None:
        with ScriptedServer(type(self).success) as elsewhere:
            for name in self.orders():
                server.then(answer(307, b"", {"Location": f"{elsewhere.url}/stolen"}))
                assert isinstance(driver.order(destination, name, published, self.said()), DeliveryError)
            assert not elsewhere.seen

    @pytest.mark.parametrize(
        "behaviour", [cut, answer(500), answer(502), answer(200, b"<html>"), answer(200, {}), answer(401), answer(403)]
    )
    def test_no_answer_is_not_an_absence(
        self, driver: Driver, destination: Destination, server: ScriptedServer, behaviour: Behaviour
    ) -> None:
        if not isinstance(destination, Findable):
            return
        server.then(behaviour)
        with marked(), pytest.raises(DeliveryError) as caught:
            driver.call(destination.find, self.said(), KEY, None, datetime.now(timezone.utc))
        assert not isinstance(caught.value, OutcomeUnknown), "a look publishes nothing"

    def test_check_needs_a_server(self, driver: Driver, destination: Destination, server: ScriptedServer) -> None:
        server.refuse()
        try:
            driver.call(destination.check)
        except DeliveryError:
            return
        assert not server.seen  # a network that can only be posted to has nothing to ask

    def test_secrets_are_never_shown(self, driver: Driver, setting: Setting, server: ScriptedServer) -> None:
        stream = io.StringIO()
        noted = logging.StreamHandler(stream)
        root, level = logging.getLogger(), logging.getLogger().level
        root.addHandler(noted)
        root.setLevel(logging.DEBUG)
        try:
            destination = driver.own(self.make_at(server.url, setting))
            outcomes: list[Receipt | DeliveryError | None] = []
            echoes = " ".join(self.canaries).encode()
            for behaviour in (type(self).success, cut, answer(400, echoes), answer(401, echoes), answer(500, {"error": echoes.decode()})):
                server.then(behaviour)
                outcomes.append(driver.publish(destination, self.said()))
            outcomes += self._ordered(driver, destination, server, echoes)
            server.refuse()
            outcomes.append(driver.publish(destination, self.said()))
        finally:
            root.removeHandler(noted)
            root.setLevel(level)
        shown = [stream.getvalue(), repr(destination), repr(self.connector.options(**{**self.options, self.url_option: server.url}))]
        shown += [f"{outcome} {outcome!r} {vars(outcome) if isinstance(outcome, DeliveryError) else ''}" for outcome in outcomes]
        assert self.canaries, "name the secrets among the options"
        for canary in self.canaries:
            assert not [text for text in shown if canary in text]

    def _ordered(
        self, driver: Driver, destination: Destination, server: ScriptedServer, echoes: bytes
    ) -> list[Receipt | DeliveryError | None]:
        """Collect the outcomes of edits, deletions and looks when the network echoes our secrets."""
        receipt = driver.publish(destination, self.said())
        found: list[Receipt | DeliveryError | None] = []
        for behaviour in (cut, answer(400, echoes), answer(401, echoes), answer(500, {"error": echoes.decode()})):
            for name in self.orders():
                if isinstance(receipt, Receipt):
                    server.then(behaviour)
                    found.append(driver.order(destination, name, receipt, self.said()))
            if isinstance(destination, Findable):
                server.then(behaviour)
                try:
                    found.append(driver.call(destination.find, self.said(), KEY, None, datetime.now(timezone.utc)))
                except DeliveryError as error:
                    found.append(error)
        return found
