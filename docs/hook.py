"""What the site shows that stands elsewhere: documents of the repository, and pages made from the code, when it is built.

Every link in a page is a link of the repository, as GitHub follows it; where it leads to something that has a page here, it
leads to that page here.
"""

from __future__ import annotations

import ast
import inspect
import posixpath
import re
import shlex
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from pydantic import create_model

from crmbridge import registry
from crmbridge.cli.group import cli
from crmbridge.config.models import ConfigModel, DestinationModel, SourceModel
from crmbridge.config.reference import option_table, reference
from crmbridge.config.rule_models import RuleModel
from crmbridge.model import State, Why
from crmbridge.telemetry import Metrics

ROOT = Path(__file__).parents[1]
PAGES = "docs/pages"
EXAMPLES = sorted(path.name for path in (ROOT / "examples").iterdir() if (path / "README.md").exists())

INCLUDED = {  # a document of the repository, by the page that shows it
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "proofs.md": "tests/README.md",
    "how-it-works.md": "crmbridge/README.md",
    "adding.md": "connectors/ADDING.md",
    "reference/rules.md": "crmbridge/rules/README.md",
    "reference/troubles.md": "crmbridge/troubles/README.md",
    "reference/connectors.md": "connectors/README.md",
    **{f"reference/{kind}/{name}.md": f"connectors/{kind}/{name}/README.md" for kind in registry.KINDS for name in registry.names(kind)},
    **{f"examples/{name}.md": f"examples/{name}/README.md" for name in EXAMPLES},
}
FILES = {  # a file of the repository, by where it lies in the site
    "files/icon.svg": "crmbridge/chirp/static/icon.svg",
    "files/site.css": "docs/site.css",
    **{f"files/{path.name}": f"config/{path.name}" for path in (ROOT / "config").iterdir()},
}


def on_config(config: Any) -> Any:
    """Fill in the lists of pages that nobody wants to keep by hand."""
    lists = {
        "examples": [f"examples/{name}.md" for name in EXAMPLES],
        **{kind: [f"reference/{kind}/{name}.md" for name in registry.names(kind)] for kind in registry.KINDS},
    }

    def filled(part: Any) -> Any:
        if isinstance(part, list):
            return [filled(one) for one in part]
        if isinstance(part, dict):
            return {name: filled(inner) for name, inner in part.items()}
        return lists.get(part, part)

    config.nav = filled(config.nav)
    config.watch += [str(ROOT / name) for name in ("crmbridge", "connectors", "docs", "README.md", "SECURITY.md", "CHANGELOG.md")]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and files that are not below docs/pages."""
    for page, name in INCLUDED.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    for page, made in MADE.items():
        files.append(File.generated(config, page, content=made[1]()))
    for place, name in FILES.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let marks become what they stand for, and links of the repository links of the site."""
    here = page.file.src_uri
    name = INCLUDED.get(here) or f"{PAGES}/{here}"
    for mark, made in MARKS.items():
        markdown = markdown.replace(f"<!-- {mark} -->", made()) if name.startswith(PAGES) else markdown
    markdown = re.sub(r"^<!--.*?-->\n", "", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(line if code else _led(line, name, here) for code, line in _lines(plain_lists(markdown)))


def _lines(markdown: str) -> Iterator[tuple[bool, str]]:
    """Each line, and whether it is code."""
    fence = ""
    for line in markdown.splitlines(keepends=True):
        mark = re.match(r" *(`{3,})", line)
        yield bool(fence or mark), line
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip() == fence:
            fence = ""


# --- links ----------------------------------------------------------------------------------

_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)")


