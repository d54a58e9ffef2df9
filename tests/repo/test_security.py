"""SECURITY.md: every requirement of ASVS 5.0, level 2, is answered once; every test it names exists; what it says is the code's."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from shared import ROOT

from crmbridge import registry
from crmbridge.chirp import api, live, people, site, text
from crmbridge.chirp.guessing import Checking, Guesses
from crmbridge.chirp.passwords import LONGEST_PASSWORD, OWN_WORDS, SHORTEST_PASSWORD, Cost
from crmbridge.config import exposure, secrets
from crmbridge.http import picture, strict, xml
from crmbridge.model.values import Sensitivity
from crmbridge.pages import sessions
from crmbridge.rules import meter
from crmbridge.server import Server

DOCUMENT = (ROOT / "SECURITY.md").read_text("utf-8")
CODE = [path for package in ("crmbridge", "connectors") for path in sorted((ROOT / package).rglob("*.py"))]

# How many requirements of level 1 and 2 each section of ASVS 5.0.0 has; they are numbered from 1 without a gap.
REQUIREMENTS = """
    1.1:2 1.2:9 1.3:11 1.4:3 1.5:2
    2.1:3 2.2:3 2.3:4 2.4:1
    3.2:2 3.3:4 3.4:6 3.5:5 3.7:2
    4.1:3 4.2:1 4.3:2 4.4:4
    5.1:1 5.2:3 5.3:2 5.4:3
    6.1:3 6.2:12 6.3:4 6.4:4 6.5:5 6.6:3 6.8:4
    7.1:3 7.2:4 7.3:2 7.4:5 7.5:2 7.6:2
    8.1:2 8.2:3 8.3:1 8.4:1
    9.1:3 9.2:4
    10.1:2 10.2:2 10.3:4 10.4:11 10.5:5 10.6:2 10.7:3
    11.1:2 11.2:3 11.3:3 11.4:4 11.5:1 11.6:1
    12.1:3 12.2:2 12.3:4
    13.1:1 13.2:5 13.3:2 13.4:5
    14.1:2 14.2:4 14.3:3
    15.1:3 15.2:3 15.3:7
    16.1:1 16.2:5 16.3:4 16.4:3 16.5:3
    17.1:1 17.2:4 17.3:2
