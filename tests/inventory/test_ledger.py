"""The verbs, each with a number after every line. Refusals also show that nothing moved."""

import threading
import uuid

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from apps.inventory import ledger, refusals
from apps.inventory.ledger import Line
from apps.inventory.models import Balance, Movement, Reservation

from .conftest import Shop, open_shop


def test_received_units_are_on_hand_and_available(shop: Shop) -> None:
    posted = shop.receive(shop.shirt, shop.store, 10)
    assert (posted.on_hand, posted.reserved, posted.version) == (10, 0, 1)
    assert shop.numbers(shop.shirt, shop.store) == (10, 0, 10)
    movement = Movement.objects.get()
    assert (movement.kind, movement.transaction_type) == ("RECEIPT", "IN")
    assert (movement.on_hand_delta, movement.on_hand_after) == (10, 10)


def test_a_reservation_lowers_what_is_available_and_not_what_is_there(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    shop.reserve(Line(shop.shirt.pk, 4, shop.store.pk))
    assert shop.numbers(shop.shirt, shop.store) == (10, 4, 6)


def test_confirming_lets_the_units_leave(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    [reserved] = shop.reserve(Line(shop.shirt.pk, 4, shop.store.pk))
    ledger.confirm(shop.tenant, reserved.reservation_id, key=shop.key(), cause=shop.cause())
    assert shop.numbers(shop.shirt, shop.store) == (6, 0, 6)


def test_releasing_makes_the_units_available_again(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    [reserved] = shop.reserve(Line(shop.shirt.pk, 4, shop.store.pk))
    ledger.release(shop.tenant, reserved.reservation_id, key=shop.key(), cause=shop.cause())
    assert shop.numbers(shop.shirt, shop.store) == (10, 0, 10)


def test_a_reservation_ends_only_once(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    [reserved] = shop.reserve(Line(shop.shirt.pk, 4, shop.store.pk))
    ledger.release(shop.tenant, reserved.reservation_id, key=shop.key(), cause=shop.cause())
    with pytest.raises(refusals.ReservationEnded, match="cancelled before"):
        ledger.confirm(shop.tenant, reserved.reservation_id, key=shop.key(), cause=shop.cause())
    assert shop.numbers(shop.shirt, shop.store) == (10, 0, 10)


def test_more_than_available_is_refused_and_nothing_moves(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 3)
    with pytest.raises(refusals.InsufficientStock) as refusal:
        shop.reserve(Line(shop.shirt.pk, 4, shop.store.pk))
    assert (refusal.value.facts["requested"], refusal.value.facts["available"]) == (4, 3)
    assert shop.numbers(shop.shirt, shop.store) == (3, 0, 3)
    assert Movement.objects.count() == 1
    assert not Reservation.objects.exists()


def test_several_lines_are_all_or_nothing(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    shop.receive(shop.mug, shop.store, 1)
    with pytest.raises(refusals.InsufficientStock):
        shop.reserve(Line(shop.shirt.pk, 2, shop.store.pk), Line(shop.mug.pk, 2, shop.store.pk))
    assert shop.numbers(shop.shirt, shop.store) == (5, 0, 5)


def test_two_lines_of_one_product_are_summed_before_the_check(shop: Shop) -> None:
    """Medusa 16502: each line was checked against the same untouched number."""
    shop.receive(shop.shirt, shop.store, 5)
    with pytest.raises(refusals.InsufficientStock):
        shop.reserve(Line(shop.shirt.pk, 3, shop.store.pk), Line(shop.shirt.pk, 3, shop.store.pk))
    [reserved] = shop.reserve(Line(shop.shirt.pk, 3, shop.store.pk), Line(shop.shirt.pk, 2, shop.store.pk))
    assert reserved.quantity == 5


def test_a_line_without_a_place_is_taken_where_most_is(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 2)
    shop.receive(shop.shirt, shop.depot, 7)
    [reserved] = shop.reserve(Line(shop.shirt.pk, 3))
    assert (reserved.location_id, reserved.quantity) == (shop.depot.pk, 3)


def test_a_line_that_no_place_covers_alone_is_split(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 2)
    shop.receive(shop.shirt, shop.depot, 7)
    taken = {r.location_id: r.quantity for r in shop.reserve(Line(shop.shirt.pk, 9))}
    assert taken == {shop.depot.pk: 7, shop.store.pk: 2}


def test_only_the_named_places_are_asked(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 2)
    shop.receive(shop.shirt, shop.depot, 7)
    with pytest.raises(refusals.InsufficientStock) as refusal:
        shop.reserve(Line(shop.shirt.pk, 3), among=[shop.store.pk])
    assert refusal.value.facts["available"] == 2


def test_a_sale_already_made_is_never_refused_and_opens_an_oversell(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 1)
    shop.reserve(Line(shop.shirt.pk, 3), is_fact=True)
    assert shop.numbers(shop.shirt, shop.store) == (1, 3, -2)
    assert Balance.objects.get().oversold_since is not None
    shop.receive(shop.shirt, shop.store, 2)
    assert shop.numbers(shop.shirt, shop.store) == (3, 3, 0)
    assert Balance.objects.get().oversold_since is None


def test_a_sale_of_a_product_that_never_had_stock_is_booked_at_the_first_place(shop: Shop) -> None:
    shop.reserve(Line(shop.shirt.pk, 1), is_fact=True)
    assert shop.numbers(shop.shirt, shop.store) == (0, 1, -1)


def test_what_is_promised_cannot_be_corrected_away(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    shop.reserve(Line(shop.shirt.pk, 4, shop.store.pk))
    with pytest.raises(refusals.InsufficientStock):
        shop.adjust(shop.shirt, shop.store, -2)
    assert shop.numbers(shop.shirt, shop.store) == (5, 4, 1)
    shop.adjust(shop.shirt, shop.store, -1)
    assert shop.numbers(shop.shirt, shop.store) == (4, 4, 0)


@pytest.mark.parametrize("quantity", [0, -1, ledger.QUANTITY_MAX + 1])
def test_nonsense_quantities_are_refused(shop: Shop, quantity: int) -> None:
    """DistributedInventory accepted a negative reserve, which raised what is available."""
    with pytest.raises(refusals.InvalidQuantity):
        shop.receive(shop.shirt, shop.store, quantity)
    with pytest.raises(refusals.InvalidQuantity):
        shop.reserve(Line(shop.shirt.pk, quantity, shop.store.pk))
    assert not Movement.objects.exists()


def test_another_tenants_product_is_unknown(shop: Shop) -> None:
    stranger = open_shop("charlie")
    with pytest.raises(refusals.UnknownPlace):
        ledger.receive(shop.tenant, stranger.shirt.pk, shop.store.pk, 1, key="k", cause=shop.cause())
    with pytest.raises(refusals.UnknownReservation):
        ledger.release(shop.tenant, uuid.uuid4(), key="k", cause=shop.cause())
    assert not Balance.objects.exists()


def test_the_same_key_answers_the_first_answer_and_moves_nothing(shop: Shop) -> None:
    first = shop.receive(shop.shirt, shop.store, 10, key="delivery-7")
    again = shop.receive(shop.shirt, shop.store, 10, key="delivery-7")
    assert first == again
    assert shop.numbers(shop.shirt, shop.store) == (10, 0, 10)
    reserved = shop.reserve(Line(shop.shirt.pk, 2), key="order-1")
    assert shop.reserve(Line(shop.shirt.pk, 2), key="order-1") == reserved
    assert shop.numbers(shop.shirt, shop.store) == (10, 2, 8)


def test_the_same_key_with_another_request_is_refused(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 10, key="delivery-7")
    with pytest.raises(refusals.KeyReused):
        shop.receive(shop.shirt, shop.store, 11, key="delivery-7")
    assert shop.numbers(shop.shirt, shop.store) == (10, 0, 10)


def test_a_refused_request_leaves_its_key_unused(shop: Shop) -> None:
    with pytest.raises(refusals.InsufficientStock):
        shop.reserve(Line(shop.shirt.pk, 1), key="order-1")
    shop.receive(shop.shirt, shop.store, 1)
    assert shop.reserve(Line(shop.shirt.pk, 1), key="order-1")[0].quantity == 1


def test_two_tenants_may_use_one_key(shop: Shop) -> None:
    stranger = open_shop("charlie")
    shop.receive(shop.shirt, shop.store, 10, key="same")
    stranger.receive(stranger.shirt, stranger.store, 3, key="same")
    assert stranger.numbers(stranger.shirt, stranger.store) == (3, 0, 3)


# --- the database refuses what must not be, whatever the Python does -------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE inventory_ledger SET on_hand_delta = 99",
        "DELETE FROM inventory_ledger",
        "TRUNCATE inventory_ledger",
        "TRUNCATE inventory_ledger_default",
    ],
)
def test_a_movement_is_never_changed_or_removed(shop: Shop, statement: str) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_every_partition_refuses_truncation(shop: Shop) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent::regclass::text = %s",
            ["inventory_ledger"],
        )
        partitions = [row[0] for row in cursor.fetchall()]
    assert len(partitions) >= 5  # the default one, this month and three ahead
    for partition in partitions:
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {partition}")


@pytest.mark.parametrize(
    "changes",
    [{"reserved": -1}, {"on_hand": -1}, {"reserved": 11}],
    ids=["reserved below zero", "on hand below zero", "promised more than there is, with no oversell recorded"],
)
def test_the_database_refuses_an_impossible_balance(shop: Shop, changes: dict[str, int]) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    with pytest.raises(IntegrityError), transaction.atomic():
        Balance.objects.update(**changes)


def test_a_balance_cannot_join_two_tenants(shop: Shop) -> None:
    stranger = open_shop("charlie")
    with pytest.raises(IntegrityError), transaction.atomic():
        Balance.objects.create(tenant=shop.tenant, product=stranger.shirt, location=shop.store)


# --- several at once --------------------------------------------------------------------------------------------------


def _at_once(workers: int, work: object) -> list[object]:
    """Run `work(number)` in threads that start together; return results or raised refusals."""
    results: list[object] = [None] * workers
    barrier = threading.Barrier(workers)

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = work(number)  # type: ignore[operator]
        except refusals.LedgerError as refusal:
            results[number] = refusal
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_the_last_unit_is_sold_once(committed_shop: Shop) -> None:
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 10)
    results = _at_once(30, lambda number: shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), key=f"rush-{number}"))
    assert sum(isinstance(result, list) for result in results) == 10
    assert sum(isinstance(result, refusals.InsufficientStock) for result in results) == 20
    assert shop.numbers(shop.shirt, shop.store) == (10, 10, 0)


