"""Bugs that other stock systems had, each as a test of this ledger. What went wrong there is said in each docstring.

Those of the table that are about other rooms (events, sync) have their tests there.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.inventory import feed, ledger, refusals
from apps.inventory.ledger import Line, ReserveRequest
from apps.inventory.models import Balance, Location, Movement, Product, Reservation
from apps.inventory.prove import prove

from .conftest import Shop
from .crowd import Crowd

Kind = Movement.Kind


def taken(said: list[Any]) -> int:
    return sum(isinstance(answer, list) for answer in said)


def at_once(crowd: Crowd, work: Any) -> list[Any]:
    """What each client was answered, refusals included."""
    said: list[Any] = [None] * crowd.size

    def client(number: int) -> None:
        try:
            said[number] = work(number)
        except refusals.LedgerError as refusal:
            said[number] = refusal

    crowd.all_at_once(client)
    return said


def test_saleor_promises_made_before_are_seen_under_the_lock(committed_shop: Shop, crowd: Crowd) -> None:
    """A list that was used up by a first query made the second one see no earlier promises, so the last unit was
    promised again. Earlier promises of both sorts (a hold with a deadline, a sale) count for everybody who comes later.
    """
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 3)
    shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), ttl_seconds=600)
    shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), is_fact=True)
    assert taken(at_once(crowd, lambda n: shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), key=f"{n}"))) == 1
    assert shop.numbers(shop.shirt, shop.store) == (3, 3, 0)


@pytest.mark.parametrize("is_placed", [True, False], ids=["placed", "anywhere"])
def test_medusa_16502_lines_of_one_request_share_one_number(shop: Shop, is_placed: bool) -> None:
    """Two lines of one item in one request were each held against the same untouched number."""
    shop.receive(shop.shirt, shop.store, 5)
    place = shop.store.pk if is_placed else None
    with pytest.raises(refusals.InsufficientStock) as refusal:
        shop.reserve(Line(shop.shirt.pk, 3, place), Line(shop.shirt.pk, 3, place))
    assert refusal.value.facts["requested"] == 6
    by_other_names = [Line(shop.shirt.pk, 3, store="S1"), Line(None, 3, sku="SHIRT", location_id=shop.store.pk)]
    with pytest.raises(refusals.InsufficientStock):
        shop.reserve(*by_other_names)
    assert shop.numbers(shop.shirt, shop.store) == (5, 0, 5)


@pytest.mark.parametrize("place", ["placed", "anywhere"])
def test_vendure_4930_checking_and_taking_are_one(committed_shop: Shop, crowd: Crowd, place: str) -> None:
    """What was available was read in one transaction and taken in another: the last unit went to both."""
    shop = committed_shop
    for number in range(10):
        shop.receive(shop.shirt, shop.store, 1)
        line = Line(shop.shirt.pk, 1, shop.store.pk if place == "placed" else None)
        said = at_once(crowd, lambda n, line=line, number=number: shop.reserve(line, key=f"{number}/{n}"))
        assert taken(said) == 1
    assert shop.numbers(shop.shirt, shop.store) == (10, 10, 0)


def test_medusa_16569_the_reserved_number_loses_no_update_and_comes_back_to_zero(
    committed_shop: Shop, crowd: Crowd
) -> None:
    """The number was read, added to in memory and written: one of two updates was lost, later releases took it below
    zero, and nothing brought it back.
    """
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 100)

    def hold_and_release(number: int) -> None:
        for turn in range(10):
            [held] = shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), key=f"{number}/{turn}")
            for key in ("once", "twice"):
                verb = ledger.confirm if turn % 2 else ledger.release
                try:
                    verb(shop.tenant, held.reservation_id, key=f"{number}/{turn}/{key}", cause=shop.cause())
                except refusals.ReservationEnded:
                    assert key == "twice"

    crowd.all_at_once(hold_and_release)
    assert shop.numbers(shop.shirt, shop.store) == (100 - 5 * crowd.size, 0, 100 - 5 * crowd.size)


def test_odoo_268942_a_busy_balance_is_waited_for_not_made_twice(committed_shop: Shop) -> None:
    """A row that another transaction had locked was skipped, a twin was made beside it, and both gave units away."""
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 1)

    def other() -> Any:
        try:
            return shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), key="other")
        except refusals.LedgerError as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as executor:
        with transaction.atomic():
            shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), key="ours")
            waiting = executor.submit(other)
            time.sleep(0.2)
            assert not waiting.done()
        assert isinstance(waiting.result(10), refusals.InsufficientStock)
    assert Balance.objects.filter(product=shop.shirt, location=shop.store).count() == 1


def test_odoo_268942_a_balance_that_all_make_at_once_is_one(committed_shop: Shop, crowd: Crowd) -> None:
    shop = committed_shop
    at_once(crowd, lambda n: shop.receive(shop.shirt, shop.store, 1, key=f"{n}"))
    assert Balance.objects.count() == 1
    assert shop.numbers(shop.shirt, shop.store) == (crowd.size, 0, crowd.size)


def test_inventree_12478_every_way_to_take_units_meets_on_one_number(committed_shop: Shop, crowd: Crowd) -> None:
    """What is available was worked out of three tables, and each way to take units locked another of them."""
    shop = committed_shop
    for number in range(10):
        product = Product.objects.create(tenant=shop.tenant, sku=f"unit-{number}", name="one unit")
        shop.receive(product, shop.store, 1)
        place = (product.pk, shop.store.pk)

        def take(client: int, place: tuple[int, int] = place, number: int = number) -> Any:
            product_id, location_id = place
            key = f"{number}/{client}"
            if client % 4 == 0:
                return shop.reserve(Line(product_id, 1, location_id), key=key)
            if client % 4 == 1:
                return [ledger.adjust(shop.tenant, product_id, location_id, -1, key=key, cause=shop.cause())]
            if client % 4 == 2:
                return shop.reserve(Line(product_id, 1), key=key)
            out = {"transfer_code": key, "other_location_id": shop.depot.pk}
            return [shop.move(Kind.TRANSFER_OUT, 1, product_id=product_id, key=key, **out)]

        assert taken(at_once(crowd, take)) == 1
    assert not Balance.objects.filter(available__lt=0).exists()


def test_oscar_4594_baskets_are_locked_in_one_order(committed_shop: Shop, crowd: Crowd) -> None:
    """Rows were locked in the order of the basket's lines: two baskets the other way round waited for each other."""
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 1000)
    shop.receive(shop.mug, shop.store, 1000)
    basket = [Line(shop.shirt.pk, 1, shop.store.pk), Line(shop.mug.pk, 1, shop.store.pk)]
    posts = [shop.a_move(Kind.SALE, 1), shop.a_move(Kind.SALE, 1, product_id=shop.mug.pk)]

    def buy(number: int) -> None:
        for turn in range(15):
            if number % 4 < 2:
                shop.reserve(*basket[:: 1 if number % 2 else -1], key=f"{number}/{turn}")
            else:
                ledger.post(shop.tenant, posts[:: 1 if number % 2 else -1])

    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        before = cursor.fetchone()
        crowd.all_at_once(buy)
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert cursor.fetchone() == before
    assert shop.numbers(shop.mug, shop.store) == (1000 - 4 * 15, 4 * 15, 1000 - 8 * 15)


