"""YAML with places: every value remembers its file, line and column, and nothing is guessed.

Plain scalars are kept as written, but for `true`, `false`, `null` and plain decimal numbers: `on`, `yes`, `NO`,
`12:30` and `012` are texts, `1.10` is a number that still prints as 1.10. Duplicate keys, tags, merge keys and
documents beyond the limits are refused, and the two classic slips are explained: an unquoted `{{`, and a value
that was lost behind `#`.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import yaml

from crmbridge.errors import Problem

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 40
MAX_NODES: Final = 200_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
_WORDS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_LOST: Final = re.compile(r":\s+(#[^\s#].*)$")
_COMPARED: Final = re.compile(r":\s+>(=?)\s*([^\s,}]+)\s*$")
_TAGS: Final = frozenset(
    {"map", "seq", "str", "int", "float", "bool", "null", "timestamp", "value", "merge"}
)  # what plain YAML resolves to
_QUOTE_IT: Final = 'a template must be quoted, like text: "{{ record.Name }}"'

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class LineColumn:
    """Where something stands; line and column count from 1."""

    line: int
    column: int
    block: bool = False
    """The value is a block scalar: its first line is the one below."""
    quote: str = ""
    """The mark that the value stands in, `'` or `"`."""


@dataclass(slots=True)
class Document:
    """A parsed file: plain data, and the place of every part of it."""

    file: str
    data: Any = None
    keys: dict[KeyPath, LineColumn] = field(default_factory=dict)
    values: dict[KeyPath, LineColumn] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: KeyPath, message: str, *, line: int = 1) -> Problem:
        """Name a problem at `path`, or at the nearest part of it that exists. `line` counts within a text value."""
        nearest = path
        while nearest and nearest not in self.keys and nearest not in self.values:
            nearest = nearest[:-1]
        value = self.values.get(nearest)
        place = self.keys.get(nearest) or value or LineColumn(1, 1)
        if nearest == path and value and (line > 1 or value.block):
            place = LineColumn(value.line + line - (0 if value.block else 1), 1)
        return Problem(self.file, place.line, place.column, show(path), message)


def show(path: KeyPath) -> str:
    """`("rules", 0, "publish", 1, "to")` as `rules[0].publish[1].to`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(path: Path, name: str | None = None) -> Document:
    """Parse a file; what is wrong with it is in `problems`."""
    file = name or str(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            return _refused(file, f"is larger than {MAX_BYTES // 1024} KiB")
        text = path.read_text("utf-8-sig")
    except OSError as error:
        return _refused(file, f"cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return _refused(file, "is not UTF-8")
    return parse(text, file)


def legible(path: Path) -> dict[str, Any]:
    """Read what can be read of a file that is no YAML as a whole: each section by itself. Empty if nothing can."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.stat().st_size <= MAX_BYTES:
            sections = re.split(r"^(?=[a-z_]+:)", path.read_text("utf-8-sig"), flags=re.MULTILINE)
            found = [one.data for one in (parse(section, str(path)) for section in sections) if isinstance(one.data, dict)]
            return {key: value for data in found for key, value in data.items()}
    return {}


def _refused(file: str, message: str) -> Document:
    return Document(file, problems=[Problem(file, 0, 0, "", message)])


def parse(text: str, file: str) -> Document:
    """Parse YAML text; what is wrong with it is in `problems`."""
    document = Document(file)
    lines = text.splitlines()
    try:
        if _too_deep(text):
            raise RecursionError
        loader = _LOADER(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except RecursionError:
        document.problems.append(Problem(file, 1, 1, "", f"is nested deeper than {MAX_DEPTH} levels"))
        return document
    except yaml.YAMLError as error:
        document.problems.append(_syntax(error, file, lines))
        return document
    if root is None:
        document.problems.append(Problem(file, 1, 1, "", "is empty"))
        return document
    _Walk(document, lines).value(root, ())
    return document


def _too_deep(text: str) -> bool:
    """Look at the nesting before anything is built: libyaml's composer recurses until the process dies."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > 2 * MAX_DEPTH:
            return True
    return False


def _syntax(error: yaml.YAMLError, file: str, lines: list[str]) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    if re.search(r"(:|-)\s+\{\{", here):
        return Problem(file, line, column, "", _QUOTE_IT)
    if found := _COMPARED.search(here):
        return Problem(
            file, line, column, "", f"not YAML: `>` begins a block of text; to compare, write {{{'gte' if found[1] else 'gt'}: {found[2]}}}"
        )
    for nearby in (here, lines[line - 2] if line > 1 else ""):
        if lost := _LOST.search(nearby):
            word = lost[1].split(",")[0].rstrip("}] ")
            return Problem(file, line, column, "", f'not YAML: "{word}" is a comment here; quote it: "{word}"')
    words = " ".join(str(part) for part in (getattr(error, "context", None), getattr(error, "problem", None)) if part) or "cannot be read"
    if "\t" in here[: len(here) - len(here.lstrip())]:
        words = "indentation must be spaces, not tabs"
    return Problem(file, line, column, "", f"not YAML: {words}")


class _Walk:
    def __init__(self, document: Document, lines: list[str]) -> None:
        self.document = document
        self.lines = lines
        self.nodes = 0
        document.data = None

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        data = self._build(node, path)
        if not path:
            self.document.data = data
        return data

    def _build(self, node: yaml.Node, path: KeyPath) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            if self.nodes == MAX_NODES + 1 or len(path) == MAX_DEPTH + 1:
                self._complain(node, path, "the file is too deep or too large (aliases count each time they are used)")
            return None
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            self._complain(node, path, f"the tag {node.tag} is not allowed")
            return None
        style = node.style if isinstance(node, yaml.ScalarNode) else None
        quote = style if style in ("'", '"') else ""
        self.document.values[path] = LineColumn(node.start_mark.line + 1, node.start_mark.column + 1, style in ("|", ">"), quote)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if isinstance(key_node, yaml.MappingNode):
                self._complain(key_node, path, _QUOTE_IT)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._complain(key_node, path, "a key must be a word")
                continue
            key = key_node.value
            here = (*path, key)
            if key == "<<" and not key_node.style:
                self._complain(key_node, here, "merge keys are not supported; write the values out")
                continue
            if key in data:
                self._complain(key_node, here, f"stands twice; first in line {self.document.keys[here].line}")
                continue
            self.document.keys[here] = LineColumn(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            data[key] = self._build(value_node, here)
        return data

    def _scalar(self, node: Any, path: KeyPath) -> Any:
        text = node.value
        if node.style:  # quoted, or a block; libyaml says '' where the Python parser says None
            return text
        if text == "" and (lost := _LOST.search(self._line(node))):
            self._complain(node, path, f'the value is empty, for "{lost[1]}" is a comment; quote it: "{lost[1]}"')
            return None
        if text in _WORDS:
            return _WORDS[text]
        return Decimal(text) if _NUMBER.fullmatch(text) and len(text) < 40 else text

    def _line(self, node: yaml.Node) -> str:
        line = node.start_mark.line
        return self.lines[line] if line < len(self.lines) else ""

    def _complain(self, node: yaml.Node, path: KeyPath, message: str) -> None:
        mark = node.start_mark
        self.document.problems.append(Problem(self.document.file, mark.line + 1, mark.column + 1, show(path), message))
