"""What to write where a value is empty, so that it can be pasted into the quotes that stand around it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from jinja2 import nodes

from crmbridge.rules.needs import lookup
from crmbridge.rules.values import Empty

INNER: Final = {'"': "'", "'": '"'}
"""The mark for texts within a template, by the mark that stands around the template in YAML."""


def hint(error: Empty, node: nodes.Node, quote: str, takes_words: Callable[[str], bool]) -> str:
    """Say what is empty in the part `node` of a text, and what to write.

    `takes_words` says whether a filter of that name takes any text.
    """
    core, filters = _filtered(node)
    name, other = lookup(core), f"{quote}...{quote}"
    if not name or error.name not in ("", name):
        return f"{error}; write `| default({other})` behind it"
    words = str(Empty(name, missing=error.missing))
    chain = [_written(one, quote) for one in filters if one.name != "default"]
    if not all(takes_words(one.name) for one in filters):
        return f"{words}; write `{{{{ {' | '.join([name, *chain])} if {name} is not none else {other} }}}}`"
    return f"{words}; write `{{{{ {' | '.join([name, f'default({other})', *chain])} }}}}`"


def _filtered(node: nodes.Node) -> tuple[nodes.Node, list[nodes.Filter]]:
    """Split filters from what they are applied to: that, and the filters in their order."""
    filters: list[nodes.Filter] = []
    while isinstance(node, nodes.Filter) and node.node is not None:
        filters.insert(0, node)
        node = node.node
    return node, filters


def _written(one: nodes.Filter, quote: str) -> str:
    """Write a filter as it stands in a template, if its arguments are plain texts and numbers."""
    given = [arg.value for arg in one.args if isinstance(arg, nodes.Const)]
    if not given or len(given) < len(one.args) or one.kwargs:
        return one.name
    return f"{one.name}({', '.join(f'{quote}{arg}{quote}' if isinstance(arg, str) else str(arg) for arg in given)})"
