"""What others' tools find in the repository: dangerous code, secrets, and locked versions with known vulnerabilities. Each can fail."""

import importlib.util
import json
import re
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from shared import ROOT, need

TRACKED = [
    name for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n") if name
]


def tool(module: str, *arguments: str | Path, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    """A run of a scanner that pip installs; a missing one is said with the command that brings it."""
    need(importlib.util.find_spec(module), module, "pip install -e '.[test]'")
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )


# --- dangerous code -----------------------------------------------------------------------------------


def dangers(*places: str | Path) -> list[str]:
    """What Bandit says of Python code, as pyproject.toml configures it."""
    ended = tool("bandit", "-q", "-c", ROOT / "pyproject.toml", "-f", "json", "-r", *places)
    assert ended.returncode in (0, 1), ended.stderr
    report = json.loads(ended.stdout)
    assert not report["errors"]
    return [f"{one['filename']}:{one['line_number']}: {one['test_id']} {one['issue_text']}" for one in report["results"]]


def test_no_code_is_dangerous():
    assert dangers("crmbridge", "connectors") == []


def test_dangerous_code_is_noticed(tmp_path):
    """A shell, code from a text, a pickle, an open door, SQL with words in it, a generator that can be foretold."""
    lines = {
        "B602": "import subprocess\nsubprocess.run(words, shell=True)",
        "B307": "eval(words)",
        "B301": "import pickle\npickle.loads(words)",
        "B506": "import yaml\nyaml.load(words)",
        "B104": "listen('0.0.0.0')",
        "B608": "ask(f\"SELECT * FROM people WHERE login = '{words}'\")",
        "B311": "import random\ntoken = random.choice(letters)",
        "B324": "import hashlib\nhashlib.md5(words)",
        "B501": "import requests\nrequests.get(words, verify=False, timeout=1)",
    }
    for code, line in lines.items():
        (tmp_path / f"{code}.py").write_text(f"{line}\n")
    found = dangers(tmp_path)
    assert [code for code in lines if not any(f"{code}.py" in one and f" {code} " in one for one in found)] == []


def test_every_exception_says_why():
    """`# nosec B608  # why`: a number, and a reason."""
    marked = [
        (name, line.strip())
        for name in TRACKED
        if name.endswith(".py") and name.startswith(("crmbridge/", "connectors/")) and (ROOT / name).exists()
        for line in (ROOT / name).read_text("utf-8").splitlines()
        if re.search(r"#\s*nosec", line)
    ]
    assert marked
    assert [one for one in marked if not re.search(r"# nosec B\d{3}  # \w.{4,}$", one[1])] == []


# --- secrets ------------------------------------------------------------------------------------------

GUESSED = {"Base64HighEntropyString", "HexHighEntropyString", "KeywordDetector", "BasicAuthDetector", "IPPublicDetector"}
"""Detectors that guess, by a name beside a value or by how odd a value looks. The others know what a vendor's own secrets look like."""
SHAPES_ONLY = (
    "tests/",  # full of made-up secrets, on purpose; what looks like a real vendor's is found here too
    "requirements.lock",  # hashes
)
NO_SECRETS = {
    "connectors/destinations/email/starter.yaml": {"news:": "a destination's name, after the question for a password"},
    "connectors/destinations/twitter/starter.yaml": {
        "x.key.secret: API key secret": "what the person is asked for",
        "x.token.secret: Access token secret": "what the person is asked for",
    },
    "connectors/sources/dynamics365/starter.yaml": {"facts:": "what an example needs, after the question for a secret"},
    "connectors/sources/oracle_crm_on_demand/starter.yaml": {"oracle.password: Password of that user": "what the person is asked for"},
    "connectors/sources/salesforce/starter.yaml": {"salesforce.secret: Consumer secret of that app": "what the person is asked for"},
    "connectors/sources/suitecrm/starter.yaml": {"suitecrm.secret: Its secret": "what the person is asked for"},
    "connectors/sources/zoho/starter.yaml": {
        "facts:": "what an example needs, after the question for a token",
    },
    "crmbridge/model/values.py": {'SECRET = "secret"': "a word of the configuration"},
    "crmbridge/testing/driver.py": {'KEY = "0123456789abcdef0123456789abcdef"': "the idempotency key of a made-up message"},
    "crmbridge/troubles/trouble.py": {'SECRET_UNREADABLE = "secret_unreadable"': "the name of a trouble"},
    "tests/connectors/destinations/test_slack_orders.py": {
        'HOOK = "https://hooks.slack.com/': "a made-up webhook: no workspace has such an id"
    },
}
"""Lines that are taken for secrets and are none, by their beginnings, with what they are."""


