"""A document may name something only if it exists."""

import re
import subprocess

import pytest
from shared import ROOT

from crmbridge.cli.group import _VERBS, cli

TRACKED = [
    ROOT / name
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    if name
]
DOCUMENTS = [path for path in TRACKED if path.suffix == ".md" and path.exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    """Every relative link names a file or folder of the repository."""
    for link in re.findall(r"\]\(([^)#\s]+)\)", path.read_text("utf-8")):
        if not link.startswith(("http:", "https:")):
            assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_verbs_exist(path):
    """Every `crmbridge VERB` in a document is a verb, and a verb of a group one of its own."""
    text = path.read_text("utf-8")
    text = re.sub(r"^crmbridge is ", "", text, flags=re.MULTILINE)
    for verb, inner in re.findall(r"(?:`|^ +|bin/|^)crmbridge ([a-z]+)(?: ([a-z]+))?(?=[ `\n])", text, re.MULTILINE):
        assert verb in _VERBS, f"crmbridge {verb}"
        command = cli.get_command(None, verb)
        if inner and hasattr(command, "commands"):
            assert inner in command.commands, f"crmbridge {verb} {inner}"


@pytest.mark.parametrize("path", TRACKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_machine_and_no_registry_is_named(path):
    """The repository works on any machine."""
    if not path.is_file() or path.suffix in (".png", ".ico"):
        return
    text = path.read_text("utf-8")
    for pattern in ("/roo" + "t/", "/wor" + "k/", "pypi" + r"\.org", "files.python" + "hosted", r"deb\.deb" + "ian", "registry.np" + "mjs"):
        assert not re.search(pattern, text), pattern


def test_the_readme_s_two_lines_are_whole():
    """Each is one line that needs only Python with venv."""
    text = (ROOT / "README.md").read_text("utf-8")
    for mark in ("demo", "test"):
        (block,) = re.findall(rf"<!-- {mark} line -->\n```sh\n(.*?)\n```", text, re.DOTALL)
        assert "\n" not in block
        assert block.startswith("python3 -m venv .venv && .venv/bin/pip install -q ")


def test_every_verb_explains_itself():
    """--help of each says more than its name."""
    for verb in _VERBS:
        command = cli.get_command(None, verb)
        assert command.help
        for inner in getattr(command, "commands", {}).values():
            assert inner.help


def test_words_that_are_not_ours():
    """One word, one meaning: the words that the design does not use are in no name of our own."""
    banned = re.compile(r"(?:class|def) _?(?:\w*_)?(job|task|notification|handler|manager|processor|sync|target)s?\b", re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in TRACKED
        if path.suffix == ".py" and path.parts[len(ROOT.parts)] in ("crmbridge", "connectors") and path.exists()
        for line in path.read_text("utf-8").splitlines()
        if banned.search(line) and "get_redirect_target" not in line  # requests' own name
    ]
    assert found == []
