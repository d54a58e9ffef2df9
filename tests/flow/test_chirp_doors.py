"""The doors of the feed: who signs in, who waits, and what a stranger cannot do to the people of a company."""

import asyncio
import logging
import re
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import aiohttp
import pytest
from flow.feed import PASSWORD, channel_code, post, running_feed
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from crmbridge.chirp.embedded import open_feed
from crmbridge.chirp.guessing import Guesses
from crmbridge.chirp.passwords import Cost
from crmbridge.chirp.site import PostingLimit

PROXY = "127.0.0.1"
ATTACKER, HOME = "203.0.113.7", "198.51.100.1"


@pytest.fixture
async def world(tmp_path):
    async with running_feed(tmp_path, trusted=[PROXY]) as world:
        yield world


def from_(address, **more):
    return {"X-Forwarded-For": address, **more}


async def tries(world, login, password, address, browser=None):
    browser = browser or world.browser()
    await browser.get("/chirp/sign-in")
    return await browser.send("/chirp/sign-in", headers=from_(address), login=login, password=password)


# --- which doors there are --------------------------------------------------------------------------

OPEN = {"/chirp/sign-in", "/chirp/enter/x", "/chirp/static/x"}
"""What answers somebody who is not signed in; the API asks for a signature instead."""


def addresses(world, method):
    """Every address that takes this method, from the route table."""
    found = [re.sub(r"\{[^}]+\}", "x", one.path) for one in world.feed.routes() if one.method == method]
    assert len(found) >= 4
    return found


async def test_only_the_doors_are_open_to_who_is_not_signed_in(world):
    """Every other address leads to the sign-in page, whatever it names; and no other site may read an answer."""
    (made,) = await world.post(post())
    code = await channel_code(await world.signed_in())
    known = [f"/chirp/c/{code}", f"/chirp/p/{made['id']}", f"/chirp/live?channel={code}", "/chirp/static/", "/chirp/api/v1/posts"]
    async with aiohttp.ClientSession(headers={"Origin": "https://evil.example"}) as client:
        for path in addresses(world, "GET") + known:
            async with client.get(world.server.url + path, allow_redirects=False) as answer:
                if path == "/chirp/api/v1/check":
                    assert answer.status == 401
                elif path not in OPEN:
                    assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, "/chirp/sign-in"), path
                assert "Access-Control-Allow-Origin" not in answer.headers
                assert "Parkers" not in await answer.text()
        for path in addresses(world, "POST"):
            async with client.post(world.server.url + path, allow_redirects=False) as answer:
                assert answer.status == (401 if "/api/" in path else 403), path


async def test_looking_changes_nothing(world):
    """No address does anything when it is only opened: neither a picture on another site nor a program that looks ahead can order."""
    await world.post(post())
    susan = await world.signed_in()
    code = await channel_code(susan)
    link = await world.feed.one_time_link("susan")

    async def content():
        return await world.database.read(lambda connection: "\n".join(connection.iterdump()))

    before = await content()
    for path in [*addresses(world, "GET"), *addresses(world, "POST"), f"/chirp/c/{code}", f"/chirp/c/{code}/follow?text=x", link]:
        if path != "/chirp/live":
            await susan.get(path)
    assert await content() == before
    assert "Sign out" in (await susan.get("/chirp"))[1]


async def test_a_feed_as_it_is_run_begins_with_nobody_and_keeps_what_nobody_can_guess(tmp_path):
    """No account but those that are made, tokens of 256 bits, and passwords at the cost that OWASP advises, each with its own salt."""
    config = SimpleNamespace(
        state_folder=lambda: tmp_path,
        feed_path=tmp_path / "feed.db",
        model=SimpleNamespace(chirp=SimpleNamespace(name="Chirp"), server=SimpleNamespace(public_url=None)),
    )
    feed, database = open_feed(config, lambda: datetime(2026, 11, 22, tzinfo=timezone.utc))
    try:
        assert await feed.users() == []
        await feed.add_user("susan", "Susan Hart", PASSWORD)
        await feed.add_user("tom", "Tom Winter", PASSWORD)
        links = {(await feed.one_time_link("susan")).rpartition("/")[2] for _ in range(20)}
        assert (len(links), {len(one) for one in links}) == (20, {43})
        stored = await database.read(lambda connection: [row[0] for row in connection.execute("SELECT password FROM person")])
        assert all(one.startswith("scrypt$16384$8$5$") for one in stored)
        assert len(set(stored)) == 2
        assert ((tmp_path / "chirp.secret").stat().st_mode & 0o777, len((tmp_path / "chirp.secret").read_text())) == (0o600, 50)
    finally:
        feed.close()
        database.close()


