"""Addresses with a record's words in them: each encoded by its position, and none that leads elsewhere."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbridge.model import Literal, Value, address, filled, unmarked, visible, web_address

L, V = Literal, Value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ((L("https://crm.example/a/"), V("R&D")), "https://crm.example/a/R%26D"),
        ((L("https://crm.example/a/"), V("C#")), "https://crm.example/a/C%23"),
        ((L("https://crm.example/a/"), V("two words")), "https://crm.example/a/two%20words"),
        ((L("https://crm.example/a/"), V("x/../../y?z=1")), "https://crm.example/a/x%2F..%2F..%2Fy%3Fz%3D1"),
        ((L("https://crm.example/a/"), V("50%")), "https://crm.example/a/50%25"),
        ((L("https://crm.example/?q="), V("a&b=c+d"), L("&tab=1")), "https://crm.example/?q=a%26b%3Dc%2Bd&tab=1"),
        ((L("https://crm.example/#id="), V("7 8")), "https://crm.example/#id=7%208"),
        ((L("https://crm.example/"), V("Århus"), L("/x")), "https://crm.example/%C3%85rhus/x"),
        # A record's own address is one.
        ((V("https://crm.example/deals/7?tab=1#top"),), "https://crm.example/deals/7?tab=1#top"),
        ((V(" https://crm.example/two words/100% "),), "https://crm.example/two%20words/100%25"),
        ((V("https://crm.example/deals/7"), L("/edit?by="), V("a&b")), "https://crm.example/deals/7/edit?by=a%26b"),
        ((V("https://crm.example"), V("/deals/7?a=b")), "https://crm.example/deals/7?a=b"),
        # The host, in part or whole.
        ((L("https://"), V("acme"), L(".crm.example/x")), "https://acme.crm.example/x"),
        ((L("https://"), V("crm.example:8443"), L("/x")), "https://crm.example:8443/x"),
        ((L("https://"), V("bücher.example"), L("/x")), "https://xn--bcher-kva.example/x"),
        ((L("https://crm.example"), V("/deals/7?tab=1&x=2#top")), "https://crm.example/deals/7?tab=1&x=2#top"),
        ((L("https://crm.example"), V("/deals/two words")), "https://crm.example/deals/two%20words"),
        ((L("http://[::1]:80/"), V("x")), "http://[::1]:80/x"),
        ((L("https://eu-"), V("7"), L(".crm.example/x")), "https://eu-7.crm.example/x"),
        ((L("https://crm.example:"), V("8443"), L("/x")), "https://crm.example:8443/x"),
        ((L("https://crm.example?q="), V("a&b=c")), "https://crm.example?q=a%26b%3Dc"),
        ((), ""),
        ((L("  "),), ""),
        ((V(" "),), ""),
    ],
)
def test_words_are_encoded_by_their_position(text, expected):
    """Path, query, fragment, host, or the whole of it."""
    assert address(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        (L("https://"), V("evil.example/"), L(".crm.example/x")),
        (L("https://crm.example"), V("@evil.example")),
        (L("https://crm.example"), V("s.evil.example")),
        (L("https://crm.example"), V(".evil.example"), L("/login")),
        (L("https://crm"), V(".evil.example:80"), L("/x")),
        (L("https://crm.example:abc/"), V("x")),
        (L("https://crm.example:99999/"), V("x")),
        (L("https://crm.example"), V("//evil.example")),
        (L("https://crm.example:"), V("80@evil.example")),
        (L("https://"), V("a b"), L("/x")),
        (L("https://"), V(".")),
        (L("https://crm.example/deals/"), V("..")),
        (L("https://crm.example/deals/"), V(".")),
        (L("https:"), V("//evil.example")),
        (L("java"), V("script:alert(1)")),
        (V("javascript:alert(1)"),),
        (V("www.acme.example"),),
        (V("https://"),),
        (V("https://a b/c"),),
        (L("https://crm.example/a b"),),
        (L("https://crm.example/"), V("x" * 2000)),
    ],
)
def test_no_words_lead_elsewhere(text):
    """What cannot be encoded where it stands makes no address."""
    with pytest.raises(ValueError, match=r"."):
        address(text)


words = st.text(min_size=1).filter(lambda one: visible(one).strip() not in ("", ".", ".."))


@given(words)
def test_a_part_of_the_path_stays_one_part(word):
    """Whatever a record says, scheme, host, query and fragment are the rule's, and the words can be read back."""
    parts = urlsplit(address((L("https://crm.example/a/"), V(word), L("/b?c=d#e"))))

    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "crm.example", "c=d", "e")
    first, middle, last = parts.path.removeprefix("/").split("/")
    assert (first, last) == ("a", "b")
    assert unquote(middle) == visible(word).strip().encode("utf-8", "replace").decode()


@given(words)
def test_a_value_of_the_query_stays_one_value(word):
    """No `&`, `=` or `#` of a record ends it."""
    parts = urlsplit(address((L("https://crm.example/a?c="), V(word), L("&e=f"))))

    assert parse_qsl(parts.query, keep_blank_values=True) == [("c", visible(word).strip().encode("utf-8", "replace").decode()), ("e", "f")]


@given(st.text(alphabet="ab.-:/@?#%\\ \t\u00e9[]"), st.sampled_from(["", "/x", ".crm.example/x"]))
def test_a_record_beside_the_host_never_brings_another_scheme_or_user(word, rest):
    """It fills a part of the name, or begins the path; a host of the rule's before it stays the beginning of the host."""
    try:
        found = address((L("https://crm."), V(word), L(rest)))
    except ValueError:
        return
    parts = urlsplit(found)
    assert parts.scheme == "https"
    assert "@" not in parts.netloc
    assert parts.netloc.startswith("crm.")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ((L("see https://crm.example/a/"), V("R&D x"), L(" or "), V("R&D")), "see https://crm.example/a/R%26D%20x or R&D"),
        ((L("see https://crm.example/a?b="), V("1"), L("&c="), V("2 3"), L("."), V("x y")), "see https://crm.example/a?b=1&c=2%203.x%20y"),
        ((L("see https://crm.example?b="), V("R&D")), "see https://crm.example?b=R%26D"),
        ((V("https://crm.example/"), V("R&D")), "https://crm.example/R&D"),
        ((V("a\u200bb\0"),), "ab"),
        ((L("https://"), V("x/y z")), "https://x/y z"),
        ((), ""),
    ],
)
def test_an_address_within_plain_words(text, expected):
    """Networks without mark-up make links of what looks like one: only one that the rule began goes on with a record's words."""
    assert unmarked(text) == expected


def test_an_id_in_an_address_of_the_configuration():
    """The record's id fills one part of it."""
    assert filled("https://crm.example/{type}/{id}?x=1", type="Sales Order", id="7/8?&#") == (
        "https://crm.example/Sales%20Order/7%2F8%3F%26%23?x=1"
    )


@pytest.mark.parametrize("url", ["https://a b/", "https://a%20b/", "https://a\\b/", "http://<x>/"])
def test_a_host_is_a_name(url):
    """Blanks and mark-up make none."""
    with pytest.raises(ValueError, match="address"):
        web_address(url)
