"""`scripts/test`: the whole check, or with arguments pytest alone.

The whole check runs the tests in several processes at once, because a test waits for PostgreSQL or HTTP most of the
time. Each process has servers of its own (tests/servers.py) and takes the next file when it is done with one.
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.launcher import ROOT, install
from scripts.launcher.browser import ensure_browser, find_browser
from scripts.launcher.console import LauncherError, say, step
from scripts.launcher.environment import child_environment
from scripts.launcher.processes import watchdog
from scripts.launcher.throwaway import ThrowawayServers

PYTHON = str(install.PYTHON)
STATIC_CHECKS = {
    "Lint (ruff check)": ["-m", "ruff", "check", "."],
    "Format (ruff format)": ["-m", "ruff", "format", "--check", "."],
    "Types (mypy)": ["-m", "mypy"],
    "Walls (lint-imports)": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
    "Migrations are complete": ["manage.py", "makemigrations", "--check", "--dry-run"],
    "Django's checks": ["manage.py", "check", "--fail-level", "WARNING"],
}
PROCESSES_MAX = 4
EVERY_TEST = ["-m", "not apart"]  # the slow ones, too, which pytest.ini leaves out


def main(arguments: Sequence[str]) -> int:
    """Run the check; returns its exit code."""
    install.ensure_installed("development")
    browser = find_browser()
    if arguments:
        return run_pytest(arguments, browser)
    processes = process_count()
    failed = _static_checks()
    if not _passes(
        "Smoke run (scripts/up --smoke)", ["-m", "scripts.launcher", "up", "--smoke"], child_environment({})
    ):
        failed.append("Smoke run")
    with step("Browser"), tempfile.TemporaryDirectory() as folder:
        browser = ensure_browser(Path(folder) / "apt.log")
    say(f"\n  Tests, in {processes} {'process' if processes == 1 else 'processes at once'}")
    if run_pytest([*EVERY_TEST, *dealt_out(processes)], browser) != 0:
        failed.append("Tests")
    if failed:
        raise LauncherError(f"Failed: {', '.join(failed)}. What each had to say is above.")
    say("\n  Everything passed.")
    return 0


def _static_checks() -> list[str]:
    """Run them all, so that one run shows everything; returns the labels of the failed."""
    with (
        ThrowawayServers() as servers
    ):  # settings, and so mypy's plugin, want servers' addresses; migrations a database
        environment = servers.environment()
        failed = [label for label, command in STATIC_CHECKS.items() if not _passes(label, command, environment)]
    watchdog.close()
    return failed


def _passes(label: str, command: list[str], environment: dict[str, str]) -> bool:
    """Run one check as a step; what it prints is shown only when it fails."""
    try:
        with step(label):
            into = subprocess.PIPE
            whole = [PYTHON, *command]
            subprocess.run(
                whole, cwd=ROOT, env=environment, stdout=into, stderr=subprocess.STDOUT, text=True, check=True
            )
    except subprocess.CalledProcessError as failure:
        say(failure.stdout)
        return False
    return True


def process_count() -> int:
    """Return how many processes the whole check's tests run in: SALDO_TEST_PROCESSES, else one a core, at most four.

    Raises:
        LauncherError: the setting is not a whole number from 1.
    """
    wanted = os.environ.get("SALDO_TEST_PROCESSES", "")
    if not wanted:
        return min(os.cpu_count() or 1, PROCESSES_MAX)
    if not (wanted.isascii() and wanted.isdigit() and int(wanted) > 0):
        raise LauncherError(
            f"SALDO_TEST_PROCESSES is {wanted!r}, which is not a number of processes: nothing was tested. Set 1, 2, 3 "
            "or 4, or leave it out for one a core."
        )
    return min(int(wanted), PROCESSES_MAX)


def dealt_out(processes: int) -> list[str]:
    """Return what makes pytest deal out files to so many processes, in the order of tests/dealing.py."""
    return ["-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder"] if processes > 1 else []


def run_pytest(arguments: Sequence[str], browser: str | None) -> int:
    """Run pytest in the foreground; returns its exit code.

    Ctrl-C goes to it as to us: it stops its processes and their servers and says what had failed, and we wait for that.
    """
    environment = child_environment({"SALDO_BROWSER": browser} if browser else {})
    running = subprocess.Popen([PYTHON, "-m", "pytest", *arguments], cwd=ROOT, env=environment)
    try:
        return running.wait()
    except KeyboardInterrupt:
        _wait_though_interrupted(running)
        raise


def _wait_though_interrupted(running: "subprocess.Popen[bytes]") -> None:
    """Wait for the end, however often Ctrl-C is pressed: pytest hears it, too, and hurries by itself."""
    while running.returncode is None:
        with contextlib.suppress(KeyboardInterrupt):
            running.wait()
