"""Guesses at passwords: how long they wait, whose turn it is, and who is never made to wait for others."""

import asyncio
import threading
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from shared import NOW

from crmbridge.chirp.guessing import BusyError, Checking, Guesses, device_mark, known_device
from crmbridge.chirp.passwords import password_problem
from crmbridge.peers import client, neighbourhood, network

ATTACKER, HOME = "203.0.113.7", "198.51.100.1"


def test_waits_grow_from_one_second_to_a_quarter_of_an_hour():
    guesses, now, waits = Guesses(), NOW, []
    for _ in range(20):
        while wait := guesses.begin("susan", ATTACKER, "", now):
            waits.append(wait)
            now += timedelta(seconds=wait)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0] + [900.0] * 5


def test_many_at_once_cannot_slip_past():
    guesses = Guesses()
    assert [guesses.begin("susan", ATTACKER, "", NOW) for _ in range(30)].count(0.0) == Guesses.FREE


def test_nobody_waits_for_what_others_guess():
    guesses = Guesses()
    for n in range(500):
        guesses.begin("susan", ATTACKER, "", NOW)
        guesses.begin(f"someone {n}", ATTACKER, "", NOW)
    assert guesses.begin("susan", HOME, "", NOW) == 0, "from elsewhere"
    assert guesses.begin("tom", ATTACKER, "", NOW) == 0, "another login from the same address"
    assert guesses.begin("susan", ATTACKER, "device", NOW) == 0, "with a device that she signed in with before"


def test_a_device_that_guesses_waits_too():
    """A stolen one is no way around."""
    guesses = Guesses()
    assert [guesses.begin("susan", HOME, "device", NOW) for _ in range(30)].count(0.0) == Guesses.FREE


def test_the_right_password_begins_anew_and_charges_nobody():
    guesses = Guesses()
    for _ in range(4):
        guesses.begin("susan", HOME, "", NOW)
    guesses.begin("susan", HOME, "", NOW)
    guesses.right("susan", HOME, "", NOW)
    assert [guesses.begin("susan", HOME, "", NOW) for _ in range(30)].count(0.0) == Guesses.FREE
    for n in range(200):
        guesses.begin(f"person {n}", HOME, "", NOW)
        guesses.right(f"person {n}", HOME, "", NOW)
    assert guesses.rank("new", HOME, "", NOW)[2] <= 9, "an office of people who know their passwords is no attack"


def test_no_flood_of_tries_makes_anybody_forget_a_wait():
    """What was turned away unchecked costs the server nothing, and so must push nothing out."""
    guesses = Guesses()
    for _ in range(30):
        guesses.begin("susan", ATTACKER, "", NOW)
    wait = guesses.begin("susan", ATTACKER, "", NOW)
    for n in range(Guesses._MOST):
        guesses.begin(f"someone {n}", ATTACKER, "", NOW)
        guesses.unchecked(f"someone {n}", ATTACKER, "", NOW)
    assert guesses.begin("susan", ATTACKER, "", NOW) == wait > 0


def test_what_was_not_checked_is_no_guess():
    guesses = Guesses()
    for _ in range(100):
        assert guesses.begin("susan", HOME, "", NOW) == 0
        guesses.unchecked("susan", HOME, "", NOW)


def test_a_count_is_forgotten_after_a_day():
    guesses = Guesses()
    for _ in range(10):
        guesses.begin("susan", HOME, "", NOW)
    assert [guesses.begin("susan", HOME, "", NOW + Guesses.KEPT) for _ in range(30)].count(0.0) == Guesses.FREE


def test_who_looks_like_guessing_stands_further_back():
    guesses = Guesses()
    for n in range(50):
        guesses.begin("susan", f"192.0.2.{n}", "", NOW)
        guesses.begin(f"someone {n}", ATTACKER, "", NOW)
    ranks = []
    for login, place, device in [
        ("susan", HOME, "device"),
        ("tom", HOME, ""),
        ("tom", ATTACKER, ""),
        ("susan", HOME, ""),
        ("susan", ATTACKER, ""),
    ]:
        guesses.begin(login, place, device, NOW)
        ranks.append(guesses.rank(login, place, device, NOW))
        guesses.unchecked(login, place, device, NOW)
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == 5


# --- the queue ------------------------------------------------------------------------------------


