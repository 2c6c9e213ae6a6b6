"""The whole check's tests: how many processes, which file first, and several processes as a person meets them."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.launcher import ROOT, check
from scripts.launcher.console import LauncherError
from tests import dealing
from tests.launcher.conftest import wait_until

MEETING = """
import os, time
from pathlib import Path

import psycopg

HERE = Path(__file__)


def test_it():
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        HERE.with_suffix(".running").write_text(connection.execute("SHOW data_directory").fetchone()[0])
        ends_at = time.monotonic() + 60
        while len(list(HERE.parent.glob("*.running"))) < 2 and time.monotonic() < ends_at:
            time.sleep(0.05)
        assert len(list(HERE.parent.glob("*.running"))) == 2, "the other file never ran beside this one"
        {then}
"""
INI = "[pytest]\naddopts = -p tests.servers -p no:django -p no:valkey --import-mode=importlib"
RUN = """
import signal, sys
from scripts.launcher import check
signal.signal(signal.SIGINT, signal.default_int_handler)  # a check in the background of a shell ignores it
try:
    sys.exit(check.run_pytest([*check.dealt_out(2), "-c", sys.argv[1], sys.argv[2]], None))
except KeyboardInterrupt:
    sys.exit(130)
"""


class Suite:
    """Two files of tests that wait for each other, run as the whole check runs its own."""

    def __init__(self, folder: Path, *, first_then: str, second_then: str) -> None:
        self.folder = folder / "suite"
        self.folder.mkdir()
        (self.folder / "pytest.ini").write_text(INI)
        for name, then in (("first", first_then), ("second", second_then)):
            (self.folder / f"test_{name}.py").write_text(MEETING.replace("{then}", then))
        self._output = folder / "output"

    def start(self) -> "subprocess.Popen[bytes]":
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        for name in ("DATABASE_URL", "REDIS_URL", "SALDO_TEST_SERVERS_STARTED"):
            inherited.pop(name, None)
        with self._output.open("w") as output:
            return subprocess.Popen(
                [sys.executable, "-c", RUN, str(self.folder / "pytest.ini"), str(self.folder)],
                cwd=ROOT,
                env=inherited,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def ended(self, running: "subprocess.Popen[bytes]", seconds: float) -> int:
        """Return the exit code; what does not end is killed, and what it printed is said."""
        try:
            return running.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            pytest.fail(f"not ended after {seconds:g} s; it printed:\n{self.printed}")

    @property
    def printed(self) -> str:
        return self._output.read_text()

    def clusters(self) -> list[Path]:
        """Return the data folder of each process's PostgreSQL, as it said itself."""
        return [Path(path.read_text()) for path in sorted(self.folder.glob("*.running")) if path.read_text()]


def test_files_run_side_by_side_on_servers_of_their_own_and_end_in_one_summary(tmp_path: Path) -> None:
    suite = Suite(tmp_path, first_then="assert 'salt' == 'pepper'", second_then="assert 'sugar' == 'honey'")
    assert suite.ended(suite.start(), 100) == 1, suite.printed
    assert len(set(suite.clusters())) == 2, suite.printed
    assert not any(folder.exists() for folder in suite.clusters()), "servers were left behind"
    summary = suite.printed.partition("short test summary info")[2]
    assert set(re.findall(r"FAILED \S*(test_\w+)\.py::test_it", summary)) == {"test_first", "test_second"}
    assert "2 failed" in summary
    assert "'salt' == 'pepper'" in suite.printed
    assert "'sugar' == 'honey'" in suite.printed


def test_it_is_green_when_all_are(tmp_path: Path) -> None:
    suite = Suite(tmp_path, first_then="pass", second_then="pass")
    assert suite.ended(suite.start(), 100) == 0, suite.printed
    assert "2 passed" in suite.printed


def test_ctrl_c_ends_all_processes_and_their_servers(tmp_path: Path) -> None:
    suite = Suite(tmp_path, first_then="time.sleep(100)", second_then="time.sleep(100)")
    running = suite.start()
    wait_until(lambda: len(suite.clusters()) == 2, 60, suite.printed)
    os.killpg(running.pid, signal.SIGINT)
    assert suite.ended(running, 90) == 130, suite.printed
    assert "KeyboardInterrupt" in suite.printed
    wait_until(lambda: not any(folder.exists() for folder in suite.clusters()), 20, "the servers are gone")


def test_as_many_processes_as_cores_and_never_more_than_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SALDO_TEST_PROCESSES", raising=False)
    found = {}
    for cores in (None, 1, 2, 64):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        found[cores] = check.process_count()
    assert found == {None: 1, 1: 1, 2: 2, 64: 4}


@pytest.mark.parametrize(("wanted", "processes"), [("1", 1), ("3", 3), ("9", 4)])
def test_the_setting_wins(monkeypatch: pytest.MonkeyPatch, wanted: str, processes: int) -> None:
    monkeypatch.setenv("SALDO_TEST_PROCESSES", wanted)
    assert check.process_count() == processes


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "1.5", "²"])
def test_a_bad_setting_is_refused_with_the_cure(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    monkeypatch.setenv("SALDO_TEST_PROCESSES", wanted)
    with pytest.raises(LauncherError, match="Set 1, 2, 3 or 4"):
        check.process_count()


def test_one_process_is_plain_pytest() -> None:
    assert check.dealt_out(1) == []


class Bare(pytest.Item):
    """A test with nothing but its id and its markers."""

    def runtest(self) -> None:
        """Do nothing: it is dealt out, never run."""


def test_the_longest_file_is_dealt_out_first_and_none_is_torn(request: pytest.FixtureRequest) -> None:
    collected = ["few::a", "many::b", "many::a", "many::c", "mixed::fast", "mixed::slow", "many::d"]
    items: list[pytest.Item] = [
        Bare.from_parent(request.session, name=nodeid, nodeid=nodeid.replace("::", ".py::")) for nodeid in collected
    ]
    items[5].add_marker("slow")
    dealing.longest_first(items)
    assert [item.name for item in items] == [
        "mixed::fast",
        "mixed::slow",
        "many::b",
        "many::a",
        "many::c",
        "many::d",
        "few::a",
    ]
