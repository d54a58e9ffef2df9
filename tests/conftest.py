"""What all tests share: real parts that may be missing, and where outside test data lies."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from shared import ROOT, examples, need

from crmbridge import telemetry

settings.register_profile(
    "any machine",
    deadline=None,  # speed fails no test
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=examples(100),
    print_blob=True,  # a failure says how it is had again, on a machine without its database too
)
settings.load_profile("any machine")


# What takes time into account: real clocks, stamps, zones, days. The rest has a simulated clock, or none: the proofs count.
TIME = (
    "connectors/destinations/test_slack.py",
    "connectors/destinations/test_twitter.py",
    *(f"connectors/sources/test_{name}" for name in ("files", "hubspot", "odoo", "oracle", "rest.py", "sql", "tryton", "zoho")),
    "flow/test_asking.py",
    "flow/test_chirp_",
    "flow/test_cli.py",
    "flow/test_crm.py",
    "flow/test_daemon.py",
    "flow/test_earlier.py",
    "flow/test_examples.py",
    "flow/test_steer.py",
    *(f"unit/test_{name}" for name in ("c", "d", "ledger", "m", "orders", "p", "r", "s", "templates", "troubles", "v", "w")),
)

# Of these files, what is long and takes no time into account.
TIMELESS = ("test_a_million_rows_in_bounded_memory", "test_bad_requests_leave_nothing", "test_demo")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the marker `time` to what takes time into account."""
    folder = Path(__file__).parent
    for item in items:
        if item.path.relative_to(folder).as_posix().startswith(TIME) and not item.name.startswith(TIMELESS):
            item.add_marker(pytest.mark.time)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Let no secret of one test mask what another one reads: the process keeps them for good."""
    before = telemetry._hidden
    try:
        return (yield)
    finally:
        telemetry._hidden = before


def pytest_report_header(config: pytest.Config) -> str | None:
    """The seed of a run that was given one: `--hypothesis-seed` with it draws the same examples again."""
    seed = config.getoption("--hypothesis-seed", default=None)
    return f"hypothesis seed: {seed}" if seed is not None else None


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Test data that nobody of this project wrote; it is not part of the repository."""
    folder = Path(os.environ.get("CRMBRIDGE_VECTORS") or ROOT.parent / "shared" / "vectors")
    need(folder.is_dir(), f"the vectors folder {folder}", "set CRMBRIDGE_VECTORS to where it lies")
    return folder


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Tell a proof's figures: they stand at the end of the report, of passed proofs too."""

    def tell(what: str, **facts: object) -> None:
        record_property("figures", f"{what}: " + ", ".join(f"{name} {value}" for name, value in facts.items()))

    return tell


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of all proofs."""
    lines = [
        f"{value} [{report.nodeid.rpartition('::')[2]}]"
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == "figures"
    ]
    if lines:
        terminalreporter.section("figures of the proofs")
        terminalreporter.write_line("\n".join(sorted(lines)))


@pytest.fixture(scope="session")
def strace() -> str:
    """The strace binary."""
    found = shutil.which("strace")
    need(found, "strace", "apt-get install strace")
    return str(found)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The connection string of a real PostgreSQL that runs for this test session only, on a free loopback port."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    need(folders, "PostgreSQL", "apt-get install postgresql")
    binaries = folders[-1]
    # It refuses to run as root; its package brings a user for it.
    drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="crmbridge-postgres-") as name:
        folder, data = Path(name), Path(name) / "data"
        if drop:
            shutil.chown(folder, "postgres", "postgres")
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "check": True}
        subprocess.run([*drop, binaries / "initdb", "-D", data, "-U", "crm", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"], **quiet)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": folder,
            "fsync": "off",
            "timezone": "Europe/Berlin",
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen([*drop, binaries / "postgres", "-D", data, *options], cwd=folder, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 30
            while b"ready to accept connections" not in (folder / "log").read_bytes():
                assert server.poll() is None, (folder / "log").read_text("utf-8", "replace")
                assert time.monotonic() < end, "PostgreSQL did not start in 30 s"
                time.sleep(0.05)
            yield f"postgresql://crm@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()  # setpriv has become postgres itself
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[str]:
    """The connection string of a real MariaDB that runs for this test session only, on a free loopback port."""
    # The script that makes the first tables asks the third; which package holds it depends on the version.
    binary, install, asked = map(shutil.which, ("mariadbd", "mariadb-install-db", "my_print_defaults"))
    need(binary and install and asked, "MariaDB", "apt-get install mariadb-server-core mariadb-client-core")
    drop = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="crmbridge-mariadb-") as name:
        folder, data = Path(name), Path(name) / "data"
        if drop:
            shutil.chown(folder, "nobody", "nogroup")
        quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "check": True}
        subprocess.run(
            [*drop, str(install), "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"],
            **quiet,
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = {
            "datadir": data,
            "port": port,
            "bind-address": "127.0.0.1",
            "socket": folder / "sock",
            "pid-file": folder / "pid",
            "default-time-zone": "+05:30",
            "innodb-flush-log-at-trx-commit": 0,
            "innodb-buffer-pool-size": "32M",
        }
        begin = [*drop, str(binary), "--no-defaults", *(f"--{key}={value}" for key, value in options.items())]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(begin, cwd=folder, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 60
            while b"ready for connections" not in (folder / "log").read_bytes():
                assert server.poll() is None, (folder / "log").read_text("utf-8", "replace")
                assert time.monotonic() < end, "MariaDB did not start in 60 s"
                time.sleep(0.05)
            yield f"mysql://root@127.0.0.1:{port}/mysql"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
