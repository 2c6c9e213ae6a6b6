"""The README's curl lines, run as they stand there against a real `scripts/up`, and what each must answer.

`.venv/bin/python -m benchmarks.curl [--port 5000]`: on throwaway data. With another port that number is replaced in the
lines, and nothing else is.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Report
from scripts.launcher import ROOT
from scripts.launcher.environment import SETTING_NAMES

PORT = 5000
START_SECONDS = 300.0
"""A fresh clone installs first."""
PLACEHOLDER = "UTILIZAR GUID RETORNADO NA RESERVE"
CURL_RC = 'silent\nwrite-out = "\\n%{http_code}"\n'
"""curl reads this file by itself, so that the lines stay as they are."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one line answered, and what it must answer: a status and some members of the body."""

    name: str
    status: int
    body: Mapping[str, Any]
    expected_status: int
    expected: Mapping[str, Any]

    @property
    def is_right(self) -> bool:
        """Say whether it answered as documented."""
        found = {name: self.body.get(name) for name in self.expected}
        return (self.status, found) == (self.expected_status, dict(self.expected))


def main() -> int:
    """Run the lines and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=PORT)
    options = parser.parse_args()
    report = Report("curl", "The README's curl lines", "Each line as it stands in README.md, against `scripts/up`.")
    with tempfile.TemporaryDirectory(prefix="saldo-curl-") as folder, running_up(Path(folder), options.port) as key:
        answers = converse(key, options.port)
    rows = [[one.name, one.status, f"`{json.dumps(dict(one.body), ensure_ascii=False)}`"] for one in answers]
    report.table(["line", "status", "answer"], rows)
    for one in answers:
        report.goal(f"{one.name}: {one.expected_status} with `{json.dumps(dict(one.expected))}`", one.is_right)
    return report.write()


def lines() -> dict[str, str]:
    """Return the README's curl lines by the last word of the comment above each: estoque, reservar, confirmar …"""
    text = (ROOT / "README.md").read_text()
    return dict(re.findall(r"^# (\w+).*\n(curl -H .*localhost:5000/v1/.*)$", text, re.MULTILINE))


def converse(key: str, port: int) -> list[Answer]:
    """Run every line, `repor` before and after the stock has moved, and return the answers."""
    line = lines()

    def run(name: str, code: int, reservation: str = "", /, **expected: Any) -> Answer:
        command = line[name].replace(f":{PORT}/", f":{port}/")
        return Answer(name, *_run(command.replace(PLACEHOLDER, reservation or PLACEHOLDER), key), code, expected)

    answers = [
        run("estoque", 200, sku="SKU-001", storeId="S1", onHand=10, reserved=0, available=10, version=1),
        run("repor", 200, sku="SKU-001", onHand=15, available=15, version=2),
        run("reservar", 200, sku="SKU-001", storeId="S1", qty=2, clientId="C1", status="PENDING", available=13),
    ]
    first = str(answers[-1].body.get("reservationId"))
    answers += [
        run("confirmar", 200, first, reservationId=first, status="CONFIRMED", onHand=13, reserved=0, available=13),
        run("cancelar", 409, first, code="reservation_already_confirmed"),
        run("reservar", 200, status="PENDING", available=11),
    ]
    second = str(answers[-1].body.get("reservationId"))
    answers += [
        run("cancelar", 200, second, reservationId=second, status="RELEASED", onHand=13, reserved=0, available=13),
        run("repor", 412, code="version_mismatch", version=6),
        run("confirmar", 422, code="validation_failed"),  # the placeholder itself is no id
        run("estoque", 200, onHand=13, reserved=0, available=13, version=6),
    ]
    return answers


def _run(command: str, key: str) -> tuple[int, dict[str, Any]]:
    """Run a line in a shell; return the status and the decoded body."""
    with tempfile.TemporaryDirectory() as home:
        Path(home, ".curlrc").write_text(CURL_RC)
        environment = os.environ | {"CURL_HOME": home, "SALDO_KEY": key}
        done = subprocess.run(
            ["/bin/sh", "-c", command], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@contextlib.contextmanager
def running_up(folder: Path, port: int) -> Iterator[str]:
    """Run `scripts/up` on a folder and a port; yield the API key that it prints."""
    environment = {name: value for name, value in os.environ.items() if name not in SETTING_NAMES}
    environment |= {"SALDO_DATA": str(folder / "data"), "PORT": str(port), "SALDO_WORKERS": "1"}
    output = folder / "printed"
    with output.open("w") as file:
        up = subprocess.Popen(
            [str(ROOT / "scripts" / "up")], env=environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL
        )
    try:
        yield _printed_key(up, output)
    finally:
        up.send_signal(signal.SIGINT)
        up.wait(60)
        shutil.rmtree(folder / "data", ignore_errors=True)  # thrown away: what cannot be deleted is /tmp's to clean


def _printed_key(up: "subprocess.Popen[bytes]", output: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while not (found := re.search(r"export SALDO_KEY=(\S+)", output.read_text())):
        if up.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"scripts/up did not start:\n{output.read_text()}")
        time.sleep(0.2)
    return found[1]


if __name__ == "__main__":
    sys.exit(main())
