"""Templates and expressions: one small language, whose words keep their origin."""

import contextlib
from datetime import date, datetime, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crmbridge.errors import RenderError
from crmbridge.model import Choice, FieldSpec, FieldType, Literal, Reading, Value, did_you_mean, plain
from crmbridge.rules.compiler import Bindings, CompileError
from crmbridge.rules.expression import compile_expression
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.template import compile_template

RECORD = {
    "Name": "Parkers",
    "Account.Name": "Parkers <!channel>",
    "Amount": Decimal("1200.50"),
    "Seats": Decimal(1),
    "Empty": None,
    "items": "the field called items",
    "Tags": ("a", "b", "c"),
    "Stage": Choice("won", "Closed Won"),
    "Close": date(2026, 3, 1),
    "At": datetime(2026, 6, 1, 22, 30, tzinfo=timezone.utc),
    "Yes": True,
    "No": False,
    "Zero": Decimal(0),
}


def scope(record=RECORD, **names):
    return Bindings(record, names.get("before", {}), names.get("event", {}), Reading(days=names.get("zone", timezone.utc)))


def render(source, record=RECORD, fields=None, **names):
    return compile_template(source, fields=fields, filters=FILTERS).render(scope(record, **names))


def evaluate(source, record=RECORD, fields=None):
    return compile_expression(source, fields=fields, filters=FILTERS).evaluate(scope(record))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hello {{ record.Name }}!", "Hello Parkers!"),
        ('{{ record["Account.Name"] }}', "Parkers <!channel>"),
        ("{{ record.Account.Name }}", "Parkers <!channel>"),
        ("{{ record.items }}", "the field called items"),
        ("{{ record.Stage }}", "Closed Won"),
        ("{{ record.Yes }}", "yes"),
        ("{{ record.Amount }}", "1200.5"),
        ('{{ record.Amount | money("EUR") }}', "€1,200.50"),
        ('{{ record.Amount | money("SEK") }}', "1,200.50 SEK"),
        ('{{ record.Amount | round | money("JPY") }}', "¥1,201"),
        ("{{ record.Amount | number }}", "1,201"),
        ("{{ record.Amount | number(1) }}", "1,200.5"),
        ('{{ record.Seats | plural("seat") }}', "1 seat"),
        ('{{ record.Amount | round | plural("child", "children") }}', "1,201 children"),
        ("{{ record.Close | date }}", "1 March 2026"),
        ("{{ record.Close }}", "2026-03-01"),
        ("{{ record.Name | upper | truncate(4) }}", "PAR…"),
        ("{{ record.items | truncate(12) }}", "the field…"),
        ("{{ record.Account.Name | slug }}", "parkers-channel"),
        ('{{ record.Nope | default("n/a") }}', "n/a"),
        ('{{ record.Empty | default("n/a") }}', "n/a"),
        ("{{ record.Tags | join(' + ') }}", "a + b + c"),
        ("{{ record.Tags }}", "a, b, c"),
        ("{% for t in record.Tags %}{{ loop.index }}{{ t }}{% if not loop.last %}/{% endif %}{% endfor %}", "1a/2b/3c"),
        ("{% for t in record.Tags if t != 'b' %}{{ t }}{% else %}none{% endfor %}", "ac"),
        ("{% for t in record.Empty %}{{ t }}{% else %}none{% endfor %}", "none"),
        ("{% if record.Amount > 1000 %}big{% elif record.Amount %}small{% else %}?{% endif %}", "big"),
        ("{% if record.Nope %}x{% else %}y{% endif %}", "y"),
        ('{% set x = "<" ~ record.Name ~ ">" %}{{ x }}', "<Parkers>"),
        ("{% raw %}{{ kept }}{% endraw %}", "{{ kept }}"),
        ("{{ record.Amount - 200.5 + 1 }}", "1001"),
        ("{{ record.Amount / 2 }}", "600.25"),
        ("a{# a comment #}b", "ab"),
        ("{% if record.Name %}\nline\n{% endif %}\nend", "line\nend"),
        ("  {% if record.Name %}\n  line\n  {% endif %}\nend\n", "  line\nend"),
        ("&lt; {{ '<' }}", "&lt; <"),
        ("{% for t in record.Tags %}{{ loop.first }}{{ loop.last }} {% endfor %}", "yesno nono noyes "),
        ("{% for t in ['z'] %}{{ loop.first }}{{ loop.last }}{{ loop.index }}{% endfor %}", "yesyes1"),
        ("{% for t in ['a', record.Empty, 'b'] %}{{ loop.index }}{{ t }}{% if loop.last %}.{% endif %}{% endfor %}", "1a2b."),
        ("{% for t in record.Tags if t != 'c' %}{{ t }}{{ loop.last }} {% endfor %}", "ano byes "),
        ("{% for t in record.Tags if t == 'z' %}{{ t }}{% else %}none{% endfor %}", "none"),
        ("{% for t in record.Nope %}{{ t }}{% else %}none{% endfor %}", "none"),
        ("{% for t in [] %}{% endfor %}.", "."),
        (
            "{% for a in ['1', '2'] %}{% for b in ['x', 'y'] %}{{ loop.index }}{{ a }}{{ b }} {% endfor %}{{ loop.index }}{% endfor %}",
            "11x 21y 112x 22y 2",
        ),
        ("{% set x = 'out' %}{% for x in ['in'] %}{{ x }} {% endfor %}{{ x }}", "in out"),
        ("{% set x = 'a' %}{% set x = x ~ 'b' %}{{ x }}", "ab"),
        ("{% if record.Nope %}a{% elif record.Empty %}b{% elif record.Name %}c{% elif record.Yes %}d{% else %}e{% endif %}", "c"),
        ("{% if record.Nope %}a{% elif record.Empty %}b{% endif %}.", "."),
        ("{{ 'a' if record.Yes else 'b' }}{{ 'a' if not record.Yes else 'b' }}{{ 'a' if record.Nope }}.", "ab."),
        ("{{ -record.Amount }} {{ 7 / 2 }} {{ 1.50 }} {{ 1 - 2 }} {{ true }} {{ '1' + 1 }}", "-1200.5 3.5 1.5 -1 yes 2"),
        ("{{ record.Amount ~ record.Tags ~ record.Yes }}", "1200.5a, b, cyes"),
        ("{{ ['x', 1] }} {{ ('y', 2) }}", "x, 1 y, 2"),
        ('{{ "" | default("n/a") }}{{ record.Zero | default(1) }}{{ record.No | default(true) }}', "n/a0no"),
        ('{{ record.Nope | default(record.Empty) | default("last") }}', "last"),
        ("{{ record.Name | default(record.Nope) }}", "Parkers"),
        ('{{ record.Name | truncate(length=4) }} {{ record.Tags | join(separator="") }}', "Par… abc"),
        ("{{ record['Account'].Name }}{{ record.Account['Name'] }}", "Parkers <!channel>" * 2),
        ("{{ record.Tags | length }} {{ 'abc' | length }}", "3 3"),
    ],
)
def test_renders(source, expected):
    """What the language can say."""
    assert expected == plain(render(source))