def _led(line: str, name: str, here: str) -> str:
    """The line of the document `name`, as the page `here` shows it."""

    def lead(link: re.Match[str]) -> str:
        words, target = link.groups()
        path, hash, anchor = target.partition("#")
        if not path or ":" in path:
            return link[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
        if not (ROOT / place).exists():
            raise PluginError(f"{name}: {target} leads nowhere")
        page = _PLACES.get(place) or _PLACES.get(f"{place}/README.md")
        if page is None and place.startswith(f"{PAGES}/"):
            page = place.removeprefix(f"{PAGES}/")
        if page is None:  # nothing here shows it
            return words if "`" in words else f"{words} (`{place}`)" if name.startswith(PAGES) else words
        return f"[{words}]({posixpath.relpath(page, posixpath.dirname(here) or '.')}{hash}{anchor})"

    return _LINK.sub(lead, line)


# --- Markdown, as GitHub reads it ------------------------------------------------------------

_ITEM = re.compile(r"( *)([-*]|\d+\.) +(?=\S)")


def plain_lists(markdown: str) -> str:
    """The same document for Python-Markdown, which wants a blank line before a list, and what belongs to an item set in by four."""
    lines: list[str] = []
    depth: list[tuple[int, int]] = []  # of each item that is open: where it begins, where its words begin
    blank, loose, before = True, False, ""
    for code, line in _lines(markdown):
        lead = len(line) - len(line.lstrip(" "))
        item = None if code else _ITEM.match(line)
        if not line.strip():
            lines.append(line)
            blank = loose = True
            continue
        base = next((words for _, words in reversed(depth) if words <= lead), 0)
        if not code and lead >= base + 4 and (blank or before == "code"):  # code that is only set in
            code, item = True, None
        if not (code and before == "code"):
            while depth and lead < depth[-1][1] and (item or blank) and not (item and lead > depth[-1][0] + 1):
                depth.pop()
        inside = len(depth)
        if item:
            if not blank and (loose or before not in ("item", "more")):
                lines.append("\n")
            depth.append((lead, item.end()))
            lines.append(" " * 4 * inside + f"{item[2]} {line[item.end() :]}")
            loose = False
        else:
            cut = min(lead, depth[-1][1]) if depth else 0
            lines.append(" " * 4 * inside + line[cut:])
        before = "item" if item else "code" if code else "more" if depth else "words"
        blank = False
    return "".join(lines)


# --- pages that are made ----------------------------------------------------------------------


def configuration() -> str:
    """Every key of the configuration."""
    shown = create_model(
        "Shown",
        __base__=ConfigModel,
        sources=(dict[str, SourceModel], ConfigModel.model_fields["sources"]),
        destinations=(dict[str, DestinationModel], ConfigModel.model_fields["destinations"]),
        rules=(list[RuleModel], ConfigModel.model_fields["rules"]),
    )
    return (
        "# Configuration\n\n"
        "Every key that does not belong to one connector. What a source or destination takes besides stands on the page of its `type`.\n"
        "`crmbridge config reference` prints the file below, `crmbridge schema` the [JSON Schema](../../../config/schema.json).\n\n"
        f"## Keys\n\n{option_table(SimpleNamespace(options=shown))}\n\n"
        f'## The whole file\n\n```yaml title="crmbridge.yaml"\n{reference()}```\n'
    )


def verbs() -> str:
    """What `--help` says of each verb."""
    parts = ["# Verbs\n\nWhat `crmbridge VERB --help` says. `crmbridge --help` lists the verbs.\n"]
    root = click.Context(cli, info_name="crmbridge", terminal_width=90)
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        parts.append(f"## {name}\n\n{command.short_help}\n")
        for path, one in _verbs(name, command):
            context = click.Context(one, info_name=f"crmbridge {path}", terminal_width=90, help_option_names=["-h", "--help"])
            parts.append((f"### {path}\n\n" if path != name else "") + f"```text\n{one.get_help(context)}\n```\n")
    return "\n".join(parts)


def _verbs(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _verbs(f"{path} {name}", inner)
    else:
        yield path, command


def metrics() -> str:
    """Every metric."""
    made = [one for one in vars(Metrics()).values() if hasattr(one, "_labelnames")]
    rows = [
        f"| `{family.name}{'_total' if family.type == 'counter' else ''}` | {family.type} | "
        f"{', '.join(f'`{label}`' for label in one._labelnames)} | {family.documentation} |"
        for one in made
        for family in one.describe()
    ]
    return (
        "# Metrics\n\n`/metrics` answers on the unix socket, or at `admin.listen` for those who have the token: "
        "[how to watch it](../howto/watch.md). No label holds a record's id, name or text.\n\n"
        "| metric | kind | labels | what it counts |\n| --- | --- | --- | --- |\n" + "\n".join(sorted(rows)) + "\n\n"
        "Besides: `crmbridge_build_info` (what runs), and `process_*` (memory, processor time, open files), as all clients have.\n"
    )


def states() -> str:
    """The states of a delivery, and the reasons."""
    return (
        "# States\n\nThe life of a delivery is drawn in [how it works](../../../crmbridge/README.md#the-life-of-a-delivery), "
        "beside it what becomes of an [observation](../../../crmbridge/README.md#from-observation-to-event).\n\n"
        "## Of a delivery\n\n`crmbridge queue list --state STATE` lists them.\n\n| state | what it means |\n| --- | --- |\n"
        + "\n".join(_members(State))
        + "\n\n## Why it is held or dead\n\nThe reason begins with one of these words; what follows it is for people. "
        "`crmbridge queue list --reason WORD` asks for them.\n\n| word | what it means |\n| --- | --- |\n" + "\n".join(_members(Why)) + "\n"
    )


def _members(kind: type[Enum]) -> Iterator[str]:
    """A row for each member, with the comment behind it."""
    lines = inspect.getsource(kind).splitlines()
    for one in ast.parse("\n".join(lines)).body[0].body:
        if isinstance(one, ast.Assign):
            _, _, comment = lines[one.lineno - 1].partition("  # ")
            yield f"| `{one.value.value}` | {comment or 'it is published'} |"


def night() -> str:
    """A section for each trouble: what it says, and what to do."""
    table = (ROOT / "crmbridge" / "troubles" / "README.md").read_text("utf-8").partition("<!-- troubles: begin -->")[2]
    parts = []
    for line in table.partition("<!-- troubles: end -->")[0].strip().splitlines()[2:]:
        code, severity, example, do = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:5])
        parts.append(f"### {code.strip('`')}\n\n*{severity}*, for example: {example}\n\n**To do:** {_commands(do)}\n")
    return "\n".join(parts)


