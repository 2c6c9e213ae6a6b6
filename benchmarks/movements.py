"""How many movements a second other systems can push, in batches, through real HTTP and all checks.

`.venv/bin/python -m benchmarks.movements [--seconds 20] [--tills 4] [--batch 500] [--skus 50000] [--limit 5000]`: first
every SKU is stocked, by the same road; then each till, a source with a connection of its own at a place of its own,
sends its next batch as soon as the last one is answered: sales of SKUs drawn by Zipf's law, numbered, each with a
business key. Every event that was answered "accepted" must be in the ledger afterwards, and `prove` must hold; exits 1
otherwise, or below the limit.
"""

import argparse
import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import accumulate, count
from typing import Any
from urllib.parse import urlsplit

from benchmarks.stack import manage, running_saldo

SHOP = """
from apps.inventory.models import Location, Product
from apps.tenants.models import ApiKey, Tenant
tenant = Tenant.objects.create(slug="bench", name="Bench")
Product.objects.bulk_create([Product(tenant=tenant, sku=f"SKU-{{n}}", name="x") for n in range({skus})], 5000)
Location.objects.bulk_create([Location(tenant=tenant, code=f"S{{n}}", name="x") for n in range({places})])
print(ApiKey.issue(tenant, name="bench", scopes=["movements:write"])[1])
"""
MOVED = """
from apps.inventory.models import Movement
print(Movement.objects.filter(tenant__slug="bench", kind="SALE").count())
"""


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--tills", type=int, default=4, help="sources that send at the same time")
    parser.add_argument("--batch", type=int, default=500, help="movements in a batch")
    parser.add_argument("--skus", type=int, default=50_000)
    parser.add_argument("--limit", type=float, default=5_000.0, help="movements a second that must be reached")
    options = parser.parse_args()
    with running_saldo() as saldo:
        shop = SHOP.format(skus=options.skus, places=options.tills)
        sender = Sender(saldo.address, manage(saldo, "shell", "--verbosity", "0", "-c", shop).strip())
        sender.run(options.tills, lambda till: _stocking(till, options))
        stocked = sender.accepted
        started = time.monotonic()
        sender.latencies.clear()
        sender.run(options.tills, lambda till: _sales(till, options))
        seconds = time.monotonic() - started
        moved = int(manage(saldo, "shell", "--verbosity", "0", "-c", MOVED))
        holds = json.loads(manage(saldo, "prove", "--json"))["holds"]
    sold, latencies = sender.accepted - stocked, sorted(sender.latencies)
    rate = sold / seconds
    print(f"{sold} sales in {len(latencies)} batches of {options.batch}, {options.tills} tills: {rate:,.0f}/s")
    for share in (0.5, 0.95, 0.99):
        print(f"p{share * 100:g} {latencies[max(int(share * len(latencies)) - 1, 0)] * 1000:.0f} ms a batch")
    print(f"in the ledger {moved}, prove {'clean' if holds else 'BROKEN'}")
    return 0 if holds and moved == sold and stocked == options.skus and rate >= options.limit else 1


class Sender:
    """Tills that push batches at the same time, and what was answered.

    Attributes:
        accepted: movements that were answered "accepted".
        latencies: seconds from each batch's sending to its answer.
    """

    def __init__(self, url: str, key: str) -> None:
        self.address = urlsplit(url)
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self.accepted = 0
        self.latencies: list[float] = []
        self._lock = threading.Lock()

    def run(self, tills: int, batches: Callable[[int], Iterator[bytes]]) -> None:
        """Let every till push its batches, each with a connection of its own, until they end."""
        threads = [threading.Thread(target=self._push, args=(batches(till),)) for till in range(tills)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _push(self, batches: Iterator[bytes]) -> None:
        connection = http.client.HTTPConnection(self.address.hostname or "", self.address.port)
        for body in batches:
            sent_at = time.monotonic()
            connection.request("POST", "/v1/movements", body, self.headers)
            answer = connection.getresponse()
            result = json.loads(answer.read())
            if answer.status != 200 or result["rejected"]:
                raise RuntimeError(f"a batch was not taken in whole: {answer.status} {str(result)[:500]}")
            with self._lock:
                self.latencies.append(time.monotonic() - sent_at)
                self.accepted += result["accepted"]
        connection.close()


def _stocking(till: int, options: argparse.Namespace) -> Iterator[bytes]:
    """Return the batches that stock every SKU, this till's share of them."""
    skus = list(range(till, options.skus, options.tills))
    for start in range(0, len(skus), options.batch):
        rows = [_event("OPENING", till, sku, 1_000_000, f"open-{sku}") for sku in skus[start : start + options.batch]]
        yield _envelope(f"/bench/erp/{till}", start + 1, rows)


def _sales(till: int, options: argparse.Namespace) -> Iterator[bytes]:
    """Return a till's batches of sales, until the time is over."""
    stocked = range(till, options.skus, options.tills)
    weights = list(accumulate(1 / rank for rank in range(1, len(stocked) + 1)))
    chance = random.Random(till)
    stop_at = time.monotonic() + options.seconds
    for first in count(1, options.batch):
        if time.monotonic() >= stop_at:
            return
        skus = chance.choices(stocked, cum_weights=weights, k=options.batch)
        rows = [_event("SALE", till, sku, -1, f"{till}-{number}") for number, sku in enumerate(skus, first)]
        yield _envelope(f"/bench/pos/term-{till}", first, rows)


def _event(movement_type: str, place: int, sku: int, quantity: int, event_id: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "type": f"stock.movement.{movement_type.lower()}.v1",
        "time": datetime.now(UTC).isoformat(),
        "data": {
            "movement_type": movement_type,
            "sku": f"SKU-{sku}",
            "location": f"S{place}",
            "quantity": str(quantity),
            "document": {"type": "NFCE", "key": f"{event_id:0>44}", "line": 1},
            "business_key": f"S|{event_id}|1",
            "actor": {"kind": "operator", "id": "1042"},
        },
    }


def _envelope(source: str, first: int, events: list[dict[str, Any]]) -> bytes:
    batch = {
        "source": source,
        "epoch": 1,
        "batch_id": f"{source}-{first}",
        "first_seq": first,
        "last_seq": first + len(events) - 1,
        "sent_at": datetime.now(UTC).isoformat(),
        "events": events,
    }
    return json.dumps(batch).encode()


if __name__ == "__main__":
    sys.exit(main())
