"""Nothing of the command line prints past the one function that escapes."""

import ast
from pathlib import Path

import crmbridge.cli

PRINTS = {"echo", "secho", "style", "echo_via_pager"}


def test_only_one_module_prints():
    """By the syntax tree: no print, no click.echo, no stream that is written to by hand."""
    found = []
    for path in Path(crmbridge.cli.__file__).parent.glob("*.py"):
        if path.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            inner = node.value if isinstance(node, ast.Attribute) else None
            of = inner.id if isinstance(inner, ast.Name) else inner.attr if isinstance(inner, ast.Attribute) else ""
            if name == "print" or (of == "click" and name in PRINTS) or (of in ("stdout", "stderr") and name.startswith("write")):
                found.append(f"{path.name}:{node.lineno}")
    assert found == []
