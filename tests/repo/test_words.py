"""One word, one meaning: the glossary of crmbridge/README.md is what the code says."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
from shared import ROOT

CORE = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / "crmbridge").rglob("*.py"))}
TABLE = (ROOT / "crmbridge" / "README.md").read_text("utf-8").partition("## Words")[2]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in TABLE.splitlines() if line.startswith("|")][2:]
NAMES = {name: set(types.split(", ")) for row in ROWS for name, types in re.findall(r"`(\w+): ([\w, ]+)`", row[2])}
PLAIN = frozenset({"Any", "ClassVar", "Collection", "Iterable", "Mapping", "None", "Sequence"}) | {
    one.__name__ for one in (dict, list, object, set, str, tuple)
}
"""What holds a thing, or stands for it: its name, its JSON."""
NOT_OURS = ("job", "task", "handler", "manager", "processor", "sync", "target")


def named(tree: ast.Module) -> Iterator[tuple[str, ast.expr, int]]:
    """Every argument, field and variable with its type, as (name, type, line)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            yield node.arg, node.annotation, node.lineno
        elif isinstance(node, ast.AnnAssign):
            target = node.target
            yield target.id if isinstance(target, ast.Name) else getattr(target, "attr", ""), node.annotation, node.lineno


def types_in(annotation: ast.expr) -> set[str]:
    """The names of the types in an annotation."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Callable":
        return {"Callable"}
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Annotated":
        annotation = annotation.slice.elts[0] if isinstance(annotation.slice, ast.Tuple) else annotation.slice
    return {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}


def test_no_two_classes_have_one_name() -> None:
    """Else a reader must know the module before the name says anything."""
    places = defaultdict(list)
    for path, tree in CORE.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_the_glossary_is_read() -> None:
    """A table that is written otherwise would hold nothing."""
    words = [row[0] for row in ROWS]
    assert len(words) > 30
    assert len(words) == len(set(words))
    assert {"source", "place", "known", "selection", "origin"} <= NAMES.keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_glossary_means_one_thing(name: str) -> None:
    """Whatever is called so is of a type that the glossary gives, or stands for one."""
    found = [(path, line, types_in(annotation)) for path, tree in CORE.items() for one, annotation, line in named(tree) if one == name]
    strange = [(f"{path}:{line}", types - NAMES[name] - PLAIN) for path, line, types in found]
    assert [one for one in strange if one[1]] == []


@pytest.mark.parametrize("name", NAMES)
def test_what_the_glossary_names_is_there(name: str) -> None:
    """A type that nothing of that name has any more is taken out of the table."""
    used = set().union(*(types_in(annotation) for tree in CORE.values() for one, annotation, _ in named(tree) if one == name))
    assert NAMES[name] <= used


def test_what_is_ours_has_the_words_of_the_glossary() -> None:
    """No class is a job, a manager, a handler."""
    classes = [node.name for tree in CORE.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    parts = {(part.lower(), name) for name in classes for part in re.findall(r"[A-Z][a-z0-9]*", name)}
    assert {name for part, name in parts if part in NOT_OURS} == set()