def test_erpnext_55387_taking_something_back_leaves_what_was_there_before(shop: Shop) -> None:
    """Cancelling a document left a balance that its ledger did not explain."""
    shop.receive(shop.shirt, shop.store, 7)
    before = shop.numbers(shop.shirt, shop.store)
    [held] = shop.reserve(Line(shop.shirt.pk, 3))
    ledger.release(shop.tenant, held.reservation_id, key="cancel", cause=shop.cause())
    received = shop.receive(shop.shirt, shop.store, 4)
    shop.move(Kind.ADJUSTMENT, -4, reverses_id=received.movement_ids[0])
    assert shop.numbers(shop.shirt, shop.store) == before
    assert prove() == []


def test_openboxes_4742_what_readers_follow_is_the_ledger_itself(committed_shop: Shop) -> None:
    """A second table that fed the alerts was no longer written, and nobody noticed. Here a movement is the event: each
    verb, those nobody asked for included, reaches a reader by being written.
    """
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 5)
    [held] = shop.reserve(Line(shop.shirt.pk, 2), ttl_seconds=60)
    ledger.confirm(shop.tenant, held.reservation_id, key="c", cause=shop.cause(), quantity=1)
    [due] = shop.reserve(Line(shop.shirt.pk, 1), ttl_seconds=60)
    Reservation.objects.filter(pk=due.reservation_id).update(expires_at=timezone.now())
    ledger.expire_due()
    shop.move(Kind.COUNT, 9)
    shop.move(Kind.SALE, 1, at=timezone.now() - timedelta(hours=1))
    with feed.batch("alerts") as movements:
        kinds = [movement.kind for movement in movements]
    assert kinds == [
        *["RECEIPT", "RESERVE", "CONFIRM", "RELEASE", "RESERVE", "EXPIRE", "COUNT", "SALE", "COUNT_ABSORB"]
    ]
    balance = Balance.objects.get()
    assert balance.version == len(kinds)


def test_inventory_of_a_marketplace_stamped_after_the_read_every_answer_names_its_version(shop: Shop) -> None:
    """ "Synchronised at" was stamped after the stock was read, so a sale in between was never sent. Versions tell."""
    shop.receive(shop.shirt, shop.store, 5)
    seen = Balance.objects.get().version
    sold = shop.move(Kind.SALE, 1)
    assert sold.version == seen + 1
    with pytest.raises(refusals.VersionMismatch):
        shop.move(Kind.ADJUSTMENT, 1, expected_version=seen)


