"""The manual: the site is whole, fetches nothing from elsewhere, and every command in it does what it shows."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from markdown_it import MarkdownIt
from repo.walk import CHROMIUM, Quick, Walk, blocks, lacking
from shared import ROOT, need

from crmbridge import registry
from crmbridge.cli.group import _VERBS, cli
from crmbridge.config.models import ConfigModel
from crmbridge.config.rule_models import RuleModel
from crmbridge.model import State, Why
from crmbridge.telemetry import Metrics
from crmbridge.troubles.trouble import Code

DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(DOCS / "pages").as_posix() for path in (DOCS / "pages").rglob("*.md"))

SKIPPED = {  # what no test runs, and why: the page says the same
    "howto/backup.md": ["a daemon runs in the operator's tutorial, where these are"] * 2,
    "howto/container.md": ["it needs docker"] * 3,
    "howto/rest.md": ["it needs an account at the vendor"],
    "howto/systemd.md": ["it needs root", "it needs systemd", "it needs systemd"],
    "howto/upgrade.md": ["it installs"],
    "howto/watch.md": ["it needs Prometheus"],
    "index.md": ["it installs", "it asks"],
    "tutorials/administrator.md": ["it installs"],
}


# --- the site -------------------------------------------------------------------------------------


class Seen(HTMLParser):
    """What a page names: ids, where its links lead, what a browser fetches for it; and how much of each element it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.elements: Counter[str] = Counter()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements[tag] += 1
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.fetched.append(given["href"])
        self.fetched += [given[name] for name in ("src", "srcset", "poster", "data", "action") if name in given]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site, as a strict build makes it: a page that is not in the nav, or a link or anchor that leads nowhere, is a failure.

    Not with --quiet: what is not logged is not counted.
    """
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", DOCS / "mkdocs.yml", "-d", folder],
        cwd=folder,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Seen]:
    """Every page of the site, read."""
    return {path.relative_to(site).as_posix(): Seen(path.read_text("utf-8")) for path in site.rglob("*.html")}


@pytest.fixture(scope="module")
def hook():
    """What the site adds to the pages."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("hook_of_docs", DOCS / "hook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.xdist_group("site")
def test_nothing_is_fetched_from_another_host(site, pages):
    """Neither by a page nor by a style sheet: fonts, scripts, pictures."""
    for name, page in pages.items():
        assert [one for one in page.fetched if re.match(r"(?:[a-z]+:)?//", one)] == [], name
        assert 'class="mermaid"' not in (site / name).read_text("utf-8"), name  # the theme's script would fetch what draws it
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", path.read_text("utf-8")), path


@pytest.mark.xdist_group("site")
def test_links_lead_to_what_is_there(site, pages):
    """Once more, by what was written: also in what is not Markdown. The page for what is not found is for a server's root."""
    for name, page in pages.items():
        if name == "404.html":
            continue
        for link in page.links:
            path, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            place = os.path.normpath((site / name).parent / path) if path else site / name
            target = Path(place) / "index.html" if Path(place).is_dir() else Path(place)
            assert target.exists(), f"{name}: {link}"
            if anchor:
                assert anchor in pages[target.relative_to(site).as_posix()].ids, f"{name}: {link}"


@pytest.mark.xdist_group("site")
def test_every_page_is_in_the_navigation(pages):
    """Of what people wrote, what is included, and what is made."""
    shown = {os.path.normpath(link.partition("#")[0]) for link in pages["index.html"].links if "://" not in link}

    assert {name for name in pages if name not in ("404.html", "index.html")} <= shown


