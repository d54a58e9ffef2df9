"""What the bridge edits and takes back in the feed: what its readers see then, at once on open pages, and what nobody may change."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from flow.feed import PROMPT, SECRET, World, channel, channel_code, post, running_feed, said, stream

from connectors.destinations.chirp import CONNECTOR
from crmbridge.chirp import SCHEMA
from crmbridge.contract import Secret, Setting
from crmbridge.db import Database
from crmbridge.errors import Rejected
from crmbridge.model import Channel, Literal, Receipt, Value
from crmbridge.schema import Schema
from crmbridge.testing import message


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running_feed(tmp_path) as running:
        yield running


def edit(made: dict[str, Any], key: str = "e1", words: Any = "The roll-out is cancelled.", **changes: Any) -> dict[str, Any]:
    return {"id": made["id"], **post(key, words, **changes)}


def taken_back(*made: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": one["id"]} for one in made]


# --- edits --------------------------------------------------------------------------------------


async def test_an_edited_post_says_so_with_its_time(world):
    (made,) = await world.post(post())
    susan = await world.signed_in()
    assert "edited" not in (await susan.get(f"/chirp/p/{made['id']}"))[1]
    world.clock += timedelta(minutes=7)
    (edited,) = await world.change("edits", edit(made, link="https://crm.example/2"))
    assert edited == made | {"key": "e1", "status": "edited"}
    for path in (f"/chirp/p/{made['id']}", f"/chirp/c/{await channel_code(susan)}"):
        _, page = await susan.get(path)
        assert said(page) == ["The roll-out is cancelled."]
        assert 'edited <time class="ago" datetime="2026-11-22T12:07:00' in page
        assert "https://crm.example/2" in page


async def test_an_edit_is_repeated_or_a_conflict_and_never_undoes_a_newer_one(world):
    (made,) = await world.post(post())
    first, second = edit(made, "e1", "One"), edit(made, "e2", "Two")
    outcomes = [(await world.change("edits", one))[0]["status"] for one in (first, first, second, first, edit(made, "e1", "Three"))]
    assert outcomes == ["edited", "repeated", "edited", "repeated", "conflict"]
    susan = await world.signed_in()
    assert said((await susan.get(f"/chirp/p/{made['id']}"))[1]) == ["Two"]
    (again,) = await world.post(post())
    assert (again["status"], again["id"]) == ("repeated", made["id"]), "the first words were published under their key all the same"


async def test_one_edit_at_once_is_made_once(world):
    (made,) = await world.post(post())
    answers = await asyncio.gather(*(world.change("edits", edit(made)) for _ in range(20)))
    assert sorted(one["status"] for (one,) in answers) == ["edited"] + ["repeated"] * 19


async def test_nothing_but_the_bridges_own_posts_can_be_changed(world):
    await world.post(post())
    susan = await world.signed_in()
    code = await channel_code(susan)
    await susan.get(f"/chirp/c/{code}")
    await susan.send(f"/chirp/c/{code}", text="Mine")
    _, page = await susan.get(f"/chirp/c/{code}")
    (own,) = {part.split('"')[0] for part in page.split('id="p-')[1:2]}
    for made in ({"id": own}, {"id": "nothing"}):
        assert (await world.change("edits", edit(made)))[0]["status"] == "missing"
        assert (await world.change("deletes", {"id": made["id"]}))[0]["status"] == "missing"
    assert said((await susan.get(f"/chirp/c/{code}"))[1])[0] == "Mine"


@pytest.mark.parametrize("entry", [7, {}, {"id": ""}, {"id": 5}, {"id": "x" * 65}, None])
async def test_unusable_entries_are_invalid_and_the_others_are_done(world, entry):
    first, second = await world.post(post("a"), post("b"))
    results = await world.change("edits", edit(first, "e1"), entry, edit(second, "e2") | {"text": None}, edit(second, "e3"))
    assert [one["status"] for one in results] == ["edited", "invalid", "invalid", "edited"]
    results = await world.change("deletes", entry, {"id": first["id"]})
    assert [one["status"] for one in results] == ["invalid", "deleted"]


async def test_unsigned_and_malformed_requests_change_nothing(world):
    (made,) = await world.post(post())
    for name, entry in (("edits", edit(made)), ("deletes", {"id": made["id"]})):
        body = json.dumps({name: [entry]}).encode()
        assert (await world.send(body, name, **{"webhook-signature": "v1,AAAA"}))[0] == 401
        for bad in (b"", b"[]", b'{"posts": []}', json.dumps({name: []}).encode(), json.dumps({name: [entry] * 101}).encode()):
            assert (await world.send(bad, name))[0] == 400
        world.database.failure = OSError("disk on fire")
        assert (await world.send(body, name))[0] == 503
        world.database.failure = None
    susan = await world.signed_in()
    assert said((await susan.get(f"/chirp/p/{made['id']}"))[1]) == ["The roll-out at Parkers is live."]


# --- deletions ----------------------------------------------------------------------------------


async def test_a_reply_to_what_is_gone_says_that_it_stands_alone(world):
    """So that the bridge lets the thread go on there; a first post that is shown for its replies is still replied to."""
    root, other = await world.post(post("a"), post("b"))
    (reply,) = await world.post(post("c", parent=root["id"]))
    assert "alone" not in reply
    await world.change("deletes", *taken_back(root, other))
    kept, alone = await world.post(post("d", parent=root["id"]), post("e", parent=other["id"]))
    assert ("alone" in kept, alone["status"], alone["alone"]) == (False, "published", True)
    (again,) = await world.post(post("e", parent=other["id"]))
    assert (again["status"], again["alone"]) == ("repeated", True)


async def test_a_deleted_post_is_gone_everywhere_words_and_all(world):
    before, made = await world.post(
        post("a", "Earlier news"), post("b", [[0, "Now "], [1, "secret words"]], link="https://crm.example/secret")
    )
    susan = await world.signed_in()
    await world.feed.follow("susan", "crm/Account/1")
    for _ in range(2):
        (deleted,) = await world.change("deletes", {"id": made["id"]})
        assert (deleted["status"], deleted["id"]) == ("deleted", made["id"])
    assert (await susan.get(f"/chirp/p/{made['id']}"))[0] == 404
    for path in ("/chirp", "/chirp/channels", f"/chirp/c/{await channel_code(susan)}"):
        status, page = await susan.get(path)
        assert status == 200
        assert "Earlier news" in page
        assert "secret" not in page

    def kept(connection: sqlite3.Connection) -> str:
        return " ".join(str(tuple(row)) for row in connection.execute("SELECT * FROM post"))

    assert "secret" not in await world.database.read(kept)
    assert (await world.change("edits", edit(made)))[0]["status"] == "missing"
    again = post("b", [[0, "Now "], [1, "secret words"]], link="https://crm.example/secret")
    assert (await world.post(again))[0]["status"] == "repeated", "a late repeat does not bring it back"
    assert (await susan.get(f"/chirp/p/{made['id']}"))[0] == 404
    assert (await susan.get(f"/chirp/p/{before['id']}"))[0] == 200


async def test_a_deleted_post_with_replies_holds_its_place(world):
    (first,) = await world.post(post("a", "Secret start"))
    (reply,) = await world.post(post("b", "Second act", parent=first["id"]))
    susan = await world.signed_in()
    code = await channel_code(susan)
    await world.change("deletes", {"id": first["id"]})
    status, page = await susan.get(f"/chirp/p/{first['id']}")
    assert status == 200
    assert "This post was deleted." in page
    assert "<title>A deleted post" in page
    assert said(page) == ["Second act"]
    assert "Secret start" not in page
    _, page = await susan.get(f"/chirp/c/{code}")
    assert said(page) == ["Second act"]
    assert "Reply to a deleted post" in page
    assert "Secret start" not in page
    (late,) = await world.post(post("c", "Third act", parent=first["id"]))
    assert said((await susan.get(f"/chirp/p/{first['id']}"))[1]) == ["Second act", "Third act"]
    await world.change("deletes", *taken_back(reply, late))
    assert (await susan.get(f"/chirp/p/{first['id']}"))[0] == 404, "it goes with its last reply"
    assert said((await susan.get(f"/chirp/c/{code}"))[1]) == []


async def test_a_deleted_reply_is_counted_no_more(world):
    (first,) = await world.post(post("a", "Start"))
    replies = await world.post(*(post(f"r{number}", f"Reply {number}", parent=first["id"]) for number in range(2)))
    susan = await world.signed_in()
    await world.change("deletes", {"id": replies[0]["id"]})
    _, page = await susan.get(f"/chirp/p/{first['id']}")
    assert said(page) == ["Start", "Reply 1"]
    assert "1 reply" in page


async def test_news_for_a_thread_that_is_gone_stand_alone(world):
    (first,) = await world.post(post("a", "Start"))
    await world.change("deletes", {"id": first["id"]})
    (late,) = await world.post(post("b", "Second act", parent=first["id"]))
    susan = await world.signed_in()
    _, page = await susan.get(f"/chirp/p/{late['id']}")
    assert said(page) == ["Second act"]
    assert "Reply to" not in page


async def test_pages_hold_everything_once_with_deleted_posts_between(world):
    made = []
    for batch in range(3):
        made += await world.post(*(post(f"{batch}-{n}", f"post {batch * 30 + n}") for n in range(30)))
    await world.change("deletes", *taken_back(*made[::3]))
    susan = await world.signed_in()
    path, seen = f"/chirp/c/{await channel_code(susan)}", []
    while path:
        _, page = await susan.get(path)
        seen += said(page)
        older = page.partition("before=")[2].partition('"')[0] if "Older posts" in page else ""
        path = f"/chirp/c/{await channel_code(susan)}?before={older}" if older else ""
    assert seen == [f"post {n}" for n in reversed(range(90)) if n % 3]


# --- open pages ---------------------------------------------------------------------------------


async def test_open_pages_show_edits_and_deletions_at_once(world):
    first, second, elsewhere = await world.post(post("a", "One"), post("b", "Two"), post("c", channel=channel("2", "Northwind")))
    susan = await world.signed_in()
    await world.feed.follow("susan", "crm/Account/1")
    live = await stream(susan)
    await asyncio.sleep(0.1)
    await world.change("edits", edit(elsewhere, "e0"), edit(first, "e1", [[1, "a\nid: 7\n\n<b>"]]))
    event = await live.next(PROMPT)
    change = json.loads(event["data"])
    assert event["event"] == "change"
    assert "id" not in event, "the last post's id stays the browser's"
    assert change["post"] == f"p-{first['id']}"
    assert "&lt;b&gt;" in change["html"]
    assert "edited" in change["html"]
    await world.change("deletes", *taken_back(elsewhere, second))
    change = json.loads((await live.next(PROMPT))["data"])
    assert (change["post"], change["html"]) == (f"p-{second['id']}", "")
    live.answer.close()


async def test_a_stream_that_was_cut_catches_up_with_changes(world):
    first, second = await world.post(post("a", "One"), post("b", "Two"))
    susan = await world.signed_in()
    await world.feed.follow("susan", "crm/Account/1")
    _, page = await susan.get("/chirp")
    address = page.partition('data-live="')[2].partition('"')[0].replace("&amp;", "&")
    await world.change("edits", edit(first))
    await world.change("deletes", *taken_back(second))
    await world.post(post("c", "Three"))
    live = await stream(susan, address)
    events = [await live.next() for _ in range(3)]
    assert "Three" in events[0]["data"]
    assert [json.loads(one["data"])["post"] for one in events[1:]] == [f"p-{first['id']}", f"p-{second['id']}"]
    live.answer.close()
    live = await stream(susan, f"/chirp/live?after=99&changed={json.loads(events[1]['data'])['change']}")
    assert json.loads((await live.next())["data"])["post"] == f"p-{second['id']}"
    live.answer.close()


async def test_a_tombstone_leaves_open_pages_with_its_last_reply(world):
    (first,) = await world.post(post("a", "Start"))
    (reply,) = await world.post(post("b", "Second act", parent=first["id"]))
    susan = await world.signed_in()
    live = await stream(susan, f"/chirp/live?channel={await channel_code(susan)}")
    await asyncio.sleep(0.1)
    await world.change("deletes", *taken_back(first))
    assert "This post was deleted." in json.loads((await live.next())["data"])["html"]
    await world.change("deletes", *taken_back(reply))
    changes = [json.loads((await live.next())["data"]) for _ in range(2)]
    assert [(one["post"], one["html"]) for one in changes] == [(f"p-{reply['id']}", ""), (f"p-{first['id']}", "")]
    live.answer.close()


async def test_who_missed_very_many_changes_loads_the_page_again(world):
    (made,) = await world.post(post())
    susan = await world.signed_in()
    await world.feed.follow("susan", "crm/Account/1")
    for batch in range(2):
        await world.change("edits", *(edit(made, f"{batch}-{n}", f"words {n}") for n in range(60)))
    live = await stream(susan, "/chirp/live?after=99&changed=0")
    assert (await live.next())["event"] == "reload"


# --- the connector, and files from before ---------------------------------------------------------


async def test_the_connector_edits_and_deletes_here(world):
    setting = Setting(name="feed", feed=(world.server.url, Secret.parse(SECRET)), now=lambda: world.clock)
    world.clock = datetime.now(timezone.utc)  # signatures are fresh by the real clock
    destination = CONNECTOR.build(CONNECTOR.options(), setting)
    news = message(Literal("Live at "), Value("Parkers"), channel=Channel("1", "Parkers"))
    try:
        receipt = await destination.publish(news, "k1", None)
        other = message(Literal("Not yet live"), channel=Channel("1", "Parkers"), edit=True)
        for _ in range(2):
            edited = await destination.edit(receipt, other, "k2")
            assert (edited.remote_id, edited.url) == (receipt.remote_id, receipt.url)
        with pytest.raises(Rejected, match="other content"):
            await destination.edit(receipt, news, "k2")
        susan = await world.signed_in()
        assert said((await susan.get(f"/chirp/p/{receipt.remote_id}"))[1]) == ["Not yet live"]
        for gone in (receipt, receipt, Receipt(remote_id="nothing")):
            await destination.delete(gone)
        assert (await susan.get(f"/chirp/p/{receipt.remote_id}"))[0] == 404
        with pytest.raises(Rejected) as caught:
            await destination.edit(receipt, other, "k3")
        assert caught.value.code == "missing"
    finally:
        await destination.close()


async def test_a_feed_from_before_changes_is_carried_over(tmp_path):
    """Every post of the first schema is there, unedited and not deleted; a backup was made."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    first = SCHEMA.migrations / "0001_initial.sql"
    (folder / first.name).write_text(first.read_text("utf-8"))
    old = Database(tmp_path / "feed.db", Schema("feed", SCHEMA.application_id, folder), synchronous="OFF")

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO channel VALUES (1, 'crm/Account/1', 'code', 'Parkers', 'parkers', 'company', 0, 1)")
        connection.execute(
            "INSERT INTO post (code, key, digest, channel, text, occurred_at, published_at) VALUES ('abc', 'api:k', 'd', 1, ?, 0, 0)",
            ('[[0,"Old news"]]',),
        )

    await old.write(fill)
    old.close()
    async with running_feed(tmp_path) as world:
        susan = await world.signed_in()
        assert said((await susan.get("/chirp/p/abc"))[1]) == ["Old news"]
        assert (await world.change("edits", edit({"id": "abc"})))[0]["status"] == "edited"
        assert (await world.change("deletes", {"id": "abc"}))[0]["status"] == "deleted"
    assert list(tmp_path.glob("*.schema1.bak"))
