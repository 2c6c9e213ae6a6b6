"""The log of what was told: kept by month, found along its indexes, complete."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now
from django.utils import timezone

from apps.common import partitions
from apps.connectors.models import Listing
from apps.sync import queue, tasks
from apps.sync.models import SyncLog
from tests import emptying, factories

PAST = Now() - timedelta(minutes=1)  # by the database's clock, whenever the test runs

WHOLE = [("sync", "0002_sales_rates")]


def parts() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'marketplace_sync_logs'::regclass ORDER BY 1"
        )
        return [name for (name,) in cursor.fetchall()]


def migrate(target: list[tuple[str, str]]) -> None:
    MigrationExecutor(connection).migrate(target)


@pytest.mark.django_db(transaction=True)
def test_what_was_written_before_the_table_had_months_is_kept() -> None:
    newest = [MigrationExecutor(connection).loader.graph.leaf_nodes("sync")[0]]
    made_at = [datetime(2026, month, 3, 12, tzinfo=UTC) for month in (5, 7, 7)] + [timezone.now()]
    rows = [factories.SyncLogFactory(error_message="já foi") for _ in made_at]
    for row, moment in zip(rows, made_at, strict=True):
        SyncLog.objects.filter(pk=row.pk).update(timestamp=moment)
    kept = ("pk", "listing_id", "new_value", "timestamp", "error_message")
    told = list(SyncLog.objects.order_by("pk").values_list(*kept))
    try:
        migrate(WHOLE)
        assert parts() == []
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM marketplace_sync_logs")
            assert cursor.fetchone() == (4,)
    finally:
        migrate(newest)
    assert {"marketplace_sync_logs_2026_05", "marketplace_sync_logs_2026_06"} <= set(parts())
    assert list(SyncLog.objects.order_by("pk").values_list(*kept)) == told
    assert factories.SyncLogFactory().pk > told[-1][0]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM marketplace_sync_logs_default")
        assert cursor.fetchone() == (0,)


@pytest.mark.django_db
def test_months_past_their_time_go(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SYNC_LOG_MONTHS = 2
    monkeypatch.setattr(partitions, "_this_month", lambda: datetime(2031, 1, 1, tzinfo=UTC).date())
    tasks.keep_log_months()
    listing = factories.ListingFactory()
    for month, moment in (("01", datetime(2031, 1, 9, tzinfo=UTC)), ("03", datetime(2031, 3, 9, tzinfo=UTC))):
        SyncLog.objects.filter(pk=factories.SyncLogFactory(listing=listing).pk).update(timestamp=moment)
        assert f"marketplace_sync_logs_2031_{month}" in parts()
    monkeypatch.setattr(partitions, "_this_month", lambda: datetime(2031, 4, 1, tzinfo=UTC).date())
    tasks.keep_log_months()
    assert list(SyncLog.objects.values_list("timestamp__month", flat=True)) == [3]
    assert "marketplace_sync_logs_2031_01" not in parts()
    assert "marketplace_sync_logs_2031_07" in parts()


# --- found along an index, however full it is -----------------------------------------------------------------------

FILL = """
INSERT INTO marketplace_sync_logs (tenant_id, product_id, connector_id, listing_id, marketplace, sync_type, new_value,
       status, error_code, error_message, attempt, trigger, movement_id, due_at, "timestamp", finished_at)
SELECT 1 + n % 3, n % 500, 1, n % 500, 'ML', 'STOCK', n % 50, 'SUCCESS', '', '', 1, 'auto', n, moment, moment, moment
  FROM (SELECT n, now() - n * interval '40 s' AS moment FROM generate_series(1, 200000) AS n) AS tries;
"""


@pytest.fixture
def full(transactional_db: None) -> Any:
    """200,000 tries of three months."""
    with connection.cursor() as cursor:
        cursor.execute(FILL)
        cursor.execute("ANALYZE marketplace_sync_logs")
    yield
    emptying.truncate()


def blocks_read(rows: Any) -> int:
    """Return how many 8 kB blocks the query looked at."""
    text, values = rows.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}", values)
        found = cursor.fetchone()[0]
    plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.corrupts  # rows of nobody
def test_no_question_reads_the_whole_log(full: None) -> None:
    logs = SyncLog.objects.all()
    newest = logs.filter(tenant_id=2).order_by("-timestamp", "-id")
    row = newest[1000]
    questions = {
        "a page": newest[:51],
        "a later page": newest.filter(timestamp__lt=row.timestamp)[:51],
        "a product's page": logs.filter(tenant_id=2, product_id=7).order_by("-timestamp", "-id")[:51],
        "a listing's page": logs.filter(listing_id=7).order_by("-timestamp", "-id")[:21],
        "unfinished calls": logs.filter(listing_id=7, status="PENDING"),
        "one try": logs.filter(pk=row.pk, timestamp=row.timestamp),
        "the last quarter of an hour": logs.filter(timestamp__gte=timezone.now() - timedelta(minutes=15)),
    }
    read = {name: blocks_read(question) for name, question in questions.items()}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(relpages) FROM pg_class WHERE relname LIKE 'marketplace_sync_logs_2%%' AND relkind = 'r'"
        )
        whole = int(cursor.fetchone()[0])
    assert whole > 2500
    assert {name: blocks for name, blocks in read.items() if blocks > 350} == {}


# --- complete -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_each_way_of_becoming_due_has_its_word() -> None:
    listing = factories.ListingFactory(accepted_quantity=3)
    same = Listing.objects.filter(pk=listing.pk)

    def claimed() -> tuple[str, bool, bool]:
        same.update(due_at=PAST)
        (claim,) = queue.claim([listing.pk])
        same.update(lease_id=None, lease_expires_at=None)
        return claim.listing.due_trigger, claim.listing.cause_movement_id is not None, claim.due_at is not None

    factories.stocked(listing.product, factories.LocationFactory(tenant=listing.tenant), 5)
    queue.follow()
    assert claimed() == ("auto", True, True)
    queue.sweep()
    assert claimed() == ("sweep", False, True)  # which movement was lost is not known
    queue.mark_now(same)
    assert claimed() == ("manual", False, True)
    queue.mark_now(same, Listing.Trigger.RECONCILE)
    assert claimed() == ("reconcile", False, True)


@pytest.mark.django_db(transaction=True)
def test_who_asks_for_what_waits_already_leaves_its_cause() -> None:
    listing = factories.ListingFactory()
    factories.stocked(listing.product, factories.LocationFactory(tenant=listing.tenant), 5)
    queue.follow()
    queue.mark_now(Listing.objects.all())
    Listing.objects.update(due_at=PAST)
    claimed = queue.claim([listing.pk])[0].listing
    assert claimed.due_trigger == "manual"
    assert claimed.cause_movement_id is not None
    assert claimed.cause_trace_id is not None


@pytest.mark.django_db
def test_a_lease_that_ran_out_keeps_what_made_it_due() -> None:
    listing = factories.ListingFactory()
    factories.stocked(listing.product, factories.LocationFactory(tenant=listing.tenant), 5)
    queue.sweep()
    Listing.objects.update(due_at=PAST)
    queue.claim([listing.pk])
    Listing.objects.update(lease_expires_at=PAST)
    (claim,) = queue.claim([listing.pk])
    assert (claim.listing.due_trigger, claim.was_interrupted, claim.due_at) == ("sweep", True, None)
