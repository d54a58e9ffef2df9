"""Does what a page of the manual says, in an empty folder, and compares what it shows.

Blocks with a `title` are files. `sh` blocks are commands, and the `text` block behind one is the interesting part of its output:
its lines in their order, `...` for what lies between. A comment before a block says what the reader knows from the words around it:

    <!-- not run: WHY -->      nobody runs it here
    <!-- exit 3 -->            it ends with this code
    <!-- until -->             it is looked at again until it shows that
    <!-- daemon -->            it stays, until <!-- daemon ends -->
    <!-- daemon says -->       what the daemon prints by then
    <!-- browser: click Channels -->           what the reader does in a browser: see Reader.do
"""

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flow.daemon import STILL, free_port, until

QUICK = Path(__file__).with_name("quick.py")
CHROMIUM = Path("/usr/bin/chromium")
PORTS = ("8080", "8099", "9099")  # as the pages say


@dataclass(frozen=True)
class Block:
    """Something to do: a file, a command, an output, or a comment's word."""

    kind: str
    text: str
    title: str = ""
    notes: tuple[str, ...] = ()


_PART = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$|^<!-- (.+?) -->$', re.MULTILINE | re.DOTALL)


_ALONE = ("daemon ends", "browser: ")


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page, each with the comments right before it."""
    notes: list[str] = []
    end = 0
    for part in _PART.finditer(page):
        if page[end : part.start()].strip():  # words between
            notes = []
        kind, title, text, note = part.groups()
        end = part.end()
        if not note:
            yield Block(kind, text, title or "", tuple(notes))
            notes = []
        elif note.startswith(_ALONE):
            yield Block("note", note)
        else:
            notes.append(note)


_SAME = (  # what is another one each time
    (r"127\.0\.0\.1:\d+", "HERE"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?( ?[A-Z]{3,4}|Z|[+-]\d\d:\d\d)?", "INSTANT"),
    (r"\d{8}-\d{6}", "STAMP"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"/enter/[\w-]+", "/enter/TOKEN"),
    (r"\b[0-9a-f]{12,64}\b", "KEY"),
    (r"\b\d+(\.\d+)? (s|ms|seconds|MB|GB)\b", "SOME"),
    (r"\b(\d+\.\d+\.\d+|VERSION)\b", "VERSION"),
    (r"\s+", " "),
)


def same(line: str) -> str:
    """A line without what differs from one time to the next."""
    for pattern, word in _SAME:
        line = re.sub(pattern, word, line)
    return line.strip()


def lacking(shown: str, output: str) -> str:
    """The first line of a page's output that the real one has not where it should be; nothing if it has all."""
    got, at, free = [same(line) for line in output.splitlines()], 0, True
    for line in filter(None, map(same, shown.splitlines())):
        if line == "...":
            free = True
            continue
        found = next((n for n in range(at, len(got) if free else min(at + 1, len(got))) if got[n] == line or line in got[n]), None)
        while found is None and not free and at < len(got) and not got[at]:  # a blank line that the page leaves out
            at += 1
            found = at if at < len(got) and line in got[at] else None
        if found is None:
            return line
        at, free = found + 1, False
    return ""


