"""Templates: Jinja2's grammar, rendered to Text, so that record words and the author's words never mix.

Whitelisted: output, `if`/`elif`/`else`, `for ... in` a list, `set`, `raw`, comments. Everything else is refused
when the configuration is read, by name and line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import jinja2
from jinja2 import nodes

from crmbridge.errors import RenderError
from crmbridge.model import FieldSpec, Literal, Text, Value, spans
from crmbridge.rules.compiler import MAX_ROUNDS, READING, Bindings, Closure, CompileError, Compiler, FieldRead, words
from crmbridge.rules.expression import ENVIRONMENT, TOO_MUCH, readable
from crmbridge.rules.hints import hint
from crmbridge.rules.meter import size
from crmbridge.rules.needs import needed, outline
from crmbridge.rules.values import MAX_TEXT, Empty, Missing, to_spans

_Write = Callable[[Bindings, list[Literal | Value]], None]
_NAMES: Final = {"Macro": "macro", "Include": "include", "Import": "import", "FromImport": "from", "Extends": "extends", "Block": "block",
                 "CallBlock": "call", "FilterBlock": "filter", "With": "with", "AssignBlock": "set block"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template."""

    source: str
    reads: tuple[FieldRead, ...]
    _write: _Write
    outline: tuple[str | None, ...] = ()
    """The words that stand in every text, in order; None for each part that a record fills in, or that may be left out."""
    needs: frozenset[str] = frozenset()
    """Lookups, like `record.Name`, without whose values there is no text."""
    words: bool = True
    """A record's words may stand in the text; else only the rule's own."""
    mentions: bool = False
    """It names people by their addresses."""

    def render(self, bindings: Bindings) -> Text:
        """Render the text for one record. Raises RenderError, naming the line."""
        out: list[Literal | Value] = []
        self._write(bindings, out)
        return spans(out)


def compile_template(
    source: str,
    *,
    fields: Mapping[str, FieldSpec] | None,
    filters: Mapping[str, Callable[..., Any]],
    shorten: Set[str] = frozenset(),
    quote: str = '"',
) -> Template:
    """Compile `source`. `fields` are the record's known fields, None if any may occur. Raises CompileError.

    `shorten`: lookups like `record.Name` whose words may be cut where the whole would not fit. `quote`: the mark that texts within
    the template can stand in, for what an error proposes.
    """
    try:
        compiler = _Writer(fields, filters, quote)
        compiler.shorten = shorten
        body = ENVIRONMENT.parse(source).body
        write = compiler.body(body)
        return Template(source, tuple(compiler.reads), write, outline(body), needed(body), compiler.prints, compiler.mentions)
    except jinja2.TemplateSyntaxError as error:
        raise CompileError(readable(error), error.lineno) from None
    except (RecursionError, ValueError, OverflowError):
        raise CompileError(TOO_MUCH) from None


def own_words(source: str) -> str:
    """Collect what the rule itself writes, in every branch; a blank stands for each value. Empty if `source` is no template."""
    try:
        outputs = ENVIRONMENT.parse(source).find_all(nodes.Output)
        return "".join(part.data if isinstance(part, nodes.TemplateData) else " " for output in outputs for part in output.nodes)
    except (jinja2.TemplateSyntaxError, RecursionError, ValueError, OverflowError):
        return ""


