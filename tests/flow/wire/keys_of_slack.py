"""The keys of a Slack destination, and of a step that only Slack can follow."""

from flow.wire import networks
from flow.wire.core import Core
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of

from crmbridge.testing.server import cut


class Slack(Core):
    """The same changes, told to a Slack workspace."""

    YAML = Core.YAML.replace(
        "destinations:\n", 'destinations:\n  wins: {type: slack, token: xoxb-one, channel: "#wins", api_url: $slack/api/}\n'
    ).replace("to: out", "to: wins")

    def prepare(self):
        super().prepare()
        self.slack, self.gateway = self.server("slack", networks.slack()), self.server("gateway", networks.slack())

    def posts(self, server=None):
        """What was posted."""
        self.publish("wins")
        return [one for one in (server or self.slack).seen if one.path.endswith("chat.postMessage") or "/services/" in one.path]


proves = proofs_of(Slack)


@proves("destinations.slack.token", ("xoxb-one", "Bearer xoxb-one"), ("xoxb-two", "Bearer xoxb-two"))
def the_token(stage):
    """Who asks."""
    stage.start().change()
    return stage.posts()[0].headers["authorization"]


@proves("destinations.slack.api_url", ("$slack/api/", [1, 0]), ("$gateway/api/", [0, 1]))
@proves(
    "destinations.type", ({"type": "slack", "token": "x", "channel": "C1", "api_url": "$slack/"}, [1, 0]), ({"type": "console"}, [0, 0])
)
def where_it_is_posted(stage):
    """Which of two workspaces hears of it."""
    stage.start().change()
    return [len(stage.posts()), len(stage.posts(stage.gateway))]


@proves("destinations.slack.channel", ("#wins", "#wins"), ("C0123", "C0123"))
def the_channel(stage):
    """Where a step that names no channel posts."""
    stage.start().change()
    return stage.posts()[0].json()["channel"]


@proves("destinations.slack.unfurl", (False, [False, False]), (True, [True, True]))
def previews(stage):
    """Whether Slack is to show what links lead to."""
    stage.start().change()
    return [stage.posts()[0].json()[name] for name in ("unfurl_links", "unfurl_media")]


HOOK = {"destinations/wins": {"type": "slack"}}


@proves(
    "destinations.slack.webhook_url",
    ("$slack/services/T/B/one", ["/services/T/B/one"]),
    ("$slack/services/T/B/two", ["/services/T/B/two"]),
    given=HOOK,
)
def the_incoming_webhook(stage):
    """The address that is posted to."""
    stage.start().change()
    return [one.path for one in stage.posts()]


@proves(
    "destinations.on_unknown",
    ("resend", [2, []]),
    ("hold", [1, ["unknown"]]),
    given={"destinations/wins": {"type": "slack", "webhook_url": "$slack/services/T/B/one"}},
)
def a_lost_answer(stage):
    """How often is posted what was posted once without an answer, and what waits."""
    stage.slack.then(cut)
    stage.start().change()
    return [len(stage.posts()), [one.state.value for one in stage.outbox()]]


LAYOUT = [
    {"type": "header", "text": {"type": "plain_text", "text": "{{ record.name }} & Co"}},
    {"type": "section", "text": {"type": "mrkdwn", "text": "*{{ record.name }}*"}, "block_id": "one"},
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "R&D"}]},
    {"type": "section", "fields": [{"type": "plain_text", "text": "1 < 2", "emoji": False}]},
    {"type": "rich_text", "elements": [{"type": "rich_text_list", "style": "bullet", "border": 0, "indent": 1, "elements": []}]},
]
SHOWN = [
    {"type": "header", "text": {"type": "plain_text", "text": "<*Parkers*> & Co"}},
    {"type": "section", "text": {"type": "mrkdwn", "text": "*&lt;∗Parkers∗&gt;*"}, "block_id": "one"},
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "R&D"}]},
    {"type": "section", "fields": [{"type": "plain_text", "text": "1 < 2", "emoji": False}]},
    {"type": "rich_text", "elements": [{"type": "rich_text_list", "style": "bullet", "border": 0, "indent": 1, "elements": []}]},
]


@proves("rules.publish.blocks", (ABSENT, None), (LAYOUT, SHOWN))
def the_layout(stage):
    """Block Kit as Slack gets it: constants as they are written, a record's words only words."""
    stage.start().change(name="<*Parkers*>")
    return stage.posts()[0].json().get("blocks")


@proves("rules.publish.shorten", (ABSENT, [0, "dead rejected: msg_too_long"]), (["record.name"], [40_000, ""]))
def a_long_text(stage):
    """What becomes of a text that is longer than Slack takes."""
    stage.start().change(name="N" * 41_000)
    posts = stage.posts()
    return [len(posts[0].json()["text"]) if posts else 0, " ".join(f"{one.state.value} {one.reason}" for one in stage.outbox())]
