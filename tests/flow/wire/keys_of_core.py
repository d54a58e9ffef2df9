"""The keys of the whole, but for the daemon's own: records and their fields, destinations of any type, the network, what is included."""

import copy

import yaml
from flow.wire import networks
from flow.wire.core import Core
from flow.wire.keys import ABSENT
from flow.wire.proofs import proofs_of

from crmbridge.errors import ConfigError

proves = proofs_of(Core)
TEXT = "rules/0/publish/0/text"
DEAL = "sources/crm/records/Deal/fields"


def problems(work):
    """What is wrong with a configuration, or what `work` gives."""
    try:
        return work()
    except ConfigError as error:
        return [one.message for one in error.problems]


# --- records


@proves(
    "sources.records",
    ({"Lead": {"fields": {"name": "public"}}}, ["7"]),
    ({"Deal": {"fields": {"name": "public", "stage": "public"}}}, []),
    given={"rules": []},
)
@proves(
    "sources.records.fields",
    ({"name": "public", "note": "public"}, ["7"]),
    ({"name": "public", "stage": "public"}, []),
    given={"rules": []},
)
def which_fields_count(stage):
    """The notes that changes tell, where nothing else changes."""
    stage.start()
    stage.change(note="1")
    stage.news()
    stage.change(note="7")
    return [one.fields["note"] for one in stage.news()]


@proves(
    "sources.records.fields.type",
    ("text", "0100"),
    ("number", "100"),
    given={TEXT: "{{ record.name }}", f"{DEAL}/name": {}},
)
def how_a_value_is_read(stage):
    """What `0100` is said as."""
    stage.start().change(name="0100")
    return stage.texts()[0]


@proves(
    "sources.records.fields.separator",
    (";", "a,b+c"),
    (",", "a+b;c"),
    given={TEXT: "{{ record.name | join('+') }}", f"{DEAL}/name": {"type": "set"}},
)
def how_a_list_is_cut(stage):
    """What `a,b;c` is said as."""
    stage.start().change(name="a,b;c")
    return stage.texts()[0]


NOT_PUBLIC = ["record.name is internal and out is read by the whole world; if everyone may know it, mark it: name: public"]


@proves(
    "sources.records.fields.audience",
    ("public", ["Parkers"]),
    ("internal", NOT_PUBLIC),
    ("secret", ["record.name is secret and out is read by the whole world"]),
    given={TEXT: "{{ record.name }}", f"{DEAL}/name": {}, "destinations/out/audience": "public"},
)
@proves(
    "destinations.audience",
    ("company", ["Parkers"]),
    ("public", NOT_PUBLIC),
    given={TEXT: "{{ record.name }}", f"{DEAL}/name": "internal"},
)
def what_may_be_said(stage):
    """What is said, or why it may not be."""
    return problems(lambda: (stage.start().change(), stage.texts())[1])


@proves(
    "sources.records.fields.currency",
    (ABSENT, "1,200"),
    ("currency", "€1,200"),
    given={TEXT: "{{ record.amount | money }}", DEAL: {"amount": {"type": "money"}, "currency": "internal"}},
)
def what_money_is(stage):
    """How an amount is said."""
    stage.start().change(amount=1200, currency="EUR")
    return stage.texts()[0]


STRICT = {f"{DEAL}/name": "public", "destinations/out/audience": "public", "rules/0/if": "record.note == '7'"}


WHETHER = "record.note is internal, and whether a public message is said depends on it"
TOLD_BY_SILENCE = [f"{WHETHER}: if the public may guess it, write `disclose: [note]`; if everyone may know it, mark it: note: public"]


@proves("strict_conditions", (False, ["Parkers is won"]), (True, TOLD_BY_SILENCE), given=STRICT)
@proves("rules.disclose", (ABSENT, TOLD_BY_SILENCE), (["note"], ["Parkers is won"]), given=STRICT)
def what_may_decide(stage):
    """What is said, or why it may not be."""
    return problems(lambda: (stage.start().change(note="7"), stage.texts())[1])


# --- any destination


@proves("destinations.cap", (ABSENT, [3, 0]), ({"per_day": 2}, [2, 1]))
@proves("destinations.cap.per_day", (1, [1, 2]), (2, [2, 1]))
@proves("destinations.cap.per_month", (1, [1, 2]), (2, [2, 1]))
def how_much(stage):
    """How many of three messages are said, and how many are held."""
    stage.start()
    for id in range(3):
        stage.change(id=id)
    return [len(stage.said()), stage.held()]


@proves("destinations.cap.per_day", (1, 2), (2, 4))
@proves("destinations.cap.per_month", (1, 1), (3, 3))
def how_much_in_two_days(stage):
    """How many of four messages are said, two on each of two days."""
    stage.start()
    for id in range(4):
        stage.change(id=id)
        said = len(stage.said())
        if id == 1:
            stage.clock.advance(86_400)
    return said


