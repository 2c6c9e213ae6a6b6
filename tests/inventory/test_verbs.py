"""Time to live, parts, versions, transfers, costs, reversals, oversells, and many requests in one call."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from apps.inventory import ledger, refusals
from apps.inventory.ledger import EndRequest, Line, ReserveRequest
from apps.inventory.models import Balance, Movement, Oversell, Reservation, Transfer

from .conftest import Shop, open_shop

Kind = Movement.Kind


def let_it_pass(reservation_id: str) -> None:
    Reservation.objects.filter(pk=reservation_id).update(expires_at=timezone.now())


# --- time to live ---------------------------------------------------------------------------------------------------


def test_a_hold_has_a_deadline_by_the_databases_clock(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    [held] = shop.reserve(Line(shop.shirt.pk, 5, shop.store.pk), ttl_seconds=60)
    row = Reservation.objects.get(pk=held.reservation_id)
    assert row.expires_at is not None
    assert row.expires_at - row.created_at == timedelta(seconds=60)
    assert ledger.expire_due() == 0


def test_an_expired_hold_stops_counting_at_once(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    [held] = shop.reserve(Line(shop.shirt.pk, 5, shop.store.pk), ttl_seconds=60)
    let_it_pass(held.reservation_id)
    shop.reserve(Line(shop.shirt.pk, 5, shop.store.pk))
    assert Reservation.objects.get(pk=held.reservation_id).status == Reservation.Status.EXPIRED
    assert shop.numbers(shop.shirt, shop.store) == (5, 5, 0)


@pytest.mark.parametrize("verb", [ledger.confirm, ledger.release])
def test_an_expired_hold_can_no_longer_end_another_way(shop: Shop, verb: object) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    [held] = shop.reserve(Line(shop.shirt.pk, 5, shop.store.pk), ttl_seconds=60)
    let_it_pass(held.reservation_id)
    with pytest.raises(refusals.Expired):
        verb(shop.tenant, held.reservation_id, key=shop.key(), cause=shop.cause())  # type: ignore[operator]
    assert Reservation.objects.get(pk=held.reservation_id).status == Reservation.Status.EXPIRED
    assert shop.numbers(shop.shirt, shop.store) == (5, 0, 5)


def test_an_expired_hold_stops_counting_for_a_line_without_a_place(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    [held] = shop.reserve(Line(shop.shirt.pk, 5, shop.store.pk), ttl_seconds=60)
    let_it_pass(held.reservation_id)
    assert shop.reserve(Line(shop.shirt.pk, 5))[0].quantity == 5


def test_no_more_due_holds_are_ended_than_a_request_needs(shop: Shop) -> None:
    """To end them all would keep the balance locked for seconds; the sweeper ends the rest, a portion at a time."""
    shop.receive(shop.shirt, shop.store, 1300)
    line = Line(shop.shirt.pk, 1, shop.store.pk)
    asked = ledger.ReserveRequest(tenant_id=shop.tenant.pk, lines=[line], cause=shop.cause(), ttl_seconds=60)
    ledger.reserve_many([asked] * 1300)
    Reservation.objects.update(expires_at=timezone.now())
    shop.reserve(Line(shop.shirt.pk, 150, shop.store.pk))
    assert shop.numbers(shop.shirt, shop.store) == (1300, 1250, 50)
    with connection.cursor() as cursor:
        cursor.execute("SELECT balances, movements FROM inventory_expire(10)")
        assert cursor.fetchone() == (1, 1000)
    assert ledger.expire_due() == 100
    assert shop.numbers(shop.shirt, shop.store) == (1300, 150, 1150)


def test_the_sweeper_ends_what_is_due_and_nothing_else(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 9)
    due = [shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), ttl_seconds=60)[0] for _ in range(3)]
    shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), ttl_seconds=3600)
    shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk))
    for held in due:
        let_it_pass(held.reservation_id)
    assert ledger.expire_due(balances_max=1) == 3
    assert shop.numbers(shop.shirt, shop.store) == (9, 2, 7)


# --- parts ----------------------------------------------------------------------------------------------------------


def test_of_a_part_confirmed_the_rest_returns(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    [held] = shop.reserve(Line(shop.shirt.pk, 6, shop.store.pk))
    ended = ledger.confirm(shop.tenant, held.reservation_id, key=shop.key(), cause=shop.cause(), quantity=4)
    assert (ended.confirmed, ended.returned, ended.on_hand, ended.available) == (4, 2, 6, 6)


def test_more_than_is_reserved_cannot_be_confirmed(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    [held] = shop.reserve(Line(shop.shirt.pk, 6, shop.store.pk))
    with pytest.raises(refusals.QuantityExceedsReservation):
        ledger.confirm(shop.tenant, held.reservation_id, key=shop.key(), cause=shop.cause(), quantity=7)
    assert shop.numbers(shop.shirt, shop.store) == (10, 6, 4)


# --- versions -------------------------------------------------------------------------------------------------------


def test_a_stale_version_changes_nothing(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    with pytest.raises(refusals.VersionMismatch) as refusal:
        shop.move(Kind.RECEIPT, 5, expected_version=0)
    assert refusal.value.facts["version"] == 1
    assert shop.move(Kind.RECEIPT, 5, expected_version=1).version == 2


def test_a_first_receipt_expects_version_zero(shop: Shop) -> None:
    assert shop.move(Kind.RECEIPT, 5, expected_version=0).version == 1


# --- transfers ------------------------------------------------------------------------------------------------------


def test_a_transfer_is_on_its_way_until_it_is_received(shop: Shop) -> None:
    shop.move(Kind.RECEIPT, 10, unit_cost=Decimal("2.50"))
    shop.move(Kind.TRANSFER_OUT, 6, transfer_code="T1", other_location_id=shop.depot.pk)
    assert shop.numbers(shop.shirt, shop.store) == (4, 0, 4)
    transfer = Transfer.objects.get(code="T1")
    assert (transfer.in_transit, transfer.destination) == (6, shop.depot)
    arrived = shop.move(Kind.TRANSFER_IN, 4, at=None, location=shop.depot, transfer_code="T1", is_fact=False)
    assert arrived.on_hand == 4
    assert Transfer.objects.get(code="T1").in_transit == 2
    assert Balance.objects.get(location=shop.depot).unit_cost == Decimal("2.5000")


def test_more_than_was_sent_is_not_received_by_request(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    shop.move(Kind.TRANSFER_OUT, 6, transfer_code="T1", other_location_id=shop.depot.pk)
    with pytest.raises(refusals.TransferExceedsSent):
        shop.move(Kind.TRANSFER_IN, 7, location=shop.depot, transfer_code="T1", is_fact=False)
    with pytest.raises(refusals.UnknownTransfer):
        shop.move(Kind.TRANSFER_IN, 1, location=shop.depot, transfer_code="T2", is_fact=False)


def test_what_arrives_before_it_is_sent_is_a_fact_and_owes_nothing(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    move = shop.a_move(
        Kind.TRANSFER_IN, 6, location=shop.depot, transfer_code="T1", other_location_id=shop.store.pk, is_fact=True
    )
    ledger.post_one(shop.tenant, move)
    assert Transfer.objects.get(code="T1").in_transit == 0
    shop.move(Kind.TRANSFER_OUT, 6, transfer_code="T1", other_location_id=shop.depot.pk)
    assert Transfer.objects.get(code="T1").in_transit == 0


@pytest.mark.parametrize("kind", [Kind.TRANSFER_OUT, Kind.TRANSFER_IN])
def test_a_transfer_with_a_place_of_somebody_else_is_refused_alone(shop: Shop, kind: Movement.Kind) -> None:
    stranger = open_shop("bob")
    shop.receive(shop.shirt, shop.store, 10)
    for place in (stranger.depot.pk, 10**9):
        wrong = shop.a_move(kind, 1, transfer_code="T1", other_location_id=place, is_fact=True)
        refused, posted = ledger.post(shop.tenant, [wrong, shop.a_move(Kind.SALE, 1)])
        assert isinstance(refused, refusals.UnknownStore)
        assert isinstance(posted, ledger.Posted)
    assert not Transfer.objects.exists()


# --- costs and reversals --------------------------------------------------------------------------------------------


def test_the_average_cost_moves_with_receipts(shop: Shop) -> None:
    shop.move(Kind.RECEIPT, 10, unit_cost=Decimal("2.00"))
    shop.move(Kind.RECEIPT, 30, unit_cost=Decimal("4.00"))
    assert Balance.objects.get(product=shop.shirt).unit_cost == Decimal("3.5000")
    sold = shop.move(Kind.SALE, 5)
    assert Movement.objects.get(pk=sold.movement_ids[0]).unit_cost == Decimal("3.5000")


def test_a_receipt_that_is_taken_back_takes_its_cost_with_it(shop: Shop) -> None:
    shop.move(Kind.RECEIPT, 10, unit_cost=Decimal("2.00"))
    dear = shop.move(Kind.RECEIPT, 30, unit_cost=Decimal("4.00"))
    shop.move(Kind.ADJUSTMENT, -30, reverses_id=dear.movement_ids[0])
    assert Balance.objects.get(product=shop.shirt).unit_cost == Decimal("2.0000")


def test_the_cost_of_what_was_oversold_stays_when_its_receipt_is_taken_back(shop: Shop) -> None:
    received = shop.move(Kind.RECEIPT, 10, unit_cost=Decimal("2.00"))
    shop.move(Kind.SALE, 4)
    shop.move(Kind.ADJUSTMENT, -10, reverses_id=received.movement_ids[0], is_fact=True)
    balance = Balance.objects.get(product=shop.shirt)
    assert (balance.on_hand, balance.unit_cost) == (-4, Decimal("2.0000"))


def test_a_movement_is_reversed_once(shop: Shop) -> None:
    received = shop.receive(shop.shirt, shop.store, 10)
    shop.move(Kind.ADJUSTMENT, -10, reverses_id=received.movement_ids[0])
    assert shop.numbers(shop.shirt, shop.store) == (0, 0, 0)
    with pytest.raises(refusals.AlreadyReversed):
        shop.move(Kind.ADJUSTMENT, -10, reverses_id=received.movement_ids[0], is_fact=True)


def test_only_a_movement_of_this_balance_is_reversed(shop: Shop) -> None:
    """Else a stranger could use up the one reversal that a movement has."""
    stranger = open_shop("bob")
    received = shop.receive(shop.shirt, shop.store, 10)
    stranger.receive(stranger.shirt, stranger.store, 10)
    for taker, place in ((stranger, stranger.store), (shop, shop.depot)):
        with pytest.raises(refusals.UnknownMovement):
            taker.move(Kind.ADJUSTMENT, -10, location=place, reverses_id=received.movement_ids[0], is_fact=True)
    assert shop.move(Kind.ADJUSTMENT, -10, reverses_id=received.movement_ids[0]).on_hand == 0


# --- oversells ------------------------------------------------------------------------------------------------------


def test_an_oversell_is_a_case_from_its_movement_to_its_end(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    shop.reserve(Line(shop.shirt.pk, 4, shop.store.pk))
    shop.move(Kind.SALE, 3)
    case = Oversell.objects.get()
    assert (case.units_short, case.opened_version, case.closed_at) == (2, 3, None)
    shop.move(Kind.SALE, 1)
    assert Oversell.objects.get().units_short == 3
    shop.receive(shop.shirt, shop.store, 10)
    case = Oversell.objects.get()
    assert (case.units_short, case.closed_version) == (3, 5)
    assert case.closed_at is not None


def test_a_cancellation_closes_an_oversell(shop: Shop) -> None:
    [held] = shop.reserve(Line(shop.shirt.pk, 4, shop.store.pk), is_fact=True)
    assert Oversell.objects.filter(closed_at__isnull=True).count() == 1
    ledger.release(shop.tenant, held.reservation_id, key=shop.key(), cause=shop.cause())
    assert Oversell.objects.filter(closed_at__isnull=True).count() == 0


# --- many in one call -----------------------------------------------------------------------------------------------


def test_a_verdict_each_and_the_refused_one_blocks_nobody(shop: Shop) -> None:
    verdicts = ledger.post(
        shop.tenant,
        [
            shop.a_move(Kind.RECEIPT, 5),
            shop.a_move(Kind.ADJUSTMENT, -6),
            shop.a_move(Kind.RECEIPT, 0),
            shop.a_move(Kind.SALE, 2, product_id=10**9),
            shop.a_move(Kind.ADJUSTMENT, -5),
        ],
    )
    assert [getattr(verdict, "code", "posted") for verdict in verdicts] == [
        "posted",
        "insufficient_stock",
        "invalid_quantity",
        "unknown_sku",
        "posted",
    ]
    assert shop.numbers(shop.shirt, shop.store) == (0, 0, 0)


def test_one_that_no_integer_holds_is_refused_alone(shop: Shop) -> None:
    huge = ledger.QUANTITY_MAX
    verdicts = ledger.post(shop.tenant, [shop.a_move(Kind.RECEIPT, huge) for _ in range(3)])
    assert [isinstance(verdict, ledger.Posted) for verdict in verdicts] == [True, True, False]


def test_many_reservations_of_one_balance_share_what_there_is(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    requests = [
        ReserveRequest(
            tenant_id=shop.tenant.pk,
            lines=[Line(None, 2, sku="SHIRT", store="S1")],
            cause=shop.cause(),
            key=f"many-{number}",
            ttl_seconds=60,
        )
        for number in range(4)
    ]
    first = ledger.reserve_many(requests)
    assert [isinstance(verdict, list) for verdict in first] == [True, True, False, False]
    assert isinstance(first[0], list)
    assert isinstance(first[1], list)
    again = ledger.reserve_many(requests)
    assert again[:2] == first[:2]
    assert isinstance(again[0], list)
    assert again[0][0].replayed
    ends = [
        EndRequest(
            tenant_id=shop.tenant.pk,
            reservation_id=first[0][0].reservation_id,
            is_confirmed=is_confirmed,
            cause=shop.cause(),
        )
        for is_confirmed in (True, False)
    ]
    ended = ledger.end_many(ends)
    assert isinstance(ended[0], ledger.Ended)
    assert isinstance(ended[1], refusals.AlreadyConfirmed)


def test_two_requests_with_one_key_in_one_call_are_not_both_done(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    request = ReserveRequest(
        tenant_id=shop.tenant.pk, lines=[Line(shop.shirt.pk, 1, shop.store.pk)], cause=shop.cause(), key="twin"
    )
    first, second = ledger.reserve_many([request, request])
    assert isinstance(first, list)
    assert isinstance(second, refusals.KeyInFlight)


def test_names_of_another_tenant_are_unknown(shop: Shop) -> None:
    stranger = open_shop("bob")
    lines = [
        Line(None, 1, product=str(stranger.shirt.public_id), store="S1"),
        Line(stranger.shirt.pk, 1, store="S1"),
        Line(None, 1, sku="SHIRT", location=str(stranger.store.public_id)),
    ]
    verdicts = ledger.reserve_many(
        [ReserveRequest(tenant_id=shop.tenant.pk, lines=[line], cause=shop.cause()) for line in lines]
    )
    codes = [verdict.code for verdict in verdicts if isinstance(verdict, refusals.LedgerError)]
    assert codes == ["unknown_sku", "unknown_sku", "unknown_store"]


def test_names_that_are_no_ids_are_unknown(shop: Shop) -> None:
    place = Line(None, 1, product="shirt", store="S1"), Line(shop.shirt.pk, 1, location="store")
    verdicts = ledger.reserve_many(
        [ReserveRequest(tenant_id=shop.tenant.pk, lines=[line], cause=shop.cause()) for line in place]
        + [ReserveRequest(tenant_id=shop.tenant.pk, lines=[], cause=shop.cause())]
    )
    codes = [verdict.code for verdict in verdicts if isinstance(verdict, refusals.LedgerError)]
    assert codes == ["unknown_sku", "unknown_store", "invalid_quantity"]
    with pytest.raises(refusals.UnknownReservation):
        ledger.release(shop.tenant, "order-7", key=shop.key(), cause=shop.cause())
    with pytest.raises(refusals.UnknownBatch):
        ledger.block_batch(shop.tenant, "A", cause=shop.cause())


# --- texts that cannot be kept ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["x" * 201, "a\0b"])
@pytest.mark.parametrize("field", ["reason", "reference_id", "source_key", "key", "batch_number", "transfer_code"])
def test_a_text_that_cannot_be_kept_is_named_and_spoils_no_other(shop: Shop, field: str, text: str) -> None:
    is_of_cause = field in ledger.CAUSE_FIELDS
    cause = ledger.Cause(**{"actor": "test", **({field: text} if is_of_cause else {})})
    bad = replace(shop.a_move(Kind.RECEIPT, 2), cause=cause, **({} if is_of_cause else {field: text}))
    verdicts = ledger.post(shop.tenant, [shop.a_move(Kind.RECEIPT, 1), bad, shop.a_move(Kind.RECEIPT, 4)])
    assert [isinstance(verdict, ledger.Posted) for verdict in verdicts] == [True, False, True]
    assert isinstance(verdicts[1], refusals.InvalidValue)
    assert (verdicts[1].code, verdicts[1].facts) == ("value_out_of_range", {"field": field})
    assert shop.numbers(shop.shirt, shop.store) == (5, 0, 5)


def test_a_name_with_a_nul_is_named_too(shop: Shop) -> None:
    with pytest.raises(refusals.InvalidValue) as refused:
        shop.reserve(Line(None, 1, sku="a\0b", store="S1"))
    assert refused.value.facts == {"field": "sku"}


def test_a_number_past_an_integer_is_still_a_quantity(shop: Shop) -> None:
    for _ in range(2):
        shop.receive(shop.shirt, shop.store, ledger.QUANTITY_MAX)
    with pytest.raises(refusals.InvalidQuantity):
        shop.receive(shop.shirt, shop.store, ledger.QUANTITY_MAX)
