"""The minute's comparison over 50,000 listings: how long it takes, how much memory, how many queries.

`.venv/bin/python -m benchmarks.sweep [--listings 50000] [--limit-seconds 2] [--limit-mb 100]`: the first sweep finds
nothing, the second five listings in a hundred wrong, the third all of them due and Redis empty. Each runs in a process
of its own, whose memory is the highest it ever was; what Django alone takes is shown beside it. Exits 1 over a limit.
"""

import argparse
import sys
from typing import Any

from benchmarks.hub import open_account, play
from benchmarks.report import Report


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listings", type=int, default=50_000)
    parser.add_argument("--limit-seconds", type=float, default=2.0)
    parser.add_argument("--limit-mb", type=float, default=100.0, help="memory that the sweep adds to the process")
    options = parser.parse_args()
    report = Report("sweep", "The minute's comparison", __doc__ or "")
    rows = play("benchmarks.sweep", "sweeps", count=options.listings)
    heading = ["case", "marked", "lined up", "seconds", "memory added (MB)", "reads", "writes"]
    report.table(heading, [[row[name] for name in heading] for row in rows])
    slowest, largest = max(row["seconds"] for row in rows), max(row["memory added (MB)"] for row in rows)
    report.goal(f"under {options.limit_seconds:g} s: {slowest:.2f} s", slowest < options.limit_seconds)
    report.goal(f"under {options.limit_mb:g} MB: {largest:.0f} MB", largest < options.limit_mb)
    report.goal("one query each way", all(row["reads"] == 1 and row["writes"] <= 1 for row in rows))
    return report.write()


def sweeps(sandbox_url: str, count: int) -> list[dict[str, Any]]:
    """Make the listings and sweep them three times, each in a forked process."""
    from django.db import connection

    from apps.common import valkey
    from apps.connectors.models import Connector, Listing
    from apps.inventory.models import FeedCursor

    account = open_account(sandbox_url, [100] * count)
    Connector.objects.update(zero_limit_percent=100)
    FeedCursor.objects.update_or_create(consumer="sync", defaults={"transaction_id": 2**62, "movement_id": 0})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    rows = [_sweep("nothing wrong")]
    wrong = account.listings[::20]
    Listing.objects.filter(pk__in=wrong).update(accepted_quantity=101)
    rows.append(_sweep("5 % wrong"))
    Listing.objects.update(accepted_quantity=101, due_at="2026-01-01T00:00Z")
    valkey.client().flushdb()
    rows.append(_sweep("all due, Redis empty"))
    return rows


def _sweep(case: str) -> dict[str, Any]:
    """Sweep in a child process, which has nothing of what the parent's memory holds in its own peak."""
    import json
    import os
    import resource
    import time

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from apps.common import valkey
    from apps.sync import queue

    connection.close()
    reader, writer = os.pipe()
    if os.fork() == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with CaptureQueriesContext(connection) as queries:
            began = time.perf_counter()
            marked = queue.sweep()
            seconds = time.perf_counter() - began
        sql = [query["sql"].lstrip() for query in queries]
        figures = {
            "case": case,
            "marked": marked,
            "lined up": sum(valkey.client().zcard(key) for key in valkey.client().scan_iter("saldo:sync:*:risk")),
            "seconds": round(seconds, 2),
            "memory added (MB)": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1),
            "reads": len([text for text in sql if "SELECT l.id" in text[:60] or text.startswith("DECLARE")]),
            "writes": len([text for text in sql if text.startswith("UPDATE")]),
        }
        os.write(writer, json.dumps(figures).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer: dict[str, Any] = json.loads(pipe.read())
    return answer


if __name__ == "__main__":
    sys.exit(main())
