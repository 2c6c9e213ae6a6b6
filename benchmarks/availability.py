"""How long the question "what is available?" takes while stock moves.

`.venv/bin/python -m benchmarks.availability [--rate 833] [--movements 300] [--rounds 5] [--seconds 8]`

Questions are offered at a fixed rate, so that latency counts from the moment each was due, while a second process
offers reservations. Two kinds, in turns: `GET /v1/stores/S1/stock/{sku}`, and `POST /v1/stock/available` with 20 pairs.
"""

import argparse
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from benchmarks.load import Tally, Template, offered
from benchmarks.report import Report
from benchmarks.reserve import UNITS, reservation
from benchmarks.service import SKU, STORE, running_service

PAIRS = 20
ONE = "one SKU (GET)"
P99_GOAL_MS = 20.0
LEAD_SECONDS = 1.0
"""Stock moves that long before the first question and after the last one."""


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skus", type=int, default=50_000)
    parser.add_argument("--rate", type=int, default=833, help="questions a second")
    parser.add_argument("--movements", type=int, default=300, help="reservations a second beside them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of one measurement")
    options = parser.parse_args()
    report = Report(
        "availability",
        "Availability while stock moves",
        f"{options.rate} questions a second beside {options.movements} reservations a second, all over "
        f"{options.skus:,} SKUs by chance; {options.rounds} rounds in turns of {options.seconds:g} s each, medians. "
        "Latency counts from the moment a question was due. PostgreSQL and web server as in benchmarks.reserve.",
    )
    found: dict[str, list[tuple[Tally, Tally]]] = {}
    with running_service() as service, ProcessPoolExecutor(1) as beside:
        key = service.call("shop", skus=options.skus, units=UNITS)["key"]
        moving = reservation(key, options.skus)
        for number in range(options.rounds + 1):  # the first warms up
            for kind, question in _questions(key, options.skus).items():
                length = options.seconds + 2 * LEAD_SECONDS
                job = beside.submit(offered, service.port, moving, rate=options.movements, seconds=length)
                time.sleep(LEAD_SECONDS)
                asked = offered(service.port, question, rate=options.rate, seconds=options.seconds)
                moved = job.result()
                if number:
                    found.setdefault(kind, []).append((asked, moved))
                    print(f"round {number}: {kind}: p99 {asked.p99:.1f} ms", flush=True)
        is_proven = service.is_proven()
    heading = ["question", "answered/s", "p50 ms", "p95 ms", "p99 ms", "worst round's p99", "failed", "movements/s"]
    report.table(heading, [_row(kind, rounds) for kind, rounds in found.items()])
    p99 = statistics.median(asked.p99 for asked, _moved in found[ONE])  # twenty pairs are twenty questions: no goal
    report.goal(f"{ONE}: p99 {p99:.1f} ms; goal under {P99_GOAL_MS:g} ms", p99 < P99_GOAL_MS)
    failed = sum(asked.failed + moved.failed for rounds in found.values() for asked, moved in rounds)
    report.goal(f"answers that were no 2xx: {failed}; goal 0", failed == 0)
    report.goal("`prove` is clean afterwards", is_proven)
    return report.write()


def _questions(key: str, skus: int) -> dict[str, Template]:
    pairs = {"items": [{"sku": SKU, "storeId": STORE}] * PAIRS}
    return {
        ONE: Template.of("GET", f"/v1/stores/{STORE}/stock/{SKU}", key, skus=skus),
        f"{PAIRS} pairs (POST)": Template.of("POST", "/v1/stock/available", key, pairs, skus=skus),
    }


def _row(kind: str, rounds: list[tuple[Tally, Tally]]) -> list[object]:
    def median(name: str) -> float:
        return float(statistics.median(getattr(asked, name) for asked, _moved in rounds))

    moved = statistics.median(moved.rate for _asked, moved in rounds)
    return [
        *(kind, f"{median('rate'):,.0f}", median("p50"), median("p95"), median("p99")),
        *(max(asked.p99 for asked, _moved in rounds), sum(asked.failed for asked, _moved in rounds), f"{moved:,.0f}"),
    ]


if __name__ == "__main__":
    sys.exit(main())
