"""What every test gets: settings that are right for tests, and the proof after each test that touched the database."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from apps.console.proof import prove_all
from apps.tenants import identity, rate_limit
from tests import dealing, emptying


def pytest_configure() -> None:
    """Empty the database between transactional tests in our own, quicker way."""
    emptying.install()


@pytest.hookimpl(trylast=True)  # after pytest-django, which puts tests that commit last
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In one of several processes, have the longest files come first."""
    if hasattr(config, "workerinput"):
        dealing.longest_first(items)


@pytest.fixture(autouse=True)
def _prove_afterwards(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check every invariant after each test that used the database; those marked `corrupts` break them on purpose."""
    uses_database = "db" in request.fixturenames or "transactional_db" in request.fixturenames
    if uses_database:
        request.getfixturevalue("transactional_db" if "transactional_db" in request.fixturenames else "db")
    yield
    if uses_database and not request.node.get_closest_marker("corrupts") and not connection.needs_rollback:
        findings: list[Any] = prove_all()
        assert findings == [], f"the test left broken invariants: {findings}"


@pytest.fixture(autouse=True)
def _forget_callers() -> None:
    """Start each test without remembered keys and rate tokens: another test's rows are gone, its keys are not."""
    identity.forget_all()
    rate_limit.forget_all()
