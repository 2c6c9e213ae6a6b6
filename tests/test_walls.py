"""The walls between the rooms hold, and a breach turns the linter red."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

BREACHES = {
    "the ledger looks right, at the sync": ("apps/inventory/ledger.py", "from apps.sync import queue"),
    "the sandbox uses the hub": ("apps/sandbox/state.py", "from apps.common import crypto"),
    "a page plays the marketplace": ("apps/console/proof.py", "from apps.sandbox import state"),
    "a domain module starts a task": ("apps/sync/queue.py", "from apps.sync import tasks"),
    "a client opens a socket of its own": ("apps/connectors/mercadolivre/client.py", "import requests"),
    "the push knows a marketplace by name": ("apps/sync/push.py", "from apps.connectors.mercadolivre import client"),
    "an order tells its recipient itself": ("apps/orders/intake.py", "from apps.notifications import resending"),
    "a second room moves stock": ("apps/sync/push.py", "from apps.inventory import ledger"),
}


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _copy(folder: Path) -> Path:
    for name in ("apps", "config", "scripts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_walls_hold() -> None:
    result = _lint_imports(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_turns_the_linter_red(tmp_path: Path, breach: str) -> None:
    folder = _copy(tmp_path)
    name, line = BREACHES[breach]
    module = folder / name
    module.write_text(f"{line}\n{module.read_text()}")
    result = _lint_imports(folder)
    assert result.returncode != 0
    assert "BROKEN" in result.stdout
