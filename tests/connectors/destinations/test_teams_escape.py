"""A record's words in Teams: never a link, a mention, a format or another element, whatever the rule writes around them.

Judged by what each of Teams' parsers needs before it does anything, not by the code that escapes: CommonMark on the desktop, the smaller
parser on phones, and iOS, which makes links of what looks like an address. And by a parser that nobody here wrote: markdown-it, with
GitHub's additions, raw HTML and its search for addresses, which reads more into a text than Teams does.
"""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from shared import examples

from connectors.destinations.teams.escape import ZW, address, markdown, misled, plain_words
from crmbridge.errors import Rejected
from crmbridge.model import Literal, Text, Value


def shown(text: str) -> str:
    """As people see it."""
    return text.replace(ZW, "").translate(str.maketrans("\u2217\u02cd\u223c\u02cb\u2216\uff3b\uff3d\u203a", "*_~`\\[]>"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Parkers & Sons (EMEA) [DE], 5 % off #1 - it's 10:30", "Parkers & Sons (EMEA) [DE], 5 % off #1 - it's 10:30"),
        ("snake_case stays, C:\\temp and DOMAIN\\user too", "snake_case stays, C:\\temp and DOMAIN\\user too"),
        ("**bold** _it_ __u__ ~~no~~ `code`", "∗∗bold∗∗ ˍitˍ ˍˍuˍˍ ∼∼no∼∼ ˋcodeˋ"),
        ("a*b*c 5*3*2", "a∗b∗c 5∗3∗2"),
        ("[Log in](https://evil.example)", f"[Log in］(https:{ZW}/{ZW}/evil.{ZW}example)"),
        ("![x](https://evil.example)", f"![x］(https:{ZW}/{ZW}/evil.{ZW}example)"),
        ("[a][b] [a]: /x", "[a］[b］ [a］: /x".replace("[b］", "[b]")),
        ("<at>Ann</at> <https://evil.example> <b>", f"<{ZW}at>Ann<{ZW}/at> <{ZW}https:{ZW}/{ZW}/evil.{ZW}example> <{ZW}b>"),
        ("1 < 2 > 0 <3", f"1 < 2 > 0 <{ZW}3"),
        ("&lt;at&gt; &#42;x&#42; AT&T R&D now", f"&{ZW}lt;at&{ZW}gt; &{ZW}#42;x&{ZW}#42; AT&T R&D now"),
        ("{{DATE(2017-02-14T06:00:00Z)}} ${x}", f"{{{ZW}{{DATE(2017-02-14T06:00:00Z)}}}} ${ZW}{{x}}"),
        ("# h", f"{ZW}# h"),
        (
            "a\n# h\n> q\n- i\n+ i\n1. i\n2) i\n---\n===\n|a|",
            "".join(["a", *(f"\n\n{ZW}{x}" for x in ("# h", "> q", "- i", "+ i", "1. i", "2) i", "---", "===", "|a|"))]),
        ),
        ("    code", f"{ZW}    code"),
        ("\tcode", f"{ZW}\tcode"),
        ("a\n\n    code", "a\n\ncode"),
        ("x)- y [1. z]+ w", f"x){ZW}- y [{ZW}1. z]{ZW}+ w"),
        ("\\*x\\* end\\", "∖∗x∖∗ end∖"),
        ("evil.example www.evil.com ann@evil.com", f"evil.{ZW}example www.{ZW}evil.{ZW}com ann@evil.{ZW}com"),
        ("пример.рф evil。com", f"пример.{ZW}рф evil。{ZW}com"),
        ("1.250,00 3.5 e.g. z.B. Inc.", "1.250,00 3.5 e.g. z.B. Inc."),
        ("//evil.example javascript:alert(1) mailto:a@b.cd", f"/{ZW}/evil.{ZW}example javascript:alert(1) mailto{ZW}:a@b.{ZW}cd"),
        ("HTTP://1.2.3.4/", f"HTTP:{ZW}/{ZW}/1.2.3.4/"),
    ],
)
def test_words_are_only_words(words: str, expected: str) -> None:
    assert markdown((Value(words),)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the rule's words do what they say
        ((Literal("**"), Value("Parkers"), Literal("** _now_ [Open](https://crm.example/1) <at>Ann</at>\n- one"),),
         "**Parkers** _now_ [Open](https://crm.example/1) <at>Ann</at>\n- one"),
        # within an address that the rule began
        ((Literal("[Open](https://crm.example/d/"), Value("a_(b)/../ c&d"), Literal(") ok")),
         "[Open](https://crm.example/d/a%5F%28b%29%2F..%2F%20c%26d) ok"),
        ((Literal("https://crm.example/?q="), Value("a b&c")), "https://crm.example/?q=a%20b%26c"),
        ((Literal("[A](https://crm.example/a)"), Value("x y")), "[A](https://crm.example/a)x y"),
        ((Literal("[A](https://crm.example/a) and "), Value("- x")), "[A](https://crm.example/a) and - x"),
        # where a record would choose where a link leads
        ((Literal("[Open]("), Value("https://evil.example"), Literal(")")), f"[Open]( {ZW} {ZW}https:{ZW}/{ZW}/evil.{ZW}example)"),
        ((Literal("[Open](https://"), Value("evil.example"), Literal("/x)")), f"[Open](https:// {ZW} {ZW}evil.{ZW}example/x)"),
        ((Literal("see https://"), Value("evil.example")), f"see https:// {ZW} {ZW}evil.{ZW}example"),
        ((Literal("see https://"), Value("a"), Literal("."), Value("evil.example")), f"see https:// {ZW} {ZW}a.{ZW}evil.{ZW}example"),
        ((Literal("www."), Value("evil.example")), f"www. {ZW} {ZW}evil.{ZW}example"),
        # within a link's words
        ((Literal("["), Value("a] (b) [c](https://evil.example)\n# d"), Literal("](https://crm.example/1)")),
         f"[a］ (b) ［c］(https:{ZW}/{ZW}/evil.{ZW}example) # d](https://crm.example/1)"),
        # what rule and record would mean together
        ((Literal("[x]"), Value("(https://evil.example)")), f"[x]{ZW}(https:{ZW}/{ZW}/evil.{ZW}example)"),
        ((Value("[x]"), Literal("(https://crm.example)")), "[x］(https://crm.example)"),
        ((Value("Great!"), Literal("[Open](https://crm.example/1)")), f"Great!{ZW}[Open](https://crm.example/1)"),
        ((Literal("<"), Value("at>Ann</at>")), f"<{ZW}at>Ann<{ZW}/at>"),
        ((Value("<"), Literal("at>Ann</at>")), f"<{ZW}at>Ann</at>"),
        ((Literal("<at>"), Value("ann@acme.example"), Literal("</at>")), f"<at>{ZW}ann@acme.{ZW}example</at>"),
        ((Literal('<at id="'), Value('1">Ann'), Literal("</at>")), f'<at id="{ZW}1"›Ann</at>'),
        ((Literal("&"), Value("lt;at")), f"&{ZW}lt;at"),
        ((Value("&lt"), Literal(";at")), f"&{ZW}lt;at"),
        ((Literal("{"), Value("{DATE(x)}}")), f"{{{ZW}{{DATE(x)}}}}"),
        ((Literal("- "), Value("# h")), f"- {ZW}# h"),
        ((Literal("> 1. "), Value("- x")), f"> 1. {ZW}- x"),
        ((Literal("-"), Value(" x")), f"-{ZW} x"),
        ((Literal("##"), Value(" x")), f"##{ZW} x"),
        ((Value("1"), Literal(". x")), f"1{ZW}. x"),
        ((Literal("1"), Value("2. x")), f"1{ZW}2. x"),
        ((Literal("a\n"), Value("- x")), f"a\n{ZW}- x"),
        ((Literal("(x)"), Value("- y")), f"(x){ZW}- y"),
        ((Literal("https:"), Value("//evil.example")), f"https:{ZW}/{ZW}/evil.{ZW}example"),
        ((Value("a."), Literal("Now")), f"a.{ZW}Now"),
        ((Value("a", mention=True), Value("b", mention=True)), "ab"),
    ],
)  # fmt: skip
def test_what_stands_around_a_record_s_words_changes_nothing(text: Text, expected: str) -> None:
    assert markdown(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ((Literal("Call "), Value("**x** # y [z]")), "Call **x** # y [z]"),
        ((Value("https://evil.example"),), f"https:{ZW}/{ZW}/evil.{ZW}example"),
        ((Literal("https:"), Value("//evil.example")), f"https:{ZW}/{ZW}/evil.{ZW}example"),
        ((Literal("see acme.example: "), Value("{{DATE(x)}}")), f"see acme.example: {{{ZW}{{DATE(x)}}}}"),
    ],
)
def test_text_without_mark_up_makes_no_addresses(text: Text, expected: str) -> None:
    assert plain_words(text) == expected


