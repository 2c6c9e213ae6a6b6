"""`scripts/screenshots`: a throwaway Saldo with the whole demo shop, photographed into docs/console/."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.launcher import ROOT, install
from scripts.launcher.browser import ensure_browser
from scripts.launcher.console import LauncherError, say, step
from scripts.launcher.environment import SETTING_NAMES, Settings
from scripts.launcher.processes import watchdog
from scripts.launcher.saldo import Saldo
from scripts.launcher.up import running

HISTORY_SECONDS = 600.0
SETTLE_SECONDS = 45.0
"""After the history every number of the shop is told once; the pictures wait for that."""


def main(arguments: Sequence[str]) -> int:
    """Start Saldo, wait for its history, take the pictures, stop; returns the exit code of scripts/pictures.py."""
    install.ensure_installed("development")
    for name in SETTING_NAMES:  # they may name servers that are not ours
        os.environ.pop(name, None)
    data = Path(tempfile.mkdtemp(prefix="saldo-pictures-"))
    watchdog.remove(data)
    settings = Settings(data=data, host="127.0.0.1", port=0, is_demo=True, workers=2, is_live=True)
    try:
        with running(settings, is_verbose=False) as saldo:
            browser = ensure_browser(saldo.folder.logs / "apt.log")
            with step("History of the demo shop"):
                _await_history(saldo)
            with step("Pictures"):
                command = ["-m", "scripts.pictures", saldo.address, "--browser", browser, *arguments]
                return subprocess.run([str(install.PYTHON), *command], cwd=ROOT, check=False).returncode
    finally:
        shutil.rmtree(data, ignore_errors=True)
        watchdog.keep(data)
        watchdog.close()
        say()


def _await_history(saldo: Saldo) -> None:
    ends_at = time.monotonic() + HISTORY_SECONDS
    while (news := saldo.watch_history()) is None:
        saldo.supervisor.check()
        if time.monotonic() > ends_at:
            raise LauncherError(
                f"The demo's history was not loaded after {HISTORY_SECONDS:.0f} s. Nothing was pictured."
            )
        time.sleep(0.5)
    say(f"\n  {news}")
    settled_at = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < settled_at:
        saldo.supervisor.check()
        time.sleep(0.5)