class _Writer(Compiler):
    shorten: Set[str] = frozenset()
    prints = False
    """Something is printed that the rule's author did not write."""

    def __init__(self, fields: Mapping[str, FieldSpec] | None, filters: Mapping[str, Callable[..., Any]], quote: str) -> None:
        super().__init__(fields, filters, quote)
        self.own: set[str] = set()
        """Names that the rule set to words of its own."""
        self.foreign: set[str] = set()
        """Names that were set to anything else somewhere."""

    def _authored(self, node: nodes.Node) -> bool:
        match node:
            case nodes.TemplateData() | nodes.Const(value=str()):
                return True
            case nodes.CondExpr():
                return self._authored(node.expr1) and (node.expr2 is None or self._authored(node.expr2))
            case nodes.Concat():
                return all(map(self._authored, node.nodes))
            case nodes.Name():
                return node.name in self.own - self.foreign
        return False

    def body(self, body: Sequence[nodes.Node]) -> _Write:
        writes = [self.statement(node) for node in body]

        def write(bindings: Bindings, out: list[Literal | Value]) -> None:
            for one in writes:
                one(bindings, out)

        return write

    def statement(self, node: nodes.Node) -> _Write:
        match node:
            case nodes.Output():
                return self._output(node)
            case nodes.If():
                return self._if(node)
            case nodes.For():
                return self._for(node)
            case nodes.Assign():
                return self._assign(node)
        kind = type(node).__name__
        raise CompileError(f"`{_NAMES.get(kind, kind)}` is not part of this language", node.lineno)

    def _output(self, node: nodes.Output) -> _Write:
        parts = [self._part(part) for part in node.nodes]
        self.prints = self.prints or not all(map(self._authored, node.nodes))

        def write(bindings: Bindings, out: list[Literal | Value]) -> None:
            for source, closure, subject, shrink in parts:
                try:
                    value = closure(bindings)
                    bindings.meter.charge(size(value))
                    found = to_spans(value, bindings.reading)
                    out.extend(map(_shrinking, found) if shrink else found)
                    bindings.written += sum(len(span.text) for span in found)
                except Empty as error:
                    raise RenderError(hint(error, source, self.quote, self._takes_words), f"line {source.lineno}") from None
                except RenderError as error:
                    raise RenderError(_about(subject, str(error)), f"line {source.lineno}") from None
                if bindings.written > MAX_TEXT:
                    raise RenderError(f"the text is longer than {MAX_TEXT} characters")

        return write

    def _part(self, node: nodes.Node) -> tuple[nodes.Node, Closure, str, bool]:
        seen = len(self.reads)
        closure = self.charged(node)
        return node, closure, words(node), any(str(read) in self.shorten for read in self.reads[seen:])

    def _takes_words(self, name: str) -> bool:
        return self.filters.get(name) not in READING

    def _if(self, node: nodes.If) -> _Write:
        branches = [(self.charged(node.test), self.body(node.body))]
        branches += [(self.charged(branch.test), self.body(branch.body)) for branch in node.elif_]
        otherwise = self.body(node.else_)

        def write(bindings: Bindings, out: list[Literal | Value]) -> None:
            for test, body in branches:
                if test(bindings):
                    return body(bindings, out)
            return otherwise(bindings, out)

        return write

    def _for(self, node: nodes.For) -> _Write:
        if not isinstance(node.target, nodes.Name) or node.recursive:
            raise CompileError("write `{% for item in record.List %}`", node.lineno)
        name = node.target.name
        items, otherwise = self.charged(node.iter), self.body(node.else_)
        outer = self.names
        self.names = outer | {name, "loop"}
        self.foreign |= {name}
        test: Closure = self.charged(node.test) if node.test else lambda _: True
        body = self.body(node.body)
        self.names = outer

        def write(bindings: Bindings, out: list[Literal | Value]) -> None:
            values = items(bindings)
            if isinstance(values, Missing) or values is None:
                values = ()
            if not isinstance(values, tuple):
                raise RenderError("only a list can be looped over", f"line {node.lineno}")
            outer = bindings.names
            kept = [value for value in values if value is not None and test_one(bindings, outer, value)]
            for index, value in enumerate(kept):
                bindings.rounds += 1
                bindings.meter.charge(1 + len(outer))
                if bindings.rounds > MAX_ROUNDS:
                    raise RenderError(f"more than {MAX_ROUNDS} loop rounds", f"line {node.lineno}")
                loop = {"index": Decimal(index + 1), "first": index == 0, "last": index == len(kept) - 1}
                bindings.names = {**outer, name: value, "loop": loop}
                body(bindings, out)
            bindings.names = outer
            if not kept:
                otherwise(bindings, out)

        def test_one(bindings: Bindings, outer: dict[str, Any], value: Any) -> bool:
            bindings.meter.charge(1 + len(outer))  # an item that is left out was tried too
            bindings.names = {**outer, name: value}
            try:
                return bool(test(bindings))
            finally:
                bindings.names = outer

        return write

    def _assign(self, node: nodes.Assign) -> _Write:
        if not isinstance(node.target, nodes.Name):
            raise CompileError("write `{% set name = ... %}`", node.lineno)
        name, closure = node.target.name, self.charged(node.node)
        if name in ("record", "before", "event", "loop"):
            raise CompileError(f"`{name}` cannot be set", node.lineno)
        (self.own if self._authored(node.node) else self.foreign).add(name)
        self.names = self.names | {name}

        def write(bindings: Bindings, out: list[Literal | Value]) -> None:
            bindings.meter.charge(len(bindings.names))
            bindings.names = {**bindings.names, name: closure(bindings)}

        return write


def _shrinking(span: Literal | Value) -> Literal | Value:
    """`span` as it may be cut; a person's address is never, for it would name nobody."""
    return Value(span.text, True) if isinstance(span, Value) and not span.mention else span


def _about(subject: str, words: str) -> str:
    """Name in an error the lookup that it is about, where that is plain."""
    if words.startswith("is "):
        return f"{subject or 'a value'} {words}"
    return words if not subject or words.startswith(("record.", "before.", "event.")) else f"{subject}: {words}"
