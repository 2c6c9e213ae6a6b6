"""Reports of benchmarks: printed, and written to benchmarks/results/<name>.md with when, where and by which command."""

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.load import WHO
from scripts.launcher import ROOT

RESULTS = Path(__file__).with_name("results")


class Report:
    """One run's report. name: of the benchmark; title: what it asks; note: how it is measured, in a few sentences."""

    def __init__(self, name: str, title: str, note: str) -> None:
        self.name = name
        load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
        self._lines = [
            f"# {title}",
            "",
            f"- command: `.venv/bin/python -m {' '.join([f'benchmarks.{name}', *sys.argv[1:]])}`",
            f"- when: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, with {load} as the load averages before it began",
            f"- where: {_machine()}",
            f"- load by: {WHO}",
            "",
            note,
        ]
        self.is_met = True

    def table(self, heading: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table."""
        self._lines += ["", _row(heading), _row(["---"] * len(heading)), *(_row(row) for row in rows)]
        print("\n".join(self._lines[-len(rows) - 2 :]), flush=True)

    def goal(self, text: str, is_met: bool | None) -> None:
        """Add a goal and whether this run met it; None: it could not be seen here, which fails nothing."""
        self.is_met = self.is_met and is_met is not False
        line = f"- {({True: 'met', False: '**missed**', None: 'not seen'})[is_met]}: {text}"
        self._lines += [line] if self._lines[-1].startswith("- ") else ["", line]
        print(line, flush=True)

    def write(self) -> int:
        """Write the report and return the exit code: 0 when every goal was met."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}.md"
        path.write_text("\n".join([*self._lines, ""]))
        print(f"written to {path.relative_to(ROOT)}")
        return 0 if self.is_met else 1


def _row(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(f'{cell:,.1f}' if isinstance(cell, float) else str(cell) for cell in cells)} |"


def _machine() -> str:
    """Return the processor, the memory and the system in a line."""
    model = platform.processor() or platform.machine()
    memory = ""
    if Path("/proc/cpuinfo").exists():
        names = [
            line.partition(":")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
        ]
        model = names[0].strip() if names else model
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} x {model}{memory}, {system}"