@pytest.mark.xdist_group("site")
def test_what_is_made_from_the_code_is_whole(site, pages):
    """Each verb, trouble, state, metric, key and connector has its place."""
    reference = {path.stem: path.read_text("utf-8") for path in (site / "reference").glob("*.html")}
    for verb in _VERBS:
        assert verb in pages["reference/verbs.html"].ids
        for inner in getattr(cli.get_command(None, verb), "commands", {}):
            assert any(one.startswith(f"{verb}-{inner}") for one in pages["reference/verbs.html"].ids), f"{verb} {inner}"
    assert {code.value for code in Code} <= pages["howto/night.html"].ids
    for word in (*State, *Why):
        assert f"<code>{word.value}</code>" in reference["states"]
    for family in Metrics().registry.collect():
        if family.name.startswith("crmbridge_") and family.name != "crmbridge_build":
            assert family.name in reference["metrics"]
    for name in (*ConfigModel.model_fields, *(f"rules.{info.alias or key}" for key, info in RuleModel.model_fields.items())):
        assert f"<code>{name}</code>" in reference["configuration"], name
    for kind in registry.KINDS:
        assert {f"{name}.html" for name in registry.names(kind)} == {path.name for path in (site / "reference" / kind).iterdir()}


@pytest.mark.xdist_group("site")
def test_an_included_document_reads_as_on_github(site, hook):
    """As many items, tables, headings and blocks of code as CommonMark finds in it."""
    reader = MarkdownIt("commonmark").enable("table")
    for name, document in hook.INCLUDED.items():
        text = re.sub(r"<!--.*?-->", "", (ROOT / document).read_text("utf-8"), flags=re.DOTALL)
        wanted = Seen(reader.render(text)).elements
        got = Seen((site / name).with_suffix(".html").read_text("utf-8").partition("<article")[2].partition("</article>")[0]).elements
        for tag in ("li", "ol", "ul", "table", "tr", "pre", "h1", "h2", "h3"):
            assert (document, tag, wanted[tag]) == (document, tag, got[tag])


def test_a_stale_link_is_found(hook):
    """A document that names what is not there any more does not become a page."""
    with pytest.raises(hook.PluginError, match=r"CHANGELOG\.md: gone\.md leads nowhere"):
        hook._led("see [this](gone.md)", "CHANGELOG.md", "changelog.md")


# --- the commands ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """`crmbridge` in a shell, without its start-up."""
    with Quick(tmp_path_factory.mktemp("quick")) as made:
        yield made


@pytest.mark.parametrize("page", [page for page in PAGES if "```sh" in (DOCS / "pages" / page).read_text("utf-8")])
def test_a_page_does_what_it_shows(page, quick, tmp_path):
    """From an empty folder, command by command."""
    text = (DOCS / "pages" / page).read_text("utf-8")
    for tool in ("curl", "openssl", "sqlite3"):
        if re.search(rf"\b{tool} ", "".join(one.text for one in blocks(text) if one.kind == "sh")):
            need(shutil.which(tool), tool, f"apt-get install {tool}")
    if "<!-- browser: " in text:
        need(CHROMIUM.exists(), "Chromium", "apt-get install chromium")
    folder = tmp_path / "bridge"
    folder.mkdir()
    walk = Walk(folder, quick)
    walk.whole(text)

    assert walk.skipped == SKIPPED.get(page, [])
    assert walk.ran or page in SKIPPED


def test_every_block_says_what_it_is():
    """A block is a file, a command, or what is printed: nothing that looks like one of them is left out."""
    for page in PAGES:
        text = (DOCS / "pages" / page).read_text("utf-8")
        found = list(blocks(text))
        assert text.count("```") == 2 * sum(one.kind != "note" for one in found), page
        for one in found:
            assert one.title or one.kind in ("sh", "text", "note"), f"{page}: {one}"
            for note in one.notes:
                assert re.fullmatch(r"not run: .+|exit \d|until|daemon|daemon says|troubles|promises", note), f"{page}: {note}"
        for title, yaml_text in ((one.title, one.text) for one in found if one.title.endswith((".yaml", ".json"))):
            assert yaml.safe_load(yaml_text), title


def test_an_output_is_compared():
    """The comparison can fail: lines in their order, and nothing between them but where the page says so."""
    output = "one\ntwo 2026-11-22 10:00:00 CET\n\nthree\nfour\n"

    assert lacking("one\n...\nthree\nfour\n", output) == ""
    assert lacking("two 2026-12-01 09:00:00 CET\nthree\n", output) == ""
    assert lacking("one\nthree\n", output) == "three"
    assert lacking("three\n...\ntwo 2026-12-01 09:00:00 CET\n", output) == "two INSTANT"
    assert lacking("five\n", output) == "five"
