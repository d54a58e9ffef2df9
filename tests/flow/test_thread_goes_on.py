"""What a later message hangs on is gone: it is said as the first of its thread, once, and the thread goes on there."""

import asyncio
import itertools
import json

import pytest
import yaml
from flow.wire.keys_of_slack import Slack

from crmbridge.model import State
from crmbridge.testing import ScriptedServer
from crmbridge.testing.server import cut


class Workspace:
    """Slack's stand-in with a memory: what is there, and what of it was deleted since."""

    def __init__(self, *, silent=False):
        self.silent = silent
        """It takes a reply whose first message is gone, and posts it to the channel."""
        self.messages = {}
        self.gone = set()
        self.numbers = itertools.count(1)
        self.cut = 0
        """How many of the next posts are taken and not answered."""

    def __call__(self, exchange):
        method = exchange.path.rpartition("/")[2].partition("?")[0]
        said = {"auth.test": self.test, "chat.postMessage": self.post, "chat.update": self.update}.get(method, self.look)(exchange)
        if method == "chat.postMessage" and self.cut and said["ok"]:
            self.cut -= 1
            return cut(exchange)
        return exchange.reply(200, json.dumps(said).encode(), {"Content-Type": "application/json"})

    def test(self, _):
        return {"ok": True, "url": "https://acme.slack.com/"}

    def post(self, exchange):
        asked = exchange.seen.json()
        ts, thread = f"{next(self.numbers)}.000100", asked.get("thread_ts")
        if thread in self.gone or (thread and thread not in self.messages):
            if not self.silent:
                return {"ok": False, "error": "thread_not_found"}
            thread = None
        message = {"ts": ts, "text": asked["text"], "metadata": asked["metadata"], **({"thread_ts": thread} if thread else {})}
        self.messages[ts] = message
        return {"ok": True, "channel": "C1", "ts": ts, "message": message}

    def update(self, exchange):
        asked = exchange.seen.json()
        if asked["ts"] in self.gone or asked["ts"] not in self.messages:
            return {"ok": False, "error": "message_not_found"}
        self.messages[asked["ts"]]["text"] = asked["text"]
        return {"ok": True, "channel": "C1", "ts": asked["ts"], "text": asked["text"]}

    def look(self, exchange):
        from urllib.parse import parse_qs, urlsplit

        asked = parse_qs(urlsplit(exchange.path).query)
        thread = asked.get("ts", [None])[0]
        if thread in self.gone:
            return {"ok": False, "error": "thread_not_found"}
        return {"ok": True, "messages": [one for one in self.messages.values() if thread is None or one.get("thread_ts") == thread]}

    def delete(self, ts):
        self.gone.add(ts)

    def shown(self):
        """(text, what it replies to) of all that is there."""
        return [(one["text"], one.get("thread_ts")) for ts, one in self.messages.items() if ts not in self.gone]


class Threads(Slack):
    """Changes of a record, told in one thread."""

    workspace: Workspace
    step = {"to": "wins", "thread": "record"}  # noqa: RUF012

    def prepare(self):
        super().prepare()
        self.slack = self.server("slack", ScriptedServer(self.workspace))

    def begin(self):
        document = yaml.safe_load(self.YAML)
        document["destinations"] = {"wins": document["destinations"]["wins"] | {"surge": "off", "channel": "C1"}}
        document["rules"][0]["publish"] = [{"id": "m", "text": "{{ record.name }} is {{ record.stage }}"} | self.step]
        self.document(document)
        return self.start()

    def tell(self, stage, within=30.0):
        self.change(stage=stage)
        self.publish("wins", within)

    def look(self):
        """Let what has no answer be looked for, until somebody knows."""
        (publisher, _), *_ = self._publishers.values()

        while self.outbox(State.UNKNOWN):
            self.clock.advance(5)
            publisher._looker.nudge()
            self._run(asyncio.sleep(0.005))

    def end(self):
        """As a process that dies: nothing more is done, and nothing is said to anybody."""
        for publisher, task in self._publishers.values():
            task.cancel()
            self._run(asyncio.wait({task}))
            self._run(publisher.close())
        self._publishers.clear()