def test_an_address_is_one_of_the_web() -> None:
    assert address((Literal("https://crm.example/"), Value("../x?<"))) == "https://crm.example/..%2Fx%3F%3C"
    assert address((Value("https://acme.example/a b"),)) == "https://acme.example/a%20b"
    for bad in ((Value("javascript:alert(1)"),), (Literal("tel:"), Value("1")), (), (Literal("https://"), Value("a/b"))):
        with pytest.raises(Rejected):
            address(bad)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("[Open]( )", "links nowhere"),
        ("[Open](https:// /x)", "links nowhere"),
        ("[Open](https://crm. /x)", "links nowhere"),
        ("<at> </at>", "names nobody"),
        ("Hi <at>Mr  </at>", "names nobody"),
        ('<at id=" ">x</at>', "names nobody"),
        ("[Open](https://crm.example/ )", None),
        ("[ ](https://crm.example/)", None),
        ("see (a) ( )", None),
        ("<at>Ann</at>  ", None),
    ],
)
def test_what_no_record_chooses_is_remarked(own: str, words: str | None) -> None:
    found = list(misled(own))
    assert bool(found) is (words is not None)
    assert words is None or words in found[0]


# --- whatever stands there ------------------------------------------------------------------------

_PARTS = [
    *"*_~`[]()<>#-+!&|\\{}$.:/@=;\n\t 0123456789",
    *(
        "at>",
        "</at>",
        "<at>",
        "https://",
        "evil.example",
        "www.",
        "](",
        "lt;",
        "#42;",
        "DATE(",
        "1.",
        "2)",
        "- ",
        "# ",
        "    ",
        "\n\n",
        "word",
        "ä",
    ),
]
_WORDS = st.lists(st.sampled_from(_PARTS), max_size=12).map("".join)
_HARMLESS = st.sampled_from(
    ["", "word ", "\n", "- ", "1. ", "(", ")", "!", "&", "<", "{", "[x]", "] ", "https:", "#", "-", "1", "**", "a\n\n"]
)


