"""How soon the channels show what moved, and what the delay exposed. Numbers by hand."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone

from apps.connectors.models import Listing
from apps.inventory import ledger
from apps.inventory.models import Location, Movement
from apps.sync import freshness
from apps.sync.freshness import Freshness, TooMany
from apps.sync.models import SyncLog
from tests import emptying, factories

from .test_logs import FILL

Status = SyncLog.Status


@pytest.fixture
def listing(transactional_db: None) -> Listing:
    row: Listing = factories.ListingFactory(accepted_quantity=10)
    factories.stocked(row.product, factories.LocationFactory(tenant=row.tenant), 10)
    return row


def sold(listing: Listing, units: int, seconds_ago: float) -> int:
    """Sell units some time ago and return the movement's id."""
    place = Location.objects.get(tenant=listing.tenant)
    line = ledger.Line(listing.product_id, units, place.pk)
    ledger.reserve(listing.tenant, [line], key=f"{seconds_ago}", cause=ledger.Cause(actor="test"))
    movement, moment = Movement.objects.filter(tenant=listing.tenant).latest("id"), ago(seconds_ago)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # a movement is never changed, but by a test
        cursor.execute(
            "UPDATE inventory_ledger SET recorded_at = %s, occurred_at = %s WHERE id = %s",
            [moment, moment, movement.pk],
        )
    return movement.pk


