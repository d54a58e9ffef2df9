"""Which values a text cannot do without, and which words stand in it whatever a record says: read from its tree, true of its rendering."""

from __future__ import annotations

import itertools

import pytest

from crmbridge.errors import RenderError
from crmbridge.rules.compiler import Bindings
from crmbridge.rules.expression import compile_expression
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.template import compile_template

TEMPLATES = {
    "Hello": "",
    "{{ record.A }}": "record.A",
    "{{ record['A-B'] }}": "record.A-B",
    "{{ record.A | upper }}{{ event.url }}": "record.A event.url",
    "{{ record.A | default('x') }}": "",
    "{{ record.A | default(record.B) }}": "record.B",
    "{{ record.A | upper | default('x') }}": "record.A",
    "{{ record.A | default('x') | upper }}": "",
    "{{ record.A or record.B }}": "record.B",
    "{{ record.A and record.B }}": "record.A record.B",
    "{{ record.A if record.A else 'x' }}": "",
    "{{ record.A if record.B else record.C }}": "record.A record.C",
    "{{ record.A if record.A is not none }}": "",
    "{{ 'x' if record.A is none else record.A }}": "",
    "{{ 'x' if record.A is none or record.B is none else record.A ~ record.B }}": "",
    "{{ 'x' if record.A is none and record.B is none else record.A ~ record.B }}": "record.A record.B",
    "{{ record.A ~ record.B if record.A and record.B else 'x' }}": "",
    "{{ record.A ~ record.B if record.A or record.B else 'x' }}": "record.A record.B",
    "{{ record.A if not (record.A is none) else 'x' }}": "",
    "{{ record.A if record.A == 'y' else 'x' }}": "",
    "{{ record.A if 'y' in record.A else 'x' }}": "",
    "{{ record.A if record.A is defined else 'x' }}": "record.A",
    "{{ record.A == 'y' }}": "",
    "{{ record.A | length > 3 }}": "record.A",
    "{{ record.A ~ ' and ' ~ record.B }}": "record.A record.B",
    "{% if record.A %}{{ record.A }}{% endif %}": "",
    "{% if record.A %}{{ record.A }}{% else %}{{ record.B }}{% endif %}": "record.B",
    "{% if record.A is none %}x{% elif record.B %}{{ record.A ~ record.B }}{% else %}{{ record.A ~ record.C }}{% endif %}": "record.C",
    "{% if record.A | upper == 'X' %}x{% endif %}": "record.A",
    "{% for one in record.L %}{{ one }}{{ record.A }}{% else %}{{ record.B }}{% endfor %}": "record.A record.B",
    "{% set x = record.A | upper %}{{ record.B }}": "record.A record.B",
    "{{ record.A | join(record.B | upper) }}": "record.A record.B",
    "{{ before.A }}": "before.A",
}


def compiled(source):
    return compile_template(source, fields=None, filters=FILTERS)


@pytest.mark.parametrize(("source", "names"), TEMPLATES.items())
def test_what_a_text_needs(source, names):
    """Printed, filtered or counted with, without a `default` and without a condition that asks first."""
    assert compiled(source).needs == set(names.split())


@pytest.mark.parametrize("source", [one for one in TEMPLATES if "A-B" not in one and "{% set" not in one])
def test_what_is_not_needed_may_be_empty(source):
    """With every needed value there, and any of the others empty, the text can be rendered."""
    needs = compiled(source).needs
    free = [name for name in ("record.A", "record.B", "record.C", "record.L") if name not in needs]
    for gone in itertools.product([False, True], repeat=len(free)):
        empty = {name for name, one in zip(free, gone, strict=True) if one}
        record = {name: None if f"record.{name}" in empty else ("y",) if name == "L" else "y" for name in "ABCL"}
        compiled(source).render(Bindings(record, {"A": "y"}, {"url": "https://x/"}))


@pytest.mark.parametrize("source", ["{{ record.A }}", "{{ record.A | upper }}", "{{ record.A ~ 'x' }}", "{{ 'x' ~ record.A }}"])
def test_what_is_needed_may_not(source):
    """That is what makes a dead letter."""
    with pytest.raises(RenderError, match="empty here"):
        compiled(source).render(Bindings({"A": None}, {}, {}))


@pytest.mark.parametrize(
    ("source", "sure"),
    [
        ("record.A", {"record.A"}),
        ("record.A == 'x' and record.B > 3", {"record.A", "record.B"}),
        ("record.A == 'x' or record.B > 3", set()),
        ("record.A == 'x' or record.A == 'y'", {"record.A"}),
        ("not record.A", set()),
        ("not (record.A is none)", {"record.A"}),
        ("record.A is not none", {"record.A"}),
        ("record.A is none", set()),
        ("record.A is defined", set()),
        ("record.A != before.A", {"record.A", "before.A"}),
        ("record.A | upper == 'X'", set()),
    ],
)
def test_what_a_true_condition_makes_sure_of(source, sure):
    """Comparing an empty value is false."""
    assert compile_expression(source, fields=None, filters=FILTERS).sure == sure


@pytest.mark.parametrize(
    ("source", "outline"),
    [
        ("Hello", ("Hello",)),
        ("Hello {{ record.A }}!", ("Hello ", None, "!")),
        ("{{ 'Hello' }}{{ 5 }}", ("Hello", None)),
        ("a{% if record.A %}b{% endif %}c{% set x = 'y' %}d{% for x in record.L %}e{% endfor %}", ("a", None, "c", "d", None)),
        ("{# nothing #}", ()),
        ("{% raw %}{{ record.A }}{% endraw %}", ("{{ record.A }}",)),
    ],
)
def test_what_stands_in_every_text(source, outline):
    """None for what a record fills in, or what may be left out."""
    assert compiled(source).outline == outline
