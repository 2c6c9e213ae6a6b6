"""pytest plugin: gives the test run PostgreSQL and Valkey of its own, before Django reads its settings.

Loaded by `-p tests.servers` (pytest.ini), earlier than any conftest.py. With DATABASE_URL and REDIS_URL in the
environment the run uses those servers instead; so do the workers of pytest-xdist, which inherit the variables.
SALDO_TEST_DURABLE=1 runs PostgreSQL with fsync, as `scripts/up` does.
"""

import atexit
import os
from collections.abc import Iterator

import pytest

from scripts.launcher.processes import watchdog
from scripts.launcher.throwaway import ThrowawayServers


def _start_unless_given() -> ThrowawayServers | None:
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        return None
    started = ThrowawayServers(durable=os.environ.get("SALDO_TEST_DURABLE") == "1")
    atexit.register(watchdog.close)
    atexit.register(started.stop)
    started.start()
    for name, value in started.variables().items():
        is_given = name in ("DATABASE_URL", "REDIS_URL") and os.environ.get(name)
        os.environ[name] = os.environ[name] if is_given else value
    return started


_servers = _start_unless_given()


@pytest.fixture(scope="session")
def servers() -> ThrowawayServers:
    """The servers of this test run, to be killed and started again: `servers.postgres.kill()`, `.start()`.

    A test that kills one starts it again before it ends, in a `finally`, and closes the connections that Django
    still holds. Skipped where the run was given servers, or shares them with other processes (pytest-xdist).
    """
    if _servers is None:
        pytest.skip("needs servers of its own to kill: unset DATABASE_URL and REDIS_URL, and run without -n")
    return _servers


@pytest.fixture
def durable_servers() -> Iterator[ThrowawayServers]:
    """A second pair of servers for one test, set up as `scripts/up` does; give its `environment()` to processes."""
    with ThrowawayServers(durable=True) as started:
        yield started