def ago(seconds: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


def told(listing: Listing, movement: int | None, due: float, sent: float, ended: float, **values: Any) -> SyncLog:
    """Write a try down; all moments are so many seconds ago."""
    row: SyncLog = factories.SyncLogFactory(
        listing=listing,
        movement_id=movement,
        due_at=ago(due),
        finished_at=ago(ended),
        **values,
    )
    SyncLog.objects.filter(pk=row.pk).update(timestamp=ago(sent))
    return row


def the_only() -> Freshness:
    [row] = freshness.measure()
    return row


def about(value: float) -> object:
    return pytest.approx(value, abs=0.5)


@pytest.mark.corrupts  # recorded_at was moved
def test_each_part_of_the_road_is_timed(listing: Listing) -> None:
    movement = sold(listing, 3, 100)
    told(listing, movement, 98, 95, 90, old_value=10, new_value=7)
    row = the_only()
    assert (row.connector_id, row.channel, row.movements, row.waiting, row.tries, row.errors) == (
        *(listing.connector_id, "ML", 1, 0, 1, 0),
    )
    spans = {step: (about(span.p50), about(span.p99)) for step, span in row.spans.items()}
    assert spans == {"followed": (2, 2), "sent": (3, 3), "accepted": (5, 5), "total": (10, 10)}
    assert row.exposure_unit_seconds == about(3 * 10)


@pytest.mark.corrupts
def test_tries_that_failed_are_part_of_the_wait(listing: Listing) -> None:
    movement = sold(listing, 3, 100)
    failed = {"status": Status.ERROR, "error_code": "rate_limited"}
    told(listing, movement, 99, 98, 97, old_value=10, new_value=7, **failed)
    told(listing, movement, 90, 88, 87, old_value=10, new_value=7, **failed)
    told(listing, movement, 60, 55, 50, old_value=10, new_value=7)
    row = the_only()
    assert (row.movements, row.tries, row.errors) == (1, 3, 2)
    assert row.spans["followed"].p50 == about(1)
    assert row.spans["sent"].p50 == about(1)
    assert row.spans["accepted"].p50 == about(48)
    assert row.exposure_unit_seconds == about(3 * 50)


@pytest.mark.corrupts
def test_a_movement_that_a_later_ones_number_overtook_was_accepted_with_it(listing: Listing) -> None:
    first, second = sold(listing, 1, 100), sold(listing, 1, 80)
    told(listing, first, 99, 98, 97, status=Status.ERROR, old_value=10, new_value=9)
    told(listing, second, 60, 58, 50, old_value=10, new_value=8)
    row = the_only()
    assert (row.movements, row.waiting) == (2, 0)
    assert row.spans["total"].p99 == about(50)  # 100 to 50, and 80 to 50
    assert row.spans["total"].p50 == about(40)


@pytest.mark.corrupts
def test_what_was_not_accepted_yet_waits_and_is_exposed_until_now(listing: Listing) -> None:
    movement = sold(listing, 4, 30)
    told(listing, movement, 29, 28, 27, status=Status.ERROR, old_value=10, new_value=6)
    row = the_only()
    assert (row.movements, row.waiting) == (1, 1)
    assert set(row.spans) == {"followed", "sent"}
    assert row.exposure_unit_seconds == about(4 * 30)


@pytest.mark.corrupts
def test_what_the_channel_itself_sold_exposes_nothing(listing: Listing) -> None:
    movement = sold(listing, 3, 30)
    made_of = {"places": [], "margin_percent": 100, "buffer_units": 0, "end_when_units": 0, "cap_units": None}
    told(listing, movement, 29, 28, 20, old_value=10, new_value=7, inputs={**made_of, "sold_there": 2})
    assert the_only().exposure_unit_seconds == about(1 * 10)
    Listing.objects.update(due_at=ago(29), cause_movement_id=movement, sold_there=3)
    assert freshness.too_many() == []


@pytest.mark.corrupts
def test_a_raise_exposes_nothing(listing: Listing) -> None:
    movement = sold(listing, 1, 30)
    told(listing, movement, 29, 28, 20, old_value=3, new_value=9)
    assert the_only().exposure_unit_seconds == 0


@pytest.mark.corrupts
def test_comparisons_and_old_movements_are_not_measured(listing: Listing) -> None:
    old = sold(listing, 1, 7200)
    told(listing, old, 7190, 20, 10)
    told(listing, None, 60, 50, 40)
    row = the_only()
    assert (row.movements, row.tries, row.spans, row.exposure_unit_seconds) == (0, 2, {}, 0)


@pytest.mark.corrupts
def test_quantiles_are_of_all_movements_of_a_connector(listing: Listing) -> None:
    for second in range(1, 10):
        movement = sold(listing, 1, 200 + second / 100)
        told(listing, movement, 200, 200, 200 - second)
    span = the_only().spans["accepted"]
    assert (span.p50, span.p95, span.p99) == (about(5), about(8.6), about(8.92))


def test_another_tenants_tries_are_not_there(listing: Listing) -> None:
    factories.SyncLogFactory(listing=listing)
    stranger = factories.ConnectorFactory()
    assert freshness.measure(tenant_id=stranger.tenant_id, connector_id=listing.connector_id) == []
    assert len(freshness.measure(tenant_id=listing.tenant_id, connector_id=listing.connector_id)) == 1
    assert freshness.measure(tenant_id=listing.tenant_id, connector_id=stranger.pk) == []


@pytest.mark.corrupts
def test_what_waits_and_shows_too_many_is_counted_as_it_is_now(listing: Listing) -> None:
    movement = sold(listing, 4, 50)
    Listing.objects.update(due_at=ago(45), cause_movement_id=movement)
    [offered] = freshness.too_many()
    assert offered == TooMany(listing.connector_id, "ML", 1, 4, about(4 * 50))  # type: ignore[arg-type]
    assert freshness.too_many(tenant_id=factories.TenantFactory().pk) == []
    Listing.objects.update(accepted_quantity=6)
    assert freshness.too_many() == []


def test_nothing_told_is_nothing_measured(listing: Listing) -> None:
    assert (freshness.measure(), freshness.too_many()) == ([], [])


@pytest.mark.corrupts
def test_prometheus_reads_it(listing: Listing) -> None:
    movement = sold(listing, 3, 100)
    told(listing, movement, 98, 95, 90, old_value=10, new_value=7)
    text = Client().get("/metrics").content.decode()
    labels = f'channel="ML",connector="{listing.connector_id}"'
    found = re.search(rf'saldo_sync_freshness_seconds{{{labels},step="total",quantile="0.95"}} (\S+)', text)
    assert found is not None
    assert float(found[1]) == about(10)
    assert f"saldo_sync_tries{{{labels}}} 1" in text
    assert "saldo_troubles{} 0" in text


@pytest.mark.corrupts  # rows of nobody
def test_a_look_reads_the_last_hour_only(transactional_db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL)
        cursor.execute("ANALYZE marketplace_sync_logs")
        for mine, most in (("true", 2500), ("tenant_id = %(tenant)s AND connector_id = %(connector)s", 2500)):
            values = {"minutes": 60, "tries": freshness.TRIES_MAX, "quantiles": [0.5], "tenant": 2, "connector": 1}
            cursor.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + freshness.MEASURE.format(mine=mine), values)
            plan = cursor.fetchone()[0][0]["Plan"]
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < most, mine
    emptying.truncate()