# --- guessing ---------------------------------------------------------------------------------------


async def test_guessing_is_slowed_and_waits_out(world):
    """The right password too waits then, for who tries it from there; it goes in when the wait is over."""
    for _ in range(Guesses.FREE):
        assert (await tries(world, "susan", "wrong password", ATTACKER))[0] == 400
    status, page = await tries(world, "susan", PASSWORD, ATTACKER)
    assert (status, "Wait 1 s" in page) == (429, True)
    world.clock += timedelta(seconds=1)
    assert (await tries(world, "susan", PASSWORD, ATTACKER))[0] == 200


async def test_many_guesses_at_once_cannot_slip_past(world):
    browser = world.browser()
    await browser.get("/chirp/sign-in")
    answers = await asyncio.gather(*(browser.send("/chirp/sign-in", login="susan", password=f"guess number {n}") for n in range(30)))
    assert sorted({status for status, _ in answers}) == [400, 429]
    assert sum(status == 400 for status, _ in answers) <= Guesses.FREE


async def test_five_hundred_wrong_sign_ins_shut_nobody_out(world):
    """All behind one proxy: other people are in at once, from elsewhere and from the very same address."""
    browser = world.browser()
    await browser.get("/chirp/sign-in")
    for n in range(500):
        await browser.send("/chirp/sign-in", headers=from_(ATTACKER), login="susan" if n % 2 else f"someone {n}", password="wrong password")
    assert (await tries(world, "tom", PASSWORD, HOME))[0] == 200
    assert (await tries(world, "tom", PASSWORD, ATTACKER))[0] == 200
    assert (await tries(world, "susan", PASSWORD, HOME))[0] == 200
    assert (await tries(world, "susan", PASSWORD, ATTACKER))[0] == 429, "her own login, from where it is guessed"


async def test_who_signed_in_with_this_device_before_is_not_kept_by_guesses_from_next_door(world):
    susan = world.browser()
    assert (await tries(world, "susan", PASSWORD, ATTACKER, susan))[0] == 200
    await susan.send("/chirp/sign-out")
    for _ in range(50):
        await tries(world, "susan", "wrong password", ATTACKER)
    assert (await tries(world, "susan", PASSWORD, ATTACKER))[0] == 429
    assert (await tries(world, "susan", PASSWORD, ATTACKER, susan))[0] == 200


async def test_a_right_password_is_checked_before_the_guesses_that_wait(tmp_path):
    """Twenty-eight addresses keep the checking of passwords busy; a person is in after one check that was under way, and her own."""
    async with running_feed(tmp_path, Cost(2**13, 8, 1), trusted=[PROXY]) as world:
        over, checked = asyncio.Event(), 0

        async def guess(address):
            nonlocal checked
            browser = world.browser()
            await browser.get("/chirp/sign-in")
            number = 0
            while not over.is_set():
                number += 1
                login = f"someone {address} {number}"
                status, _ = await browser.send("/chirp/sign-in", headers=from_(address), login=login, password="wrong password")
                checked += status == 400

        guessing = [asyncio.create_task(guess(f"203.0.113.{n}")) for n in range(28)]
        while checked < 60:
            await asyncio.sleep(0.05)
        browser = world.browser()
        await browser.get("/chirp/sign-in")
        before = checked
        status, _ = await browser.send("/chirp/sign-in", headers=from_(HOME), login="susan", password=PASSWORD)
        passed = checked - before
        over.set()
        await asyncio.gather(*guessing)
    assert status == 200
    assert passed <= 6, "guesses that were answered meanwhile: the one under way, and what the pages after it took"


