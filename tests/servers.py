"""pytest plugin: gives the test run PostgreSQL and Valkey of its own, before Django reads its settings.

Loaded by `-p tests.servers` (pytest.ini), earlier than any conftest.py. Of several processes (`-n`, pytest-xdist) each
starts a pair: in one cluster a transaction of one process would hold up the ledger's followers in all, whatever their
database (feed.py). With DATABASE_URL and REDIS_URL in the environment the run uses those servers instead.
SALDO_TEST_DURABLE=1 runs PostgreSQL with fsync, as `scripts/up` does.
"""

import atexit
import os
from collections.abc import Iterator

import pytest

from scripts.launcher.processes import watchdog
from scripts.launcher.throwaway import ThrowawayServers

STARTED = "SALDO_TEST_SERVERS_STARTED"
"""Stands in the environment of who has started servers, so that a worker of it does not take them for given ones."""


def _start_unless_given() -> ThrowawayServers | None:
    if "PYTEST_XDIST_WORKER" in os.environ and os.environ.get(STARTED):
        del os.environ["DATABASE_URL"], os.environ["REDIS_URL"]
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        return None
    started = ThrowawayServers(durable=os.environ.get("SALDO_TEST_DURABLE") == "1")
    atexit.register(watchdog.close)
    atexit.register(started.stop)
    started.start()
    for name, value in started.variables().items():
        is_given = name in ("DATABASE_URL", "REDIS_URL") and os.environ.get(name)
        os.environ[name] = os.environ[name] if is_given else value
    os.environ[STARTED] = "1"
    return started


_servers = _start_unless_given()


@pytest.fixture(scope="session")
def servers() -> ThrowawayServers:
    """The servers of this test run, to be killed and started again: `servers.postgres.kill()`, `.start()`.

    A test that kills one starts it again before it ends, in a `finally`, and closes the connections that Django
    still holds. Skipped where the run was given servers.
    """
    if _servers is None:
        pytest.skip("needs servers of its own to kill: unset DATABASE_URL and REDIS_URL")
    return _servers


@pytest.fixture
def durable_servers() -> Iterator[ThrowawayServers]:
    """A second pair of servers for one test, set up as `scripts/up` does; give its `environment()` to processes."""
    with ThrowawayServers(durable=True) as started:
        yield started
