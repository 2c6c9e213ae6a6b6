"""`scripts/up` and `scripts/manage`: the person's side of a running Saldo."""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from scripts.launcher import ROOT, install
from scripts.launcher.console import LauncherError, LogFollower, note, say, step, tail
from scripts.launcher.environment import (
    SETTING_NAMES,
    DataFolder,
    Settings,
    child_environment,
    read_variables,
    usable_port,
)
from scripts.launcher.processes import INTERRUPTS, watchdog
from scripts.launcher.saldo import Saldo

SMOKE_SECONDS = 180.0
WATCH_SECONDS = 0.25
LEAVE_SECONDS = 15.0
EPILOG = """settings, from the environment:
  PORT=8000           web server's port; 0 finds a free one
  HOST=127.0.0.1      where it listens; 0.0.0.0 lets other machines in
  SALDO_DATA=./var    data, logs and generated secrets
  SALDO_DEMO=1        demo tenant and Mercado Livre sandbox
  SALDO_DEMO_LIVE=1   the demo shop has a history and sells by itself; 0: a small, still one
  SALDO_WORKERS=4     worker processes
  DATABASE_URL, REDIS_URL   servers of your own instead of the embedded ones"""


def main(arguments: Sequence[str]) -> int:
    """Run `scripts/up` with these arguments; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/up",
        description="Start Saldo with everything it needs. Ctrl-C stops it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--smoke", action="store_true", help="on throwaway data: start, sell one unit, stop; exit 0 or 1"
    )
    parser.add_argument("--verbose", action="store_true", help="show what the processes log")
    options = parser.parse_args(arguments)
    if options.smoke:
        return _smoke(is_verbose=options.verbose)
    try:
        _stay(Settings.read(os.environ), is_verbose=options.verbose)
    finally:
        watchdog.close()
    return 0


def _stay(settings: Settings, *, is_verbose: bool) -> None:
    """Start Saldo, say where it is, keep it running until somebody stops it."""
    with running(settings, is_verbose=is_verbose) as saldo:
        say(f"\n  Saldo is running on {saldo.address}")
        greeting = (
            saldo.greeting or "No demo tenant (SALDO_DEMO=0). To make a tenant: scripts/manage create_tenant --help"
        )
        say("".join(f"  {line}\n" for line in greeting.splitlines()), end="")
        say(f"  Logs: {saldo.folder.logs}\n  Ctrl-C stops everything.\n")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                saldo.supervisor.check()
                if news := saldo.watch_history():
                    note(news)
                time.sleep(WATCH_SECONDS)
        say()


def manage(arguments: Sequence[str]) -> int:
    """Become `manage.py` with these arguments, in the environment of the Saldo that runs on SALDO_DATA."""
    folder = DataFolder(Settings.read(os.environ).data)
    if not folder.is_held() or not folder.environment_file.exists():
        raise LauncherError(f"No Saldo is running on {folder.path}: start one with scripts/up in another terminal.")
    environment = child_environment(read_variables(folder.environment_file))
    os.execve(install.PYTHON, [str(install.PYTHON), "manage.py", *arguments], environment)  # noqa: S606


def _smoke(*, is_verbose: bool) -> int:
    """Start Saldo on free ports and throwaway data, run `manage.py smoke`, stop; returns its exit code."""
    for name in SETTING_NAMES:  # they may name servers that are not ours, or keep us from our own address
        os.environ.pop(name, None)
    data = Path(tempfile.mkdtemp(prefix="saldo-smoke-"))
    watchdog.remove(data)
    settings = Settings(data=data, host="127.0.0.1", port=0, is_demo=True, workers=2)
    exit_code = 1
    try:
        with running(settings, is_verbose=is_verbose) as saldo:
            exit_code = _sell_one(saldo)
    finally:
        for item in data.iterdir():
            if exit_code == 0 or item.name != "logs":
                shutil.rmtree(item) if item.is_dir() else item.unlink()
        if exit_code == 0:
            data.rmdir()
        watchdog.keep(data)
        watchdog.close()
    if exit_code != 0:
        for log in sorted((data / "logs").glob("*.log")):
            say(f"\n  The end of {log.name}:\n{tail(log)}")
    return exit_code


def _sell_one(saldo: Saldo) -> int:
    command = [str(install.PYTHON), "manage.py", "smoke", "--sandbox", saldo.sandbox_url]
    smoke = subprocess.Popen(command, env=saldo.environment(), cwd=ROOT)
    try:
        return smoke.wait(SMOKE_SECONDS)
    except subprocess.TimeoutExpired:
        say(f"  The smoke run was not done after {SMOKE_SECONDS:.0f} s.")
        return 1
    finally:
        smoke.kill()
        smoke.wait()


@contextlib.contextmanager
def running(settings: Settings, *, is_verbose: bool) -> Iterator[Saldo]:
    """Install, start Saldo, and stop it when the block ends or somebody presses Ctrl-C."""
    folder = DataFolder(settings.data)
    folder.acquire()
    interrupts = Interrupts()
    follower = None
    saldo = Saldo(settings, folder)
    try:
        _check_port(settings, folder)  # before the half minute that an installation takes
        install.ensure_installed("runtime")
        follower = LogFollower(folder.logs) if is_verbose else None
        saldo.start()
        yield saldo
    except KeyboardInterrupt:
        say()
        raise
    finally:
        interrupts.count_only()
        with step("Stopping"):
            saldo.stop(is_in_a_hurry=lambda: interrupts.count > 0)
        if follower is not None:
            follower.stop()
        folder.release()


def _check_port(settings: Settings, folder: DataFolder) -> None:
    """Insist on a free port; after a kill -9, give the killed one's web server the moment it needs to leave."""
    deadline = time.monotonic() + (LEAVE_SECONDS if folder.was_killed else 0.0)
    while True:
        try:
            usable_port(settings.host, settings.port)
            return
        except LauncherError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


class Interrupts:
    """Ctrl-C, `kill` and a closed terminal: the first one interrupts, later ones are only counted."""

    def __init__(self) -> None:
        self.count = 0
        self._is_counting = False
        for number in INTERRUPTS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup scripts/up
                signal.signal(number, self._receive)

    def count_only(self) -> None:
        """From here on do not interrupt: what runs now is the stopping itself."""
        self._is_counting = True

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._is_counting:
            self.count += 1
        else:
            self._is_counting = True
            raise KeyboardInterrupt
