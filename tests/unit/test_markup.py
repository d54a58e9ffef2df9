"""Rich text as words: what people see of it, whatever is in it, in time that grows with its length alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbridge.model import FieldSpec, FieldType, Reading, Unread, markup_words
from crmbridge.model.markup import MOST_MARKUP
from crmbridge.rules.compiler import Bindings
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.template import compile_template


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<p>Hello&nbsp;<b>World</b> &amp; co</p><p>Second<br>line</p>", "Hello World & co\n\nSecond\nline"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("<p>a</p>\n\n<p>b</p>", "a\n\nb"),
        ("x<div>y</div>z", "x\ny\nz"),
        ("<b>a</b><i>b</i> c", "ab c"),
        ("<b>a </b><i> b</i>", "a b"),
        ("<ul><li>one</li><li>two<ul><li>in</li></ul></li></ul>after", "• one\n• two\n  • in\n\nafter"),
        ("<ol><li>x<li>y</ol><ol><li>z</ol>", "1. x\n2. y\n\n1. z"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc"),
        ("<p>x<script>alert(1)</script><style>p{}</style>y</p>", "xy"),
        ("<head><title>t</title></head><p>b</p>", "b"),
        ("<p>  lots \n of   blanks </p>", "lots of blanks"),
        ("<pre>a\n  b</pre>c", "a\n  b\n\nc"),
        ("<!-- nobody <p>sees</p> this --><p>x</p>", "x"),
        ("<p>smile <img alt=':)' src='data:image/png;base64,AAAA'></p>", "smile :)"),
        ("<a href='https://x'>label</a>, more", "label, more"),
        ("Hi<br/><br/>there", "Hi\n\nthere"),
        ("<p><br></p><p>x</p>", "x"),
        ("<p>&#x1F600; &lt;b&gt; &eacute;</p>", "😀 <b> é"),
        # Not closed, not open, not HTML.
        ("<p>open <b>never closed", "open never closed"),
        ("</p></div>stray", "stray"),
        ("5 <3 love & a < b", "5 <3 love & a < b"),
        ("plain\ntext", "plain\ntext"),
        ("Tom &amp; Jerry\n&nbsp;x", "Tom & Jerry\n x"),
        ("", ""),
        ("<p></p>", ""),
    ],
)
def test_what_people_see(html, words):
    """Paragraphs, lines and items apart; no tag, no script, no comment."""
    assert markup_words(html) == words


def test_pictures_within_the_text_take_no_room():
    """They make a field long that says little; a text that is longer without them is not read, and nothing of it is said."""
    picture = f"<img src='data:image/png;base64,{'A' * MOST_MARKUP}'>"
    assert markup_words(f"<p>x{picture}y{picture.replace(chr(39), chr(34))}</p>") == "xy"
    with pytest.raises(ValueError, match="characters of HTML"):
        markup_words("<p>" + "x" * MOST_MARKUP)


PARTS = ["<p>", "</p>", "<b", ">", "<!--", "-->", "<ul>", "<li>", "&", "&lt;", "<script>", "</script>", "x", " ", "\n", "<td>"]


@given(st.lists(st.sampled_from(PARTS)))
def test_no_tag_is_left(parts):
    """Nothing that a CRM holds makes an exception, and no whole tag of it is said."""
    found = markup_words("".join(parts))
    assert not [tag for tag in PARTS if tag.startswith("<") and tag.endswith(">") and tag in found]


HOSTILE = [
    "<!--",
    "<a ",
    "<![CDATA[",
    "</",
    "<a href='",
    "<?",
    "<!",
    "<a",
    "&#",
    "<script>",
    "<a b=<",
    "<div>",
    "<b><p>",
    "<b>",
    "<svg>",
    "<li>",
]


@pytest.mark.parametrize("part", HOSTILE)
def test_hostile_markup_is_read_to_its_end(part):
    """Some of these take the parser of Python's library minutes."""
    assert isinstance(markup_words(("<p>" + part * MOST_MARKUP)[:MOST_MARKUP]), str)


def test_a_field_of_html_holds_words():
    """One that holds no words is empty; one that was kept as HTML is the same value by now."""
    spec, reading = FieldSpec(type=FieldType.HTML), Reading()
    assert reading.read("<p>Hello <b>World</b></p>", spec) == "Hello World"
    assert reading.read("<p><br></p>", spec) is None
    assert reading.read("", spec) is None
    assert reading.read(7, spec) == "7"
    assert reading.again("<p>Hello <b>World</b></p>", "Hello World", spec) == "Hello World"
    assert isinstance(reading.read("<p>" + "x" * MOST_MARKUP, spec), Unread)


def test_a_filter_for_one_place():
    """`| plain` reads a field that is not configured as HTML; much of it is too much work for one message."""
    template = compile_template("{{ record.Note | plain | truncate(20) }}", fields=None, filters=FILTERS)
    assert template.render(Bindings({"Note": "<p>Hello&nbsp;<b>World</b></p>"}, {}, {}))[0].text == "Hello World"
    many = compile_template("{% for x in record.L %}{{ record.Note | plain | truncate(9) }}{% endfor %}", fields=None, filters=FILTERS)
    with pytest.raises(Exception, match="too much work"):
        many.render(Bindings({"Note": "<p>x</p>" * 1000, "L": ("a",) * 100}, {}, {}))
