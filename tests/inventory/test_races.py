"""Races that the clock decides, and locks taken in every order: nothing ends twice, nothing deadlocks, no unit is lost.

More rounds, more calls:
`SALDO_ROUNDS=5000 SALDO_CALLS=5000 .venv/bin/python -m pytest tests/inventory/test_races.py -m slow`.
"""

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Count, F, Q, Sum
from django.utils import timezone

from apps.inventory import ledger, refusals
from apps.inventory.ledger import Line, Move, ReserveRequest
from apps.inventory.models import Balance, Batch, Location, Movement, Product, Reservation
from apps.inventory.prove import prove
from scripts.launcher.throwaway import ThrowawayServers

from .conftest import Shop
from .crowd import Crowd

Kind = Movement.Kind
ROUNDS = int(os.environ.get("SALDO_ROUNDS", "500"))
CALLS_EACH = int(os.environ.get("SALDO_CALLS", "300"))
CHUNK = 100
APART_SECONDS = 0.005


@pytest.fixture
def rivals(transactional_db: None) -> Iterator[Crowd]:
    """Three clients: one confirms, one sweeps, one wants the unit."""
    crowd = Crowd(3)
    yield crowd
    crowd.close()


# --- expiry against confirmation, with somebody waiting for the unit --------------------------------------------------


def single_units(shop: Shop, name: str, how_many: int) -> list[tuple[int, str]]:
    """Products of which the only unit is held: (product, reservation)."""
    made = Product.objects.bulk_create(
        Product(tenant=shop.tenant, sku=f"{name}-{number}", name="single") for number in range(how_many)
    )
    products = [product.pk for product in made]
    ledger.post(shop.tenant, [shop.a_move(Kind.RECEIPT, 1, product_id=product) for product in products])
    held: list[Any] = ledger.reserve_many([promise(shop, product) for product in products])
    return [(product, rows[0].reservation_id) for product, rows in zip(products, held, strict=True)]


def promise(shop: Shop, product_id: int) -> ReserveRequest:
    line = Line(product_id, 1, shop.store.pk)
    return ReserveRequest(tenant_id=shop.tenant.pk, lines=[line], cause=shop.cause(), ttl_seconds=600)


