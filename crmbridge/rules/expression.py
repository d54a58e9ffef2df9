"""One small language for conditions and templates: Jinja2's grammar, a whitelist of its nodes, our own evaluation.

Jinja2 parses, `compiler.py` turns the tree into Python closures. Nothing is reachable that is not written here: no
calls, no attributes of Python objects, no multiplication, no names but `record`, `before`, `event` and what a
template sets. A record is a flat mapping of fields, so `record.Account.Name` is the field "Account.Name" and
`record.items` the field "items". Which fields an expression reads is known when it is compiled (`reads`).

Empty and missing values: comparing them is false, they count as false, and printing them is an error, so that
no message says "Welcome, None!"; `default` is the way to say what stands in their place.

Words keep their origin: a string constant is the author's (`Authored`), `~` keeps both kinds apart (`Joined`), and
whatever else reaches the output came from a record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jinja2
from jinja2.parser import Parser

from crmbridge.errors import RenderError
from crmbridge.model import FieldSpec
from crmbridge.rules.compiler import Bindings, Closure, CompileError, Compiler, FieldRead
from crmbridge.rules.needs import when_true
from crmbridge.rules.values import Empty

TOO_MUCH: Final = "it is nested too deep, or holds a number that is too large"
ENVIRONMENT: Final = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)  # noqa: S701  # nosec B701  # it only parses


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    source: str
    evaluate: Closure
    reads: tuple[FieldRead, ...]
    sure: frozenset[str] = frozenset()
    """Lookups, like `record.Name`, that have values whenever it is true."""


def compile_expression(
    source: str, *, fields: Mapping[str, FieldSpec] | None, filters: Mapping[str, Callable[..., Any]], quote: str = '"'
) -> Expression:
    """Compile `source`. `fields` are the record's known fields, None if any may occur. Raises CompileError.

    `quote`: the mark that texts within it can stand in, for what an error proposes.
    """
    try:
        parser = Parser(ENVIRONMENT, source, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise CompileError("unexpected words after the expression", parser.stream.current.lineno)
        compiler = Compiler(fields, filters, quote)
        return Expression(source, _with_hint(compiler.charged(tree)), tuple(compiler.reads), when_true(tree))
    except jinja2.TemplateSyntaxError as error:
        raise CompileError(readable(error), error.lineno) from None
    except (RecursionError, ValueError, OverflowError):
        raise CompileError(TOO_MUCH) from None


def _with_hint(closure: Closure) -> Closure:
    """`closure`, whose complaint about an empty value says how to ask first."""

    def evaluate(bindings: Bindings) -> Any:
        try:
            return closure(bindings)
        except Empty as error:
            raise RenderError(f"{error}; ask first: `{error.name} is not none and ...`" if error.name else str(error)) from None

    return evaluate


def readable(error: jinja2.TemplateSyntaxError) -> str:
    """Jinja2's complaint in words that fit an expression as well as a template."""
    return (error.message or "cannot be read").rstrip(".").replace("'end of template'", "end").replace("end of template", "end")