def _commands(do: str) -> str:
    """The words with each command in it marked as one."""
    return re.sub(r"crmbridge [a-z]+(?: [a-z]+(?= |$|,|\)))?(?: (?:--)?[A-Za-z.-]+)*", _marked, do)


def _marked(found: re.Match[str]) -> str:
    """A command that stands among words: as far as its verb, and the names behind it, go."""
    words = shlex.split(found[0])
    root = click.Context(cli)
    command, length = cli.get_command(root, words[1]), 2
    if isinstance(command, click.Group) and len(words) > 2 and words[2] in command.commands:
        length = 3
    while length < len(words) and words[length] not in ("or", "then", "and", "if"):
        length += 1
    return f"`{' '.join(words[:length])}`" + "".join(f" {one}" for one in words[length:])


def promises() -> str:
    """The README's section, for it promises nothing else elsewhere."""
    section = (ROOT / "README.md").read_text("utf-8").partition("## What it promises\n")[2].partition("\n## ")[0]
    return _moved(section.strip(), "README.md", f"{PAGES}/promises.md")


def _moved(text: str, origin: str, to: str) -> str:
    """A text of one document as another one would say it: its links lead from there."""

    def lead(link: re.Match[str]) -> str:
        place = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link[2]))
        return link[0] if ":" in link[2] else f"[{link[1]}]({posixpath.relpath(place, posixpath.dirname(to))})"

    return _LINK.sub(lead, text)


MADE = {  # page: what it is made from, and how
    "reference/configuration.md": ("config/crmbridge.yaml", configuration),
    "reference/verbs.md": ("crmbridge/cli", verbs),
    "reference/metrics.md": ("crmbridge/telemetry.py", metrics),
    "reference/states.md": ("crmbridge/model/messages.py", states),
}
MARKS = {"troubles": night, "promises": promises}
_PLACES = (
    {name: place for place, name in FILES.items()}
    | {name: page for page, name in INCLUDED.items()}
    | {name: page for page, (name, _) in MADE.items()}
    | {"README.md": "index.md"}
)
"""Where in the site something of the repository is shown."""
