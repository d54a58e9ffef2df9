"""Two import packages in one distribution, connectors by entry point, imported only when used."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from shared import ROOT

from crmbridge import registry


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the source archive, as the build back end makes them."""
    folder = tmp_path_factory.mktemp("built")
    build = "import sys, hatchling.build as back; back.build_wheel(sys.argv[1]); back.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def wheel(built) -> zipfile.ZipFile:
    """The wheel."""
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def test_an_index_would_take_both_and_show_the_readme(built):
    """By the tools that check uploads. W009 is the second package, whose name the project's brief fixes."""
    folder = Path(sys.executable).parent
    for command in (["twine", "check", "--strict", *built.iterdir()], ["check-wheel-contents", "--ignore", "W009", *built.glob("*.whl")]):
        done = subprocess.run([folder / command[0], *command[1:]], cwd=built, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_holds_both_packages_and_their_data(wheel):
    """SQL, templates, typing marks and the demo's story travel with the code."""
    names = set(wheel.namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for package in ("crmbridge", "connectors")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted |= {f"crmbridge/_examples/parkers/{name}" for name in ("crmbridge.yaml", "crm.sql", "story.sql")}
    wanted |= {f"crmbridge/_config/{path.name}" for path in (ROOT / "config").iterdir()}

    assert set() == wanted - names


def test_the_wheel_holds_nothing_else(wheel):
    """No tests, no configuration of ours, nothing at the top but the two packages and the metadata."""
    tops = {name.split("/")[0] for name in wheel.namelist()}

    assert {"crmbridge", "connectors"} == {top for top in tops if not top.endswith(".dist-info")}
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())


def test_every_connector_folder_has_its_entry_point():
    """A folder without one could never be used; one without a folder could not be imported."""
    for kind in registry.KINDS:
        folders = {path.parent.name for path in (ROOT / "connectors" / kind).glob("*/__init__.py")}
        assert folders == set(registry.names(kind))
        for name in folders:
            assert name == registry.load(kind, name).name
            assert (ROOT / "connectors" / kind / name / "README.md").exists()


def run(code: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, **options)


def test_an_unused_connector_is_not_imported(tmp_path):
    """Reading a configuration imports the connectors that it names, and no vendor's library for any other."""
    (tmp_path / "crmbridge.yaml").write_text(
        "crmbridge: 1\n"
        "sources: {crm: {type: webhook, signature: {scheme: none}, map: {record_type: {value: T}, record_id: body.id, fields: body}}}\n"
        "destinations: {out: {type: console}}\n"
    )
    code = (
        "import sys; from pathlib import Path; from crmbridge.config.load import load; load(Path('crmbridge.yaml'));"
        "print(*sorted(m for m in sys.modules if m.split('.')[0] in ('tweepy', 'twitter_text', 'psycopg') or m.startswith('connectors.')))"
    )
    result = run(code, cwd=tmp_path)

    assert result.stderr == ""
    imported = set(result.stdout.split())
    assert "connectors.sources.webhook" in imported
    assert not {name for name in imported if not name.startswith(("connectors.sources", "connectors.destinations"))}
    assert not {name for name in imported if any(part in name for part in ("slack", "twitter", "chirp", "sql", "file"))}


def test_a_foreign_connectors_package_is_noticed(tmp_path):
    """Another distribution installs a package of that name; hidden behind it, ours would fail in strange ways."""
    foreign = tmp_path / "connectors"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from crmbridge import registry\n"
        "try: registry.load('sources', 'webhook')\n"
        "except registry.UnknownConnector as error: print(error)"
    )
    result = run(code)

    assert "another package called `connectors`" in result.stdout
    assert "install crmbridge in an environment of its own" in result.stdout


def test_versions_agree():
    """The changelog knows the version, or calls it unreleased."""
    import crmbridge

    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert "## Unreleased" in text or f"## {crmbridge.__version__}" in text


def test_python_files_are_readable_in_one_sitting():
    """A file that outgrows its purpose is redesigned."""
    long = {
        str(path.relative_to(ROOT)): lines
        for package in ("crmbridge", "connectors")
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > 400
    }
    assert long == {}


def test_the_locked_dependencies_hold_no_address():
    """A lock names versions and hashes, not a registry."""
    lock = ROOT / "requirements.lock"
    text = lock.read_text("utf-8")

    assert "://" not in text
    assert "requests==" in text
    assert "--hash=sha256:" in text


def test_everything_that_is_needed_is_locked():
    """The image and the unit install what stands in the lock and nothing else: a dependency that is not there would be missing."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [one for name, found in project["optional-dependencies"].items() if name not in ("docs", "test") for one in found]
    pins = re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    locked = {canonicalize_name(name): version for name, version in pins}
    needed = [Requirement(one) for one in project["dependencies"] + extras]
    assert [str(one) for one in needed if not one.specifier.contains(locked.get(canonicalize_name(one.name), "0"))] == []
    for name in ("Dockerfile", "crmbridge.service"):
        text = (ROOT / "config" / name).read_text("utf-8")
        assert "--require-hashes -r requirements.lock" in text
        assert "--no-deps ." in text
