"""The unit, the image and the compose file: what can be checked without systemd as the first process and without a container engine."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml
from shared import ROOT, need

CONFIG = ROOT / "config"


def test_the_unit_is_hardened():
    """systemd-analyze's exposure level, offline: at most 1.5 of 10."""
    analyze = shutil.which("systemd-analyze")
    need(analyze, "systemd-analyze", "apt-get install systemd")
    result = subprocess.run(
        [str(analyze), "security", "--offline=yes", "--threshold=15", str(CONFIG / "crmbridge.service")],
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert result.returncode == 0, result.stdout[-2000:]


def test_the_unit_starts_what_there_is():
    """Its verbs exist, and it speaks the protocol that the daemon speaks."""
    text = (CONFIG / "crmbridge.service").read_text("utf-8")

    assert {"run", "reload"} == set(re.findall(r"^Exec(?:Start|Reload)=\S+/crmbridge (\w+)", text, re.MULTILINE))
    assert "Type=notify\n" in text
    assert "RestartPreventExitStatus=3\n" in text


def test_the_image_is_built_from_what_there_is():
    """Copied paths exist, and nothing runs as root."""
    text = (CONFIG / "Dockerfile").read_text("utf-8")

    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    assert "HEALTHCHECK" in text


def test_the_image_has_all_that_its_wheel_is_made_of(tmp_path):
    """What is copied before `pip install .` is enough to build it."""
    text = (CONFIG / "Dockerfile").read_text("utf-8").split("\nFROM ")[1]
    for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, tmp_path / target)
    build = "import sys, hatchling.build as back; back.build_wheel(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", build, str(tmp_path / "out")], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_compose_file_exposes_only_hooks_and_feed():
    """Only the proxy has ports, and it passes on two prefixes."""
    compose = yaml.safe_load((CONFIG / "compose.yaml").read_text("utf-8"))
    services = compose["services"]

    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in services.values())
    assert "path /hooks/* /chirp /chirp/*\n" in compose["configs"]["caddyfile"]["content"]


def test_in_clear_text_only_pages_are_sent_on():
    """A redirect of a webhook would hide that its secret travels readable."""
    content = yaml.safe_load((CONFIG / "compose.yaml").read_text("utf-8"))["configs"]["caddyfile"]["content"]
    clear, _, encrypted = content.partition("\n}\n")

    assert clear.startswith("http://{$$BRIDGE_HOST} {")
    assert "path /chirp /chirp/*\n    not path /chirp/api/*\n" in clear
    assert clear.count("redir https://") == 1
    assert "handle {\n    respond 403\n  }" in clear
    assert "reverse_proxy" not in clear
    assert encrypted.startswith("{$$BRIDGE_HOST} {")


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "crmbridge.service"])
def test_the_port_and_paths_agree(name):
    """One state folder, one port, one configuration path."""
    text = (CONFIG / name).read_text("utf-8")

    assert "/var/lib/crmbridge" in text
    assert "/etc/crmbridge/crmbridge.yaml" in text
