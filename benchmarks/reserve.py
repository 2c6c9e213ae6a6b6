"""Reservations a second through HTTP, against pgbench calling the same SQL function on the same server, in one run.

`.venv/bin/python -m benchmarks.reserve [--skus 50000] [--rounds 5] [--seconds 8] [--quick]`

pgbench sends one request per transaction: what PostgreSQL can do for clients who do not combine. HTTP sends
`POST /v1/stock/reserve` with an API key and an `Idempotency-Key` of its own. Both with 16 clients, in turns, over all
SKUs by chance and on one hot SKU. Absolute figures are the machine's; the ratios are the hub's.
"""

import argparse
import statistics
import sys
from collections.abc import Callable

from benchmarks.load import Tally, Template, closed, offered
from benchmarks.report import Report
from benchmarks.service import SKU, STORE, Service, running_service

CLIENTS = 16
UNITS = 2_000_000
TTL_SECONDS = 900
SPREAD_GOAL, HOT_GOAL = 0.6, 1.0
GOAL_RATE, OFFERED_P95_MS = 1000, 200.0
WARM_SECONDS = 3.0

ONE_REQUEST = """\\set n random(1, :skus)
SELECT inventory_reserve(('[{"lines": [{"quantity": 1, "sku": "SKU-' || lpad(:n::text, 5, '0')
    || '", "store": "S1"}], "ttl_seconds": 900, "is_fact": false, "requester_id": "C1", "among": null, '
    || '"fingerprint": "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945", '
    || '"actor": "key of pgbench 1a", "reason": "", "reference_type": "", "reference_id": "", "reference_line": "", '
    || '"source": "api", "source_key": "", "trace_id": "' || gen_random_uuid() || '", "occurred_at": null, '
    || '"tenant_id": ' || :tenant::text || ', "key": "' || gen_random_uuid() || '"}]')::jsonb, 2000);
"""
"""What the API sends for one reservation, word for word but for the random parts."""


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skus", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="of one measurement")
    parser.add_argument("--rates", type=int, nargs="*", default=[500, 800, 1000], help="offered, requests a second")
    parser.add_argument("--quick", action="store_true", help="three short rounds over fewer SKUs")
    options = parser.parse_args()
    if options.quick:
        options.skus, options.rounds, options.seconds = 5_000, 3, 4.0
    report = Report(
        "reserve",
        "Reservations a second: HTTP against pgbench",
        f"{CLIENTS} clients, {options.skus:,} SKUs, {options.rounds} rounds in turns of {options.seconds:g} s each, "
        "medians. PostgreSQL with fsync and synchronous commits, granian with 2 processes of 8 threads, load on the "
        "same machine. pgbench: `inventory_reserve` with one request per transaction. HTTP: `POST /v1/stock/reserve`.",
    )
    with running_service() as service:
        made = service.call("shop", skus=options.skus, units=UNITS)
        rounds = _rounds(service, made, options.skus, options.rounds, options.seconds)
        _report_rounds(report, rounds)
        _report_offered(report, service.port, reservation(made["key"], options.skus), options.rates, options.seconds)
        report.goal("`prove` is clean afterwards", service.is_proven())
    return report.write()


def reservation(key: str, skus: int) -> Template:
    """Return the request that reserves one unit."""
    body = {"sku": SKU, "storeId": STORE, "qty": 1, "clientId": "C1", "ttlSeconds": TTL_SECONDS}
    return Template.of("POST", "/v1/stock/reserve", key, body, skus=skus, is_keyed=True)


def _rounds(
    service: Service, made: dict[str, object], skus: int, rounds: int, seconds: float
) -> dict[str, list[Tally]]:
    """Measure everything in turns, after a warm-up whose figures are thrown away."""

    def by_pgbench(width: int) -> Callable[[float], Tally]:
        variables = {"tenant": int(str(made["tenant_id"])), "skus": width}
        return lambda seconds: service.pgbench(ONE_REQUEST, clients=CLIENTS, seconds=seconds, variables=variables)

    def by_http(width: int) -> Callable[[float], Tally]:
        template = reservation(str(made["key"]), width)
        return lambda seconds: closed(service.port, template, connections=CLIENTS, seconds=seconds)

    kinds = {
        "pgbench, all SKUs": by_pgbench(skus),
        "HTTP, all SKUs": by_http(skus),
        "pgbench, one hot SKU": by_pgbench(1),
        "HTTP, one hot SKU": by_http(1),
    }
    found: dict[str, list[Tally]] = {kind: [] for kind in kinds}
    for number in range(rounds + 1):
        for kind, measure in kinds.items():
            tally = measure(seconds if number else WARM_SECONDS)
            if number:
                found[kind].append(tally)
                print(f"round {number}: {kind}: {tally.rate:,.0f}/s, p95 {tally.p95:.1f} ms", flush=True)
    return found


def _report_rounds(report: Report, rounds: dict[str, list[Tally]]) -> None:
    def median(kind: str, name: str) -> float:
        return float(statistics.median(getattr(tally, name) for tally in rounds[kind]))

    rows = [
        [
            *(kind, f"{median(kind, 'rate'):,.0f}"),
            *(median(kind, name) for name in ("p50", "p95", "p99")),
            sum(tally.failed for tally in tallies),
        ]
        for kind, tallies in rounds.items()
    ]
    report.table(["what", "reservations/s", "p50 ms", "p95 ms", "p99 ms", "failed"], rows)
    for where, goal in (("all SKUs", SPREAD_GOAL), ("one hot SKU", HOT_GOAL)):
        pairs = zip(rounds[f"HTTP, {where}"], rounds[f"pgbench, {where}"], strict=True)
        ratios = sorted(http.rate / pgbench.rate for http, pgbench in pairs)
        ratio = median(f"HTTP, {where}", "rate") / median(f"pgbench, {where}", "rate")
        spread = f"single rounds {ratios[0]:.2f} to {ratios[-1]:.2f}"
        report.goal(f"{where}: HTTP / pgbench = {ratio:.2f} ({spread}); goal {goal:g}", ratio >= goal)


def _report_offered(report: Report, port: int, template: Template, rates: list[int], seconds: float) -> None:
    tallies = {rate: offered(port, template, rate=rate, seconds=seconds) for rate in rates}
    rows = [
        [rate, f"{tally.rate:,.0f}", tally.p50, tally.p95, tally.p99, tally.failed] for rate, tally in tallies.items()
    ]
    report.table(["offered/s", "answered/s", "p50 ms", "p95 ms", "p99 ms", "failed"], rows)
    tally = tallies.get(GOAL_RATE)
    if tally is not None:
        text = f"offered {GOAL_RATE}/s: p95 {tally.p95:.0f} ms; goal under {OFFERED_P95_MS:g} ms where the machine"
        is_reached = tally.rate > 0.95 * GOAL_RATE
        text += f" reaches that rate (here it answered {tally.rate:,.0f}/s)"
        report.goal(text, tally.p95 < OFFERED_P95_MS if is_reached else None)


if __name__ == "__main__":
    sys.exit(main())
