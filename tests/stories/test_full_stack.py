"""The whole of Saldo as `scripts/up` runs it (web, worker, Beat, durable servers), with parts shot down at random.

`SALDO_SHOTS=5 pytest tests/stories/test_full_stack.py -m slow`: each part five times.

What was killed is started again, and what dies of it (Beat, when PostgreSQL is away as it starts) is restarted by the
launcher's supervisor; otherwise the processes find each other again by themselves.
"""

import json
import os
import random
import time
from collections.abc import Callable

import pytest
import redis

from tests.receivers import Receiver, Request
from tests.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


SHOTS = int(os.environ.get("SALDO_SHOTS", "1"))
"""How often each part is shot down."""


def test_every_sale_arrives_once_whatever_is_shot_down(stack: Stack) -> None:
    servers, control = stack.servers, stack.sandbox.control
    control.notifications(retry_seconds=60)
    chance = random.Random()
    refused: set[str] = set()

    def moody(request: Request) -> int:
        """Refuse every tenth event, once."""
        if chance.random() < 0.9 or request.event["id"] in refused:
            return 200
        refused.add(request.event["id"])
        return 500

    receiver = Receiver(moody)
    tenant = json.loads(stack.manage("shell", "--verbosity", "0", "-c", TENANT))
    stack.manage("create_subscriber", "--tenant", tenant, "--url", receiver.url)

    def restart(server: object) -> None:
        server.kill()
        time.sleep(1)
        server.start()

    acts: list[Callable[[], object]] = [
        lambda: stack.kill("worker"),
        lambda: stack.kill("beat"),
        lambda: stack.kill("web"),
        lambda: restart(servers.postgres),
        lambda: restart(servers.valkey),
        lambda: redis.Redis.from_url(servers.valkey.url).flushall(),
    ]
    seller = control.state()["accounts"][0]["user_id"]
    items = control.request("GET", f"/sandbox/items?user_id={seller}")["results"]
    items = [item for item in items if not item["variations"] and item["available_quantity"] > 10]
    sold: list[str] = []
    for act in chance.sample(acts * SHOTS, k=len(acts) * SHOTS):
        for _ in range(3):
            sold.append(str(control.sell(chance.choice(items)["id"], 1)["order_id"]))
            time.sleep(chance.random() * 0.5)
        act()
        stack.supervise()
        time.sleep(chance.random() * 2)
    sold.extend(str(control.sell(chance.choice(items)["id"], 1)["order_id"]) for _ in range(3))

    stack.wait(lambda: _state(stack)["orders"] == len(sold), 120, "every order arrives")
    stack.wait(lambda: _state(stack)["is_quiet"], 120, "nothing is due any more")
    stack.wait(lambda: _state(stack)["untold"] == 0, 180, "every event is told")
    state = _state(stack)
    first_told = dict.fromkeys((e["data"]["sku"], e["data"]["version"]) for e in receiver.events)
    reserved = [e["data"]["reservation_id"] for e in receiver.events if e["type"] == "inventory.reserve.request"]
    assert len(set(reserved)) == len(sold)
    for sku in {sku for sku, _ in first_told}:
        versions = [version for other, version in first_told if other == sku]
        assert versions == list(range(versions[0], versions[0] + len(versions))), sku
    receiver.close()
    assert state["reservations"] == len(sold)
    assert state["unfinished_logs"] == 0
    for item_id, available in state["numbers"].items():
        assert control.item(item_id)["available_quantity"] == available, item_id
    assert json.loads(stack.manage("prove", "--json"))["holds"]


TENANT = """
import json
from apps.tenants.models import Tenant
print(json.dumps(Tenant.objects.get().slug))
"""

STATE = """
import json
from django.db.models import Q, Sum
from apps.connectors.models import Listing
from apps.events.models import IntegrationEvent
from apps.inventory.models import Balance, Reservation
from apps.orders.models import Order
from apps.subscribers.models import Delivery
from apps.sync.models import SyncLog
listings = Listing.objects.filter(variation_id="")
print(json.dumps({
    "orders": Order.objects.count(),
    "reservations": Reservation.objects.filter(status="PENDING").count(),
    "unfinished_logs": SyncLog.objects.filter(status="PENDING").count(),
    "untold": Delivery.objects.exclude(status="DELIVERED").count(),
    "is_quiet": not IntegrationEvent.objects.filter(next_attempt_at__isnull=False).exists()
        and not Listing.objects.filter(Q(due_at__isnull=False) | Q(lease_expires_at__isnull=False)).exists(),
    "numbers": {
        l.item_id: Balance.objects.filter(product=l.product).aggregate(n=Sum("available"))["n"] for l in listings
    },
}))
"""


def _state(stack: Stack) -> dict[str, object]:
    return dict(json.loads(stack.manage("shell", "--verbosity", "0", "-c", STATE)))