"""
ANSWERS = ("met", "not ours", "not met")
TEST = re.compile(r"`([a-z_/0-9]+\.py)::(test_\w+)`")


def section(title: str) -> str:
    """What stands under a heading of SECURITY.md."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def table(text: str) -> list[list[str]]:
    """The cells of all rows that are no heading."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if not row[0].startswith("---")]


def numbers(cell: str) -> list[str]:
    """`6.6.1 to 6.6.3` as three; a single number as itself."""
    first, _, last = cell.partition(" to ")
    section, _, begin = first.rpartition(".")
    other, _, end = (last or first).rpartition(".")
    assert section == other, cell
    return [f"{section}.{number}" for number in range(int(begin), int(end) + 1)]


ROWS = [row for row in table(section("OWASP ASVS 5.0, level 2")) if re.match(r"\d+\.\d+\.\d+", row[0])]


# --- the requirements ---------------------------------------------------------------------------------


def test_every_requirement_is_answered_once_and_in_its_order():
    counts = dict(one.split(":") for one in REQUIREMENTS.split())
    wanted = [f"{section}.{number}" for section, count in counts.items() for number in range(1, int(count) + 1)]
    assert len(wanted) == 253
    assert [number for row in ROWS for number in numbers(row[0])] == wanted


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_an_answer_is_whole(row):
    """One of three words; what is met names a test, and everything else has its reason."""
    number, asked, answer, why = row
    assert asked, number
    assert answer in ANSWERS
    if answer == "met":
        assert TEST.search(why)
    else:
        assert len(re.sub(TEST, "", why).split()) >= 3
    assert "``" not in why
    assert why.count("::") == len(TEST.findall(why)), "each test is written `path::name`"


def functions(path: Path) -> set[str]:
    """Every function of a module, in classes too."""
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_test_that_is_named_exists():
    named = set(TEST.findall(DOCUMENT.replace("`tests/", "`")))
    assert len(named) > 100
    there = {file: functions(ROOT / "tests" / file) if (ROOT / "tests" / file).exists() else set() for file, _ in named}
    assert sorted(f"{file}::{name}" for file, name in named if name not in there[file]) == []


def test_the_counts_are_those_of_the_rows():
    counted: dict[str, Counter[str]] = {}
    for row in ROWS:
        chapter = f"V{row[0].partition('.')[0]}"
        counted.setdefault(chapter, Counter())[row[2]] += len(numbers(row[0]))
    shown = {row[0].split()[0]: [int(cell) for cell in row[1:]] for row in table(DOCUMENT) if re.match(r"V\d+ |all", row[0])}
    everything = Counter[str]()
    for chapter, counts in counted.items():
        everything += counts
        assert shown.pop(chapter) == [counts[one] for one in ANSWERS], chapter
    assert shown == {"all": [everything[one] for one in ANSWERS]}


def test_the_readme_leads_here():
    assert "(SECURITY.md)" in (ROOT / "README.md").read_text("utf-8")


# --- what it says is the code's -----------------------------------------------------------------------


def test_the_figures_are_the_codes():
    """Limits, and what slows guesses and ends sessions."""
    sign_in, limits = section("Sign-in"), section("Limits")
    for said in (
        f"has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters",
        " and ".join(f"`{word}`" for word in OWN_WORDS),
        f"The first {Guesses.FREE} tries",
        f"up to {Guesses.LONGEST.seconds // 60} minutes",
        f"forgotten after {Guesses.KEPT.days} day",
        f"At most {Checking()._most} passwords",
        f"within {people.LINK_LIFE.seconds // 60} minutes",
        f"after {sessions.IDLE.days} days without use, and after {sessions.LONGEST.days} days",
    ):
        assert said in sign_in, said
    server = Server([], name="x")
    for what, said in {
        "time for a whole request, head and body": f"{server.request_deadline:g} s",
        "body of a webhook": f"{server.max_body // 2**20} MiB",
        "body of the feed's API": f"{api._MAX_BODY // 2**20} MiB, {api.MAX_POSTS} posts",
        "connections to the server; of one place": f"{server.max_connections}; {server.max_per_origin}",
        "live pages; of one person": f"{live.MAX_STREAMS}; {live.MAX_PER_PERSON}",
        "posts of a person in a minute": f"{site.PostingLimit.MOST}",
        "length of a post": f"{text.MAX_TEXT:,} characters",
        "passwords that wait to be checked": f"{Checking()._most}, one at a time",
        "work of one rule on one record": f"{meter.LIMIT:,} units",
        "depth of JSON and of XML that comes in": f"{strict.MAX_DEPTH} levels",
        "a picture": f"{picture.MAX_BYTES // 2**20} MiB, {picture.MAX_PIXELS:,} pixels",
    }.items():
        assert f"| {what} | {said} |" in limits, what
    assert strict.MAX_DEPTH == xml.MAX_DEPTH
    ways = section("Ways in")
    assert f"secrets of {exposure.SHORTEST_SECRET} characters or more" in ways
    assert f"tokens of {secrets._SHORTEST_TOKEN} characters or more" in ways


def test_every_way_in_is_described():
    doors = " ".join(row[0] for row in table(section("Ways in")))
    for door in (
        "/hooks/",
        "/chirp/sign-in",
        "/chirp/enter/",
        "/chirp/...",
        "/chirp/api/",
        "/chirp/static/",
        "admin.listen",
        "unix socket",
    ):
        assert door in doors
    assert all(row[2] for row in table(section("Ways in"))), "how each proves who they are"
    assert len(table(section("Who may do what"))) >= 5


def test_every_level_of_a_field_is_described():
    said = section("Who may do what")
    assert [one.value for one in Sensitivity if f"`{one.value}`" not in said] == []


def test_every_table_of_the_databases_has_its_level():
    """A new table is judged before it is kept."""
    made = {
        name
        for path in (ROOT / "crmbridge").glob("*/migrations/*.sql")
        for name in re.findall(r"^CREATE TABLE (\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    made -= {name for name in made if name.endswith("_new")}  # a migration builds a table anew, and gives it the old name
    rows = [row for row in table(section("What is kept")) if row[0].startswith("`")]
    listed = {name: row for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert made == set(listed)
    levels = {"open", "internal", "personal", "secret"}
    assert [name for name, row in listed.items() if not set(row[2].split(", ")) <= levels or not row[3]] == []


def test_every_level_says_how_it_is_protected():
    rows = {row[0]: row[1:] for row in table(section("What is kept")) if row[0] in ("open", "internal", "personal", "secret")}
    assert set(rows) == {"open", "internal", "personal", "secret"}
    assert all(len(row) == 4 and all(row) for row in rows.values())


def test_everybody_who_is_spoken_to_is_listed():
    said = {name for row in table(section("Who is spoken to")) for name in re.findall(r"`(\w+)`", row[0])}
    assert {name for kind in registry.KINDS for name in registry.names(kind)} == said


def test_how_soon_parts_are_replaced_is_said():
    assert re.search(r"within \d+ days after .* any other vulnerable one within \d+ days", section("Parts that others made"))


def imported(tree: ast.Module) -> set[str]:
    """The packages that a module imports."""
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in found}


TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in CODE}
OTHERS_CRYPTOGRAPHY = {"Crypto", "Cryptodome", "nacl", "jwt", "jose", "authlib", "passlib", "bcrypt", "argon2", "rsa", "ecdsa", "OpenSSL"}
PLAIN = {"sha256": "SHA-256", "scrypt": "scrypt", "blake2b": "BLAKE2b"}
ASYMMETRIC = {"SHA256": "SHA-256", "PKCS1v15": "RSASSA-PKCS1-v1_5"}


def test_the_inventory_of_cryptography_is_whole():
    """Every algorithm of the code stands in it; the standard library and `cryptography` do all of it."""
    said = section("Cryptography")
    assert [name for name, tree in TREES.items() if imported(tree) & OTHERS_CRYPTOGRAPHY] == []
    assert [name for name, tree in TREES.items() if "cryptography" in imported(tree)] == ["crmbridge/http/oauth.py"]
    used: set[str] = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id="hashlib"), attr=name):
                    used.add(PLAIN[name])
                case ast.Attribute(value=ast.Name(id="hashes" | "padding"), attr=name):
                    used.add(ASYMMETRIC[name])
    assert used == {*PLAIN.values(), *ASYMMETRIC.values()}
    cost = Cost()
    for name in (*used, "HMAC-SHA-256", "HMAC-SHA-1", "RS256", "TLS", f"N = 2^{cost.n.bit_length() - 1}, r = {cost.r}, p = {cost.p}"):
        assert name in said, name
    assert all(len(row) == 4 and row[1] for row in table(said))


JITTER = {"crmbridge/supervise.py", "crmbridge/publisher/publisher.py", "crmbridge/intake/desk.py", "crmbridge/intake/poller.py"}


def test_nothing_secret_is_drawn_by_a_generator_that_can_be_foretold():
    """`random` only spreads waits; everything else is drawn by the operating system."""
    assert {name for name, tree in TREES.items() if "random" in imported(tree)} == JITTER
    for name in JITTER:
        drawn = {node.attr for node in ast.walk(TREES[name]) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "random"}
        assert drawn == {"random"}, name


def security_messages(tree: ast.Module) -> list[str]:
    """What a module says to the security log; a message that is no constant is given as it is written."""
    names = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.value) == "logging.getLogger('crmbridge.security')"
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in names
    ]
    said = [
        one
        for call in calls
        for one in ((call.args[0].body, call.args[0].orelse) if isinstance(call.args[0], ast.IfExp) else call.args[:1])
    ]
    return [one.value if isinstance(one, ast.Constant) else ast.unparse(one) for one in said]


def test_every_message_of_the_security_log_is_listed():
    told = {message for tree in TREES.values() for message in security_messages(tree)}
    listed = {row[0].strip("`") for row in table(section("The security log"))} - {"message"}
    assert len(told) >= 15
    assert told == listed
    assert all(all(row) for row in table(section("The security log")))


# --- the tests can fail -------------------------------------------------------------------------------


def test_what_is_wrong_is_noticed():
    assert numbers("6.6.1 to 6.6.3") == ["6.6.1", "6.6.2", "6.6.3"]
    with pytest.raises(AssertionError):
        numbers("6.6.1 to 6.7.3")
    for row in (
        ["1.1.1", "x", "met", "believe me"],
        ["1.1.1", "x", "nearly", "`unit/test_db.py::test_x`"],
        ["1.1.1", "x", "not met", ""],
        ["1.1.1", "x", "not met", "`unit/test_db.py::test_x`"],
        ["1.1.1", "x", "met", "`unit/test_db.py::test_x`, unit/test_db.py::test_y"],
    ):
        with pytest.raises(AssertionError):
            test_an_answer_is_whole(row)
    tree = ast.parse("import logging\n_log = logging.getLogger('crmbridge.security')\n_log.info('a')\n_log.warning(b)\nother.info('c')")
    assert security_messages(tree) == ["a", "b"]
    assert security_messages(ast.parse(ast.unparse(tree) + "\n_log.info('x' if y else 'z')")) == ["a", "b", "x", "z"]
