"""How long after a movement the channel shows the new number, with 50,000 listings and no quota.

`.venv/bin/python -m benchmarks.latency [--listings 50000] [--seconds 60] [--beats 1]`: the whole of Saldo runs as
`scripts/up` starts it, with the sandbox as the channel. Movements of random products are posted at a steady rate
(open loop), first 5.8 a second, then 83. A movement counts as accepted when a try that began after it was answered.
Ten seconds after the last movement every listing that moved is read at the sandbox and compared with the ledger. The
load begins when every reader of the ledger has read the opening stock: a shop of that size is not in its first
minute. Exits 1 when the 95th percentile is over 2 s at the low rate or 5 s at the high one, a number is wrong, or an
invariant is broken. With `--beats 2` a second Beat sends every tick as well, as when two were started by mistake.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks.hub import open_account
from benchmarks.report import Report
from benchmarks.stack import manage, running_saldo
from scripts.launcher import ROOT, commands, install
from scripts.launcher.saldo import Saldo

RATES = ((5.8, 2.0), (83.0, 5.0))  # movements a second, and the seconds that 95 in a hundred may take
SETTLE_SECONDS = 10

SPANS = """
SELECT extract(epoch FROM told.finished_at - m.recorded_at)::float8
  FROM inventory_ledger m
  LEFT JOIN LATERAL (
      SELECT s.finished_at FROM marketplace_sync_logs s
       WHERE s.tenant_id = m.tenant_id AND s.product_id = m.product_id AND s.status = 'SUCCESS'
         AND s.timestamp >= m.recorded_at ORDER BY s.timestamp LIMIT 1
  ) told ON true
 WHERE m.tenant_id = %s AND m.id > %s
"""


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listings", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each rate lasts")
    parser.add_argument("--beats", type=int, default=1, help="Beats that send the ticks")
    options = parser.parse_args()
    report = Report("latency", "From a movement to the channel", __doc__ or "")
    rows = []
    with running_saldo() as saldo, ExitStack() as beats:
        for _ in range(options.beats - 1):
            beats.enter_context(another_beat(saldo))
        _inside(saldo, "prepare", sandbox_url=saldo.sandbox_url, listings=options.listings)
        for rate, limit_seconds in RATES:
            found = _inside(saldo, "load", sandbox_url=saldo.sandbox_url, rate=rate, seconds=options.seconds)
            rows.append([rate, *(found[name] for name in ("movements", "p50", "p95", "p99", "never", "wrong"))])
            is_soon = found["p95"] <= limit_seconds
            report.goal(f"{rate:g} a second: 95 % within {limit_seconds:g} s: {found['p95']:.2f} s", is_soon)
            report.goal(f"{rate:g} a second: no number wrong after {SETTLE_SECONDS} s", not found["wrong"])
        holds = json.loads(manage(saldo, "prove", "--json"))["holds"]
    report.table(["movements/s", "movements", "p50 (s)", "p95 (s)", "p99 (s)", "never told", "wrong numbers"], rows)
    report.goal("prove clean", holds)
    return report.write()


@contextmanager
def another_beat(saldo: Saldo) -> Iterator[None]:
    """Run one more Beat beside the one that is there."""
    with subprocess.Popen([install.PYTHON, *commands.BEAT], env=saldo.environment(), cwd=ROOT) as beat:
        try:
            yield
        finally:
            beat.terminate()


def _inside(saldo: Saldo, function: str, **arguments: Any) -> Any:
    words = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    code = f"import json; from benchmarks import latency; print(json.dumps(latency.{function}({words})))"
    return json.loads(manage(saldo, "shell", "--verbosity", "0", "-c", code).splitlines()[-1])


# --- In a process of the hub ---------------------------------------------------------------------------------------


def prepare(sandbox_url: str, listings: int) -> int:
    """Open the account with its listings and stock; returns how many there are."""
    from django.db import connection

    from apps.connectors.models import Connector
    from apps.inventory import feed

    account = open_account(sandbox_url, [1000] * listings)
    Connector.objects.filter(pk=account.connector.pk).update(calls_per_minute=0)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    while any(feed.oldest_unread().values()):
        time.sleep(1)
    return len(account.listings)


def load(sandbox_url: str, rate: float, seconds: float) -> dict[str, Any]:
    """Post movements at a rate, wait, and return how long each took to be accepted and what is wrong."""
    from django.db import connection

    from apps.inventory import ledger
    from apps.inventory.models import Balance, Location, Movement
    from apps.sandbox.client import Control
    from apps.tenants.models import Tenant

    dice = random.Random(round(rate * 10))
    tenant = Tenant.objects.get(slug="bench")
    place = Location.objects.get(tenant=tenant)
    items = dict(tenant_listings(tenant.pk))
    products = list(items)
    cause = ledger.Cause(actor="benchmark", source="pos")
    before = Movement.objects.order_by("-id").values_list("id", flat=True).first() or 0
    moved: set[int] = set()
    began = time.monotonic()
    for number in range(round(rate * seconds)):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        product_id = dice.choice(products)
        moved.add(product_id)
        kind = dice.choice([Movement.Kind.SALE, Movement.Kind.RECEIPT])
        move = ledger.Move(kind=kind, product_id=product_id, location_id=place.pk, quantity=1, cause=cause)
        ledger.post_one(tenant, move)
    time.sleep(SETTLE_SECONDS)
    control = Control(sandbox_url)
    available = dict(Balance.objects.filter(tenant=tenant, product_id__in=moved).values_list("product_id", "available"))
    wrong = sum(int(control.item(items[one])["available_quantity"]) != available[one] for one in moved)
    with connection.cursor() as cursor:
        cursor.execute(SPANS, [tenant.pk, before])
        spans = [row[0] for row in cursor.fetchall()]
    told = sorted(span for span in spans if span is not None)
    return {
        "movements": len(spans),
        **{f"p{share}": told[min(len(told) - 1, len(told) * share // 100)] for share in (50, 95, 99)},
        "never": len(spans) - len(told),
        "wrong": wrong,
    }


def tenant_listings(tenant_id: int) -> list[tuple[int, str]]:
    """Return (product, item) of every listing of a tenant."""
    from apps.connectors.models import Listing

    rows = Listing.objects.filter(tenant_id=tenant_id, product__isnull=False)
    return [(product_id or 0, item_id) for product_id, item_id in rows.values_list("product_id", "item_id")]


if __name__ == "__main__":
    sys.exit(main())
