"""How long a sale takes from the buyer's click until the marketplace shows the hub's number.

`.venv/bin/python -m benchmarks.freshness [--sales 50] [--limit 3]`: sells one after the other at a random moment of
the second, waits for each, prints the distribution, exits 1 when the 95th percentile is over the limit.
"""

import argparse
import json
import sys

from benchmarks.stack import manage, running_saldo


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sales", type=int, default=50)
    parser.add_argument("--limit", type=float, default=3.0, help="seconds the 95th percentile may take")
    options = parser.parse_args()
    with running_saldo() as saldo:
        printed = manage(saldo, "smoke", f"--sandbox={saldo.sandbox_url}", f"--sales={options.sales}", "--json")
        holds = json.loads(manage(saldo, "prove", "--json"))["holds"]
    figures = json.loads(printed)
    for name, value in figures.items():
        print(f"{name:22} {value}")
    print(f"{'prove':22} {'clean' if holds else 'BROKEN'}")
    return 0 if holds and figures["synced_p95_seconds"] <= options.limit else 1


if __name__ == "__main__":
    sys.exit(main())