def test_the_zone_decides_what_day_it_is():
    """22:30 UTC is the next day in Berlin."""
    assert plain(render("{{ record.At }}", zone=ZoneInfo("Europe/Berlin"))) == "2026-06-02 00:30"
    assert plain(render("{{ record.At | date }}", zone=ZoneInfo("Europe/Berlin"))) == "2 June 2026"


def test_money_takes_the_currency_of_the_field():
    """The configuration names the currency field once."""
    fields = {"Amount": FieldSpec(type=FieldType.MONEY, currency="Cur"), "Cur": FieldSpec()}

    assert plain(render("{{ record.Amount | money }}", {"Amount": Decimal(5), "Cur": "GBP"}, fields)) == "£5"
    assert plain(render("{{ record.Amount | money }}", {"Amount": Decimal(5), "Cur": None}, fields)) == "5"
    assert plain(render("{{ record.Amount | money }}", {"Amount": Decimal(5)}, fields)) == "5"
    assert plain(render("{{ record.Amount | money('EUR') }}", {"Amount": Decimal(5), "Cur": "GBP"}, fields)) == "€5"
    assert plain(render("{{ record.Amount | money(currency='EUR') }}", {"Amount": Decimal(5), "Cur": "GBP"}, fields)) == "€5"
    assert plain(render("{{ record.Amount | round | money }}", {"Amount": Decimal("5.4"), "Cur": "GBP"}, fields)) == "£5"
    assert plain(render("{{ record.Amount | number }}", {"Amount": Decimal(5), "Cur": "GBP"}, fields)) == "5"
    assert plain(render("{{ record.Cur | money }}", {"Amount": Decimal(5), "Cur": Decimal(7)}, fields)) == "7"
    template = compile_template("{{ record.Amount | money }}", fields=fields, filters=FILTERS)
    assert [str(read) for read in template.reads] == ["record.Amount", "record.Cur"], "who may not read it is told so"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ record.Empty }}", 'line 1: record.Empty is empty here; write `{{ record.Empty | default("...") }}`'),
        (
            "\n{{ record.Nope }}",
            'line 2: record.Nope is not known for this record; write `{{ record.Nope | default("...") }}`',
        ),
        (
            "{{ record.Empty | money }}",
            'line 1: record.Empty is empty here; write `{{ record.Empty | money if record.Empty is not none else "..." }}`',
        ),
        ("{{ record.Name | money }}", "line 1: record.Name: a text is not a number"),
        ("{{ record.Name | date }}", "line 1: record.Name: the filter `date` cannot be applied to a text: it is not a date"),
        ("{{ record.Amount / 0 }}", "line 1: division by zero"),
        ("{% for x in record.Name %}{% endfor %}", "line 1: only a list can be looped over"),
        ("{{ record.Name > record.Amount }}", "line 1: cannot compare a text with a number"),
        ("\n\n{% for x in record.Name %}{% endfor %}", "line 3: only a list can be looped over"),
        (
            "{{ record.Name | truncate(0) }}",
            "line 1: record.Name: the filter `truncate` cannot be applied to a text: length must be from 1 to 10000",
        ),
        (
            "{{ record.Tags | plural }}",
            "line 1: record.Tags: the filter `plural` cannot be applied to a list: plural() missing 1 required positional argument: 'one'",
        ),
        ("{{ 'x' | money }}", "line 1: a text is not a number"),
        ("{{ record.Amount | number(1) + record.Name }}", "line 1: a text is not a number"),
        ("{{ before.Nope }}", 'line 1: before.Nope is not known for this record; write `{{ before.Nope | default("...") }}`'),
        ("{{ event.url }}", 'line 1: event.url is not known for this record; write `{{ event.url | default("...") }}`'),
        ("{{ record.Empty ~ 'x' }}", 'line 1: a value is empty here; write `| default("...")` behind it'),
        (
            "{{ (record.Empty | default(record.Empty)) | upper }}",
            'line 1: record.Empty is empty here; write `{{ record.Empty | default("...") | upper }}`',
        ),
        (
            "{{ record.Empty | truncate(9) }}",
            'line 1: record.Empty is empty here; write `{{ record.Empty | default("...") | truncate(9) }}`',
        ),
        (
            "{{ record.Empty | upper | join('-') }}",
            'line 1: record.Empty is empty here; write `{{ record.Empty | default("...") | upper | join("-") }}`',
        ),
        (
            "{{ record.Tags | join(record.Empty) }}{{ record.Nope | upper }}",
            'line 1: record.Nope is not known for this record; write `{{ record.Nope | default("...") | upper }}`',
        ),
    ],
)
def test_says_why_it_cannot_render(source, message):
    """No message ever says "Welcome, None!"."""
    with pytest.raises(RenderError) as error:
        render(source)

    assert message == str(error.value)


