"""The tree of an expression becomes closures: one method for each kind of node, and what is not here cannot be said."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from jinja2 import nodes

from crmbridge.errors import RenderError
from crmbridge.model import FieldSpec, Reading, Unread, did_you_mean, spans
from crmbridge.rules.meter import Meter, search, size
from crmbridge.rules.needs import lookup
from crmbridge.rules.values import (
    MAX_TEXT,
    PLAIN,
    Authored,
    Empty,
    Joined,
    Missing,
    bounded,
    contains,
    divide,
    empty,
    equal,
    flat,
    kind_of,
    number,
    ordered,
    to_spans,
)

MAX_ROUNDS: Final = 1000
"""Loop rounds of one rendering, all loops together."""
_COSTLIER: Final = 4  # bits: some filters take a unit for four characters
_FILTER_WEIGHT: Final = 5  # a filter takes as long as so many lookups

EVENT_PUBLIC: Final = frozenset({"kind", "occurred_at", "record_type", "source"})
EVENT_INTERNAL: Final = frozenset({"actor", "id", "record_id", "revision", "url"})


@dataclass(slots=True)
class Bindings:
    """What an expression may see during one evaluation."""

    record: Mapping[str, Any]
    before: Mapping[str, Any]
    event: Mapping[str, Any]
    reading: Reading = PLAIN
    """How the record's source writes texts, and in which zone days and instants are shown."""
    names: dict[str, Any] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)
    """What this evaluation has cost so far."""
    rounds: int = 0
    """Loop rounds so far."""
    written: int = 0
    """Characters of the text so far."""


Closure = Callable[[Bindings], Any]


@dataclass(frozen=True, slots=True)
class FieldRead:
    """One value that an expression looks up: `record.Amount` is Read("record", "Amount", 1)."""

    root: str
    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.root}.{self.path}"


