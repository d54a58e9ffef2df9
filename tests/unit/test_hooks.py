"""The kit for sources that are called: paths, forms, entries and pairs, constants, ids alone."""

import json
from datetime import timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from shared import NOW

from crmbridge.contract import Setting, WebhookRequest
from crmbridge.errors import InvalidRequest
from crmbridge.hooks import Challenge, Hook, HookOptions, Map, Signature
from crmbridge.hooks.bodies import strict_form
from crmbridge.hooks.paths import at, every, parts_of, way
from crmbridge.model import FieldSpec, Reading

SECRET = "canary-secret-0123456789abcdefghij"
BODY = b'{"id": 7}'
SIGNATURE, CHALLENGE = TypeAdapter(Signature), TypeAdapter(Challenge)
ONLY_ID = {"record_type": {"value": "Deal"}, "record_id": "body.id"}


def request(body=BODY, query="", at=NOW, path="", method="POST", address="/hooks/crm", repeated=(), **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return WebhookRequest(given, body, query, at, path, method, address, frozenset(repeated))


def hook(map_=None, signature=None, challenge=None, records=None, form="json", **facts):
    options = HookOptions(signature=signature or {"scheme": "none"}, map=Map(**(map_ or ONLY_ID)), challenge=challenge, body=form)
    return Hook(options, Setting(name="crm", records=records or {}), Reading(days=timezone.utc), **facts)


def told(body, map_=None, records=None, **facts):
    """The observations in a body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return list(hook(map_, records=records, **facts).parse(request(data)))


# --- paths --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ("body", ()),
        ("body.a.b", ("a", "b")),
        ('body."Deal Name".x', ("Deal Name", "x")),
        ('body."a.b"', ("a.b",)),
        ('body.a."b c"', ("a", "b c")),
        (["body", "Deal Name", "a.b"], ("Deal Name", "a.b")),
        (["body"], ()),
        ("body.0.key=Target", ("0", "key=Target")),
        ("body.@odata", ("@odata",)),
    ],
)
def test_a_path_has_its_parts(raw, parts):
    """Dots part it, quotes keep blanks and dots, a list is its parts."""
    found = way(raw, ("body", "item"))
    assert (found.root, found.parts) == ("body", parts)
    assert parts_of(str(found)) == ("body", *parts), "it prints as a path"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "body.",
        ".body",
        "body..a",
        "body.a b",
        'body."a',
        'body."a"b',
        'body.""',
        "bodya",
        "headers.x",
        [],
        ["body", ""],
        ["body", 3],
        "body" + ".a" * 20,
    ],
)
def test_what_is_no_path(raw):
    """None of them is guessed at."""
    assert way(raw, ("body", "item")) is None


def test_headers_and_queries_are_flat():
    """Their names hold dots and are one part; headers in lower case, as requests have them."""
    assert way("headers.X-A.b", ("headers",)).header == "x-a.b"
    assert way('query."hub.challenge"', ("query",)).parts == ("hub.challenge",)
    assert way("query.hub.challenge", ("query",)).parts == ("hub.challenge",)
    for raw in ("headers", "headers.a b", "headers.ä", "query"):
        assert way(raw, ("headers", "query")) is None


def test_what_stands_at_a_path():
    """In mappings by name, in lists by number or by an entry's key; what is not there is None."""
    value = {"a": [{"key": "x", "value": 1}, {"key": "Target", "value": 2}, "key=Target"], "key=Target": 3, "n": {"0": 4}}
    assert at(value, ("a", "key=Target", "value")) == 2
    assert at(value, ("key=Target",)) == 3
    assert at(value, ("n", "0")) == 4
    assert at(value, ("a", "2")) == "key=Target"
    for parts in (("a", "3"), ("a", "-1"), ("a", "x"), ("a", "key=y"), ("a", "9" * 30), ("n", "0", "x"), ("a", "\u0661")):
        assert at(value, parts) is None
    either = {
        "a": {"pulseId": 1},
        "b": {"itemId": 2},
        "c": {"pulseId": None, "itemId": 3},
        "d": {"pulseId|itemId": 4, "itemId": 5},
        "e": {},
    }
    assert [at(either, (name, "pulseId|itemId")) for name in "abcde"] == [1, 2, None, 4, None]


def test_items_of_lists_in_lists():
    """`*` is every element of a list, in order; where there is no list there is none, and never more than allowed."""
    value = {"entry": [{"changes": [1, 2]}, {"changes": []}, {"other": 5}, {"changes": [3]}]}
    assert every(value, ("entry", "*", "changes"), 10) == [1, 2, 3]
    assert every([[1], [2]], ("*", "*"), 10) == [1, 2]
    assert every(value, ("nope", "*", "changes"), 10) is None
    with pytest.raises(ValueError, match="more than 2"):
        every(value, ("entry", "*", "changes"), 2)


# --- forms --------------------------------------------------------------------------------------


def test_a_form():
    """Encoded as browsers do, nested as PHP does; every value is a text."""
    body = b"a=1&b=x+y%21&c%5Bd%5D=2&c[e][f]=%C3%BC&l[]=1&l[]=2&g[0][n]=a&g[1][n]=b&empty="
    assert strict_form(body) == {
        "a": "1",
        "b": "x y!",
        "c": {"d": "2", "e": {"f": "ü"}},
        "l": ["1", "2"],
        "g": {"0": {"n": "a"}, "1": {"n": "b"}},
        "empty": "",
    }
    assert strict_form(b"") == {}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"a=1&a=2", "twice"),
        (b"a[b]=1&a%5Bb%5D=2", "twice"),
        (b"a=1&a[b]=2", "one thing and another"),
        (b"a[b]=1&a[]=2", "one thing and another"),
        (b"a[b]=1&a=2", "twice"),
        (b"a[][b]=1", "more than values"),
        (b"=1", "no name"),
        (b"a=1&&b=2", "no name"),
        (b"a=%zz", "not encoded"),
        (b"a=%4", "not encoded"),
        (b"a=\xff", "not encoded"),
        (b"a=%FF", "not UTF-8"),
        (b"a[=1", "brackets"),
        (b"a]b=1", "brackets"),
        (b"[a]=1", "brackets"),
        (b"a[b]c=1", "brackets"),
        (b"a[[b]]=1", "brackets"),
        (b"a" + b"[b]" * 9 + b"=1", "too deep"),
        (b"&".join(b"a%d=1" % n for n in range(2001)), "more than 2000"),
    ],
)
def test_what_two_readers_could_read_in_two_ways(body, message):
    """Each is refused with its reason."""
    with pytest.raises(ValueError, match=message):
        strict_form(body)


