"""Running Saldo on one machine: what `scripts/up`, `scripts/test`, `scripts/manage` and `scripts/screenshots` do.

Standard library only, because it runs before anything is installed. It looks left only:
console < support, machine, install < processes < servers < environment < commands < saldo < up < check, screenshots.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