def test_meli_oerp_without_a_key_nothing_pretends_to_be_one(shop: Shop) -> None:
    """A missing id was replaced by a hash with the time in it: every repeat was news. The same key is the same thing,
    whatever the time, the trace and the reason.
    """
    keys = ["delivery-1"] * 3
    said = [shop.receive(shop.shirt, shop.store, 5, key=key) for key in keys]
    assert [posted.replayed for posted in said] == [False, True, True]
    assert shop.numbers(shop.shirt, shop.store) == (5, 0, 5)


def test_distributed_inventory_a_cancelled_promise_is_not_confirmed(shop: Shop) -> None:
    """Confirming what was cancelled answered OK."""
    shop.receive(shop.shirt, shop.store, 5)
    [held] = shop.reserve(Line(shop.shirt.pk, 2))
    ledger.release(shop.tenant, held.reservation_id, key="cancel", cause=shop.cause())
    with pytest.raises(refusals.AlreadyReleased):
        ledger.confirm(shop.tenant, held.reservation_id, key="confirm", cause=shop.cause())
    assert shop.numbers(shop.shirt, shop.store) == (5, 0, 5)


def test_distributed_inventory_a_deadline_is_kept(shop: Shop) -> None:
    """The deadline was stored and never looked at."""
    shop.receive(shop.shirt, shop.store, 1)
    [held] = shop.reserve(Line(shop.shirt.pk, 1), ttl_seconds=1)
    assert Reservation.objects.get().expires_at is not None
    threading.Event().wait(1.1)
    [second] = shop.reserve(Line(shop.shirt.pk, 1))
    with pytest.raises(refusals.Expired):
        ledger.confirm(shop.tenant, held.reservation_id, key="late", cause=shop.cause())
    assert ledger.confirm(shop.tenant, second.reservation_id, key="in time", cause=shop.cause()).on_hand == 0


@pytest.mark.parametrize("quantity", [0, -1, -(10**6)])
def test_distributed_inventory_nobody_promises_less_than_one(shop: Shop, quantity: int) -> None:
    """A negative quantity was accepted, and raised what was available."""
    shop.receive(shop.shirt, shop.store, 5)
    line = Line(shop.shirt.pk, quantity, shop.store.pk)
    for is_fact in (False, True):
        request = ReserveRequest(tenant_id=shop.tenant.pk, lines=[line], cause=shop.cause(), is_fact=is_fact)
        assert isinstance(ledger.reserve_many([request])[0], refusals.InvalidQuantity)
    assert shop.numbers(shop.shirt, shop.store) == (5, 0, 5)


def test_oca_queue_386_whoever_died_while_working_blocks_nobody(committed_shop: Shop) -> None:
    """A worker that was killed in the middle kept its lane for ever. A connection that dies gives back lock and key."""
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 1)
    is_holding, pid = threading.Event(), []

    def die_holding() -> None:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                pid.append(cursor.fetchone()[0])
                shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), key="order-1")
                is_holding.set()
                cursor.execute("SELECT pg_sleep(60)")
        except Exception:
            connection.close()

    victim = threading.Thread(target=die_holding)
    victim.start()
    assert is_holding.wait(10)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", pid)
    victim.join()
    assert shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), key="order-1")[0].replayed is False
    assert shop.numbers(shop.shirt, shop.store) == (1, 1, 0)


def test_eshopbox_333_what_corrects_does_not_call_for_more_correcting(shop: Shop) -> None:
    """A correction queued the next one for ever. A count that finds what the last one left changes nothing any more,
    and the sweeper comes to an end.
    """
    shop.receive(shop.shirt, shop.store, 9)
    shop.move(Kind.COUNT, 7)
    again = shop.move(Kind.COUNT, 7)
    assert [m.on_hand_delta for m in Movement.objects.filter(pk__in=again.movement_ids)] == [0]
    assert (ledger.expire_due(), ledger.expire_due()) == (0, 0)


def test_openlinker_a_bulk_change_does_not_hold_up_other_skus(committed_shop: Shop) -> None:
    """A bulk action kept stock changes of other products waiting for an hour: only balances that are touched wait."""
    shop = committed_shop
    shop.receive(shop.mug, shop.store, 1)
    bulk = [shop.a_move(Kind.RECEIPT, 1, location=location) for location in Location.objects.all()] * 200
    with transaction.atomic():
        ledger.post(shop.tenant, bulk)
        with ThreadPoolExecutor(1) as executor:

            def other() -> Any:
                try:
                    return shop.reserve(Line(shop.mug.pk, 1, shop.store.pk), key="other sku")
                finally:
                    connection.close()

            assert executor.submit(other).result(30)[0].quantity == 1
