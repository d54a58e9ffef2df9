"""The keys of a Teams destination, and of a step that only Teams can follow."""

from flow.wire import networks
from flow.wire.core import Core
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of

from crmbridge.testing.server import cut

INVOKE = "/powerautomate/automations/direct/workflows/f00/triggers/manual/paths/invoke?api-version=1&sp=%2Frun&sig="


class Teams(Core):
    """The same changes, told to a channel of Teams."""

    YAML = Core.YAML.replace("destinations:\n", f"destinations:\n  team: {{type: teams, url: '$teams{INVOKE}one'}}\n").replace(
        "to: out", "to: team"
    )

    def prepare(self):
        super().prepare()
        self.teams = self.server("teams", networks.teams())

    def posts(self):
        """What was posted."""
        self.publish("team")
        return self.teams.seen

    def cards(self):
        """The cards of it."""
        return [one.json()["attachments"][0]["content"] for one in self.posts()]


proves = proofs_of(Teams)


@proves("destinations.teams.url", (f"$teams{INVOKE}one", [f"{INVOKE}one"]), (f"$teams{INVOKE}two", [f"{INVOKE}two"]))
def the_address(stage):
    """The address that is posted to, to the last character."""
    stage.start().change()
    return [one.path for one in stage.posts()]


CARD = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "body": [
        {"type": "TextBlock", "text": "**{{ record.name }}** & Co", "size": "Large", "wrap": True, "maxLines": 2},
        {"type": "FactSet", "facts": [{"title": "Stage", "value": "{{ record.stage }}"}]},
        {"type": "RichTextBlock", "inlines": ["{{ record.name }}", {"type": "TextRun", "text": "!", "italic": True}]},
    ],
    "actions": [{"type": "Action.OpenUrl", "title": "{{ record.name }}", "url": "https://crm.example/{{ record.name }}"}],
}
SHOWN = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "body": [
        {"type": "TextBlock", "text": "**<\u200b\u2217A\u2217>** & Co", "size": "Large", "wrap": True, "maxLines": 2},
        {"type": "FactSet", "facts": [{"title": "Stage", "value": "won"}]},
        {"type": "RichTextBlock", "inlines": ["<\u200b*A*>", {"type": "TextRun", "text": "!", "italic": True}]},
    ],
    "actions": [{"type": "Action.OpenUrl", "title": "<\u200b*A*>", "url": "https://crm.example/%3C%2AA%2A%3E"}],
    "fallbackText": "<\u200b\u2217A\u2217> is won",
}
PLAIN = {
    "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
    "type": "AdaptiveCard",
    "version": "1.2",
    "body": [{"type": "TextBlock", "text": "<\u200b\u2217A\u2217> is won", "wrap": True}],
}


@proves("rules.publish.card", (ABSENT, PLAIN), (CARD, SHOWN))
def the_card(stage):
    """The card as Teams gets it: constants as they are written, a record's words only words."""
    stage.start().change(name="<*A*>")
    return stage.cards()[0]


@proves("rules.publish.text", ("**{{ record.name }}**", "**Parkers**"), ("- {{ record.stage }}\n- new", "- won\n- new"))
def the_text(stage):
    """The words of a message without a card."""
    stage.start().change()
    return stage.cards()[0]["body"][0]["text"]


BUTTON = [{"type": "Action.OpenUrl", "title": "Open in CRM", "url": "https://crm.example/a%20b"}]


@proves("rules.publish.link", (ABSENT, [None]), ("https://crm.example/{{ record.name }}", [BUTTON]))
def the_button(stage):
    """Where the link of a step leads from."""
    stage.start().change(name="a b")
    return [one.get("actions") for one in stage.cards()]


@proves("rules.publish.shorten", (ABSENT, [0, "dead rejected: too_large"]), (["record.name"], [25_148, ""]))
def a_long_text(stage):
    """What becomes of a text that is longer than a workflow can post."""
    stage.start().change(name="N" * 30_000)
    cards = stage.cards()
    return [
        len(cards[0]["body"][0]["text"].encode()) if cards else 0,
        " ".join(f"{one.state.value} {one.reason}" for one in stage.outbox()),
    ]


@proves("destinations.on_unknown", ("resend", [2, []]), ("hold", [1, ["unknown"]]))
def a_lost_answer(stage):
    """How often is posted what was posted once without an answer, and what waits."""
    stage.teams.then(cut)
    stage.start().change()
    return [len(stage.posts()), [one.state.value for one in stage.outbox()]]