async def test_what_a_stranger_writes_of_their_address_is_not_believed(tmp_path):
    """Or each guess would come from a new one."""
    async with running_feed(tmp_path) as world:
        for n in range(Guesses.FREE):
            assert (await tries(world, "susan", "wrong password", f"192.0.2.{n}"))[0] == 400
        assert (await tries(world, "susan", "wrong password", "192.0.2.99"))[0] == 429


# --- links ------------------------------------------------------------------------------------------


async def test_a_one_time_link_works_once_and_for_fifteen_minutes(world):
    path = await world.feed.one_time_link("susan")
    assert (await world.browser().enter(path))[0] == 200
    assert (await world.browser().enter(path))[0] == 403
    late = await world.feed.one_time_link("susan")
    world.clock += timedelta(minutes=15)
    assert (await world.browser().enter(late))[0] == 403
    with pytest.raises(ValueError, match="no person"):
        await world.feed.one_time_link("nobody")


async def test_a_button_that_is_pressed_late_or_twice_signs_nobody_in(world):
    """The page of a link was open in time, and in two browsers."""
    path = await world.feed.one_time_link("susan")
    one, other, slow = world.browser(), world.browser(), world.browser()
    for browser in (one, other):
        await browser.get(path)
    assert [(await browser.send(path))[0] for browser in (one, other)] == [200, 403]
    late = await world.feed.one_time_link("susan")
    await slow.get(late)
    world.clock += timedelta(minutes=15)
    assert (await slow.send(late))[0] == 403
    assert slow.cookie() is None


async def test_who_only_looks_at_a_link_does_not_use_it_up(world):
    """Mail programs and chats do, before the person does."""
    path = await world.feed.one_time_link("susan")
    for _ in range(3):
        status, page = await world.browser().get(path)
        assert (status, "Sign in as <bdi>Susan Hart</bdi>" in page) == (200, True)
    async with aiohttp.ClientSession() as client, client.head(world.server.url + path) as answer:
        assert answer.status == 200
    assert "Susan Hart" in (await world.browser().enter(path))[1]


async def test_a_link_does_not_quietly_make_somebody_somebody_else(world):
    """A stranger's link would have them write to the stranger's account."""
    tom = await world.signed_in("tom")
    path = await world.feed.one_time_link("susan")
    _, page = await tom.get(path)
    assert "You are signed in as <bdi>Tom Winter</bdi>; that ends here." in page
    assert "Tom Winter" in (await tom.get("/chirp"))[1]
    elsewhere = {"Origin": "https://evil.example"}
    await tom.get(path)
    assert (await tom.send(path, headers=elsewhere))[0] == 403
    assert "Tom Winter" in (await tom.get("/chirp"))[1]


async def test_a_new_password_ends_the_links_that_are_out(world):
    path = await world.feed.one_time_link("susan")
    await world.feed.set_password("susan", "a new password")
    assert (await world.browser().enter(path))[0] == 403


# --- passwords --------------------------------------------------------------------------------------


async def test_a_password_does_not_grow_old(world):
    """Nobody must change one that nobody else knows."""
    world.clock += timedelta(days=3650)
    assert (await tries(world, "susan", PASSWORD, HOME))[0] == 200


async def test_passwords_are_hidden_and_whoever_keeps_them_may_fill_them_in(world):
    susan = await world.signed_in()
    _, pages = await susan.get("/chirp/account")
    pages += (await world.browser().get("/chirp/sign-in"))[1]
    fields = re.findall(r'<input[^>]*name="(?:password|old|new)"[^>]*>', pages)
    assert len(fields) == 3
    for field in fields:
        assert 'type="password"' in field
        assert re.search(r'autocomplete="(?:current|new)-password"', field)
        assert "readonly" not in field
    script = (await susan.get("/chirp/static/feed.js"))[1]
    assert "paste" not in script


# --- sessions ---------------------------------------------------------------------------------------


