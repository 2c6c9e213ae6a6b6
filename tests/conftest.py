"""What every test gets: settings that are right for tests, and the proof after each test that touched the database."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations

from apps.console.proof import prove_all
from apps.tenants import identity, rate_limit


def pytest_configure() -> None:
    """Let the emptying of the database between tests pass the ledger's TRUNCATE trigger. Only tests may do so."""
    flush = DatabaseOperations.execute_sql_flush

    def flush_past_triggers(self: DatabaseOperations, sql_list: list[str]) -> None:
        flush(self, ["SET session_replication_role = replica", *sql_list, "SET session_replication_role = origin"])

    DatabaseOperations.execute_sql_flush = flush_past_triggers


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
