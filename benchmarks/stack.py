"""A whole Saldo of one's own, for one benchmark: servers, sandbox, web, worker and beat, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.launcher import ROOT, install
from scripts.launcher.environment import SETTING_NAMES, DataFolder, Settings
from scripts.launcher.processes import watchdog
from scripts.launcher.saldo import Saldo


@contextmanager
def running_saldo(workers: int = 4) -> Iterator[Saldo]:
    """Start everything on free ports and a temporary folder, as `scripts/up` does; stop and delete it at the end."""
    for name in SETTING_NAMES:
        os.environ.pop(name, None)
    data = Path(tempfile.mkdtemp(prefix="saldo-bench-"))
    watchdog.remove(data)
    folder = DataFolder(data)
    folder.acquire()
    saldo = Saldo(Settings(data=data, host="127.0.0.1", port=0, is_demo=True, workers=workers), folder)
    try:
        saldo.start()
        yield saldo
    finally:
        saldo.stop(is_in_a_hurry=lambda: False)
        folder.release()
        shutil.rmtree(data, ignore_errors=True)
        watchdog.close()


def manage(saldo: Saldo, *arguments: str) -> str:
    """Run a manage.py command in that Saldo's environment and return what it printed."""
    command = [str(install.PYTHON), "manage.py", *arguments]
    return subprocess.run(command, env=saldo.environment(), cwd=ROOT, check=True, capture_output=True, text=True).stdout