def test_what_an_error_proposes_fits_the_quotes_around_it():
    """In double quotes of YAML a double quote would end the text."""
    template = compile_template("{{ record.Empty }}", fields=None, filters=FILTERS, quote="'")
    with pytest.raises(RenderError, match=r"write `\{\{ record.Empty \| default\('...'\) \}\}`$"):
        template.render(scope())
    with pytest.raises(CompileError, match=r"^write default\('...'\) with one value$"):
        compile_template("{{ record.Empty | default }}", fields=None, filters=FILTERS, quote="'")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ 2 * 3 }}", "multiplication is not part of this language"),
        ("{{ 2 ** 9 }}", "powers are not part of this language"),
        ("{{ record.Name() }}", "calls are not part of this language; filters are, like `record.Amount | money`"),
        ("{{ range(9) }}", "calls are not part of this language; filters are, like `record.Amount | money`"),
        ("{{ ''.__class__ }}", "`.__class__` can follow only record, before or event"),
        ("{{ record }}", "`record` alone is not a value; name a field, like `record.Name`"),
        ("{{ config }}", "`config` is not known here; did you mean `record.config`?"),
        ("{{ event.nope }}", "event.nope does not exist"),
        ("{{ event.knd }}", 'event.knd does not exist; did you mean "kind"?'),
        ("{{ record.Name | mony }}", 'there is no filter `mony`; did you mean "money"?'),
        ("{{ record.Name | attr('x') }}", "there is no filter `attr`"),
        ("{{ record.Name is string }}", "there is no test `is string`; there are `is defined` and `is none`"),
        ("{% macro x() %}{% endmacro %}", "`macro` is not part of this language"),
        ("{% include 'x' %}", "`include` is not part of this language"),
        ("{% import 'x' as y %}", "`import` is not part of this language"),
        ("{% block x %}{% endblock %}", "`block` is not part of this language"),
        ("{% set record = 1 %}", "`record` cannot be set"),
        ("{{ record.Name", "unexpected end, expected 'end of print statement'"),
        ("{{ {'a': 1} }}", "mappings are not part of this language"),
        ("{{ record.Name[1:2] }}", "only a quoted field name may stand in [ ]"),
        ("{{ record[1] }}", "only a quoted field name may stand in [ ]"),
        ("{{ record[record.Name] }}", "only a quoted field name may stand in [ ]"),
        ("{{ before }}", "`before` alone is not a value; name a field, like `before.Name`"),
        ("{{ event }}", "`event` alone is not a value; name a field, like `event.kind`"),
        ("{{ other.Name }}", "`other` is not known here; only record, before and event are"),
        ("{{ loop.index }}", "`loop` is not known here; only record, before and event are"),
        ("{% for x in record.L %}{% endfor %}{{ x }}", "`x` is not known here; did you mean `record.x`?"),
        ("{% for x in record.L %}{% endfor %}{{ loop.index }}", "`loop` is not known here; only record, before and event are"),
        ("{% for x in record.L %}{{ loop.length }}{% endfor %}", "a loop knows loop.index, loop.first and loop.last"),
        ("{% for x in record.L %}{% else %}{{ x }}{% endfor %}", "`x` is not known here; did you mean `record.x`?"),
        ("{% for x, y in record.L %}{% endfor %}", "write `{% for item in record.List %}`"),
        ("{% for x in record.L recursive %}{% endfor %}", "write `{% for item in record.List %}`"),
        ("{% set x, y = 1 %}", "write `{% set name = ... %}`"),
        *((f"{{% set {name} = 1 %}}", f"`{name}` cannot be set") for name in ("before", "event", "loop")),
        ("{% set x %}y{% endset %}", "`set block` is not part of this language"),
        ("{% extends 'x' %}", "`extends` is not part of this language"),
        ("{% from 'x' import y %}", "`from` is not part of this language"),
        ("{% call x() %}{% endcall %}", "`call` is not part of this language"),
        ("{% filter upper %}{% endfilter %}", "`filter` is not part of this language"),
        ("{% with %}{% endwith %}", "`with` is not part of this language"),
        ("{{ 2 // 3 }}", "`FloorDiv` is not part of this language"),
        ("{{ record.Name is none() }}{{ record.Name is odd }}", "there is no test `is odd`; there are `is defined` and `is none`"),
        ("{{ record.Name | default }}", 'write default("...") with one value'),
        ("{{ record.Name | default(1, 2) }}", 'write default("...") with one value'),
        ("{{ record.Name | join(*record.L) }}", "the filter `join` cannot be used this way"),
        ("{{ record.Name | join(**record.L) }}", "the filter `join` cannot be used this way"),
        ("{{ 1 }", "unexpected '}'"),
        (
            "{% if record.Name %}",
            "Unexpected end of template. Jinja was looking for the following tags: 'elif' or 'else' or 'endif'. "
            "The innermost block that needs to be closed is 'if'".replace("end of template", "end"),
        ),
    ],
)
def test_refuses_when_read(source, message):
    """Everything outside the whitelist is refused before anything runs, by name."""
    with pytest.raises(CompileError) as error:
        compile_template(source, fields=None, filters=FILTERS)

    assert message == error.value.message