async def test_people_see_where_they_are_signed_in_and_end_it_there(world):
    lost = world.browser()
    await lost.get("/chirp/sign-in")
    phone = (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
    )
    headers = from_("203.0.113.5", **{"User-Agent": phone})
    assert (await lost.send("/chirp/sign-in", headers=headers, login="susan", password=PASSWORD))[0] == 200
    world.clock += timedelta(minutes=2)
    here = await world.signed_in()
    _, page = await here.get("/chirp/account")
    assert "Safari on iPhone" in page
    assert "203.0.113.5" in page
    assert page.count("Sign out there") == 1
    code = page.partition('name="session" value="')[2].partition('"')[0]
    tom = await world.signed_in("tom")
    await tom.get("/chirp/account")
    await tom.send("/chirp/account/end-session", session=code)
    assert "Sign out" in (await lost.get("/chirp"))[1], "nobody ends what is somebody else's"
    await here.get("/chirp/account")
    assert "Sign out there" not in (await here.send("/chirp/account/end-session", session=code))[1]
    assert "Sign in" in (await lost.get("/chirp"))[1]
    assert "Sign out" in (await here.get("/chirp"))[1]


async def signed_in_with(world, cookie):
    """Whether a browser with this cookie is."""
    browser = world.browser()
    browser.session.cookie_jar.update_cookies({"chirp": cookie}, URL(world.server.url))
    return "Sign out" in (await browser.get("/chirp"))[1]


async def test_signing_in_again_ends_the_session_before(world):
    """By password and by link."""
    susan = await world.signed_in()
    for again in (lambda: tries(world, "susan", PASSWORD, HOME, susan), lambda: enter(world, susan)):
        before = susan.cookie()
        assert await signed_in_with(world, before)
        assert (await again())[0] == 200
        assert susan.cookie() != before
        assert not await signed_in_with(world, before)


async def enter(world, browser):
    return await browser.enter(await world.feed.one_time_link("susan"))


async def test_as_many_sessions_as_somebody_begins_are_all_shown(world):
    """There is no most, and none ends another."""
    many = [await world.signed_in() for _ in range(30)]
    _, page = await many[0].get("/chirp/account")
    assert page.count("Sign out there") == 29
    assert all([await signed_in_with(world, one.cookie()) for one in many])


async def test_every_page_shows_the_way_out_and_none_the_token(world):
    (made,) = await world.post(post())
    susan = await world.signed_in()
    code = await channel_code(susan)
    for path in ("/chirp", "/chirp/channels", f"/chirp/c/{code}", f"/chirp/p/{made['id']}", "/chirp/account"):
        _, page = await susan.get(path)
        assert '<button class="plain" type="submit">Sign out</button>' in page, path
        assert susan.cookie() not in page, "no script can read the token, and no page holds it"


async def test_a_new_password_makes_a_new_session(world):
    """A token that was stolen before is worth nothing after."""
    susan = await world.signed_in()
    stolen = susan.cookie()
    await susan.get("/chirp/account")
    assert (await susan.send("/chirp/account/password", old=PASSWORD, new="a new password"))[0] == 200
    assert susan.cookie() not in (stolen, None)
    assert not await signed_in_with(world, stolen)
    await susan.get("/chirp/account")
    assert (await susan.send("/chirp/account/password", old="a new password", new="another one entirely"))[0] == 200, "the page goes on"


@pytest.mark.parametrize("password", ["1234567890", "susan hart", "password12"])
async def test_a_password_that_is_guessed_first_is_not_taken(world, password):
    with pytest.raises(ValueError, match="easy to guess"):
        await world.feed.set_password("susan", password)
    with pytest.raises(ValueError, match="easy to guess"):
        await world.feed.add_user("susan hart", "Susan", password)
    susan = await world.signed_in()
    await susan.get("/chirp/account")
    status, page = await susan.send("/chirp/account/password", old=PASSWORD, new=password)
    assert (status, "easy to guess" in page) == (400, True)


