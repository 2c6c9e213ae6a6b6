"""Death on the road: workers killed at every point of it, Redis emptied, PostgreSQL killed and started again.

Afterwards there is one order, one reservation and the right number at the marketplace, and the log says what happened.
"""

import os
import signal
import subprocess
import sys
import threading

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, connections

from apps.inventory.models import Reservation
from apps.sandbox.server import Sandbox
from apps.sync.models import SyncLog
from scripts.launcher.throwaway import ThrowawayServers
from tests.market import Market, let_time_pass, orders_of, work_until_quiet
from tests.stories.dying_worker import POINTS


def work_until_death(point: str, sandbox: Sandbox) -> int:
    """Run a worker that dies at the point, on this test's database; return its exit code."""
    database = connection.settings_dict["NAME"]
    base, _, query = os.environ["DATABASE_URL"].partition("?")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"{base.rpartition('/')[0]}/{database}?{query}",
        "FIELD_ENCRYPTION_KEYS": ",".join(settings.FIELD_ENCRYPTION_KEYS),
        "MERCADOLIVRE_API_URL": sandbox.url,
        "MERCADOLIVRE_AUTH_URL": sandbox.url,
    }
    command = [sys.executable, "-m", "tests.stories.dying_worker", point]
    return subprocess.run(command, env=environment, timeout=60, check=False).returncode


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_when(market: Market, sandbox: Sandbox, point: str) -> None:
    market.sell("SHIRT", 3)
    market.control.wait_until_notified()
    seen = len(market.control.journal())
    assert work_until_death(point, sandbox) == -signal.SIGKILL

    let_time_pass()
    work_until_quiet()

    assert len(orders_of(market)) == 1
    assert [r.quantity for r in Reservation.objects.all()] == [3]
    assert (market.numbers("SHIRT"), market.shown("SHIRT")) == ((10, 3), 7)
    _assert_log_agrees_with_marketplace(market, seen)


def _assert_log_agrees_with_marketplace(market: Market, seen: int) -> None:
    """Every write the marketplace received has a log row, and every row says what became of it (I8)."""
    writes = [call for call in market.control.journal()[seen:] if call["method"] == "PUT" and not call.get("control")]
    logs = list(SyncLog.objects.filter(product__sku="SHIRT", new_value=7).order_by("pk"))
    assert not [log for log in logs if log.status == "PENDING"]
    assert logs[-1].status == "SUCCESS"
    interrupted = [log for log in logs if log.status == "UNKNOWN"]
    assert len([log for log in logs if log.status == "SUCCESS"]) <= len(writes) <= len(logs)
    assert all(log.error_code == "interrupted" and log.error_message for log in interrupted)


def test_redis_emptied_and_killed_loses_nothing(market: Market, servers: ThrowawayServers) -> None:
    """Redis holds nothing that is needed: the road is walked with it emptied, and with it gone."""
    import redis

    market.sell("SHIRT")
    redis.Redis.from_url(servers.valkey.url).flushall()
    market.settle()
    servers.valkey.kill()
    try:
        market.sell("SHIRT")
        market.settle()
        assert market.numbers("SHIRT") == (10, 2)  # the sale is in; telling the number waits for Redis, as Celery does
    finally:
        servers.valkey.start()
    work_until_quiet()
    assert market.shown("SHIRT") == 8


def test_postgresql_killed_again_and_again_while_sales_come_in(market: Market, servers: ThrowawayServers) -> None:
    """Workers meet the dead server in the middle of whatever they do; the marketplace repeats what was not answered."""
    market.control.notifications(retry_seconds=20)
    is_over = threading.Event()
    worker = threading.Thread(target=_work_through_outages, args=[is_over])
    worker.start()
    try:
        orders = []
        for _ in range(4):
            orders += [market.sell("SHIRT"), market.sell("MUG")]
            servers.postgres.kill()
            servers.postgres.start()
            connections.close_all()
        market.control.wait_until_notified(60)
    finally:
        is_over.set()
        worker.join()
        connections.close_all()
    let_time_pass()
    work_until_quiet()
    assert sorted(order.external_id for order in orders_of(market)) == sorted(orders)
    assert Reservation.objects.count() == len(orders)
    assert (market.numbers("SHIRT"), market.shown("SHIRT")) == ((10, 4), 6)
    assert (market.numbers("MUG"), market.shown("MUG")) == ((10, 4), 6)


def _work_through_outages(is_over: threading.Event) -> None:
    while not is_over.wait(0.01):
        try:
            work_until_quiet()
        except DatabaseError:
            connections.close_all()
    connections.close_all()
