"""The page about adding a source is right: its connector and its preset are built and pass the contract of all sources."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ["acme/options.py", "acme/source.py", "acme/__init__.py", "test_acme.py"]
PRESET = ["beacon/preset.yaml", "beacon/__init__.py", "test_beacon.py"]


def files_of_the_page():
    """By their names, in their order."""
    text = (ROOT / "connectors" / "ADDING.md").read_text("utf-8")
    return dict(re.findall(r"<!-- file: (\S+) -->\n```(?:python|yaml)\n(.*?)```", text, re.DOTALL))


def test_the_page_has_no_other_file():
    assert list(files_of_the_page()) == SOURCE + PRESET


@pytest.mark.parametrize(("names", "least"), [(SOURCE, 16), (PRESET, 45)], ids=["a source", "a preset"])
def test_the_source_of_the_page_works(tmp_path, names, least):
    """A stranger follows the page word by word, outside this repository."""
    found = files_of_the_page()
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(found[name], "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", names[-1]]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False)
    assert said.returncode == 0, said.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", said.stdout)[1]) >= least