@given(st.binary(max_size=100) | st.text("ab[]=&%+0", max_size=100).map(str.encode))
def test_a_form_is_read_or_refused(body):
    """Any bytes: a mapping, or ValueError."""
    try:
        assert isinstance(strict_form(body), dict)
    except ValueError:
        return


def test_a_body_is_of_the_kind_that_was_said():
    """JSON where JSON is expected, a form where a form is: else 415."""
    as_form = hook({"record_type": {"value": "Deal"}, "record_id": "body.data.FIELDS.ID"}, form="form")
    as_form.verify(request(b"data[FIELDS][ID]=7", content_type="application/x-www-form-urlencoded; charset=utf-8"))
    for content_type in ("application/json", "", "application/x-www-form-urlencodedx", "multipart/form-data"):
        with pytest.raises(InvalidRequest, match="must be application/x-www-form-urlencoded") as caught:
            as_form.verify(request(b"a=1", content_type=content_type))
        assert caught.value.status == 415
    with pytest.raises(InvalidRequest, match="not text/html\ufffd") as caught:
        hook().verify(request(content_type="text/html\udcff"))
    assert caught.value.status == 415
    with pytest.raises(InvalidRequest, match="twice") as caught:
        as_form.verify(request(b"a=1&a=2", content_type="application/x-www-form-urlencoded"))
    assert caught.value.status == 400
    (found,) = as_form.parse(request(b"data[FIELDS][ID]=7"))
    assert found.record_id == "7"


# --- the map ------------------------------------------------------------------------------------

DATAVERSE = {
    "id": 7,
    "attributes": [{"key": "stage", "value": "won"}, {"key": "owner", "value": {"Id": "u", "Name": None}}, {"key": "gone"}],
}


def test_fields_in_entries():
    """A list of names and values; nested values are flattened as ever, an entry without a value says nothing."""
    entries = {"from": "body.attributes", "key": "key", "value": "value"}
    (one,) = told(DATAVERSE, ONLY_ID | {"fields": entries})
    assert one.fields == {"stage": "won", "owner.Id": "u", "owner.Name": None}
    (one,) = told(DATAVERSE, ONLY_ID | {"fields": entries}, {"Deal": {"stage": FieldSpec(), "gone": FieldSpec()}})
    assert one.fields == {"stage": "won"}
    (one,) = told(
        {"id": 1, "l": [{"n": "a", "old": 1, "new": 2}]},
        ONLY_ID
        | {
            "fields": {"from": "body.l", "key": "n", "value": "new"},
            "before": {"from": "body.l", "key": "n", "value": "old"},
        },
    )
    assert (one.fields, one.before) == ({"a": Decimal(2)}, {"a": Decimal(1)})


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"key": "a", "value": 1}, {"key": "a", "value": 2}], "a stands twice"),
        ([{"value": 1}], "an entry at body.l has no key"),
        (["x"], "an entry at body.l has no key"),
        ({"a": 1}, "no mapping stands at body.l|has no key"),
        ("x", "no mapping stands at body.l"),
        ([{"key": str(n), "value": 1} for n in range(2001)], "more than 2000 at body.l"),
    ],
)
def test_entries_that_are_none(entries, message):
    """For the person who wrote the map."""
    where = ONLY_ID | {"fields": {"from": "body.l", "key": "key", "value": "value"}}
    if isinstance(entries, dict):
        assert told({"id": 1, "l": entries}, where)[0].fields == {"a": Decimal(1)}, "a mapping is one already"
        return
    with pytest.raises(ValueError, match=message):
        told({"id": 1, "l": entries}, where)


