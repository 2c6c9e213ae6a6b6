"""Children: started, watched, restarted, stopped; and none left when the launcher is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.launcher import ROOT, machine
from scripts.launcher.console import LauncherError
from scripts.launcher.processes import LOG_SIZE_LIMIT_BYTES, Child, Supervisor, stop_in_order, watchdog
from tests.launcher.conftest import MakeChild, wait_until

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def await_up(child: Child) -> None:
    """Wait until the child has printed that it is up."""
    wait_until(lambda: child.log.exists() and "up" in child.log.read_text(), 10, f"{child.name} is up")


def test_a_child_that_will_not_stop_is_killed_when_its_time_is_over(make_child: MakeChild) -> None:
    child = make_child(STUBBORN, stop_seconds=0.5)
    child.start()
    await_up(child)
    child.stop()
    assert child.exit_code == -signal.SIGKILL


def test_what_a_dead_child_had_started_dies_too(make_child: MakeChild, tmp_path: Path) -> None:
    child = make_child(
        "import subprocess, sys, time\n"
        "print('up', subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True)\n"
        "time.sleep(60)"
    )
    child.start()
    await_up(child)
    grandchild = int(child.log.read_text().split()[1])
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: not child.is_running(), 5, "the child is seen to be dead")
    wait_until(lambda: not machine.is_alive(grandchild), 5, "so is what it had started")


def test_ctrl_c_in_the_terminal_does_not_reach_children(make_child: MakeChild) -> None:
    child = make_child(SLEEP)
    child.start()
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_a_failed_command_shows_the_end_of_its_log(make_child: MakeChild) -> None:
    child = make_child("print('the reason'); raise SystemExit(3)", name="migrate")
    with pytest.raises(LauncherError, match=r"migrate ended with exit code 3(.|\n)*the reason"):
        child.run(seconds=20)


def test_a_command_that_takes_too_long_is_stopped(make_child: MakeChild) -> None:
    child = make_child(SLEEP)
    with pytest.raises(LauncherError, match="was not done after 0 s"):
        child.run(seconds=0.3)
    assert not child.is_running()


def test_groups_stop_in_reverse_order_and_each_only_after_the_one_before(make_child: MakeChild, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    source = (
        "import signal, sys, time\n"
        "def leave(*_):\n"
        "    time.sleep(0.3); open({journal!r}, 'a').write({name!r} + ' '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, leave); print('up', flush=True); time.sleep(60)"
    )
    groups = [
        [make_child(source.format(journal=str(journal), name=name), name=name)] for name in ("db", "worker", "web")
    ]
    for (child,) in groups:
        child.start()
        await_up(child)
    assert stop_in_order(groups) == []
    assert journal.read_text().split() == ["web", "worker", "db"]


def test_what_does_not_end_in_its_time_is_killed_and_named(make_child: MakeChild) -> None:
    beat, web = make_child(SLEEP, name="beat"), make_child(STUBBORN, name="web", stop_seconds=0.1)
    for child in (beat, web):
        child.start()
        await_up(child)
    assert stop_in_order([[beat, web]]) == ["web"]
    assert (beat.exit_code, web.exit_code) == (-signal.SIGTERM, -signal.SIGKILL)


def test_a_second_ctrl_c_kills_what_holds_no_data_and_spares_what_does(make_child: MakeChild) -> None:
    careful = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit(0)))\n"
        "print('up', flush=True); time.sleep(60)"
    )
    database, web = make_child(careful, name="db"), make_child(STUBBORN, name="web", stop_seconds=30)
    database.holds_data = True
    for child in (database, web):
        child.start()
        await_up(child)
    started = time.monotonic()
    stop_in_order([[database], [web]], is_in_a_hurry=lambda: True)
    assert time.monotonic() - started < 5
    assert (web.exit_code, database.exit_code) == (-signal.SIGKILL, 0)


def test_a_dead_child_is_restarted_and_the_person_is_told(make_child: MakeChild) -> None:
    said: list[str] = []
    child = make_child(SLEEP, name="web")
    child.start()
    supervisor = Supervisor(said.append)
    supervisor.add(child)
    first = child.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervisor.check() or (child.is_running() and child.pid != first), 5, "web runs again")
    assert "web died (exit code -9); restarting it" in said[0]


def test_a_child_that_keeps_dying_ends_everything_with_the_end_of_its_log(
    make_child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.launcher.processes.RESTART_DELAYS_SECONDS", (0.0, 0.0, 0.0, 0.0))
    child = make_child("raise SystemExit('no such table')", name="worker")
    child.start()
    supervisor = Supervisor(lambda _: None)
    supervisor.add(child)
    with pytest.raises(LauncherError, match=r"worker died 5 times in a row(.|\n)*no such table"):
        wait_until(lambda: supervisor.check() or False, 20, "the supervisor gives up")


def test_a_log_that_has_grown_too_large_is_moved_aside(make_child: MakeChild) -> None:
    child = make_child("print('new')")
    with child.log.open("wb") as log:
        log.truncate(LOG_SIZE_LIMIT_BYTES + 1)
    child.run(seconds=20)
    assert child.log.read_text() == "new\n"
    assert child.log.with_suffix(".old").stat().st_size == LOG_SIZE_LIMIT_BYTES + 1


def test_a_failure_shows_its_own_words_and_not_those_of_the_start_before(tmp_path: Path) -> None:
    for word in ("first", "second"):
        command = [sys.executable, "-c", f"raise SystemExit('the {word} reason')"]
        child = Child("migrate", command, environment=dict(os.environ), log=tmp_path / "migrate.log")
        with pytest.raises(LauncherError, match=f"the {word} reason") as failure:
            child.run(seconds=20)
    assert "the first reason" not in str(failure.value)
    assert "the first reason" in child.log.read_text()


LAUNCHER = """
import os, sys, time
from pathlib import Path
from scripts.launcher import machine
from scripts.launcher.processes import Child, watchdog
{prelude}
folder = Path(sys.argv[1])
for name, source in {sources!r}.items():
    command = [sys.executable, "-c", source]
    child = Child(name, command, environment=dict(os.environ), log=folder / name, stop_seconds=1.0)
    child.start()
    while not child.log.exists() or "up" not in child.log.read_text():
        time.sleep(0.02)
    print(child.pid, flush=True)