@pytest.fixture
def threads(tmp_path):
    def made(workspace, **step):
        kind = type("Threads", (Threads,), {"workspace": workspace, "step": Threads.step | step})
        return kind(tmp_path)

    return made


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "taken without its thread"])
def test_replies_go_on_at_the_new_first_message(threads, silent):
    workspace = Workspace(silent=silent)
    with threads(workspace) as stage:
        stage.begin()
        stage.tell("A")
        workspace.delete("1.000100")
        for one in "BCD":
            stage.tell(one)
        head = next(ts for ts, one in workspace.messages.items() if one["text"] == "Parkers is B")
        assert workspace.shown() == [("Parkers is B", None), ("Parkers is C", head), ("Parkers is D", head)]
        assert stage.outbox() == []


def test_an_edit_is_said_anew_once_and_that_is_edited_from_then_on(threads):
    workspace = Workspace()
    with threads(workspace, thread=None, on_update="edit") as stage:
        stage.begin()
        stage.tell("A")
        stage.tell("B")
        assert workspace.shown() == [("Parkers is B", None)]
        workspace.delete("1.000100")
        for one in "CDE":
            stage.tell(one)
        assert workspace.shown() == [("Parkers is E", None)]


@pytest.mark.parametrize("silent", [False, True], ids=["refused", "taken without its thread"])
def test_a_lost_answer_to_what_is_said_anew_doubles_nothing(threads, silent):
    workspace = Workspace(silent=silent)
    with threads(workspace) as stage:
        stage.begin()
        stage.tell("A")
        workspace.delete("1.000100")
        workspace.cut = 1
        stage.tell("B", within=300.0)
        stage.look()
        stage.tell("C")
        assert [text for text, _ in workspace.shown()] == ["Parkers is B", "Parkers is C"]
        (_, first), (_, second) = workspace.shown()
        assert first is None
        assert second is not None


def test_a_process_that_dies_before_it_is_said_anew_says_it_once(threads):
    """What was found out is durable before anything is said; the next process knows it."""
    workspace = Workspace()
    with threads(workspace) as stage:
        stage.begin()
        stage.tell("A")
        workspace.delete("1.000100")
        stage.change(stage="B")
        refused = []
        post = workspace.post

        def dying(exchange):
            said = post(exchange)
            if not said["ok"]:
                refused.append(exchange.seen.json()["thread_ts"])
            return said

        workspace.post = dying
        stage.publish("wins", 0.0)  # the refusal; Slack's pace of one message a second keeps the next back
        assert (refused, workspace.shown()) == (["1.000100"], [])
        stage.end()
        stage.publish("wins", 30.0)
        stage.tell("C")
        head = next(ts for ts, one in workspace.messages.items() if one["text"] == "Parkers is B")
        assert refused == ["1.000100"]
        assert workspace.shown() == [("Parkers is B", None), ("Parkers is C", head)]


def test_a_head_that_is_only_not_there_yet_is_not_gone(threads):
    """The first message waits for its turn, and so do its replies: none of them is said before it."""
    workspace = Workspace()
    with threads(workspace) as stage:
        stage.begin()
        workspace.post, post = lambda _: {"ok": False, "error": "service_unavailable"}, workspace.post
        stage.change(stage="A")
        stage.change(stage="B")
        stage.publish("wins", 1.0)
        assert workspace.shown() == []
        workspace.post = post
        stage.publish("wins", 600.0)
        assert workspace.shown() == [("Parkers is A", None), ("Parkers is B", "1.000100")]


def test_a_first_message_is_never_said_twice_for_it(threads):
    """A network that says of everything that its thread is gone: one dead letter, no loop."""
    workspace = Workspace()
    workspace.post = lambda _: {"ok": False, "error": "thread_not_found"}
    with threads(workspace) as stage:
        stage.begin()
        stage.tell("A")
        (dead,) = stage.outbox()
        assert (dead.state.value, dead.attempts) == ("dead", 1)
