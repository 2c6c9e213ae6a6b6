"""Every list is read along an index, in its own order and by its main filters, however full the tables are."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.common import sql_pages
from tests import emptying

from .conftest import Shop, open_shop
from .test_api_verbs import Caller

ROWS = int(os.environ.get("LIST_ROWS", "20000"))

FILL = """
INSERT INTO inventory_products (tenant_id, sku, gtin, name, picking, created_at)
SELECT {tenant}, 'P' || n, '', '', 'FEFO', now() FROM generate_series(1, 200) AS n;

INSERT INTO inventory_balances (tenant_id, product_id, location_id, quantity_on_hand, quantity_reserved, version)
SELECT tenant_id, id, {store}, 0, 0, 0 FROM inventory_products WHERE tenant_id = {tenant} AND sku LIKE 'P%';

CREATE TEMP TABLE p ON COMMIT DROP AS
SELECT id, row_number() OVER (ORDER BY id) - 1 AS slot FROM inventory_products
 WHERE tenant_id = {tenant} AND sku LIKE 'P%';

INSERT INTO inventory_ledger (
       tenant_id, product_id, location_id, kind, transaction_type, on_hand_delta, reserved_delta, on_hand_after,
       reserved_after, version, reason, reference_type, reference_id, actor, source, source_key, trace_id, occurred_at,
       recorded_at, transaction_id)
SELECT {tenant}, p.id, {store}, 'SALE', 'OUT', -1, 0, 0, 0, n, '', CASE WHEN n % 3 = 0 THEN 'order' ELSE '' END,
       n::text, '', '', '', gen_random_uuid(), now() - interval '90 days',
       now() - interval '40 days' + n * interval '1 s', n
  FROM generate_series(1, {rows}) AS n JOIN p ON slot = n % 200;

INSERT INTO inventory_reservations (id, tenant_id, product_id, location_id, quantity, status, idempotency_key,
       requester_id, reference_type, reference_id)
SELECT uuidv7(), {tenant}, p.id, {store}, 1, CASE WHEN n % 50 = 0 THEN 'PENDING' ELSE 'CONFIRMED' END, n, n % 1000,
       '', ''
  FROM generate_series(1, {rows}) AS n JOIN p ON slot = n % 200;

INSERT INTO inventory_batches (
       tenant_id, product_id, location_id, batch_number, quantity, reserved, status, expiry_date)
SELECT {tenant}, p.id, {store}, n, 0, 0, 'ACTIVE', now() + n * interval '1 minute'
  FROM generate_series(1, {rows}) AS n JOIN p ON slot = n % 200;

INSERT INTO inventory_batch_holds (tenant_id, reservation_id, batch_id, quantity)
SELECT {tenant}, id, (SELECT id FROM inventory_batches WHERE tenant_id = {tenant} ORDER BY expiry_date LIMIT 1), 1
  FROM inventory_reservations WHERE tenant_id = {tenant};

INSERT INTO inventory_transfers (tenant_id, code, product_id, origin_id, destination_id, sent, received)
SELECT {tenant}, n, p.id, {store}, {depot}, 2, CASE WHEN n % 50 = 0 THEN 1 ELSE 2 END
  FROM generate_series(1, {rows}) AS n JOIN p ON slot = n % 200;

INSERT INTO inventory_oversells (
       tenant_id, product_id, location_id, opened_at, opened_version, units_short, closed_at)
SELECT {tenant}, p.id, {store}, now(), 1, 1, CASE WHEN n > 20 THEN now() END
  FROM generate_series(1, {rows}) AS n JOIN p ON slot = n % 200;
"""

TABLES = ("ledger", "reservations", "batches", "batch_holds", "transfers", "oversells")
READ_MAX = 2 * (sql_pages.EXAMINED_MAX + ROWS // 100) + 1000
"""A filter without an index of its own: a page's search, and once more to the row where it stopped."""

SMALL_READ_MAX = 2 * (ROWS // 100) + 1000
"""The same of the small shop: it never reads through what is the large one's."""

LISTS = [
    "/v1/reservations?",
    "/v1/reservations?status=PENDING",
    "/v1/reservations?status=PENDING&sku=P7",
    "/v1/reservations?status=PENDING&clientId=500",
    "/v1/reservations?status=CONFIRMED",
    "/v1/reservations?sku=P7&storeId=S1",
    "/v1/reservations?clientId=7",
    "/v1/stores/S1/stock/P7/movements?",
    "/v1/stores/S1/stock/P7/movements?kind=SALE",
    "/v1/stock/movements?",
    "/v1/stock/movements?sku=P7",
    "/v1/stock/movements?referenceType=order&referenceId=300",
    "/v1/batches?",
    "/v1/batches?status=ACTIVE",
    "/v1/batches?sku=P7",
    "/v1/batches?storeId=S1",
    "/v1/batches?expiresBefore=2126-01-01T00:00:00Z",
    "/v1/transfers?",
    "/v1/transfers?open=true",
    "/v1/transfers?code=300",
    "/v1/transfers/in-transit?",
    "/v1/oversells?",
    "/v1/oversells?open=true",
]


@pytest.fixture
def full(transactional_db: None) -> tuple[Shop, Shop]:
    """A shop with ROWS rows in every table, and one with a hundredth of them."""
    emptying.truncate()
    shops = open_shop("large"), open_shop("small")
    for shop, rows in zip(shops, (ROWS, ROWS // 100), strict=True):
        ids = {"tenant": shop.tenant.pk, "store": shop.store.pk, "depot": shop.depot.pk, "rows": rows}
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(FILL.format(**ids))
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ANALYZE inventory_{table}")
    return shops


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def _read(queries: CaptureQueriesContext) -> list[tuple[str, str, float]]:
    """Return (node, table, rows it looked at) of every node of the lists' queries that reads a large table."""
    found = []
    for query in queries.captured_queries:
        if "key_0" not in query["sql"]:
            continue
        with transaction.atomic(), connection.cursor() as cursor:  # SET LOCAL is for a transaction
            # so few rows may be read as fast without an index: the question is whether there is one
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query['sql']}")
            [plan] = cursor.fetchone()[0]
        for node in _nodes(plan["Plan"]):
            table = node.get("Relation Name", "").removeprefix("inventory_")
            if table.startswith(TABLES):
                rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                found.append((node["Node Type"], table, rows * node["Actual Loops"]))
    return found


@pytest.mark.corrupts  # the rows are made, not moved
@pytest.mark.django_db(transaction=True)
def test_every_list_is_read_along_an_index(full: tuple[Shop, Shop]) -> None:
    wrong = {}
    for shop, read_max in zip(full, (READ_MAX, SMALL_READ_MAX), strict=True):
        caller = Caller(shop, "stock:read", "movements:read")
        batch = caller.get("/v1/batches?limit=1")[1]["items"][0]["batchId"]
        for first in [*LISTS, f"/v1/batches/{batch}/holders?"]:
            url = first
            for _page in range(2):
                with CaptureQueriesContext(connection) as queries:
                    status, answer = caller.get(url)
                assert status == 200, answer
                read = _read(queries)
                assert read != [], url
                is_scanned = any(node == "Seq Scan" and rows > 0 for node, _table, rows in read)
                if is_scanned or sum(rows for _node, _table, rows in read) > read_max:
                    wrong[f"{shop.tenant.slug} {url}"] = read
                if answer["next"] is None:
                    break
                url = answer["next"]
    assert wrong == {}
