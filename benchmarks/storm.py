"""A storm of notifications while workers are killed: nothing lost, doubled or stuck, and the door stays fast.

`.venv/bin/python -m benchmarks.storm [--notifications 10000] [--seconds 60] [--kill-every 10] [--limit-ms 100]
[--drain-seconds 300]`: three tenants, each with an account of its own at the sandbox, are told of paid orders, each
order several times, at a steady rate (open loop: latency counts from the moment a post was due). Every few seconds one
worker process is killed with SIGKILL. Then it waits until no event is due. Exits 1 when an order is missing or there
twice, an event is lost or stuck, a number is wrong (`prove`), the 99th percentile of the door is over the limit, or the
inbox is not empty in time.
"""

import argparse
import http.client
import json
import os
import queue
import random
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from apps.sandbox.client import Control
from benchmarks.stack import manage, running_saldo
from scripts.launcher.saldo import Saldo

SENDERS = 16
TENANTS = ("norte", "sul", "leste")
ITEMS, UNITS = 50, 90_000
TIMES_TOLD = 3

OPEN_TENANT = """
from apps.connectors.connecting import connect
from apps.connectors.importing import import_listings
from apps.inventory import ledger
from apps.inventory.models import Location, Movement, Product
from apps.tenants.models import Tenant
tenant = Tenant.objects.create(slug={slug!r}, name={slug!r})
connector = connect(tenant, kind="ML", client_id={client_id!r}, client_secret={secret!r}, refresh_token={token!r})
import_listings(connector, create_products=True)
place = Location.objects.create(tenant=tenant, code="CD", name="Centro")
cause = ledger.Cause(actor="benchmark", reason="opening stock")
products = Product.objects.filter(tenant=tenant).values_list("pk", flat=True)
ledger.post(tenant, [ledger.Move(kind=Movement.Kind.RECEIPT, product_id=product, location_id=place.pk, quantity={units},
                                 cause=cause) for product in products])
print(connector.notification_url, connector.client_id, connector.user_id)
"""
STATE = """
import json
from django.db.models import Count
from django.utils import timezone
from apps.events.models import IntegrationEvent
from apps.inventory.models import Movement
from apps.orders.models import Order
storm = IntegrationEvent.objects.filter(payload__storm=1)
print(json.dumps({
    "events": storm.count(),
    "due": IntegrationEvent.objects.filter(
        next_attempt_at__isnull=False, tenant__slug__in=["norte", "sul", "leste"]).count(),
    "errors": storm.filter(status__in=["ERRO", "QUARENTENA", "MAPEAMENTO"]).count(),
    "orders": Order.objects.filter(tenant__slug__in=["norte", "sul", "leste"]).count(),
    "reserve_movements": Movement.objects.filter(
        kind="RESERVE", tenant__slug__in=["norte", "sul", "leste"]).count(),
    "doubled": Movement.objects.filter(kind="RESERVE", tenant__slug__in=["norte", "sul", "leste"])
        .values("tenant", "reference_id").annotate(times=Count("id")).filter(times__gt=1).count(),
}))
"""


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notifications", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--kill-every", type=float, default=10.0, help="seconds between two killed workers")
    parser.add_argument("--limit-ms", type=float, default=100.0, help="what the door's 99th percentile may take")
    parser.add_argument("--drain-seconds", type=float, default=300.0, help="time for the inbox to be empty afterwards")
    options = parser.parse_args()
    with running_saldo() as saldo:
        control = Control(saldo.sandbox_url)
        addresses = {slug: _open(saldo, control, slug) for slug in TENANTS}
        posts = _sell(control, addresses, options.notifications)
        orders = len(posts) // TIMES_TOLD
        print(f"{len(posts)} notifications of {orders} orders of {len(TENANTS)} tenants in {options.seconds:g} s")
        stop = threading.Event()
        killer = threading.Thread(target=_kill_workers, args=(saldo, options.kill_every, stop))
        killer.start()
        latencies, statuses = _post(posts, options.seconds)
        stop.set()
        killer.join()
        state, drained_seconds = _wait_until_drained(saldo, options.drain_seconds)
        holds = json.loads(manage(saldo, "prove", "--json"))["holds"]
    latencies.sort()
    p99_ms = latencies[int(0.99 * len(latencies)) - 1] * 1000
    figures = {
        "answers": statuses,
        "door p50": f"{latencies[len(latencies) // 2] * 1000:.1f} ms",
        "door p99": f"{p99_ms:.1f} ms",
        "door max": f"{latencies[-1] * 1000:.1f} ms",
        "lost": len(posts) - state["events"] + orders - state["orders"],
        "doubled": state["doubled"] + state["reserve_movements"] - orders,
        "stuck": state["due"] + state["errors"],
        "drained after": f"{drained_seconds:.0f} s",
        "prove": "clean" if holds else "BROKEN",
    }
    for name, value in figures.items():
        print(f"{name:14} {value}")
    is_right = holds and not any(figures[name] for name in ("lost", "doubled", "stuck"))
    return 0 if is_right and statuses == {200: len(posts)} and p99_ms <= options.limit_ms else 1


