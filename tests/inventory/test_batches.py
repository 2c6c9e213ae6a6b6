"""Batches: who is picked first, what holds them, what leaves the shelf when a date passes or somebody recalls it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.inventory import ledger, refusals, stock
from apps.inventory.ledger import Line
from apps.inventory.models import Balance, Batch, BatchHold, Movement, Product, Reservation

from .conftest import Shop

Kind = Movement.Kind


def in_days(days: float) -> dict[str, object]:
    return {"batch_expires_at": timezone.now() + timedelta(days=days)}


@pytest.fixture
def dairy(shop: Shop) -> Shop:
    """Ten of B, which expire later but came first, and five of A."""
    shop.move(Kind.RECEIPT, 10, batch_number="B", **in_days(60))
    shop.move(Kind.RECEIPT, 5, batch_number="A", **in_days(30))
    return shop


def batches(shop: Shop) -> dict[str, tuple[int, int]]:
    rows = Batch.objects.filter(product=shop.shirt).order_by("batch_number")
    return {row.batch_number: (row.quantity, row.reserved) for row in rows}


def test_what_expires_first_goes_first_and_a_hold_may_span_batches(dairy: Shop) -> None:
    [held] = dairy.reserve(Line(dairy.shirt.pk, 7, dairy.store.pk))
    assert batches(dairy) == {"": (0, 0), "A": (5, 5), "B": (10, 2)}
    assert BatchHold.objects.filter(reservation_id=held.reservation_id).count() == 2
    ledger.confirm(dairy.tenant, held.reservation_id, key=dairy.key(), cause=dairy.cause())
    assert batches(dairy) == {"": (0, 0), "A": (0, 0), "B": (8, 0)}


def test_first_in_first_out_where_the_product_asks_for_it(dairy: Shop) -> None:
    Product.objects.filter(pk=dairy.shirt.pk).update(picking=Product.Picking.FIFO)
    dairy.reserve(Line(dairy.shirt.pk, 7, dairy.store.pk))
    assert batches(dairy) == {"": (0, 0), "A": (5, 0), "B": (10, 7)}


def test_a_part_confirmed_returns_the_rest_to_its_batches(dairy: Shop) -> None:
    [held] = dairy.reserve(Line(dairy.shirt.pk, 7, dairy.store.pk))
    ended = ledger.confirm(dairy.tenant, held.reservation_id, key=dairy.key(), cause=dairy.cause(), quantity=3)
    assert (ended.confirmed, ended.returned, ended.available) == (3, 4, 12)
    assert batches(dairy) == {"": (0, 0), "A": (2, 0), "B": (10, 0)}


def test_a_blocked_batch_leaves_what_is_available_at_once(dairy: Shop) -> None:
    batch = Batch.objects.get(batch_number="B")
    assert ledger.block_batch(dairy.tenant, batch.pk, cause=dairy.cause()) == 10
    assert Balance.objects.get(product=dairy.shirt).available == 5
    with pytest.raises(refusals.InsufficientStock):
        dairy.reserve(Line(dairy.shirt.pk, 6, dairy.store.pk))
    ledger.unblock_batch(dairy.tenant, batch.pk, cause=dairy.cause())
    assert Balance.objects.get(product=dairy.shirt).available == 15


def test_what_a_blocked_batch_gets_back_stays_off_sale(dairy: Shop) -> None:
    [held] = dairy.reserve(Line(dairy.shirt.pk, 7, dairy.store.pk))
    ledger.block_batch(dairy.tenant, Batch.objects.get(batch_number="A").pk, cause=dairy.cause())
    ended = ledger.release(dairy.tenant, held.reservation_id, key=dairy.key(), cause=dairy.cause())
    assert ended.available == 10


def test_a_batch_whose_date_passed_is_not_sold(dairy: Shop) -> None:
    Batch.objects.filter(batch_number="A").update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(refusals.InsufficientStock) as refusal:
        dairy.reserve(Line(dairy.shirt.pk, 11, dairy.store.pk))
    assert refusal.value.facts["available"] == 10
    assert Batch.objects.get(batch_number="A").status == Batch.Status.EXPIRED
    with pytest.raises(refusals.BatchExpired):
        ledger.unblock_batch(dairy.tenant, Batch.objects.get(batch_number="A").pk, cause=dairy.cause())


def test_the_sweeper_retires_batches_and_says_so_in_the_ledger(dairy: Shop) -> None:
    Batch.objects.filter(batch_number="A").update(expires_at=timezone.now() - timedelta(seconds=1))
    assert ledger.expire_due() == 1
    assert Balance.objects.get(product=dairy.shirt).available == 10
    assert Movement.objects.get(kind=Kind.BLOCK).blocked_delta == 5


def test_a_sale_beyond_what_the_batches_hold_stands_without_a_number(dairy: Shop) -> None:
    posted = dairy.move(Kind.SALE, 20)
    assert posted.on_hand == -5
    assert batches(dairy) == {"": (-5, 0), "A": (0, 0), "B": (0, 0)}


def test_what_was_there_before_the_first_batch_keeps_its_holds(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    [held] = shop.reserve(Line(shop.shirt.pk, 4, shop.store.pk))
    shop.move(Kind.RECEIPT, 5, batch_number="A", **in_days(30))
    assert batches(shop) == {"": (10, 4), "A": (5, 0)}
    ledger.confirm(shop.tenant, held.reservation_id, key=shop.key(), cause=shop.cause())
    assert batches(shop) == {"": (6, 0), "A": (5, 0)}


def test_of_two_dates_for_one_batch_the_earlier_counts(dairy: Shop) -> None:
    dairy.move(Kind.RECEIPT, 1, batch_number="A", **in_days(90))
    assert Batch.objects.get(batch_number="A").expires_at < timezone.now() + timedelta(days=31)


def test_an_adjustment_of_a_batch_takes_no_more_than_is_free_in_it(dairy: Shop) -> None:
    with pytest.raises(refusals.InsufficientStock):
        dairy.move(Kind.ADJUSTMENT, -6, batch_number="A")
    with pytest.raises(refusals.UnknownBatch):
        dairy.move(Kind.ADJUSTMENT, -1, batch_number="Z")
    assert dairy.move(Kind.ADJUSTMENT, -5, batch_number="A").on_hand == 10


def test_a_count_shares_its_difference_out(dairy: Shop) -> None:
    assert dairy.move(Kind.COUNT, 8).on_hand == 8
    assert batches(dairy) == {"": (0, 0), "A": (0, 0), "B": (8, 0)}


def test_an_expired_hold_returns_to_its_batch(dairy: Shop) -> None:
    [held] = dairy.reserve(Line(dairy.shirt.pk, 5, dairy.store.pk), ttl_seconds=60)
    Reservation.objects.filter(pk=held.reservation_id).update(expires_at=timezone.now())
    assert ledger.expire_due() == 1
    assert batches(dairy)["A"] == (5, 0)


# --- what is blocked is what is free in batches that are off sale, never less than nothing ----------------------------


def test_a_batch_that_owes_more_than_it_has_blocks_nothing_when_it_expires(dairy: Shop) -> None:
    """Two of A are promised and none is left of it: its date must not make those two available again."""
    dairy.reserve(Line(dairy.shirt.pk, 2, dairy.store.pk))
    dairy.move(Kind.SALE, 5, batch_number="A")
    assert dairy.numbers(dairy.shirt, dairy.store) == (10, 2, 8)
    Batch.objects.filter(batch_number="A").update(expires_at=timezone.now() - timedelta(seconds=1))
    ledger.expire_due()
    assert dairy.numbers(dairy.shirt, dairy.store) == (10, 2, 8)


@pytest.mark.parametrize("verb", [ledger.confirm, ledger.release])
def test_a_promise_of_a_recalled_batch_that_is_gone_ends_rightly(dairy: Shop, verb: Any) -> None:
    [held] = dairy.reserve(Line(dairy.shirt.pk, 2, dairy.store.pk))
    dairy.move(Kind.SALE, 5, batch_number="A")
    ledger.block_batch(dairy.tenant, Batch.objects.get(batch_number="A").pk, cause=dairy.cause())
    ended = verb(dairy.tenant, held.reservation_id, key=dairy.key(), cause=dairy.cause())
    assert ended.available == (8 if ended.status == "CONFIRMED" else 10)


def test_units_without_a_number_can_be_blocked_and_what_joins_them_is_blocked_too(dairy: Shop) -> None:
    unnumbered = Batch.objects.get(batch_number="")
    dairy.receive(dairy.shirt, dairy.store, 3)
    assert ledger.block_batch(dairy.tenant, unnumbered.pk, cause=dairy.cause()) == 3
    dairy.receive(dairy.shirt, dairy.store, 4)
    assert dairy.numbers(dairy.shirt, dairy.store) == (22, 0, 15)
    dairy.reserve(Line(dairy.shirt.pk, 16, dairy.store.pk), is_fact=True)
    assert dairy.numbers(dairy.shirt, dairy.store) == (22, 16, 0)


def test_a_count_of_nothing_leaves_nothing_blocked(dairy: Shop) -> None:
    """Nobody counted the ten of the blocked batch, so they are not there: what comes next is for sale."""
    ledger.block_batch(dairy.tenant, Batch.objects.get(batch_number="B").pk, cause=dairy.cause())
    assert dairy.move(Kind.COUNT, 0).available == 0
    assert dairy.receive(dairy.shirt, dairy.store, 6).available == 6


def test_a_count_of_one_batch_is_refused(dairy: Shop) -> None:
    """Taken for a count of everything, it would write off all other batches."""
    with pytest.raises(refusals.CountOfBatch):
        dairy.move(Kind.COUNT, 5, batch_number="A")
    assert dairy.numbers(dairy.shirt, dairy.store) == (15, 0, 15)


# --- what is due counts no longer, in batches too ---------------------------------------------------------------------


def test_a_due_hold_makes_way_after_a_batch_was_retired_in_the_same_call(dairy: Shop) -> None:
    [held] = dairy.reserve(Line(dairy.shirt.pk, 12, dairy.store.pk), ttl_seconds=60)  # 5 of A, 7 of B
    Reservation.objects.filter(pk=held.reservation_id).update(expires_at=timezone.now())
    dairy.move(Kind.RECEIPT, 4, batch_number="C", **in_days(5))
    Batch.objects.filter(batch_number="C").update(expires_at=timezone.now() - timedelta(seconds=1))
    moved = dairy.move(Kind.TRANSFER_OUT, 6, transfer_code="T1", other_location_id=dairy.depot.pk)
    assert (moved.on_hand, moved.available) == (13, 9)


def test_a_due_hold_of_the_named_batch_makes_way(dairy: Shop) -> None:
    [held] = dairy.reserve(Line(dairy.shirt.pk, 5, dairy.store.pk), ttl_seconds=60)
    Reservation.objects.filter(pk=held.reservation_id).update(expires_at=timezone.now())
    assert dairy.move(Kind.ADJUSTMENT, -5, batch_number="A").available == 10


def test_an_adjustment_of_a_batch_cannot_take_what_is_promised_elsewhere(dairy: Shop) -> None:
    dairy.reserve(Line(dairy.shirt.pk, 14, dairy.store.pk), is_fact=True)
    dairy.move(Kind.SALE, 3, batch_number="A")  # 12 there, 14 promised
    with pytest.raises(refusals.InsufficientStock):
        dairy.move(Kind.ADJUSTMENT, -1, batch_number="B")


def test_a_line_without_a_place_is_not_taken_from_an_expired_batch(dairy: Shop) -> None:
    Batch.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    dairy.receive(dairy.shirt, dairy.depot, 3)
    assert dairy.reserve(Line(dairy.shirt.pk, 3))[0].location_id == dairy.depot.pk


def test_sweeping_goes_on_past_batches_of_which_nothing_is_free(dairy: Shop) -> None:
    dairy.move(Kind.RECEIPT, 1, batch_number="Z", location=dairy.depot, **in_days(1))
    dairy.move(Kind.SALE, 1, batch_number="Z", location=dairy.depot)
    Batch.objects.filter(batch_number="Z").update(expires_at=timezone.now() - timedelta(seconds=2))
    Batch.objects.filter(batch_number="A").update(expires_at=timezone.now() - timedelta(seconds=1))
    assert ledger.expire_due(balances_max=1) == 1
    assert not Batch.objects.filter(status=Batch.Status.ACTIVE, expires_at__lte=timezone.now()).exists()


def test_a_sale_may_take_what_is_free_in_a_batch_and_then_more_of_it(dairy: Shop) -> None:
    """The batch without a number is the last resort too: the hold names it once."""
    dairy.receive(dairy.shirt, dairy.store, 3)
    [held] = dairy.reserve(Line(dairy.shirt.pk, 20, dairy.store.pk), is_fact=True)
    assert batches(dairy) == {"": (3, 5), "A": (5, 5), "B": (10, 10)}
    assert BatchHold.objects.filter(reservation_id=held.reservation_id).count() == 3


def test_who_reads_sees_what_a_due_hold_of_an_overdrawn_batch_gives_back(dairy: Shop) -> None:
    """All of A is promised and then sold besides; A expires and the promise falls due before anybody sweeps."""
    [held] = dairy.reserve(Line(dairy.shirt.pk, 5, dairy.store.pk), ttl_seconds=60)
    dairy.move(Kind.SALE, 5, batch_number="A")
    Batch.objects.filter(batch_number="A").update(expires_at=timezone.now() - timedelta(seconds=1))
    Reservation.objects.filter(pk=held.reservation_id).update(expires_at=timezone.now())
    [read] = stock.read(dairy.tenant.pk, [{"sku": "SHIRT", "store": "S1"}])
    ledger.expire_due()
    assert (read.on_hand, read.reserved, read.available) == dairy.numbers(dairy.shirt, dairy.store)


def test_one_reversal_may_be_shared_out_over_batches(dairy: Shop) -> None:
    received = dairy.receive(dairy.shirt, dairy.store, 7)
    dairy.move(Kind.SALE, 10)  # five of A, five of B: five of B are left, and the seven
    reversal = dairy.move(Kind.ADJUSTMENT, -7, reverses_id=received.movement_ids[0])
    assert len(reversal.movement_ids) > 1
    with pytest.raises(refusals.AlreadyReversed):
        dairy.move(Kind.ADJUSTMENT, -7, reverses_id=received.movement_ids[0])
