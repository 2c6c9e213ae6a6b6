"""The whole of Saldo as `scripts/up` runs it (web, worker, Beat, durable servers), with parts shot down at random.

The processes find each other again by themselves; nobody restarts anything but what was killed.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from apps.sandbox.server import Sandbox
from scripts.launcher import commands
from scripts.launcher.throwaway import ThrowawayServers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Stack:
    """Web, worker and beat on servers of their own, with the demo shop loaded at a sandbox."""

    def __init__(self, servers: ThrowawayServers, sandbox: Sandbox, logs: Path) -> None:
        self.servers, self.sandbox, self.logs = servers, sandbox, logs
        self.port = _free_port()
        self.environment = {
            **servers.environment(),
            "SALDO_DEMO": "1",
            "PORT": str(self.port),
            "GRANIAN_HOST": "127.0.0.1",
            "GRANIAN_PORT": str(self.port),
            "MERCADOLIVRE_API_URL": sandbox.url,
            "MERCADOLIVRE_AUTH_URL": sandbox.url,
        }
        self.commands = {"web": commands.WEB, "worker": commands.worker(4), "beat": commands.BEAT}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def start(self) -> None:
        self.manage("migrate", "--noinput")
        self.manage("load_demo", "--sandbox", self.sandbox.url)
        for name in self.commands:
            self.run(name)
        _wait(self.is_ready, 60, "the web server is ready")

    def run(self, name: str) -> None:
        with (self.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *self.commands[name]],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """kill -9 the process and all its children, and start it again."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()
        self.run(name)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        for process in self.processes.values():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def stack(durable_servers: ThrowawayServers, tmp_path: Path) -> Iterator[Stack]:
    with Sandbox() as sandbox:
        running = Stack(durable_servers, sandbox, tmp_path)
        try:
            running.start()
            yield running
        finally:
            running.stop()


def test_every_sale_arrives_once_whatever_is_shot_down(stack: Stack) -> None:
    servers, control = stack.servers, stack.sandbox.control
    control.notifications(retry_seconds=60)

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
    chance = random.Random()
    seller = control.state()["accounts"][0]["user_id"]
    items = control.request("GET", f"/sandbox/items?user_id={seller}")["results"]
    items = [item for item in items if not item["variations"] and item["available_quantity"] > 10]
    sold: list[str] = []
    for act in chance.sample(acts * 2, k=len(acts) * 2):
        for _ in range(3):
            sold.append(str(control.sell(chance.choice(items)["id"], 1)["order_id"]))
            time.sleep(chance.random() * 0.5)
        act()
        time.sleep(chance.random() * 2)
    sold.extend(str(control.sell(chance.choice(items)["id"], 1)["order_id"]) for _ in range(3))

    _wait(lambda: _state(stack)["orders"] == len(sold), 120, "every order arrives")
    _wait(lambda: _state(stack)["is_quiet"], 120, "nothing is due any more")
    state = _state(stack)
    assert state["reservations"] == len(sold)
    assert state["unfinished_logs"] == 0
    for item_id, available in state["numbers"].items():
        assert control.item(item_id)["available_quantity"] == available, item_id
    assert json.loads(stack.manage("prove", "--json"))["holds"]


STATE = """
import json
from django.db.models import Q, Sum
from apps.connectors.models import Listing
from apps.events.models import IntegrationEvent
from apps.inventory.models import Balance, Reservation
from apps.orders.models import Order
from apps.sync.models import SyncLog
listings = Listing.objects.filter(variation_id="")
print(json.dumps({
    "orders": Order.objects.count(),
    "reservations": Reservation.objects.filter(status="PENDING").count(),
    "unfinished_logs": SyncLog.objects.filter(status="PENDING").count(),
    "is_quiet": not IntegrationEvent.objects.filter(next_attempt_at__isnull=False).exists()
        and not Listing.objects.filter(Q(due_at__isnull=False) | Q(lease_expires_at__isnull=False)).exists(),
    "numbers": {
        l.item_id: Balance.objects.filter(product=l.product).aggregate(n=Sum("available"))["n"] for l in listings
    },
}))
"""


def _state(stack: Stack) -> dict[str, object]:
    return dict(json.loads(stack.manage("shell", "--verbosity", "0", "-c", STATE)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(is_so: Callable[[], bool], timeout_seconds: float, what: str) -> None:
    ends_at = time.monotonic() + timeout_seconds
    while not is_so():
        assert time.monotonic() < ends_at, f"not within {timeout_seconds:g} s: {what}"
        time.sleep(0.5)