class Quick:
    """A `crmbridge` for `bash` that begins at once. A context manager; `path` is what to put before PATH."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bin"
        self._door = folder / "door"

    def __enter__(self) -> "Quick":
        self.path.mkdir()
        shim = self.path / "crmbridge"
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {QUICK} {self._door} "$@"\n')
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
        self._process = subprocess.Popen([sys.executable, QUICK, self._door], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


class Walk:
    """One page, done in one folder."""

    def __init__(self, folder: Path, quick: Quick) -> None:
        self.folder = folder
        self.ports = {port: str(free_port()) for port in PORTS}
        self.skipped: list[str] = []
        self.ran = 0
        self._reader: Reader | None = None
        self._daemon: subprocess.Popen[bytes] | None = None
        self._said = folder.parent / f"{folder.name}.said"
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("CRMBRIDGE_")}
        self._environment |= {"PATH": f"{quick.path}:{os.environ['PATH']}", "HOME": str(folder.parent), "PYTHONUNBUFFERED": "1"}
        self._output = ""
        self._command: Block | None = None

    def whole(self, page: str) -> None:
        """All of a page."""
        try:
            for port, free in self.ports.items():
                page = page.replace(f":{port}", f":{free}").replace(f" {port} ", f" {free} ")
            for block in blocks(page):
                self.block(block)
        finally:
            if self._reader:
                self._reader.close()
            if self._daemon:
                self._stop()

    def block(self, block: Block) -> None:
        """One thing that the page says."""
        if skip := next((one for one in block.notes if one.startswith("not run: ")), None):
            self.skipped.append(skip.removeprefix("not run: "))
            self._command = None
        elif block.title:
            place = self.folder / block.title
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.text)
        elif block.kind == "sh":
            self._run(block)
        elif "daemon says" in block.notes:
            until(lambda: not self._missing(block.text, self._daemon_said()), f"{block.text}\nthe daemon says:\n{self._daemon_said()}")
        elif block.kind == "text" and self._command:
            self._compare(block.text, self._command)
        elif block.text == "daemon ends":
            self._stop()
        elif block.text.startswith("browser: "):
            self._reader = self._reader or Reader(CHROMIUM)
            self._reader.do(block.text.removeprefix("browser: "), self._daemon_said())

    def _run(self, block: Block) -> None:
        self.ran += 1
        self._command = None if "daemon" in block.notes else block
        if "daemon" in block.notes:
            self._start(block.text.strip())
            return
        wanted = next((int(one[5:]) for one in block.notes if one.startswith("exit ")), 0)
        self._output, code = self._shell(block.text)
        if "until" not in block.notes:
            assert code == wanted, f"{block.text}\n-> {code}\n{self._output}"

    def _shell(self, text: str) -> tuple[str, int]:
        done = subprocess.run(
            ["bash", "-uo", "pipefail", "-e", "-c", text],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STILL,
            check=False,
        )
        return done.stdout, done.returncode

    def _compare(self, shown: str, command: Block) -> None:
        end = time.monotonic() + STILL
        while missing := self._missing(shown, self._output):
            assert "until" in command.notes, f"{command.text}\nshows no {missing!r}, but:\n{self._output}"
            assert time.monotonic() < end, f"{command.text}\nnever shows {missing!r}, but:\n{self._output}\n{self._daemon_said()[-2000:]}"
            time.sleep(0.1)
            self._output, _ = self._shell(command.text)

    def _missing(self, shown: str, output: str) -> str:
        return lacking(shown.replace("/home/you/bridge", str(self.folder)), output)

    def _start(self, command: str) -> None:
        assert self._daemon is None, "one daemon at a time"
        with self._said.open("ab") as said:
            self._daemon = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        until(lambda: self._answers(command), f"{command} is there:\n{self._daemon_said()}")

    def _answers(self, command: str) -> bool:
        assert self._daemon
        assert self._daemon.poll() is None, self._daemon_said()
        if " demo" in command:
            return "/chirp/enter/" in self._daemon_said()
        if served := re.search(r"http.server (\d+)", command):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(served[1]))):
                return True
            return False
        at = re.search(r"(?:-c|--config) (\S+)", command)
        asked = f"crmbridge status -o json -c {at[1]}" if at else "crmbridge status -o json"
        return '"destinations"' in self._shell(asked)[0]

    def _stop(self) -> None:
        assert self._daemon
        self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(STILL)
        self._daemon = None

    def _daemon_said(self) -> str:
        return self._said.read_text("utf-8", "replace") if self._said.exists() else ""


class Reader:
    """A browser, and the words on its pages."""

    SOON = 20_000  # milliseconds

    def __init__(self, chromium: Path) -> None:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        self._page = self._browser.new_page()
        self._page.set_default_timeout(self.SOON)

    def do(self, step: str, said: str) -> None:
        """One step: `open`, `click NAME`, `click button NAME`, `fill LABEL = TEXT`, `see TEXT`."""
        word, _, rest = step.partition(" ")
        page = self._page
        if word == "open":
            page.goto(re.findall(r"http://\S+/chirp/enter/\S+", said)[-1])
        elif word == "click":
            kinds = ["button"] if rest.startswith("button ") else ["button", "link"]
            named = [page.get_by_role(kind, name=rest.removeprefix("button "), exact=True) for kind in kinds]
            (named[0] if len(named) == 1 else named[0].or_(named[1])).first.click()
        elif word == "fill":
            label, _, text = rest.partition(" = ")
            page.get_by_label(label, exact=True).fill(text)
        elif word == "see":
            page.get_by_text(rest).first.wait_for()
        else:
            raise AssertionError(step)

    def close(self) -> None:
        self._browser.close()
        self._playwright.stop()