@proves("timezone", ("UTC", ["12:00"]), ("Asia/Tokyo", ["21:00"]), given={TEXT: '{{ event.occurred_at | date("%H:%M") }}'})
def when_it_was(stage):
    """The hour of a change, as it is said."""
    stage.start().change()
    return stage.texts()


@proves("timezone", ("UTC", 1), ("Asia/Tokyo", 2), given={"destinations/out/cap": {"per_day": 1}})
def where_a_day_ends(stage):
    """How many messages are said at 12:00 and 16:00 UTC, where one a day is allowed."""
    stage.start().change()
    stage.said()
    stage.clock.advance(4 * 3600)
    stage.change(id=2)
    return len(stage.said())


# --- the network


class Networked(Core):
    """An endpoint that speaks TLS, one that is far away and one that never answers; Slack, which is called in threads of its own."""

    YAML = Core.YAML.replace("destinations:\n", 'destinations:\n  wins: {type: slack, token: t, channel: "#wins", api_url: $slack/}\n') + (
        '      - {to: wins, text: "{{ record.name }}"}\n'
    )

    def prepare(self):
        super().prepare()
        for name in ("one", "two"):
            (self.folder / f"{name}.pem").write_bytes(networks.certificate(name))
        self.proxy = self.server("proxy", networks.slack())
        self.tls = self.server("tls", networks.encrypted(self.folder / "one.pem"))
        self.silent = self.server("silent")
        self.silent.default = lambda exchange: exchange.stopping.wait()
        self.slack = self.server("slack", networks.slack())

    def told(self):
        """One change is told."""
        self.start().change()
        self.publish("out", within=0.5)
        self.publish("wins", within=0.5)
        return self

    def failures(self):
        """What the destinations said last."""
        return [publisher.health.last_failure for publisher, _ in self._publishers.values()]


proves_network = proofs_of(Networked)
TLS = {"destinations/out/url": "$tls/in", "destinations/wins/api_url": "$tls/"}
FAR = {
    "destinations/out/url": "http://far.example/in",
    "destinations/out/allow_http": True,
    "destinations/wins/api_url": "http://slack.example/",
}
SILENT = {"destinations/out/url": "$silent/in", "destinations/wins/api_url": "$silent/"}


@proves_network("network.ca_file", ("one.pem", ["/in", "/chat.postMessage"]), ("two.pem", []), given=TLS)
def who_is_trusted(stage):
    """What an endpoint is posted that shows the certificate one.pem."""
    return [one.path for one in stage.told().tls.seen if one.path != "/auth.test"]


THROUGH = ["http://far.example/in", "http://slack.example/chat.postMessage"]


@proves_network("network.proxy", ("$proxy", [THROUGH, []]), ("$slack", [[], THROUGH]), given=FAR)
def through_which_proxy(stage):
    """What each of two proxies is asked for."""
    stage.told()
    return [[one.path for one in server.seen if not one.path.endswith("/auth.test")] for server in (stage.proxy, stage.slack)]


@proves_network(
    "network.deadline", ("1s", ["no complete answer within 1 s"] * 2), ("2s", ["no complete answer within 2 s"] * 2), given=SILENT
)
def how_patiently(stage):
    """What is said of an endpoint that never answers."""
    return [one.partition(": ")[2] for one in stage.told().failures()]


# --- included files


class Included(Core):
    """Two more files with rules."""

    YAML = Core.YAML.partition("rules:")[0]

    def document(self, document):
        include = document.get("include")
        if isinstance(include, dict):  # the content of one file, which a proof gives in place of its name
            (self.folder / "more.yaml").write_text(yaml.safe_dump(include))
            document = {**document, "include": ["more.yaml"]}
        super().document(document)
        rule = {"when": {"source": "crm", "record": "Deal"}, "publish": [{"to": "out"}]}
        for name in ("a", "b"):
            written = copy.deepcopy({**rule, "id": name})
            written["publish"][0]["text"] = f"from {name}"
            (self.folder / f"{name}.yaml").write_text(yaml.safe_dump({"rules": [written]}))


proves_included = proofs_of(Included)
RULE = {"id": "c", "when": {"source": "crm", "record": "Deal"}, "publish": [{"to": "out", "text": "from c"}]}


@proves_included("include", (["a.yaml"], ["from a"]), (["?.yaml"], ["from a", "from b"]), ([], []))
@proves_included("include.rules", ([RULE], ["from c"]), ([], []))
def whose_rules(stage):
    """What is said."""
    stage.start().change()
    return stage.texts()
