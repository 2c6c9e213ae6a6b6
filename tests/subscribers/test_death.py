"""Workers killed at every joint of the road out, and Redis emptied: every event arrives, in order."""

import os
import signal
import subprocess
import sys

import pytest
import redis
from django.conf import settings
from django.db import connection

from apps.subscribers import tasks
from scripts.launcher.throwaway import ThrowawayServers

from .conftest import Receiver, Shop, in_thread, let_time_pass, pending, tell
from .dying_worker import JOINTS


def work_until_death(joint: str) -> int:
    """Run a worker that dies at the joint, on this test's database; return its exit code."""
    base, _, query = os.environ["DATABASE_URL"].partition("?")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"{base.rpartition('/')[0]}/{connection.settings_dict['NAME']}?{query}",
        "FIELD_ENCRYPTION_KEYS": ",".join(settings.FIELD_ENCRYPTION_KEYS),
    }
    command = [sys.executable, "-m", "tests.subscribers.dying_worker", joint]
    return subprocess.run(command, env=environment, timeout=60, check=False).returncode


@pytest.mark.parametrize("joint", JOINTS)
def test_a_worker_killed_when(shop: Shop, receiver: Receiver, joint: str) -> None:
    subscriber, _ = shop.subscribe(receiver.url)
    for _ in range(3):
        shop.receive(shop.shirt)
    assert work_until_death(joint) == -signal.SIGKILL

    let_time_pass()
    tell()

    told = receiver.versions("SHIRT")
    assert list(dict.fromkeys(told)) == [1, 2, 3]  # each, in order …
    assert len(told) <= 4  # … and one more time at most
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 3
    assert pending(subscriber) == 0


def test_redis_emptied_loses_nothing(shop: Shop, receiver: Receiver, servers: ThrowawayServers) -> None:
    shop.subscribe(receiver.url)
    shop.receive(shop.shirt)
    tasks.follow()
    redis.Redis.from_url(servers.valkey.url).flushall()  # the wake-up is gone
    tasks.deliver()  # the next tick
    assert receiver.versions("SHIRT") == [1]


def test_ticks_that_meet_do_the_work_once(shop: Shop, receiver: Receiver) -> None:
    shop.subscribe(receiver.url)
    for _ in range(30):
        shop.receive(shop.shirt)
        shop.receive(shop.mug)
    ticks = [in_thread(tick) for tick in (tasks.follow, tasks.deliver, tasks.follow, tasks.deliver)]
    for tick in ticks:
        tick.join()
    tasks.follow()
    tasks.deliver()
    assert receiver.versions("SHIRT") == receiver.versions("MUG") == list(range(1, 31))
