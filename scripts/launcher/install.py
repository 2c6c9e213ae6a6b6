"""The virtual environment in `.venv`: made and filled once, then left alone until a lock file changes."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.launcher import ROOT, VENV
from scripts.launcher.console import LauncherError, step, tail

PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
LOG = VENV / "install.log"
UV = "uv==0.13.9"  # installs the lock three times faster than pip; without it pip does
LOCKS = {"runtime": ROOT / "requirements.txt", "development": ROOT / "requirements-dev.txt"}


def ensure_installed(kind: str) -> None:
    """Make `.venv` hold what a lock file says; nothing to do is found out in milliseconds.

    Args:
        kind: `runtime` or `development`, which is a superset.

    Raises:
        LauncherError: no environment can be made or filled here; the end of the log is in the text.
    """
    if _is_installed(kind):
        return
    try:
        VENV.mkdir(exist_ok=True)
        with _only_one():
            if _is_installed(kind):  # another one did it while we waited
                return
            if not _works(PYTHON):
                with step("Virtual environment"):
                    _make_environment()
            with step(f"Packages ({LOCKS[kind].name})"):
                _install(LOCKS[kind])
            done = LOCKS if kind == "development" else [kind]
            STAMP.write_text(json.dumps(_read_stamp() | {name: _fingerprint(name) for name in done}))
    except PermissionError as refused:
        raise _cannot_write(refused) from refused
    except OSError as refused:
        if refused.errno in (30, 28):  # EROFS, ENOSPC
            raise _cannot_write(refused) from refused
        raise


def _cannot_write(refused: OSError) -> LauncherError:
    return LauncherError(
        f"Cannot write {refused.filename or VENV} ({refused.strerror}), where the Python packages go: "
        "use a copy of the project in a folder of your own, on a disk with 500 MB free."
    )


def _fingerprint(kind: str) -> str:
    return hashlib.sha256(LOCKS[kind].read_bytes()).hexdigest()


def _read_stamp() -> dict[str, str]:
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def _is_installed(kind: str) -> bool:
    return os.access(PYTHON, os.X_OK) and _read_stamp().get(kind) == _fingerprint(kind)


def _works(python: Path) -> bool:
    is_new_enough = "import sys; sys.exit(sys.version_info < (3, 11))"
    with contextlib.suppress(OSError):
        return subprocess.run([python, "-c", is_new_enough], capture_output=True, check=False).returncode == 0
    return False


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    with (VENV / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_environment() -> None:
    for old in VENV.iterdir():
        if old.name != "install.lock":
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    if _run([sys.executable, "-m", "venv", str(VENV)]):
        return
    # Debian's python3 without python3-venv cannot put pip in. A pip of its own can install from outside.
    if _run([sys.executable, "-m", "venv", "--without-pip", str(VENV)]) and _run([*_pip(), "--version"]):
        return
    PYTHON.unlink(missing_ok=True)
    raise LauncherError(
        f"{sys.executable} cannot make a virtual environment with pip. On Debian and Ubuntu: apt install python3-venv. "
        "Otherwise name a complete Python 3.11 or newer, as in PYTHON=/opt/python3.12/bin/python3 scripts/up.\n"
        f"{tail(LOG)}"
    )


def _install(lock: Path) -> None:
    LOG.write_text("")
    environment = os.environ | _pip_settings_for_uv()
    uv = [str(VENV / "bin" / "uv"), "pip", "install", "--python", str(PYTHON), "--compile-bytecode", "-r", str(lock)]
    if _run([*_pip(), "install", "--quiet", UV]) and _run(uv, environment):
        return
    if not _run([*_pip(), "install", "-r", str(lock)]):
        raise LauncherError(
            f"The packages of {lock.name} could not be installed; without them nothing runs:\n{tail(LOG)}"
        )


def _pip() -> list[str]:
    """Return pip for `.venv`: its own, or that of the Python we run on where it has none."""
    if any(VENV.glob("lib/python3*/site-packages/pip")):
        return [str(PYTHON), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(PYTHON)]


def _run(command: list[str], environment: dict[str, str] | None = None) -> bool:
    """Run a command into the log; returns whether it succeeded."""
    with LOG.open("a") as log:
        print("$", *command, file=log, flush=True)
        try:
            subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=log, check=True)
        except (subprocess.CalledProcessError, FileNotFoundError) as failure:
            print(failure, file=log)
            return False
    return True


def _pip_settings_for_uv() -> dict[str, str]:
    """Return uv's spelling of what pip was told about package indexes here; uv does not read pip's files.

    What the person set for uv itself stays. The strategy is pip's: all indexes count alike.
    """
    listed = subprocess.run([*_pip(), "config", "list"], capture_output=True, text=True, check=False).stdout
    told: dict[str, str] = {}
    for section in ("global", "install", ":env:"):  # the later one counts, as in pip
        for line in listed.splitlines():  # such as global.index-url='https://…'
            key, _, value = line.partition("=")
            if key.startswith(f"{section}."):
                told[key.removeprefix(f"{section}.")] = " ".join(value.strip("'\"").replace("\\n", " ").split())
    spelling = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "cert": "SSL_CERT_FILE",
        "trusted-host": "UV_INSECURE_HOST",
        "timeout": "UV_HTTP_TIMEOUT",
    }
    settings = {uv: told[pip] for pip, uv in spelling.items() if told.get(pip)}
    if "UV_FIND_LINKS" in settings:
        settings["UV_FIND_LINKS"] = settings["UV_FIND_LINKS"].replace(" ", ",")
    settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {name: value for name, value in settings.items() if name not in os.environ}
