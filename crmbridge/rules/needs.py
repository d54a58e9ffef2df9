"""What stands in a template whatever the record says, and which values it cannot do without: read from its tree. Pure.

A value is needed where an empty one would make the message a dead letter: it is printed, filtered or counted with, no `default`
stands behind it, and no condition around it has made sure of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from jinja2 import nodes

Names = frozenset[str]
"""Lookups, like `record.Account.Name`."""
_NONE: Final[Names] = frozenset()


def outline(body: Sequence[nodes.Node]) -> tuple[str | None, ...]:
    """List the words of a template in their order; None for each part that a record fills in, or that may be left out."""
    parts: list[str | None] = []
    for node in body:
        if isinstance(node, nodes.Output):
            for one in node.nodes:
                fixed = one.data if isinstance(one, nodes.TemplateData) else one.value if isinstance(one, nodes.Const) else None
                parts.append(fixed if isinstance(fixed, str) else None)
        elif not isinstance(node, nodes.Assign):
            parts.append(None)
    return tuple(parts)


def needed(body: Iterable[nodes.Node], sure: Names = _NONE) -> Names:
    """Find the lookups that a template cannot do without, where those in `sure` have values. What it sets first is not followed."""
    found: set[str] = set()
    for node in body:
        if isinstance(node, nodes.Output):
            for part in node.nodes:
                found |= _printed(part, sure)
        elif isinstance(node, nodes.If):
            found |= _branches(node, sure)
        elif isinstance(node, nodes.For):
            found |= _used(node.iter, sure) | needed(node.body, sure) | needed(node.else_, sure)
        elif isinstance(node, nodes.Assign):
            found |= _used(node.node, sure)
    return frozenset(found)


def _branches(node: nodes.If, sure: Names) -> Names:
    found = _used(node.test, sure) | needed(node.body, sure | when_true(node.test))
    sure = sure | when_false(node.test)
    for branch in node.elif_:
        found |= _used(branch.test, sure) | needed(branch.body, sure | when_true(branch.test))
        sure = sure | when_false(branch.test)
    return found | needed(node.else_, sure)


def _printed(node: nodes.Node, sure: Names) -> Names:
    """Find the lookups that must have values for `node` to be printed."""
    name = lookup(node)
    if name:
        return _NONE if name in sure else frozenset({name})
    match node:
        case nodes.Or():
            return _used(node.left, sure) | _printed(node.right, sure | when_false(node.left))
        case nodes.And():
            return _printed(node.left, sure) | _printed(node.right, sure | when_true(node.left))
        case nodes.CondExpr():
            other = _printed(node.expr2, sure | when_false(node.test)) if node.expr2 else _NONE
            return _used(node.test, sure) | _printed(node.expr1, sure | when_true(node.test)) | other
        case nodes.Concat():
            return frozenset().union(*(_printed(part, sure) for part in node.nodes))
    return _used(node, sure)


def _used(node: nodes.Node | None, sure: Names) -> Names:
    """Find the lookups that must have values for `node` to be evaluated at all.

    Comparisons and tests take empty values; filters and arithmetic do not.
    """
    match node:
        case None:
            return _NONE
        case nodes.Filter(name="default"):
            inner = _NONE if lookup(node.node) else _used(node.node, sure)
            return inner | frozenset().union(*(_printed(arg, sure) for arg in node.args))
        case nodes.Filter():
            given = [*node.args, *(pair.value for pair in node.kwargs)]
            return (_printed(node.node, sure) if node.node else _NONE).union(*(_used(arg, sure) for arg in given))
        case nodes.Add() | nodes.Sub() | nodes.Div():
            return _printed(node.left, sure) | _printed(node.right, sure)
        case nodes.Neg():
            return _printed(node.node, sure)
        case nodes.And():
            return _used(node.left, sure) | _used(node.right, sure | when_true(node.left))
        case nodes.Or():
            return _used(node.left, sure) | _used(node.right, sure | when_false(node.left))
        case nodes.CondExpr() | nodes.Concat():
            return _printed(node, sure)
    return frozenset().union(*(_used(child, sure) for child in node.iter_child_nodes())) if not lookup(node) else _NONE


def when_true(node: nodes.Node) -> Names:
    """Find the lookups that have values whenever `node` is true."""
    match node:
        case nodes.And():
            return when_true(node.left) | when_true(node.right)
        case nodes.Or():
            return when_true(node.left) & when_true(node.right)
        case nodes.Not():
            return when_false(node.node)
        case nodes.Compare():
            return frozenset(filter(None, map(lookup, _sides(node))))
    name = lookup(node)
    return frozenset({name}) if name else _NONE


def when_false(node: nodes.Node) -> Names:
    """Find the lookups that have values whenever `node` is false."""
    match node:
        case nodes.And():
            return when_false(node.left) & when_false(node.right)
        case nodes.Or():
            return when_false(node.left) | when_false(node.right)
        case nodes.Not():
            return when_true(node.node)
        case nodes.Test(name="none"):
            name = lookup(node.node)
            return frozenset({name}) if name else _NONE
    return _NONE


def _sides(node: nodes.Compare) -> Iterator[nodes.Node]:
    yield node.expr
    for operand in node.ops:
        yield operand.expr


def lookup(node: nodes.Node | None) -> str:
    """`record.Account.Name` for a plain lookup; empty for anything else."""
    parts: list[str] = []
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        if isinstance(node, nodes.Getattr):
            parts.append(node.attr)
        elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            parts.append(node.arg.value)
        else:
            return ""
        node = node.node
    rooted = isinstance(node, nodes.Name) and node.name in ("record", "before", "event") and parts
    return ".".join([node.name, *reversed(parts)]) if rooted and isinstance(node, nodes.Name) else ""
