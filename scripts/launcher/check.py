"""`scripts/test`: the whole check, or with arguments pytest alone."""

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
NO_TESTS_COLLECTED = 5


def main(arguments: Sequence[str]) -> int:
    """Run the check; returns its exit code."""
    install.ensure_installed("development")
    browser = find_browser()
    if arguments:
        return _pytest(arguments, browser)
    failed = _static_checks()
    if not _passes(
        "Smoke run (scripts/up --smoke)", ["-m", "scripts.launcher", "up", "--smoke"], child_environment({})
    ):
        failed.append("Smoke run")
    with step("Browser"), tempfile.TemporaryDirectory() as folder:
        browser = ensure_browser(Path(folder) / "apt.log")
    for label, selection in (("Tests", "not slow"), ("Slow tests", "slow")):
        say(f"\n  {label}")
        if _pytest(["-m", selection], browser) not in (0, NO_TESTS_COLLECTED):
            failed.append(label)
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


def _pytest(arguments: Sequence[str], browser: str | None) -> int:
    """Run pytest in the foreground; returns its exit code. Ctrl-C goes to it as to us."""
    environment = child_environment({"SALDO_BROWSER": browser} if browser else {})
    return subprocess.run([PYTHON, "-m", "pytest", *arguments], cwd=ROOT, env=environment, check=False).returncode