print(watchdog._program.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("by_kernel", [True, False], ids=["kernel and watchdog", "watchdog alone, as on macOS"])
def test_kill_9_of_the_launcher_leaves_no_process(tmp_path: Path, by_kernel: bool) -> None:
    prelude = "" if by_kernel else "machine.die_with = lambda *_: None"
    program = LAUNCHER.format(prelude=prelude, sources={"sleeper": SLEEP, "stubborn": STUBBORN})
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        pids = [int(launcher.stdout.readline()) for _ in range(3)]
        assert all(machine.is_alive(pid) for pid in pids)
        launcher.kill()
    wait_until(lambda: not any(machine.is_alive(pid) for pid in pids), 10, "children and watchdog are gone")


@pytest.mark.skipif(not machine.IS_LINUX, reason="only Linux tells children that their parent died")
def test_killing_the_watchdog_together_with_the_launcher_leaves_no_ordinary_process(tmp_path: Path) -> None:
    program = LAUNCHER.format(prelude="", sources={"sleeper": SLEEP})
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        sleeper, guard = (int(launcher.stdout.readline()) for _ in range(2))
        os.kill(guard, signal.SIGKILL)
        launcher.kill()
    wait_until(lambda: not machine.is_alive(sleeper), 10, "the child is gone")


def test_a_killed_watchdog_is_replaced_and_knows_what_the_old_one_knew(tmp_path: Path) -> None:
    program = LAUNCHER.format(prelude="machine.die_with = lambda *_: None", sources={"sleeper": SLEEP}).replace(
        "time.sleep(60)\n",
        "os.kill(watchdog._program.pid, 9); watchdog._program.wait(); watchdog.check(); print('again', flush=True)\n"
        "time.sleep(60)\n",
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        sleeper = int(launcher.stdout.readline())
        assert [launcher.stdout.readline() for _ in range(2)][1] == "again\n"
        launcher.kill()
    wait_until(lambda: not machine.is_alive(sleeper), 10, "the child is gone")


def test_children_of_the_tests_themselves_are_under_watch(make_child: MakeChild) -> None:
    child = make_child(SLEEP)
    child.start()
    fact = f"start {child.pid}"
    assert fact in watchdog._facts
    child.stop()
    assert fact not in watchdog._facts