def test_a_configured_record_knows_its_fields():
    """A typo is found when the file is read, not when the deal is won."""
    with pytest.raises(CompileError) as error:
        compile_template("x\n{{ record.Nmae }}", fields={"Name": FieldSpec()}, filters=FILTERS)

    assert (error.value.line, error.value.message) == (2, 'record.Nmae is not among the configured fields; did you mean "Name"?')


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("record.Name record.Name", 1, "unexpected words after the expression"),
        ("\n1 +", 2, "unexpected end"),
        ("record.Name\n.Other()", 2, "calls are not part of this language; filters are, like `record.Amount | money`"),
        ("1 if\n\nx", 3, "`x` is not known here; did you mean `record.x`?"),
    ],
)
def test_a_condition_is_refused_on_its_line(source, line, message):
    with pytest.raises(CompileError) as error:
        compile_expression(source, fields=None, filters=FILTERS)

    assert (error.value.message, str(error.value)) == (message, message)
    assert error.value.line == line


@pytest.mark.parametrize(
    ("word", "known", "words"),
    [
        ("Nmae", ["Name", "Names"], '; did you mean "Name"?'),
        ("NAME", ["name"], '; did you mean "name"?'),
        ("Account", ["Amount", "Account.Name", "Account.Id"], '; did you mean "Account.Id"?'),
        ("Owner", ["Account.Name", "Owner.Name"], '; did you mean "Owner.Name"?'),
        ("Owner", ["Owners.Name.Of.Some.Kind"], ""),
        ("xyz", ["Name"], ""),
        ("xyz", [], ""),
    ],
)
def test_what_was_meant(word, known, words):
    """The closest word, else one that differs by its capitals only or goes on behind a dot."""
    assert did_you_mean(word, known) == words


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("record.Amount > 1000", True),
        ("record.Amount > 1000 and record.Name == 'Parkers'", True),
        ("record.Stage == 'won' and record.Stage == 'Closed Won'", True),
        ("record.Close < '2026-04-01'", True),
        ("record.Close > '2026-04-01'", False),
        ("record.Empty == 'x'", False),
        ("record.Empty != 'x'", False),
        ("record.Nope > 3", False),
        ("record.Nope is defined", False),
        ("record.Empty is none", True),
        ("'b' in record.Tags", True),
        ("'z' not in record.Tags", True),
        ("record.Name in ['Parkers', 'Other']", True),
        ("1 < record.Seats + 1 <= 2", True),
        ("not record.Yes", False),
        ("record.Amount > 1200.5", False),
        ("record.Amount >= 1200.5", True),
        ("record.Amount < 1200.5", False),
        ("record.Amount <= 1200.5", True),
        ("record.Amount != 1200.5", False),
        ("record.Amount != 1", True),
        ("3 < record.Seats + 1 <= 2", False),
        ("1 < record.Seats + 1 <= 1", False),
        ("record.Name == 'x' or record.Seats == 1", True),
        ("record.Name == 'x' or record.Seats == 2", False),
        ("record.Name == 'Parkers' and record.Seats == 2", False),
        ("record.Name == 'x' and record.Name > 1", False),  # what is behind a false one is not asked
        ("record.Name == 'Parkers' or record.Name > 1", True),
        ("'b' not in record.Tags", False),
        ("'z' in record.Tags", False),
        *(
            (f"{one} {sign} {other}", False)
            for sign in ("==", "!=", "<", "<=", ">", ">=", "in", "not in")
            for one, other in (("record.Empty", "record.Tags"), ("record.Nope", "record.Name"), ("record.Name", "record.Empty"))
        ),
        ("record.Name is defined", True),
        ("record.Empty is defined", True),
        ("record.Nope is none", True),
        ("record.Name is none", False),
        ("record.Name is not none", True),
    ],
)
def test_conditions(source, expected):
    """Comparing what is empty or missing is false, whichever way round."""
    assert evaluate(source) is expected


