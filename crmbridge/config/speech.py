"""What is wrong with a step's words whatever a record says: links that are none, braces where none work, texts that never fit. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from crmbridge.config.document import KeyPath
from crmbridge.model import ChangeKind, Literal, Text, Value, address
from crmbridge.rules.compiler import CompileError
from crmbridge.rules.filters import FILTERS
from crmbridge.rules.match import Clause, assured
from crmbridge.rules.template import Template, compile_template

_LOOKUP: Final = re.compile(r"(record|before|event)\.\w[\w.]*")
_BRACES: Final = re.compile(r"\{\{|\{%")
_ON_CHANGE: Final = frozenset({"from", "to"})


def fixed(template: Template) -> Text:
    """Return the words that stand in every text of a template."""
    return (Literal("".join(part for part in template.outline if part is not None)),)


def unfilled(template: Template) -> str:
    """Say what to write where a field is named and not filled in; empty if none is."""
    source = template.source.strip()
    return f'is a text as it stands; write "{{{{ {source} }}}}"' if _LOOKUP.fullmatch(source) else ""


def link_fault(link: Template) -> str:
    """Why a link can never be one; empty if a record may make it one."""
    if fault := unfilled(link):
        return fault
    if None not in link.outline:
        try:
            address(fixed(link))
        except ValueError as error:
            return str(error)
        return ""
    begin = (link.outline[0] or "").lstrip()
    if begin and not begin.lower().startswith(("https://", "http://")):
        return f"begins with `{begin[:40]}`, and an address begins with https:// or http://"
    return _never(link) if begin and "{%" not in link.source else ""


def _never(link: Template) -> str:
    """Why no words of a record make an address of it; `/x` is a path of its own right behind the host."""
    fault = ""
    for words in ("x", "/x"):
        try:
            address(tuple(Value(words) if part is None else Literal(part) for part in link.outline))
        except ValueError as error:
            fault = fault or str(error)
        else:
            return ""
    return fault


def default_link_fault(source: str) -> str:
    """Judge a link that steps take from `defaults`. Their rules complain about the rest of it."""
    try:
        return link_fault(compile_template(source, fields=None, filters=FILTERS))
    except CompileError:
        return ""


def unborn(templates: Iterable[Template], kinds: Iterable[ChangeKind], clauses: Sequence[Clause], sure: frozenset[str]) -> list[str]:
    """Old values, like `before.Stage`, that are printed though nothing makes sure of them, where the rule looks at new records too."""
    if ChangeKind.CREATED not in kinds or any(one.operator in _ON_CHANGE or (one.operator == "changed" and one.wanted) for one in clauses):
        return []
    sure = sure | assured(clauses)
    return sorted({name for one in templates for name in one.needs - sure if name.startswith("before.")})


def braces(data: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every text with `{{` or `{%` in it where nothing is filled in, as (path, what is wrong)."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            if not _filled_in((*path, name)):
                yield from braces(value, (*path, name))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from braces(value, (*path, index))
    elif isinstance(data, str) and _BRACES.search(data):
        yield path, _advice(path)


def _filled_in(path: KeyPath) -> bool:
    """Whether the texts below `path` are templates, or data that only looks like one."""
    names = [part for part in path if isinstance(part, str)]
    return names == ["defaults", "link"] or (
        names[:1] == ["rules"] and (names[1:] in (["tests"], ["if"]) or (names[1:2] == ["publish"] and names[2:] in _TEMPLATES))
    )


_TEMPLATES: Final = (["text"], ["link"], ["blocks"], ["card"], ["shorten"], ["media", "url"], ["media", "alt"], ["subject"])


def _advice(path: KeyPath) -> str:
    names = [part for part in path if isinstance(part, str)]
    words = "nothing is filled in here: the braces would be taken as they stand"
    if names[-1:] == ["channel"] and names[:2] == ["rules", "publish"]:
        return f"{words}. Where a network can make one, a channel for each record is {{for: record.AccountId, title: record.Account.Name}}"
    if names[:2] == ["rules", "match"]:
        return f"{words}. Compare two fields with `if:`, like `if: record.Amount > before.Amount`"
    return f"{words}. Records fill in text, subject, link, media, blocks and card of a step"