def _open(saldo: Saldo, control: Control, slug: str) -> tuple[str, str, int, list[str]]:
    """Open a tenant with an account of its own: its notification address, application, account and listings."""
    application = control.application()
    account = control.account(client_id=application["client_id"], nickname=slug.upper())
    ids = control.create_many(account["user_id"], ITEMS, quantity=UNITS)
    code = OPEN_TENANT.format(
        slug=slug,
        client_id=application["client_id"],
        secret=application["client_secret"],
        token=account["refresh_token"],
        units=UNITS,
    )
    url, client_id, _user_id = manage(saldo, "shell", "--verbosity", "0", "-c", code).split()
    return url, client_id, account["user_id"], ids


def _sell(control: Control, addresses: dict[str, tuple[str, str, int, list[str]]], count: int) -> list[tuple[str, str]]:
    """Sell, and return what is to be posted where, each order several times, shuffled."""
    chance = random.Random(2026)
    posts: list[tuple[str, str]] = []
    for number in range(count // TIMES_TOLD):
        url, client_id, user_id, ids = addresses[TENANTS[number % len(TENANTS)]]
        sale = control.sell(chance.choice(ids), 1, notify=False)
        notice = {
            "storm": 1,
            "resource": f"/orders/{sale['order_id']}",
            "topic": "orders_v2",
            "user_id": user_id,
            "application_id": int(client_id),
        }
        posts += [(url, json.dumps(notice))] * TIMES_TOLD
    chance.shuffle(posts)
    return posts


def _post(posts: list[tuple[str, str]], seconds: float) -> tuple[list[float], dict[int, int]]:
    """Post at a steady rate and return each one's latency in seconds and the count of each status."""
    due: queue.Queue[tuple[float, str, str] | None] = queue.Queue()
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    lock = threading.Lock()

    def send() -> None:
        parts = urlsplit(posts[0][0])
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        while (post := due.get()) is not None:
            due_at, url, body = post
            connection.request("POST", urlsplit(url).path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            with lock:
                latencies.append(time.monotonic() - due_at)
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
        connection.close()

    senders = [threading.Thread(target=send) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    started = time.monotonic()
    for number, (url, body) in enumerate(posts):
        due_at = started + number * seconds / len(posts)
        time.sleep(max(0.0, due_at - time.monotonic()))
        due.put((due_at, url, body))
    for _ in senders:
        due.put(None)
    for sender in senders:
        sender.join()
    return latencies, statuses


def _kill_workers(saldo: Saldo, every_seconds: float, stop: threading.Event) -> None:
    """Kill one process of the Celery worker's pool at a time; the pool replaces it, its lease ends by itself."""
    chance, killed = random.Random(7), 0
    while not stop.wait(every_seconds):
        pool = _pool(saldo)
        if pool:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(pool), signal.SIGKILL)
                killed += 1
    print(f"{killed} workers killed")


def _pool(saldo: Saldo) -> list[int]:
    """Return the pids of the worker's pool: the children of the Celery process of this Saldo."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            is_ours = str(saldo.folder.path).encode() in environment
            if is_ours and b"celery" in words and b"worker" in words and b"celery" in _words_of(parent):
                found.append(int(folder.name))
    return found


def _words_of(pid: int) -> list[bytes]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def _wait_until_drained(saldo: Saldo, seconds: float) -> tuple[dict[str, int], float]:
    """Wait until nothing is due and return the state then, and how long that took."""
    started = time.monotonic()
    while True:
        state: dict[str, int] = json.loads(manage(saldo, "shell", "--verbosity", "0", "-c", STATE))
        waited = time.monotonic() - started
        if not state["due"] or waited > seconds:
            return state, waited
        time.sleep(2)


if __name__ == "__main__":
    sys.exit(main())
