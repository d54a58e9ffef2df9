"""News on X while the account cannot post: nothing is lost, it waits as long as X says, and people read why. And a picture that fails."""

from datetime import datetime, timedelta, timezone

import pytest
import yaml
from flow.wire import networks
from flow.wire.core import Core

from crmbridge.model import State
from crmbridge.operate import shapes
from crmbridge.store.terms import Overview
from crmbridge.testing import answer
from crmbridge.troubles.facts import DestinationState
from crmbridge.troubles.gather import destination

X = (
    "  brand: {type: twitter, api_url: $x, consumer_key: ck, consumer_secret: cs, access_token: at, access_token_secret: ats, "
    "max_age: 30d, media_from: [127.0.0.1]}\n"
)
CAPPED = {
    "title": "SpendCapReached",
    "detail": "Your enrolled account [2012982] has reached its billing cycle spend cap. API requests will be blocked until its reset date.",
    "type": "https://api.x.com/2/problems/credits",
}


class OnX(Core):
    """Changes told to an X account."""

    YAML = Core.YAML.replace("destinations:\n", f"destinations:\n{X}").replace("to: out", "to: brand, thread: record")

    def prepare(self):
        super().prepare()
        inner, self.refusals = networks.x(), []
        take = inner.default

        def behave(exchange):
            """Posts are refused as long as there are refusals; the login is known all the time."""
            refuse = self.refusals.pop(0) if exchange.path == "/2/tweets" and self.refusals else take
            refuse(exchange)

        inner.default = behave
        self.x, self.pictures = self.server("x", inner), self.server("pictures", networks.pictures())

    def whole(self):
        """The text as it stands."""
        self.known = []
        self.document(yaml.safe_load(self.YAML))
        return self.start()

    def posts(self, within=5.0):
        """What X took or refused."""
        self.publish("brand", within)
        return [one.json() for one in self.x.seen if one.path == "/2/tweets"]

    @property
    def publisher(self):
        return self._publishers["brand"][0]

    def states(self):
        """Of all that were ever accepted, in order."""
        return [one.state for one in self.deliveries()]

    def deliveries(self):
        self.known.extend(self.news())
        keys = [one.key for event in self.known for one in self.config.engine.run(event).rendered]
        return [self._run(self.store.delivery(key))[0] for key in keys]


@pytest.fixture
def stage(tmp_path):
    with OnX(tmp_path) as made:
        yield made


def told(stage):
    """What `status` says of the account: a state and words."""
    found = destination("brand", "twitter", stage.publisher, Overview((), {}, (), {}), stage.now())
    return found.state, found.words


def test_a_spending_limit_waits_for_the_day_that_x_names_and_goes_on_by_itself(stage):
    stage.whole()
    ends = (stage.now() + timedelta(days=3)).date()
    over = datetime(ends.year, ends.month, ends.day, tzinfo=timezone.utc) + timedelta(days=1)
    stage.refusals.append(answer(403, {**CAPPED, "reset_date": ends.isoformat()}))
    for id in range(1, 6):
        stage.change(id=id, name=f"Parkers {id}")
    assert len(stage.posts()) == 1
    assert stage.states() == [State.QUEUED] * 5
    wait = stage.publisher.health.waits[None]
    assert wait.until == over
    for words in ("spend cap. API requests will be blocked", "SpendCapReached", f"reset_date {ends}", "problems/credits"):
        assert words in wait.reason
    assert told(stage)[0] is DestinationState.WAITING
    assert "spend cap. API requests will be blocked" in told(stage)[1]
    stage.clock.advance((over - stage.now()).total_seconds() - 1)
    assert len(stage.posts(within=0.5)) == 1  # never undercut
    stage.clock.advance(2)
    assert len(stage.posts()) == 6
    assert stage.states() == [State.DELIVERED] * 5


@pytest.mark.parametrize(
    "refusal",
    [
        answer(402, {"title": "CreditsDepleted", "type": "https://api.x.com/2/problems/credits", "detail": "no credits"}),
        answer(403, {"title": "Forbidden", "detail": "Your account is suspended and is not permitted to access this feature."}),
        answer(403, {"errors": [{"code": 326, "message": "this account is temporarily locked"}]}),
        answer(429, {"title": "UsageCapExceeded", "detail": "Usage cap exceeded: Monthly product cap"}),
    ],
    ids=["credits", "suspended", "locked", "capped"],
)
def test_what_a_person_must_mend_pauses_and_loses_nothing(stage, refusal):
    stage.whole()
    stage.refusals.append(refusal)
    for id in range(1, 6):
        stage.change(id=id, name=f"Parkers {id}")
    assert len(stage.posts()) == 1
    assert stage.states() == [State.QUEUED] * 5
    paused = stage.publisher.health.paused
    assert paused.until is None
    assert "HTTP 4" in paused.reason
    assert told(stage)[0] is DestinationState.REFUSED
    assert paused.reason in told(stage)[1]
    stage.clock.advance(3600)
    assert len(stage.posts()) == 1
    # A restart, or a reload, tries again.
    stage._run(stage.store.end_pause("brand"))
    stage.publisher.health.paused = None
    assert len(stage.posts()) == 6
    assert stage.states() == [State.DELIVERED] * 5


def test_one_refused_message_holds_up_no_other(stage):
    stage.whole()
    stage.refusals.append(answer(403, {"detail": "Posts are limited to a maximum of one cashtag"}))
    for id in (1, 2):
        stage.change(id=id, name=f"Parkers {id}")
    stage.posts()
    assert [(one.state, one.reason) for one in stage.deliveries()] == [(State.DEAD, "rejected: cashtags"), (State.DELIVERED, "")]


def test_a_picture_that_fails_is_told_beside_the_receipt(tmp_path):
    class WithPicture(OnX):
        YAML = OnX.YAML.replace("text:", 'media: {url: "$pictures/a.png", alt: "{{ record.name }}"}, text:')

    with WithPicture(tmp_path) as stage:
        stage.whole()
        stage.pictures.then(answer(404))
        stage.change()
        stage.publish("brand")
        (one,) = stage.deliveries()
        shown = shapes.delivery(one, stage.config.engine)
        assert shown["receipt"]["note"] == "posted without its picture: HTTP 404"
        assert shown["media"] == {"url": f"{stage.pictures.url}/a.png", "alt": "Parkers", "fault": ""}
        stage.change(id=2)
        stage.publish("brand")
        assert shapes.delivery(stage.deliveries()[-1], stage.config.engine)["receipt"]["note"] is None