def effects(text: str) -> list[str]:
    """What in a text, which holds nothing of a rule's that does anything, some parser would act on."""
    found = re.findall(r"\]\(|\]\[|\]:|!\[(?=[^\]]*\]\()", text)  # links, definitions, pictures
    found += re.findall(r"<\S", text.replace(ZW, " "))  # tags, mentions, addresses
    found += re.findall(r"&(?:#[0-9xX]|[A-Za-z])\w{0,31};", text)  # entities
    found += re.findall(r"\{\{|\$\{", text)  # dates, templates
    found += re.findall(r"://|//", text)  # addresses
    found += re.findall(r"[\w-][.\u3002\uff0e\uff61][^\W\d_\u02cb\u02cd]{2}", text)  # hosts, mailboxes
    found += re.findall(r"[*~`]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", text)  # formats
    for line in text.split("\n"):
        found += re.findall(r"\A[ \t]*([#>|=+-]|\d+[.)](?=\s|$))|\A(?: {4}|\t)", line)  # blocks
    found += re.findall(r"(?<=[\[\])])(?:[-+] |\d+\. )", text)  # lists on phones
    return found


@settings(max_examples=examples(600))
@given(_WORDS)
@example("]\\(")
@example("&#x2a;")
def test_no_words_of_a_record_do_anything(words: str) -> None:
    said = markdown((Value(words),))
    assert effects(said) == []
    assert re.sub(r"\s+", "", shown(said)) == re.sub(r"\s+", "", words)


@settings(max_examples=examples(600))
@given(_HARMLESS, _WORDS, _HARMLESS, _WORDS, _HARMLESS)
@example("", "", "", "1.ä", "word ")
def test_words_of_a_record_do_nothing_beside_the_rule_s(first: str, one: str, middle: str, two: str, last: str) -> None:
    """What acts is what the rule's own words alone would do, with an unremarkable word for each value."""
    said = markdown((Literal(first), Value(one), Literal(middle), Value(two), Literal(last)))
    for word in ("word", "9"):
        harmless = effects(f"{first}{word}{middle}{word}{last}")
        left = effects(said)
        for effect in harmless:
            if effect in left:
                left.remove(effect)
        if not left:
            break
    # a record's empty words may leave two parts of the rule's side by side: then both are the rule's own
    own = effects(first + middle + last) + effects(first + middle) + effects(middle + last)
    assert [effect for effect in left if effect not in own] == []