def fall_due(reservation_id: str, in_seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE inventory_reservations SET expires_at = clock_timestamp() + make_interval(secs => %s)
                WHERE id = %s""",
            [in_seconds, reservation_id],
        )


def race(shop: Shop, rivals: Crowd, product_id: int, reservation_id: str, chance: random.Random) -> str:
    """Confirm, sweep and reserve at the moment the hold falls due; how it ended."""
    said: dict[int, Any] = {}
    delays = [chance.random() * APART_SECONDS for _ in range(3)]

    def rival(number: int) -> None:
        time.sleep(delays[number])
        if number == 0:
            request = ledger.EndRequest(
                tenant_id=shop.tenant.pk, reservation_id=reservation_id, is_confirmed=True, cause=shop.cause()
            )
            said[0] = ledger.end_many([request])[0]
        elif number == 1:
            said[1] = ledger.expire_due()
        else:
            said[2] = ledger.reserve_many([promise(shop, product_id)])[0]

    fall_due(reservation_id, chance.random() * APART_SECONDS)
    rivals.all_at_once(rival)
    is_confirmed, is_taken = isinstance(said[0], ledger.Ended), isinstance(said[2], list)
    assert is_confirmed or isinstance(said[0], refusals.Expired), said
    assert is_taken or isinstance(said[2], refusals.InsufficientStock), said
    assert not (is_confirmed and is_taken), "one unit, sold twice"
    return "confirmed" if is_confirmed else "expired, taken" if is_taken else "expired"


def assert_each_ended_once_and_in_time(rounds: int) -> None:
    ends = Movement.objects.filter(kind__in=[Kind.CONFIRM, Kind.EXPIRE, Kind.RELEASE])
    twice = ends.values("reservation_id").annotate(times=Count("id")).filter(times__gt=1)
    assert not twice.exists()
    assert ends.count() == rounds
    deadlines = dict(Reservation.objects.values_list("pk", "expires_at"))
    for kind, reservation_id, moment in ends.values_list("kind", "reservation_id", "recorded_at"):
        assert (kind == Kind.CONFIRM) == (moment < deadlines[reservation_id])
    assert prove() == []


def run_races(shop: Shop, rivals: Crowd, rounds: int) -> Counter[str]:
    chance, ended = random.Random(rounds), Counter[str]()
    for start in range(0, rounds, CHUNK):
        for product_id, reservation_id in single_units(shop, f"r{start}", min(CHUNK, rounds - start)):
            ended[race(shop, rivals, product_id, reservation_id, chance)] += 1
    assert_each_ended_once_and_in_time(rounds)
    gone = Balance.objects.aggregate(units=Sum("on_hand"))["units"]
    assert gone == rounds - ended["confirmed"]
    return ended


def test_a_hold_that_falls_due_while_it_is_confirmed_ends_once(committed_shop: Shop, rivals: Crowd) -> None:
    ended = run_races(committed_shop, rivals, 100)
    assert set(ended) >= {"confirmed", "expired, taken"}, ended  # else it was no race


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_rounds_of_expiry_against_confirmation(
    committed_shop: Shop, rivals: Crowd, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    ended = run_races(committed_shop, rivals, ROUNDS)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{ROUNDS} rounds of expiry against confirmation, {dict(ended)}: "
            f"no double ending, units conserved, prove clean; {time.monotonic() - started:.0f} s\n"
        )


# --- locks in every order ---------------------------------------------------------------------------------------------


class Hunt:
    """Clients that touch a few balances in whatever order they like, and keep a tally of what they were told."""

    def __init__(self, shop: Shop, calls_each: int) -> None:
        self.shop, self.calls_each = shop, calls_each
        self.places = [shop.store.pk, shop.depot.pk]
        self.products = [
            Product.objects.create(tenant=shop.tenant, sku=f"hunt-{number}", name="hunted").pk for number in range(4)
        ]
        self.batches: list[Any] = []
        self.holds: list[str] = []
        self.moved: list[int] = []

    def start(self) -> None:
        """Half of the balances are there, one with a batch; the others are made in the hunt."""
        days = timezone.now() + timedelta(days=5)
        moves = [self.a_move(Kind.RECEIPT, 60, product, self.shop.store) for product in self.products]
        batch = {"batch_number": "A", "batch_expires_at": days}
        self.post([*moves, self.a_move(Kind.RECEIPT, 20, self.products[0], self.shop.store, **batch)])
        self.batches = list(Batch.objects.filter(batch_number="A").values_list("pk", flat=True))

    def client(self, number: int) -> None:
        chance = random.Random(number)
        acts = [self.reserve, self.reserve, self.end, self.post_some, self.post_some, self.expire, self.block]
        for _ in range(self.calls_each):
            with suppress(refusals.LedgerError):
                chance.choice(acts)(chance)

    def a_move(self, kind: Movement.Kind, quantity: int, product: int, location: Location, **options: Any) -> Move:
        return self.shop.a_move(kind, quantity, product_id=product, location=location, key=self.shop.key(), **options)

    def post(self, moves: list[Move]) -> None:
        for move, verdict in zip(moves, ledger.post(self.shop.tenant, moves), strict=True):
            if isinstance(verdict, ledger.Posted):
                self.moved.append(-move.quantity if move.kind in (Kind.SALE, Kind.LOSS) else move.quantity)

    def post_some(self, chance: random.Random) -> None:
        kinds = [Kind.RECEIPT, Kind.SALE, Kind.LOSS, Kind.ADJUSTMENT]
        moves = []
        for _ in range(chance.randrange(1, 8)):
            location = self.shop.depot if chance.random() < 0.5 else self.shop.store
            product = chance.choice(self.products)
            kind, units = chance.choice(kinds), chance.randrange(1, 5)
            moves.append(self.a_move(kind, units, product, location))
        self.post(moves)

    def reserve(self, chance: random.Random) -> None:
        lines = [
            Line(product, chance.randrange(1, 3), chance.choice([*self.places, *self.places, None]))
            for product in chance.sample(self.products, chance.randrange(1, 5))
        ]
        held = self.shop.reserve(*lines, ttl_seconds=chance.choice([None, 600]), is_fact=chance.random() < 0.1)
        self.holds += [row.reservation_id for row in held]
        if chance.random() < 0.3:
            fall_due(held[0].reservation_id, 0)

    def end(self, chance: random.Random) -> None:
        ends = [
            ledger.EndRequest(
                tenant_id=self.shop.tenant.pk,
                reservation_id=chance.choice(self.holds[-40:]),
                is_confirmed=chance.random() < 0.5,
                cause=self.shop.cause(),
            )
            for _ in range(chance.randrange(1, 5))
            if self.holds
        ]
        for verdict in ledger.end_many(ends):
            if isinstance(verdict, ledger.Ended):
                self.moved.append(-verdict.confirmed)

    def expire(self, chance: random.Random) -> None:
        ledger.expire_due(chance.randrange(1, 5))

    def block(self, chance: random.Random) -> None:
        verb = chance.choice([ledger.block_batch, ledger.unblock_batch])
        verb(self.shop.tenant, chance.choice(self.batches), cause=self.shop.cause())


@pytest.fixture
def deadlocks(servers: ThrowawayServers) -> Callable[[], int]:
    """How many deadlocks the server has told of. Its own counter tells some of a test before only later."""
    log = servers.postgres.log
    assert log is not None
    return lambda: log.read_text(errors="replace").count("deadlock detected")


@pytest.mark.parametrize(
    "calls_each",
    [25, pytest.param(CALLS_EACH, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])],
    ids=["few", "many"],
)
def test_baskets_in_every_order_do_not_deadlock(
    committed_shop: Shop, crowd: Crowd, deadlocks: Callable[[], int], calls_each: int
) -> None:
    hunt = Hunt(committed_shop, calls_each)
    hunt.start()
    before = deadlocks()
    crowd.all_at_once(hunt.client)
    assert Balance.objects.aggregate(units=Sum("on_hand"))["units"] == sum(hunt.moved)
    assert not Balance.objects.filter(Q(on_hand__lt=F("reserved")), oversold_since=None).exists()
    assert deadlocks() == before
    assert prove() == []


def test_balances_that_are_made_while_others_are_locked_do_not_deadlock(
    committed_shop: Shop, crowd: Crowd, deadlocks: Callable[[], int]
) -> None:
    """One makes the first of two balances while another, who made the second, wants both."""
    shop, before = committed_shop, deadlocks()
    for number in range(20):
        pair = [Product.objects.create(tenant=shop.tenant, sku=f"new-{number}-{n}", name="new").pk for n in range(2)]
        wanted = [pair, pair, pair[1:], pair[1:], pair[::-1], pair, pair[1:], pair]

        def take(client: int, wanted: list[list[int]] = wanted) -> None:
            lines = [Line(product, 1, shop.store.pk) for product in wanted[client]]
            shop.reserve(*lines, is_fact=True)

        crowd.all_at_once(take)
    assert deadlocks() == before


@pytest.mark.parametrize("place", ["placed", "anywhere"])
def test_the_victim_of_a_deadlock_is_tried_again(
    committed_shop: Shop, deadlocks: Callable[[], int], place: str
) -> None:
    """Somebody who does not keep the order of locks: the second balance first, the first one after."""
    shop = committed_shop
    for location in (shop.store, shop.depot):
        shop.receive(shop.shirt, location, 5)
    first, second = Balance.objects.order_by("location").values_list("pk", flat=True)
    lines = [Line(shop.shirt.pk, 5, at.pk) for at in (shop.store, shop.depot)]

    def reserve() -> list[ledger.Reserved]:
        try:
            return shop.reserve(*(lines if place == "placed" else [Line(shop.shirt.pk, 10)]))
        finally:
            connection.close()

    before = deadlocks()
    with ThreadPoolExecutor(1) as executor:
        with transaction.atomic():
            Balance.objects.select_for_update(no_key=True).get(pk=second)
            reserving = executor.submit(reserve)
            time.sleep(0.3)
            Balance.objects.select_for_update(no_key=True).get(pk=first)  # the other one gives up after a second
        assert sum(row.quantity for row in reserving.result(20)) == 10
    assert deadlocks() == before + 1


def test_a_basket_partly_without_a_place_locks_all_its_balances_in_one_order(
    committed_shop: Shop, crowd: Crowd, deadlocks: Callable[[], int]
) -> None:
    """One takes its second line anywhere and makes the balance of its first; another makes that one and wants both."""
    shop, before = committed_shop, deadlocks()
    for number in range(20):
        new, known = (
            Product.objects.create(tenant=shop.tenant, sku=f"half-{number}-{n}", name="half").pk for n in range(2)
        )
        ledger.post(shop.tenant, [shop.a_move(Kind.RECEIPT, 20, product_id=known)])
        baskets = [
            [Line(new, 1, shop.store.pk), Line(known, 1)],
            [Line(new, 1, shop.store.pk), Line(known, 1, shop.store.pk)],
        ]

        def take(client: int, baskets: list[list[Line]] = baskets) -> None:
            shop.reserve(*baskets[client % 2], is_fact=True)

        crowd.all_at_once(take)
    assert deadlocks() == before


def test_transfers_told_in_opposite_orders_do_not_deadlock(
    committed_shop: Shop, crowd: Crowd, deadlocks: Callable[[], int]
) -> None:
    shop, before = committed_shop, deadlocks()
    shop.receive(shop.shirt, shop.store, 400)
    shop.receive(shop.shirt, shop.depot, 400)
    for number in range(20):

        def tell(client: int, number: int = number) -> None:
            here, there = (shop.store, shop.depot) if client % 2 else (shop.depot, shop.store)
            codes = [f"{number}-a", f"{number}-b"][:: 1 if client % 2 else -1]
            moves = [
                shop.a_move(
                    Kind.TRANSFER_OUT, 1, location=here, transfer_code=code, other_location_id=there.pk, is_fact=True
                )
                for code in codes
            ]
            assert all(isinstance(verdict, ledger.Posted) for verdict in ledger.post(shop.tenant, moves))

        crowd.all_at_once(tell)
    assert deadlocks() == before