def test_words_keep_their_origin():
    """Through `~`, `set`, conditions and filters a record's words stay values, the author's stay literals."""
    text = render('{% set who = record.Account.Name %}{{ "<!here> " if record.Amount > 1 }}{{ "*" ~ who ~ "*" }}{{ who | upper }}')

    assert (Literal("<!here> *"), Value("Parkers <!channel>"), Literal("*"), Value("PARKERS <!CHANNEL>")) == text


def test_what_a_template_reads_is_known():
    """The audience check needs every path, in branches not taken too."""
    template = compile_template(
        "{% if before.A %}{{ record.B.C | money(record.D) }}{% endif %}{{ event.kind }}", fields=None, filters=FILTERS
    )

    assert [str(read) for read in template.reads] == ["before.A", "record.B.C", "record.D", "event.kind"]


def test_what_may_be_shortened_is_marked():
    """Every word of what is printed there, however it is made; the author's own words are not cut."""

    def text(source, *shorten):
        return compile_template(source, fields=None, filters=FILTERS, shorten=set(shorten)).render(scope())

    source = "{{ record.Name }}, {{ record.items | upper ~ '!' }}"
    assert text(source) == (Value("Parkers"), Literal(", "), Value("THE FIELD CALLED ITEMS"), Literal("!"))
    assert text(source, "record.items") == (Value("Parkers"), Literal(", "), Value("THE FIELD CALLED ITEMS", True), Literal("!"))
    assert text("{{ record.Amount }}{{ record.Name }}", "record.Amount") == (Value("1200.5", True), Value("Parkers"))