def secrets_of(root: Path, names: Collection[str]) -> list[tuple[str, str, str]]:
    """File, line and kind of everything that looks like a secret. Nothing is asked of any network."""
    need(importlib.util.find_spec("detect_secrets"), "detect-secrets", "pip install -e '.[test]'")
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.core.secrets_collection import SecretsCollection
    from detect_secrets.settings import transient_settings

    every = {one.__name__ for one in get_mapping_from_secret_type_to_class().values()}
    assert every > GUESSED
    found = []
    for detectors, looked_at in (
        (every - GUESSED, [name for name in names if name.startswith(SHAPES_ONLY)]),
        (every - {"IPPublicDetector"}, [name for name in names if not name.startswith(SHAPES_ONLY)]),
    ):
        with transient_settings({"plugins_used": [{"name": one} for one in sorted(detectors)]}):
            secrets = SecretsCollection(root=str(root))
            for name in looked_at:
                secrets.scan_file(name)
        for name, one in secrets:
            line = (root / name).read_text("utf-8").splitlines()[one.line_number - 1].strip()
            found.append((name, line, one.type))
    return found


def test_no_file_holds_a_secret():
    """And everything that is excepted is still there."""
    found = secrets_of(ROOT, [name for name in TRACKED if (ROOT / name).is_file()])
    excepted = {(name, line) for name, lines in NO_SECRETS.items() for line in lines}
    used = {one for one in excepted for name, line, _ in found if name == one[0] and line.startswith(one[1])}
    assert [one for one in found if not any(one[0] == name and one[1].startswith(line) for name, line in excepted)] == []
    assert excepted - used == set()


@pytest.mark.parametrize("folder", ["crmbridge", "tests/unit", "examples"])
def test_a_secret_is_noticed(tmp_path, folder):
    """A vendor's own everywhere; what only looks like one outside the tests."""
    planted = {
        "aws": "key = 'AKIA" + "Z7QX3MNPL5RTWKVB'",
        "github": "token = 'ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx'",
        "slack": "token = 'xoxb-" + "263594206564-2343594206564-FGqddMF8t08v8N7Oq4i57vs1'",
        "key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    }
    looks = {"word": "password = 'Vq8-" + "kT2hLz9pW'"}
    (tmp_path / folder).mkdir(parents=True)
    for name, line in (planted | looks).items():
        (tmp_path / folder / f"{name}.py").write_text(f"{line}\n")
    found = {Path(name).stem for name, _, _ in secrets_of(tmp_path, [f"{folder}/{name}.py" for name in planted | looks])}
    assert found == set(planted) | (set() if folder.startswith("tests") else set(looks))


# --- known vulnerabilities ----------------------------------------------------------------------------


ACCEPTED: dict[str, str] = {}
"""Vulnerabilities that nobody can use against crmbridge, by their ids, each with the reason."""


def audit(lock: Path, cache: Path, *where: str) -> tuple[list[str], str]:
    """What is known of the versions of a lock, and why that is not all that could be known; empty if it is."""
    try:
        ended = tool("pip_audit", "-r", lock, "--disable-pip", "--progress-spinner=off", "-f", "json", "--cache-dir", cache, *where)
    except subprocess.TimeoutExpired:
        return [], "the advisory service does not answer"
    try:
        report = json.loads(ended.stdout)["dependencies"]
    except ValueError:
        return [], "the advisory service cannot be reached: " + (ended.stderr.strip().splitlines() or ["it said nothing"])[-1][:200]
    known = [f"{one['name']} {one['version']}: {bad['id']}" for one in report for bad in one.get("vulns", ()) if bad["id"] not in ACCEPTED]
    skipped = [one["name"] for one in report if "skip_reason" in one]
    return known, f"the advisory service knows nothing of {len(skipped)} of {len(report)} locked versions" if skipped else ""


def test_no_locked_version_has_a_known_vulnerability(tmp_path):
    """Where nobody can be asked that is said, and is no failure: the same commit would be red on one day and green on another."""
    gaps = []
    for service in ("pypi", "osv"):
        known, unasked = audit(ROOT / "requirements.lock", tmp_path / service, "-s", service)
        assert known == []
        if not unasked:
            return
        gaps.append(f"{service}: {unasked}")
    pytest.skip("NOT AUDITED: " + "; ".join(gaps))


class Advisories(BaseHTTPRequestHandler):
    """Knows one vulnerability, of Jinja2 2.10, as OSV tells it."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        bad = (asked["package"]["name"], asked["version"]) == ("jinja2", "2.10")
        one: dict[str, Any] = {"id": "PYSEC-2019-217", "affected": [{"package": {"name": "jinja2", "ecosystem": "PyPI"}}]}
        answer = json.dumps({"vulns": [one]} if bad else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def advisories() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_known_vulnerability_is_noticed(tmp_path, advisories, monkeypatch):
    """And a service that cannot be reached is no clean bill."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    lock = tmp_path / "requirements.lock"
    lock.write_text("".join(f"{name} \\\n    --hash=sha256:{'0' * 64}\n" for name in ("jinja2==2.10", "markupsafe==3.0.3")))
    asked = ("-s", "osv", "--osv-url")
    assert audit(lock, tmp_path, *asked, advisories) == (["jinja2 2.10: PYSEC-2019-217"], "")
    lock.write_text(f"markupsafe==3.0.3 \\\n    --hash=sha256:{'0' * 64}\n")
    assert audit(lock, tmp_path, *asked, advisories) == ([], "")
    known, unasked = audit(lock, tmp_path, *asked, "http://127.0.0.1:9/v1/query")
    assert (known, "cannot be reached" in unasked) == ([], True)