def test_fields_in_pairs():
    """[old, new], or {from:, to:}, by name; a pair that lacks its half says nothing of it."""
    changes = {"stage": ["open", "won"], "amount": {"from": 1, "to": 2}, "new": ["x"], "none": [None, None]}

    def pairs(value):
        return {"from": "body.changes", "value": value}

    (one,) = told({"id": 1, "changes": changes}, ONLY_ID | {"fields": pairs("1"), "before": pairs("0")})
    assert one.fields == {"stage": "won", "none": None}
    assert one.before == {"stage": "open", "new": "x", "none": None}
    (one,) = told({"id": 1, "changes": changes}, ONLY_ID | {"fields": pairs("to"), "before": pairs("from")})
    assert (one.fields, one.before) == ({"amount": Decimal(2)}, {"amount": Decimal(1)})
    with pytest.raises(ValueError, match=r"value\s+Field required"):
        Map(**ONLY_ID, fields={"from": "body.changes"})


def test_what_happened_in_words_of_one_end():
    """A * in a word is any text; a word without one is that word alone."""
    kind = {"from": "body.e", "created": ["*.created", "new"], "deleted": ["*/delete", "X_*_Y"], "ignore": ["internal.*"]}

    def happened(word):
        found = told({"id": 1, "e": word}, ONLY_ID | {"kind": kind})
        return [(one.created, one.deleted) for one in found]

    for word in ("a.created", "a.b.created", ".created", "new", "a\n.created"):
        assert happened(word) == [(True, False)]
    for word in ("orders/delete", "X_1_Y"):
        assert happened(word) == [(False, True)]
    for word in ("created", "a.createds", "axcreated", "news", "X_Y", None, 7, ["a.created"]):
        assert happened(word) == [(False, False)]
    assert happened("internal.created") == []


def test_constants():
    """Where one value is wanted: also for what happened."""
    (one,) = told(
        {"x": 1},
        {
            "record_type": {"value": "Deal"},
            "record_id": {"value": "settings"},
            "fields": "body",
            "actor": {"value": "Zapier"},
            "url": {"value": "https://crm.example"},
            "kind": {"value": "created"},
        },
    )
    assert (one.record_id, one.actor, one.url, one.created) == ("settings", "Zapier", "https://crm.example", True)
    (one,) = told({"id": 1}, ONLY_ID | {"kind": {"value": "deleted"}})
    assert (one.deleted, one.created) == (True, False)
    for wrong in ({}, {"from": "body.x", "value": "created"}, {"value": "created", "created": ["x"]}, {"value": "merged"}):
        with pytest.raises(ValueError, match=r"kind|value"):
            Map(**ONLY_ID, kind=wrong)
    for key in ("version", "observation_id", "occurred_at"):
        with pytest.raises(ValueError, match="write a path"):
            Map(**ONLY_ID, **{key: {"value": "1"}})


def test_only_ids():
    """The source that can reads the record; another one knows the id, and that is all."""
    (one,) = told({"id": 7}, rereads=True)
    assert (one.record_id, one.fields, one.partial) == ("7", {}, True)
    (one,) = told({"id": 7})
    assert (one.fields, one.partial) == ({}, False)
    (one,) = told({"id": 7}, ONLY_ID | {"kind": {"value": "deleted"}}, rereads=True)
    assert (one.deleted, one.partial) == (True, False), "nobody can read what is gone"
    (one,) = told({"id": 7, "f": {"a": "b"}}, ONLY_ID | {"fields": "body.f"}, rereads=True)
    assert one.partial is False
    assert [
        one.record_id for one in told({"ids": ["1", "2"]}, {"items": "body.ids", "record_type": {"value": "Deal"}, "record_id": "item"})
    ] == ["1", "2"]


def test_a_header_that_came_twice_is_not_mapped():
    """Which of them is it?"""
    one = hook(ONLY_ID | {"actor": "headers.X-User"})
    one.verify(request(x_user="ann"))
    with pytest.raises(InvalidRequest, match="x-user came more than once") as caught:
        one.verify(request(x_user="ann", repeated={"x-user"}))
    assert caught.value.status == 400
    one.verify(request(x_user="ann", repeated={"x-other"}))
