"""Each tick asks what was switched off or on; however many events wait, it looks at a handful of rows."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from apps.connectors.models import Connector
from apps.events import inbox
from apps.events.models import IntegrationEvent
from apps.tenants import flags
from tests import factories

pytestmark = pytest.mark.django_db

ROWS = 20_000
READ_MAX = 50

FILL = """
INSERT INTO integracao_evento (tenant_id, connector_id, canal, tipo, resource_kind, external_id, delivery_key, body,
       status, error_code, error_msg, waiting_for, attempts, interruptions, reprocess_count, trace_id, received_at,
       next_attempt_at)
SELECT %s, %s, 'ML', 'orders_v2', 'orders', n, '', '', %s, '', '', '{}', 0, 0, 0, gen_random_uuid(), now(),
       CASE WHEN %s THEN now() - interval '1 s' END
  FROM generate_series(1, %s) AS n
"""


def fill(connector: Connector, status: str, rows: int = ROWS) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL, [connector.tenant_id, connector.pk, status, status == "RECEBIDO", rows])


def switch(connector: Connector, *, is_enabled: bool) -> None:
    flags.switch(connector.tenant, "integracao.ml.enabled", is_enabled=is_enabled, actor="test")


@pytest.fixture
def accounts() -> tuple[Connector, Connector]:
    """One account whose events wait for it to be switched on, one whose events are due; and done ones of both."""
    off, on = factories.ConnectorFactory(), factories.ConnectorFactory()
    for _ in range(20):
        factories.ConnectorFactory()
    switch(off, is_enabled=False)
    fill(off, "AGUARDANDO")
    fill(on, "RECEBIDO")
    for connector in (off, on):
        fill(connector, "PROCESSADO")
    with connection.cursor() as cursor:
        for table in ("integracao_evento", "integracao_conector", "feature_flag"):
            cursor.execute(f"ANALYZE {table}")
    return off, on


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def events_read(query: str) -> float:
    """Return how many rows of events, or index entries, a query looks at."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")
        [plan] = cursor.fetchone()[0]
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in _nodes(plan["Plan"])
        if node.get("Relation Name") == "integracao_evento"
    )


def test_an_idle_tick_looks_at_a_handful_of_events(accounts: tuple[Connector, Connector]) -> None:
    read = {name: events_read(getattr(inbox, name)) for name in ("OFF_WITH_DUE", "ON_WITH_HELD")}
    assert all(rows <= READ_MAX for rows in read.values()), json.dumps(read)
    assert inbox.obey_flags() == (0, 0)


def test_switching_moves_the_events_of_that_account_alone(
    accounts: tuple[Connector, Connector], monkeypatch: pytest.MonkeyPatch
) -> None:
    off, on = accounts
    monkeypatch.setattr(inbox, "SWITCHED_MAX", ROWS - 1)
    switch(off, is_enabled=True)
    switch(on, is_enabled=False)
    assert inbox.obey_flags() == (ROWS - 1, ROWS - 1)
    assert inbox.obey_flags() == (1, 1)
    assert inbox.obey_flags() == (0, 0)
    due = IntegrationEvent.objects.filter(next_attempt_at__isnull=False)
    assert set(due.values_list("connector_id", "status")) == {(off.pk, "RECEBIDO")}
    held = IntegrationEvent.objects.filter(status="AGUARDANDO")
    assert (held.count(), set(held.values_list("connector_id", flat=True))) == (ROWS, {on.pk})