def test_one_key_used_by_many_at_once_works_once(committed_shop: Shop) -> None:
    shop = committed_shop
    results = _at_once(10, lambda number: shop.receive(shop.shirt, shop.store, 5, key="one-delivery"))
    assert set(results) == {results[0]}
    assert sum(result.replayed for result in results) == 9
    assert shop.numbers(shop.shirt, shop.store) == (5, 0, 5)


def test_baskets_in_opposite_order_do_not_deadlock(committed_shop: Shop) -> None:
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 100)
    shop.receive(shop.mug, shop.store, 100)
    forwards = (Line(shop.shirt.pk, 1, shop.store.pk), Line(shop.mug.pk, 1, shop.store.pk))
    results = _at_once(
        16, lambda number: shop.reserve(*(forwards if number % 2 else forwards[::-1]), key=f"basket-{number}")
    )
    assert all(isinstance(result, list) for result in results)
    assert shop.numbers(shop.shirt, shop.store) == (100, 16, 84)


def test_confirm_and_release_at_once_end_it_once(committed_shop: Shop) -> None:
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 20)
    for round_number in range(10):
        [reserved] = shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), key=f"hold-{round_number}")
        verbs = [ledger.confirm, ledger.release]
        results = _at_once(
            2,
            lambda number, held=reserved, verbs=verbs, n=round_number: verbs[number](
                shop.tenant, held.reservation_id, key=f"end-{n}-{number}", cause=shop.cause()
            ),
        )
        assert sum(isinstance(result, ledger.Ended) for result in results) == 1
        assert sum(isinstance(result, refusals.ReservationEnded) for result in results) == 1