def test_what_an_evaluation_costs():
    """Each node, a filter as much as five, each value that is looked at by its size; and each round what it has to carry."""

    def cost(source, **record):
        at = scope(RECORD | record)
        compile_template(source, fields=None, filters=FILTERS).render(at)
        return at.meter.spent

    long = "x" * 640
    assert cost("x") == 1 + 1
    assert cost("{{ record.Name }}") == 2 + 1
    assert cost("{{ record.Name }}", Name=long) == 2 + 11
    assert cost("{{ record.Name | upper }}") == 1 + 2 + 1 + 1  # the filter itself is the expression
    assert cost("{{ record.Name | upper | lower }}") == 1 + 5 + 2 + 1 + 1 + 1
    assert cost("{{ record.Tags | length }}", Tags=("a",) * 640) == 1 + 2 + 1, "nobody looks at the items"
    assert cost("{{ record.Tags | join(record.Name) }}", Tags=("a",) * 9, Name="x" * 64) == 1 + 4 + (10 + 2 * 9) + 10 + (1 + 8)
    assert cost("{% if record.Name == 'x' %}{% endif %}", Name=long) == 4 + 11 + 1
    assert cost("{% if 'x' in record.Tags %}{% endif %}") == 4 + 4 + 3
    assert cost("{% if 'x' not in record.Tags %}{% endif %}") == 4 + 4 + 3
    assert cost("{{ record.Name ~ 'x' }}", Name=long) == 4 + (11 + 1) + (1 + 11 + 1)
    assert cost("{% set a = 1 %}{% set b = 1 %}{% set c = 1 %}") == 1 + 2 * 1 + 2 + 1
    assert cost("{% for t in ['a', 'b'] %}{% endfor %}") == 3 + 2 * 1 + 2 * 1
    assert cost("{% set a = 1 %}{% for t in ['a', 'b'] if t == 'a' %}{% endfor %}") == 1 + 3 + 2 * (2 + 3 + 2) + 2


def test_loops_and_output_are_bounded():
    """A rule cannot eat the daemon."""
    assert plain(render("{% for a in record.L %}{% endfor %}.", {"L": tuple("x" * 1000)})) == "."
    with pytest.raises(RenderError, match=r"^line 2: more than 1000 loop rounds$"):
        render("\n{% for a in record.L %}{% endfor %}", {"L": tuple("x" * 1001)})
    most = {"A": "x" * 32_768, "B": "y" * 32_767}
    assert len(plain(render("{{ record.A }}{{ record.B }}z", most))) == 65_536
    with pytest.raises(RenderError, match=r"^the text is longer than 65536 characters$"):
        render("{{ record.A }}{{ record.B }}zz", most)
    assert len(plain(render("{{ record.A ~ record.B ~ 'z' }}", most))) == 65_536
    with pytest.raises(RenderError, match=r"^line 1: the text is longer than 65536 characters$"):
        render("{{ record.A ~ record.B ~ 'zz' }}", most)
    assert len(plain(render("{{ record.A | upper }}", {"A": "x" * 65_536}))) == 65_536
    with pytest.raises(RenderError, match=r"^line 1: record.A: the filter `upper` made more than 65536 characters$"):
        render("{{ record.A | upper }}", {"A": "x" * 65_537})
    with pytest.raises(RenderError, match="more than 1000 loop rounds"):
        render("{% for a in record.L %}{% for b in record.L %}{% endfor %}{% endfor %}", {"L": tuple("x" * 40)})
    with pytest.raises(RenderError, match="longer than 65536"):
        render("{% for a in record.L %}{{ record.Big }}{% endfor %}", {"L": tuple("x" * 40), "Big": "y" * 5000})