class CompileError(Exception):
    """What is wrong in a template or expression, and on which of its lines."""

    def __init__(self, message: str, line: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


_ORDER: Final = {"lt": operator.lt, "lteq": operator.le, "gt": operator.gt, "gteq": operator.ge}
_REFUSED: Final[dict[type[nodes.Node], str]] = {
    nodes.Call: "calls are not part of this language; filters are, like `record.Amount | money`",
    nodes.Mul: "multiplication is not part of this language",
    nodes.Pow: "powers are not part of this language",
    nodes.Slice: "slices are not part of this language; use the filter `truncate`",
    nodes.Dict: "mappings are not part of this language",
}


class Compiler:
    """Turns nodes into closures, and collects what they read."""

    def __init__(self, fields: Mapping[str, FieldSpec] | None, filters: Mapping[str, Callable[..., Any]], quote: str = '"') -> None:
        self.fields = fields
        self.filters = filters
        self.quote = quote
        self.reads: list[FieldRead] = []
        self.names: set[str] = set()
        self.mentions = False
        """A person is named by address."""

    def expression(self, node: nodes.Node) -> Closure:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise CompileError(_REFUSED.get(type(node), f"`{type(node).__name__}` is not part of this language"), node.lineno)
        closure: Closure = method(node)
        return closure

    def charged(self, node: nodes.Node) -> Closure:
        """Compile a whole expression, whose evaluation is charged for each of its nodes. Operators charge what the size of a value adds."""
        closure, weight = self.expression(node), weigh(node)

        def evaluate(bindings: Bindings) -> Any:
            bindings.meter.charge(weight)
            return closure(bindings)

        return evaluate

    # --- constants and names

    def _const(self, node: nodes.Const) -> Closure:
        value = node.value
        if isinstance(value, str):
            value = Authored(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            value = Decimal(str(value))
        return lambda _: value

    def _templatedata(self, node: nodes.TemplateData) -> Closure:
        value = Authored(node.data)
        return lambda _: value

    def _list(self, node: nodes.List | nodes.Tuple) -> Closure:
        items = [self.expression(item) for item in node.items]

        def evaluate(bindings: Bindings) -> tuple[Any, ...]:
            values = tuple(item(bindings) for item in items)
            if any(isinstance(value, tuple) for value in values):
                raise RenderError("a list cannot hold lists")  # doubled a few times it would outgrow any memory
            return values

        return evaluate

    _tuple = _list

    def _name(self, node: nodes.Name) -> Closure:
        name = node.name
        if name in self.names:
            return lambda bindings: bindings.names[name]
        if name in ("record", "before", "event"):
            raise CompileError(
                f"`{name}` alone is not a value; name a field, like `{name}.{'kind' if name == 'event' else 'Name'}`", node.lineno
            )
        raise CompileError(f"`{name}` is not known here; did you mean `record.{name}`?", node.lineno)

    def _getattr(self, node: nodes.Getattr | nodes.Getitem) -> Closure:
        parts: list[str] = []
        inner: nodes.Node = node
        while isinstance(inner, (nodes.Getattr, nodes.Getitem)):
            if isinstance(inner, nodes.Getattr):
                parts.append(inner.attr)
            elif isinstance(inner.arg, nodes.Const) and isinstance(inner.arg.value, str):
                parts.append(inner.arg.value)
            else:
                raise CompileError("only a quoted field name may stand in [ ]", inner.lineno)
            inner = inner.node
        path = ".".join(reversed(parts))
        if not isinstance(inner, nodes.Name):
            raise CompileError(f"`.{path}` can follow only record, before or event", node.lineno)
        if inner.name == "loop" and "loop" in self.names:
            return self._loop(path, node.lineno)
        return self._lookup(inner.name, path, node.lineno)

    _getitem = _getattr

    def _loop(self, path: str, line: int) -> Closure:
        if path not in ("index", "first", "last"):
            raise CompileError("a loop knows loop.index, loop.first and loop.last", line)
        return lambda bindings: bindings.names["loop"][path]

    def _lookup(self, root: str, path: str, line: int) -> Closure:
        if root == "event":
            if path not in EVENT_PUBLIC | EVENT_INTERNAL:
                raise CompileError(f"event.{path} does not exist{did_you_mean(path, EVENT_PUBLIC | EVENT_INTERNAL)}", line)
        elif root not in ("record", "before"):
            raise CompileError(f"`{root}` is not known here; only record, before and event are", line)
        elif self.fields is not None and path not in self.fields:
            raise CompileError(f"{root}.{path} is not among the configured fields{did_you_mean(path, self.fields)}", line)
        self.reads.append(FieldRead(root, path, line))
        missing = Missing(f"{root}.{path}")
        if root == "event":
            return lambda bindings: bindings.event.get(path, missing)
        name = f"{root}.{path}"

        def look(bindings: Bindings) -> Any:
            value = (bindings.record if root == "record" else bindings.before).get(path, missing)
            if type(value) is Unread:
                raise RenderError(f"{name}: {value.words}")  # whatever is asked of it: no answer would be about the record
            return value

        return look

    # --- operators

    def _compare(self, node: nodes.Compare) -> Closure:
        links = [self.expression(node.expr)] + [self.expression(operand.expr) for operand in node.ops]
        tests = [self._comparison(operand.op, node.lineno) for operand in node.ops]

        searches = [operand.op in ("in", "notin") for operand in node.ops]

        def compare(bindings: Bindings) -> bool:
            values = [link(bindings) for link in links]
            for i, test in enumerate(tests):
                left, right = values[i], values[i + 1]
                bindings.meter.charge(search(right, left) if searches[i] else size(left) + size(right))
                if not test(left, right, bindings.reading):
                    return False
            return True

        return compare

    def _comparison(self, name: str, line: int) -> Callable[[Any, Any, Reading], bool]:
        if name in ("eq", "ne"):
            wanted = name == "eq"

            def same(left: Any, right: Any, reading: Reading) -> bool:
                return not (empty(left) or empty(right)) and equal(left, right, reading) is wanted

            return same
        if name in ("in", "notin"):
            wanted = name == "in"

            def among(item: Any, container: Any, reading: Reading) -> bool:
                return not (empty(item) or empty(container)) and contains(container, item, reading) is wanted

            return among
        order = _ORDER.get(name)
        if order is None:
            raise CompileError(f"the comparison `{name}` is not part of this language", line)
        return lambda left, right, reading: not (empty(left) or empty(right)) and ordered(left, right, order, reading)

    def _and(self, node: nodes.And) -> Closure:
        left, right = self.expression(node.left), self.expression(node.right)
        return lambda bindings: left(bindings) and right(bindings)

    def _or(self, node: nodes.Or) -> Closure:
        left, right = self.expression(node.left), self.expression(node.right)
        return lambda bindings: left(bindings) or right(bindings)

    def _not(self, node: nodes.Not) -> Closure:
        inner = self.expression(node.node)
        return lambda bindings: not inner(bindings)

    def _condexpr(self, node: nodes.CondExpr) -> Closure:
        test, yes = self.expression(node.test), self.expression(node.expr1)
        no = self.expression(node.expr2) if node.expr2 else lambda _: Authored("")
        return lambda bindings: yes(bindings) if test(bindings) else no(bindings)

    def _concat(self, node: nodes.Concat) -> Closure:
        parts = [self.expression(part) for part in node.nodes]

        def joined(bindings: Bindings) -> Joined:
            values = [part(bindings) for part in parts]
            bindings.meter.charge(sum(map(size, values)))
            return Joined(bounded(spans(span for value in values for span in to_spans(value, bindings.reading))))

        return joined

    def _arithmetic(self, node: nodes.BinExpr, compute: Callable[[Decimal, Decimal], Decimal]) -> Closure:
        left, right = self.expression(node.left), self.expression(node.right)

        def evaluate(bindings: Bindings) -> Decimal:
            return compute(number(left(bindings), bindings.reading), number(right(bindings), bindings.reading))

        return evaluate

    def _add(self, node: nodes.Add) -> Closure:
        return self._arithmetic(node, operator.add)

    def _sub(self, node: nodes.Sub) -> Closure:
        return self._arithmetic(node, operator.sub)

    def _div(self, node: nodes.Div) -> Closure:
        return self._arithmetic(node, divide)

    def _neg(self, node: nodes.Neg) -> Closure:
        inner = self.expression(node.node)
        return lambda bindings: -number(inner(bindings), bindings.reading)

    # --- filters and tests

    def _filter(self, node: nodes.Filter) -> Closure:
        function = self.filters.get(node.name)
        if function is None:
            raise CompileError(f"there is no filter `{node.name}`{did_you_mean(node.name, self.filters)}", node.lineno)
        if node.node is None or node.dyn_args or node.dyn_kwargs:
            raise CompileError(f"the filter `{node.name}` cannot be used this way", node.lineno)
        inner = self.expression(node.node)
        args = [self.expression(arg) for arg in node.args]
        named: dict[str, Closure] = {str(pair.key): self.expression(pair.value) for pair in node.kwargs}
        told: Callable[[Bindings], dict[str, Any]] = (
            (lambda bindings: {"reading": bindings.reading}) if function in READING else (lambda _: {})
        )
        lenient, counts = node.name == "default", node.name == "length"
        name, subject = node.name, lookup(node.node)
        self.mentions = self.mentions or name == "mention"
        if name == "money" and not args and not named and (currency := self._currency(node.node)):
            args = [currency]

        def apply(bindings: Bindings) -> Any:
            value = inner(bindings)
            if lenient:
                return args[0](bindings) if args and (empty(value) or value == "") else value
            if empty(value):
                raise Empty(subject, missing=isinstance(value, Missing))
            given = [flat(arg(bindings)) for arg in args]
            said = {key: flat(arg(bindings)) for key, arg in named.items()}
            if function in COSTLY:
                bindings.meter.charge(size(value) << _COSTLIER)
            if not counts:  # every word that stands between a list's items is written as often as there are items
                bindings.meter.charge(sum(search(value, word) for word in (*given, *said.values())) + size(value))
            try:
                result = function(value if function in READING else flat(value), *given, **said, **told(bindings))
            except RenderError:
                raise
            except (TypeError, ValueError, ArithmeticError) as error:
                raise RenderError(f"the filter `{name}` cannot be applied to {kind_of(value)}: {error}") from None
            if isinstance(result, str) and len(result) > MAX_TEXT:
                raise RenderError(f"the filter `{name}` made more than {MAX_TEXT} characters")
            return result

        if lenient and len(args) != 1:
            raise CompileError(f"write default({self.quote}...{self.quote}) with one value", node.lineno)
        return apply

    def _currency(self, node: nodes.Node) -> Closure | None:
        """For a money field that names its currency field: that field's value, or no currency where it is empty."""
        path = words(node).removeprefix("record.")
        spec = (self.fields or {}).get(path)
        if spec is None or spec.currency is None:
            return None
        lookup = self._lookup("record", spec.currency, node.lineno)

        def currency(bindings: Bindings) -> Any:
            value = lookup(bindings)
            return "" if empty(value) else value

        return currency

    def _test(self, node: nodes.Test) -> Closure:
        inner = self.expression(node.node)
        match node.name:
            case "defined":
                return lambda bindings: not isinstance(inner(bindings), Missing)
            case "none":
                return lambda bindings: empty(inner(bindings))
        raise CompileError(f"there is no test `is {node.name}`; there are `is defined` and `is none`", node.lineno)


def weigh(node: nodes.Node) -> int:
    """Count the nodes of an expression; filters count several times."""
    return 1 + sum(_FILTER_WEIGHT if isinstance(inner, nodes.Filter) else 1 for inner in node.find_all(nodes.Expr))


def words(node: nodes.Node) -> str:
    """`record.Amount` for a plain lookup, filtered or not; empty for anything more involved."""
    if isinstance(node, nodes.Filter) and node.node is not None:
        return words(node.node)
    if isinstance(node, nodes.Getattr):
        inner = words(node.node)
        return f"{inner}.{node.attr}" if inner else ""
    return node.name if isinstance(node, nodes.Name) else ""


COSTLY: Final[set[Callable[..., Any]]] = set()
"""Filters that parse what they are given."""
READING: Final[set[Callable[..., Any]]] = set()
"""Filters that are told how texts are read, and in which zone instants are shown."""
