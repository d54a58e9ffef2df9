"""Stand-ins of the networks: each answers as its network does, and keeps what it was told."""

import itertools
import json

from crmbridge.testing import ScriptedServer


def slack(*, refuse=None):
    """Slack's Web API and its incoming webhooks, behind one address."""
    numbers = itertools.count(1)

    def answer(exchange):
        if exchange.path.startswith("/services/"):
            return exchange.reply(200, b"ok", {})
        said = (
            {"url": "https://acme.slack.com/"}
            if exchange.path.endswith("auth.test")
            else {"channel": "C1", "ts": f"{next(numbers)}.000100"}
        )
        if refuse and exchange.path.endswith("postMessage"):
            said = {"ok": False, "error": refuse}
        return exchange.reply(200, json.dumps({"ok": True} | said).encode(), {"Content-Type": "application/json"})

    return ScriptedServer(answer)


def x():
    """X's API."""
    numbers = itertools.count(1)

    def answer(exchange):
        data = json.dumps({"data": {"id": str(next(numbers)), "text": ""}}).encode()
        exchange.reply(201 if exchange.command == "POST" else 200, data, {"Content-Type": "application/json"})

    return ScriptedServer(answer)


def chirp():
    """A Chirp server's API, which takes every post."""

    def answer(exchange):
        posts = exchange.seen.json().get("posts", []) if exchange.seen.body else []
        results = [{"key": one["key"], "status": "published", "id": f"p{index}"} for index, one in enumerate(posts)]
        exchange.reply(200, json.dumps({"results": results}).encode(), {"Content-Type": "application/json"})

    return ScriptedServer(answer)