NAMES = st.sampled_from(["Name", "Empty", "Account.Name", "items"])
PIECES = st.one_of(
    st.text("abc <>&*_{%", max_size=8).filter(lambda text: not any(mark in text for mark in ("{{", "{%", "{#", "{"))),
    st.sampled_from(["{{ record['Name'] }}", "{{ record['items'] | upper }}", '{{ "x" ~ record["Name"] }}']),
    st.sampled_from(["{% if record['Name'] == 'Parkers' %}yes{% else %}no{% endif %}", "{% for t in record['Tags'] %}{{ t }}{% endfor %}"]),
)


@given(st.lists(PIECES, max_size=6).map("".join))
def test_says_what_jinja_says(source):
    """Where the languages meet, Jinja2 itself is the judge."""
    theirs = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).from_string(source).render(record=RECORD)

    assert theirs == plain(render(source))


@given(st.text(max_size=60))
def test_any_text_compiles_or_is_refused(source):
    """No template makes the compiler fail in another way."""
    with contextlib.suppress(CompileError, RenderError):
        compile_template("{{" + source + "}}", fields=None, filters=FILTERS).render(scope())


@pytest.mark.parametrize("source", ["(" * 300 + "1" + ")" * 300, "9" * 5000])
def test_an_outsized_expression_is_refused_when_read(source):
    """In words, not by a crash."""
    with pytest.raises(CompileError, match="nested too deep, or holds a number"):
        compile_expression(source, fields=None, filters=FILTERS)


def test_lists_do_not_grow_by_doubling():
    """Twenty doublings of a list would be a million texts."""
    with pytest.raises(RenderError, match="a list cannot hold lists"):
        render('{% set a = ["x", "y"] %}{% set a = [a, a] %}{{ a }}')


# --- what a template may hold


def test_a_person_is_a_span_of_its_own():
    """By address, also among several; what stands around it is joined as ever."""
    record = {"Owner": "ann@acme.example", "Team": ("ann@acme.example", "bob@acme.example"), "None": None}
    ann, bob = Value("ann@acme.example", mention=True), Value("bob@acme.example", mention=True)
    assert render("Ask {{ record.Owner | trim | mention }}!", record) == (Literal("Ask "), ann, Literal("!"))
    assert render("{{ record.Team | mention }}", record) == (ann, Literal(", "), bob)
    assert render("{{ 'a ' ~ (record.Owner | mention) }}", record) == (Literal("a "), ann)
    assert render("{{ record.None | default('nobody') | mention }}", record) == (Value("nobody", mention=True),)
    assert render("{{ (record.Owner | mention) | upper }}", record) == (Value("ANN@ACME.EXAMPLE"),)
    assert render("{{ ' ' | mention }}", record) == ()
    shorten = compile_template("{{ record.Owner | mention }}", fields=None, filters=FILTERS, shorten={"record.Owner"})
    assert shorten.render(scope(record)) == (ann,)


@pytest.mark.parametrize(
    ("source", "words", "mentions"),
    [
        ("plain", False, False),
        ("{{ 'plain' }}", False, False),
        ("{{ 'a' if record.x else 'b' }}", False, False),
        ("{% if record.x %}primary{% else %}danger{% endif %}", False, False),
        ("{% set c = 'a' %}{{ c }}{{ c ~ 'b' }}", False, False),
        ("{% if record.x %}{% set c = 'a' %}{% else %}{% set c = 'b' %}{% endif %}{{ c }}", False, False),
        ("{% set c = record.x %}{{ c }}", True, False),
        ("{% if record.x %}{% set c = 'a' %}{% else %}{% set c = record.x %}{% endif %}{{ c }}", True, False),
        ("{% for c in record.x %}{{ c }}{% endfor %}", True, False),
        ("{{ 5 }}", True, False),
        ("{{ record.x }}", True, False),
        ("{{ 'a' if record.x else record.x }}", True, False),
        ("{{ record.x | mention }}", True, True),
        ("{% set c = record.x | mention %}{{ c }}", True, True),
    ],
)
def test_whose_words_a_template_may_say(source, words, mentions):
    found = compile_template(source, fields=None, filters=FILTERS)
    assert (found.words, found.mentions) == (words, mentions)