async def test_the_least_suspicious_goes_first_and_the_most_suspicious_is_turned_away():
    checking, go, done = Checking(most=3), threading.Event(), []

    async def check(name, *rank):
        try:
            done.append(await checking.do(rank, lambda: name))
        except BusyError:
            done.append(f"no {name}")

    first = asyncio.create_task(checking.do((0, 0, 0), go.wait))
    await asyncio.sleep(0)
    tasks = []
    for name, rank in [("guess", 90), ("clean", 0), ("other guess", 80), ("another", 1)]:
        tasks.append(asyncio.create_task(check(name, 1, 0, rank)))
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, *tasks)
    assert done == ["no guess", "clean", "another", "other guess"]
    checking.close()


async def test_what_fails_fails_alone_and_who_has_gone_is_not_worked_for():
    checking, go, worked = Checking(), threading.Event(), []
    first = asyncio.create_task(checking.do((0, 0, 0), go.wait))
    await asyncio.sleep(0)
    broken = asyncio.create_task(checking.do((0, 0, 1), lambda: 1 // 0))
    gone = asyncio.create_task(checking.do((0, 0, 2), lambda: worked.append("gone")))
    last = asyncio.create_task(checking.do((0, 0, 3), lambda: "last"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(ZeroDivisionError):
        await broken
    assert (await last, worked) == ("last", [])
    await first
    checking.close()


# --- devices ----------------------------------------------------------------------------------------


def test_a_device_is_known_for_its_own_login_alone():
    mark = device_mark("susan", "n0nce", "whsec_old")
    assert known_device(mark, "susan", ["whsec_new", "whsec_old"]) == "n0nce"
    for wrong, login, secrets in [
        (mark, "tom", ["whsec_old"]),
        (mark, "susan", ["whsec_new"]),
        (mark, "susan", []),
        ("", "susan", ["whsec_old"]),
    ]:
        assert known_device(wrong, login, secrets) == ""
    assert known_device(mark.replace("n0nce", "other"), "susan", ["whsec_old"]) == ""


@given(st.text(), st.text())
def test_no_other_text_makes_a_known_device(mark, login):
    assert known_device(mark, login, ["whsec_x"]) == ""


# --- passwords --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "password",
    [
        "1234567890",
        "password12",
        "qwertyuiop",
        "aaaaaaaaaaaa",
        "hunter2hunter2",
        "susan hart",
        "Susan Hart",
        "parkers2026",
        "crmbridge2026",
        "Chirp!Chirp!",
    ],
)
def test_what_is_guessed_first_is_no_password(password):
    assert "easy to guess" in password_problem(password, ["susan", "Susan Hart"])


@pytest.mark.parametrize(
    "password",
    ["correct horse", "a new password", "tr0ub4dor&3 again", "größer als der mond", "violet tram sings under the old quarry " * 5],
)
def test_a_few_words_are_one(password):
    assert password_problem(password, ["susan"]) == ""


def test_length_is_said_first():
    assert "at least 10" in password_problem("x7!kQ2#pZ")
    assert "at most 200" in password_problem("correct horse " * 20)


# --- addresses --------------------------------------------------------------------------------------

TRUSTED = [network("127.0.0.1"), network("10.0.0.0/8"), network("2001:db8:1::/48")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.1", ["203.0.113.9"], "198.51.100.1"),  # whoever comes directly can write what they like
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["1.1.1.1", "203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1", ["203.0.113.9, unknown"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9:5123"], "203.0.113.9"),
        ("127.0.0.1", ["[2001:db8:2::7]:5123"], "2001:db8:2::7"),
        ("::ffff:127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:1::5", ["2001:db8:2::7"], "2001:db8:2::7"),
        ("10.0.0.1", ["10.0.0.2"], "10.0.0.2"),
        ("", ["203.0.113.9"], "203.0.113.9"),  # a unix socket: only a proxy can open it
        ("127.0.0.1", [", ,"], "127.0.0.1"),
    ],
)
def test_who_asks_is_whom_the_last_trusted_proxy_saw(peer, forwarded, expected):
    assert client(peer, forwarded, TRUSTED) == expected


@given(st.lists(st.text(), max_size=30))
@example(["203.0.113.9"])
def test_what_is_forwarded_by_no_trusted_proxy_is_not_read(forwarded):
    assert client("198.51.100.1", forwarded, TRUSTED) == "198.51.100.1"


@given(st.lists(st.text(), max_size=30))
def test_whatever_is_forwarded_an_address_comes_of_it(forwarded):
    assert network(client("127.0.0.1", forwarded, TRUSTED))


def test_a_household_is_one_place():
    assert neighbourhood("2001:db8:2:3:aaaa::1") == neighbourhood("2001:db8:2:3::2") == "2001:db8:2:3::/64"
    assert neighbourhood("198.51.100.1") == neighbourhood("::ffff:198.51.100.1") == "198.51.100.1"
    assert neighbourhood("") == ""


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "proxy.example", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match="no address or network"):
        network(text)
