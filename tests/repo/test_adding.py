"""The page about adding a source is right: its connector is built and passes the contract of all sources."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_source_of_the_page_works(tmp_path):
    """A stranger follows the page word by word."""
    text = (ROOT / "connectors" / "ADDING.md").read_text("utf-8")
    files = re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", text, re.DOTALL)
    assert [name for name, _ in files] == ["acme/options.py", "acme/source.py", "acme/__init__.py", "test_acme.py"]
    for name, code in files:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "test_acme.py"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False)
    assert said.returncode == 0, said.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", said.stdout)[1]) >= 16