async def test_nobody_posts_faster_than_people_do(world):
    await world.post(post())
    susan = await world.signed_in()
    path = f"/chirp/c/{await channel_code(susan)}"
    for n in range(PostingLimit.MOST + 1):
        await susan.get(path)
        status, _ = await susan.send(path, text=f"no {n}")
        assert status == (200 if n < PostingLimit.MOST else 429)
    world.clock += timedelta(minutes=1)
    await susan.get(path)
    assert (await susan.send(path, text="later"))[0] == 200


# --- what the log and the browser are told ----------------------------------------------------------


async def test_the_log_tells_who_signed_in_and_who_was_refused_from_where_and_no_password(world, caplog):
    caplog.set_level(logging.INFO, "crmbridge.security")
    await tries(world, "su\nsan", "wrong p4ssword", ATTACKER)
    await tries(world, "susan", PASSWORD, HOME)
    told = [(one.getMessage(), getattr(one, "login", ""), one.address) for one in caplog.records if one.name == "crmbridge.security"]
    assert told == [("sign-in refused", "su san", ATTACKER), ("signed in", "", HOME)]
    assert "p4ssword" not in caplog.text


async def test_the_log_tells_how_somebody_came_and_that_they_left(world, caplog):
    """By password or by link; a link that is used up; each way out."""
    caplog.set_level(logging.INFO, "crmbridge.security")
    susan, link = world.browser(), await world.feed.one_time_link("susan")
    await tries(world, "susan", PASSWORD, HOME, susan)
    await susan.send("/chirp/sign-out")
    await susan.enter(link)
    await susan.send("/chirp/account/sign-out-everywhere")
    await world.browser().get(link)
    await susan.get("/chirp/sign-in")
    await susan.send(link)
    other = await world.signed_in()
    _, page = await (await world.signed_in()).get("/chirp/account")
    await other.get("/chirp/account")
    await other.send("/chirp/account/end-session", session=page.partition('name="session" value="')[2].partition('"')[0])
    told = [(one.getMessage(), getattr(one, "by", "")) for one in caplog.records if one.name == "crmbridge.security"]
    assert told == [
        ("signed in", "password"),
        ("signed out", ""),
        ("signed in", "link"),
        ("signed out everywhere", ""),
        ("link refused", ""),
        ("link refused", ""),
        ("signed in", "link"),
        ("signed in", "link"),
        ("session ended", ""),
    ]
    assert link.rpartition("/")[2] not in caplog.text


async def test_what_stands_in_the_address_is_no_form(world):
    """A form's values come from its body alone, and who asks from the cookie alone."""
    susan = world.browser()
    await susan.get("/chirp/sign-in")
    async with susan.session.post(
        f"{world.server.url}/chirp/sign-in", params={"login": "susan", "password": PASSWORD}, data={"proof": susan.fields()["proof"]}
    ) as answer:
        assert answer.status == 400
    token = (await world.signed_in()).cookie()
    assert "Sign in" in (await world.browser().get("/chirp", params={"chirp": token}))[1]


async def test_a_browser_keeps_nothing_but_cookies(world):
    script = (await world.browser().get("/chirp/static/feed.js"))[1]
    assert "EventSource" in script
    assert not re.search(
        r"localStorage|sessionStorage|indexedDB|document\.cookie|caches\.|serviceWorker|postMessage|innerHTML|eval", script
    )


async def test_pages_say_to_browsers_that_they_stand_alone(world):
    async with aiohttp.ClientSession() as client, client.get(f"{world.server.url}/chirp/sign-in") as answer:
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_what_happens_in_the_feed_is_counted(world):
    """Guessing shows in a graph before anybody reads a log."""
    browser = world.browser()
    assert (await browser.sign_in("susan", "wrong horse"))[0] == 400
    assert (await browser.sign_in("susan", PASSWORD))[0] == 200
    await world.post(*[post(key=f"k{n}") for n in range(3)])
    told = {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(world.metrics.exposition().decode())
        for one in family.samples
    }
    assert told["crmbridge_feed_sign_ins_total", "refused"] == 1
    assert told["crmbridge_feed_sign_ins_total", "ok"] == 1
    assert told["crmbridge_feed_posts_total",] == 3
    assert told["crmbridge_feed_streams",] == 0
