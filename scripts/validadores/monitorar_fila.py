#!/usr/bin/env python3
"""How is a channel's queue of events doing? `python scripts/validadores/monitorar_fila.py --canal ML`

Prints backlog, age of the oldest, errors and reprocesses pending; exits 1 past a limit (`--help` lists them). Asks the
Saldo that DATABASE_URL names, such as in a container, else the one that `scripts/up` runs on SALDO_DATA.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = "monitorar_fila"


def main(arguments: list[str]) -> int:
    """Run `manage.py monitorar_fila` where Saldo's settings are; returns its exit code."""
    start = [sys.executable, "manage.py"] if os.environ.get("DATABASE_URL") else ["scripts/manage"]
    if data := os.environ.get("SALDO_DATA"):
        os.environ["SALDO_DATA"] = str(Path(data).absolute())  # relative to where the person stands
    return subprocess.run([*start, COMMAND, *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