JUDGE = MarkdownIt("gfm-like", {"html": True, "linkify": True})
PLAIN = {"paragraph_open", "paragraph_close", "inline", "text", "text_special", "softbreak", "hardbreak"}
_RULES = st.sampled_from(
    [
        *(
            "",
            "word ",
            "\n",
            "- ",
            "1. ",
            "(",
            ")",
            "!",
            "&",
            "<",
            "{",
            "[x]",
            "] ",
            "https:",
            "#",
            "-",
            "1",
            "**",
            "a\n\n",
            "_",
            "~~",
            "`",
        ),
        *("[a](https://crm.example/", "[a](", "mailto:", "www.", "<at>", "> ", "|", "=", "x\n"),
    ]
)


def parts(text: str) -> set[str]:
    """What the judge makes of a text, beside words."""
    return {one.type for token in JUDGE.parse(text) for one in (token, *(token.children or ()))} - PLAIN


def test_the_judge_sees_what_there_is() -> None:
    wanted = {"strong_open", "link_open", "heading_open", "html_inline", "bullet_list_open", "s_open", "code_inline", "table_open", "image"}
    assert wanted <= parts("# h\n**b** ~~s~~ `c` <at>Ann</at> evil.com ![i](u)\n- i\n\n|a|\n|-|\n|b|")


@settings(max_examples=examples(600))
@given(_WORDS)
@example("mailto:ann@evil.com")
@example("`](\\.lt;<\\")
@example("}<at>\t2;<6.@1at>")
def test_another_parser_sees_only_words(words: str) -> None:
    assert parts(markdown((Value(words),))) == set()


@settings(max_examples=examples(600))
@given(_RULES, _WORDS, _RULES, _WORDS, _RULES)
@example("[a](", ")- :", "- ", "", "-")
@example("#", "# 8", "(", "", "_")
@example("!", ".at>5", "-", "x", "**")
def test_another_parser_sees_only_words_beside_the_rule_s(first: str, one: str, middle: str, two: str, last: str) -> None:
    """No part that the rule's own words would not make, whatever harmless words stood there."""
    said = parts(markdown((Literal(first), Value(one), Literal(middle), Value(two), Literal(last))))
    own = [(first, middle, last), (first, middle, ""), ("", middle, last)]
    words = list(itertools.product(("word", "9", "wo rd", "x\n\ny", ""), repeat=2))
    allowed = {part for a, b, c in own for v, w in words for part in parts(f"{a}{v}{b}{w}{c}")}
    assert said - allowed - {"html_block"} == set()


@settings(max_examples=examples(300))
@given(_WORDS)
def test_no_words_of_a_record_choose_where_a_link_leads(words: str) -> None:
    for begin in ("[x](", "[x](https://", "[x](https://crm", "[x](HTTPS://"):
        said = markdown((Literal(begin), Value(words), Literal(")")))
        if words.strip():
            inner = said[len("[x](") :]
            assert not re.match(r"[^\s()]+\)", inner), said  # a link's address has no blank in it
    said = markdown((Literal("[x](https://crm.example/"), Value(words), Literal(")")))
    assert re.fullmatch(r"\[x\]\(https://crm\.example/[A-Za-z0-9.%-]*\)", said)


@settings(max_examples=examples(300))
@given(_WORDS, _WORDS)
def test_no_words_of_a_record_end_a_link_s(one: str, two: str) -> None:
    said = markdown((Literal("["), Value(one), Literal(" "), Value(two), Literal("](https://crm.example/1)")))
    label = said[1 : said.index("](https://crm.example/1)")]
    assert not re.search(r"[\[\]\n]", label)


@settings(max_examples=examples(300))
@given(_WORDS)
def test_plain_words_make_no_address(words: str) -> None:
    said = plain_words((Literal("a "), Value(words)))
    assert not re.search(r"//|\{\{|\$\{|[\w-]\.[^\W\d_]{2}", said)
    assert said.replace(ZW, "") == "a " + words.replace("\r", "\n")


def test_long_words_are_written_in_a_moment() -> None:
    """Their cost grows with their length alone."""
    for words in ("[" * 60_000, "a." * 30_000, "- \n" * 20_000, "<at>" * 15_000, "](" * 30_000, "&" * 60_000, "1" * 60_000, " \n" * 30_000):
        for text in ((Value(words),), (Literal(words), Value("x")), (Literal("["), Value(words), Literal("](https://a.example)"))):
            assert markdown(text)
