"""Two connections, every pair of verbs on the same balance: the second waits for the first, and is then answered as if
it had been asked after it (or, when the first was rolled back, as if the first had never been).

What "as if" means is found out by doing the same on a scene of its own, one after the other, on one connection.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.inventory import ledger
from apps.inventory.ledger import Line
from apps.inventory.models import Balance, Batch, Movement, Product, Reservation

from .conftest import Shop

Kind = Movement.Kind

WAIT_SECONDS_MAX = 20


class Scene:
    """Two products of their own: the first with a batch, an open hold and a hold that is due, the second plain."""

    def __init__(self, shop: Shop, name: str) -> None:
        self.shop, self.name = shop, name
        self.p, self.q = (
            Product.objects.create(tenant=shop.tenant, sku=f"{name}-{letter}", name=letter) for letter in "pq"
        )
        self.post("set up 1", Kind.RECEIPT, 6)
        self.post("set up 2", Kind.RECEIPT, 6, batch_number="A", batch_expires_at=timezone.now() + timedelta(days=9))
        self.post("set up 3", Kind.RECEIPT, 9, product=self.q)
        self.post("set up 4", Kind.RECEIPT, 5, location=shop.depot)
        self.post("set up 5", Kind.TRANSFER_OUT, 2, location=shop.depot, **self.transfer("in", shop.store.pk))
        self.open = self.reserve("set up 6", Line(self.p.pk, 3, shop.store.pk))[0].reservation_id
        self.due = self.reserve("set up 7", Line(self.p.pk, 2, shop.store.pk), ttl_seconds=60)[0].reservation_id
        Reservation.objects.filter(pk=self.due).update(expires_at=timezone.now())
        self.batch = Batch.objects.get(product=self.p, batch_number="A").pk

    def transfer(self, code: str, other: int) -> dict[str, Any]:
        return {"transfer_code": f"{self.name}-{code}", "other_location_id": other}

    def post(self, key: str, kind: Movement.Kind, quantity: int, product: Product | None = None, **options: Any) -> Any:
        product_id = (product or self.p).pk
        return self.shop.move(kind, quantity, product_id=product_id, key=f"{self.name}/{key}", **options)

    def reserve(self, key: str, *lines: Line, **options: Any) -> Any:
        return self.shop.reserve(*lines, key=f"{self.name}/{key}", **options)

    def end(self, key: str, verb: Any, reservation_id: str, **options: Any) -> Any:
        return verb(self.shop.tenant, reservation_id, key=f"{self.name}/{key}", cause=self.shop.cause(), **options)

    def line(self, units: int, product: Product | None = None) -> Line:
        return Line((product or self.p).pk, units, self.shop.store.pk)

    def numbers(self) -> list[Any]:
        """Everything that can differ: balances, batches and promises of this scene, without ids and times."""
        products = [self.p, self.q]
        balances = Balance.objects.filter(product__in=products).order_by("product", "location")
        batches = Batch.objects.filter(product__in=products).order_by("product", "location", "batch_number")
        holds = Reservation.objects.filter(product__in=products)
        return [
            [(b.location_id, b.on_hand, b.reserved, b.blocked, b.available, b.version) for b in balances],
            [(b.batch_number, b.quantity, b.reserved, b.status) for b in batches],
            sorted((h.location_id, h.quantity, h.confirmed_quantity, h.status) for h in holds),
        ]


def past() -> Any:
    return timezone.now() - timedelta(hours=1)


VERBS: dict[str, Callable[[Scene, str], Any]] = {
    "receive": lambda s, key: s.post(key, Kind.RECEIPT, 4),
    "receive a batch": lambda s, key: s.post(key, Kind.RECEIPT, 4, batch_number="A"),
    "receive, seen version 5": lambda s, key: s.post(key, Kind.RECEIPT, 4, expected_version=5),
    "sell": lambda s, key: s.post(key, Kind.SALE, 7),
    "sell an hour ago": lambda s, key: s.post(key, Kind.SALE, 7, at=past()),
    "lose": lambda s, key: s.post(key, Kind.LOSS, 2),
    "return": lambda s, key: s.post(key, Kind.RETURN, 1),
    "adjust down": lambda s, key: s.post(key, Kind.ADJUSTMENT, -5),
    "count": lambda s, key: s.post(key, Kind.COUNT, 8),
    "count an hour ago": lambda s, key: s.post(key, Kind.COUNT, 8, at=past()),
    "send away": lambda s, key: s.post(key, Kind.TRANSFER_OUT, 6, **s.transfer("out", s.shop.depot.pk)),
    "take in": lambda s, key: s.post(key, Kind.TRANSFER_IN, 2, is_fact=False, **s.transfer("in", s.shop.depot.pk)),
    "reserve": lambda s, key: s.reserve(key, s.line(5)),
    "reserve all": lambda s, key: s.reserve(key, s.line(9)),
    "reserve a basket": lambda s, key: s.reserve(key, s.line(4), s.line(5, s.q)),
    "reserve the basket backwards": lambda s, key: s.reserve(key, s.line(5, s.q), s.line(4)),
    "reserve anywhere": lambda s, key: s.reserve(key, Line(s.p.pk, 5)),
    "reserve what is sold": lambda s, key: s.reserve(key, s.line(9), is_fact=True),
    "confirm": lambda s, key: s.end(key, ledger.confirm, s.open),
    "confirm a part": lambda s, key: s.end(key, ledger.confirm, s.open, quantity=2),
    "release": lambda s, key: s.end(key, ledger.release, s.open),
    "confirm what is due": lambda s, key: s.end(key, ledger.confirm, s.due),
    "release what is due": lambda s, key: s.end(key, ledger.release, s.due),
    "expire": lambda s, key: ledger.expire_due(),
    "block": lambda s, key: ledger.block_batch(s.shop.tenant, s.batch, cause=s.shop.cause()),
    "receive, one key": lambda s, key: s.post("one key", Kind.RECEIPT, 4),
    "reserve, one key": lambda s, key: s.reserve("one key", s.line(9)),
    "reserve anywhere, one key": lambda s, key: s.reserve("one key", Line(s.p.pk, 9)),
}
NOT_ITS_OWN = ("movement_ids", "product_id", "reservation_id", "created_at", "expires_at", "ended_at")


def answer(verb: str, scene: Scene, role: str) -> Any:
    """What the verb says, without what differs between scenes."""
    try:
        said = VERBS[verb](scene, role)
    except ledger.LedgerError as refusal:
        return refusal.code, {name: value for name, value in refusal.facts.items() if name not in NOT_ITS_OWN}
    rows = said if isinstance(said, list) else [said]
    return [
        row if isinstance(row, int) else {n: getattr(row, n) for n in type(row).__slots__ if n not in NOT_ITS_OWN}
        for row in rows
    ]


class OtherConnection:
    """A thread with a database connection of its own, which works on one thing at a time."""

    def __init__(self) -> None:
        self.executor = ThreadPoolExecutor(1)
        self.pid = self.executor.submit(self._pid).result()

    @staticmethod
    def _pid() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return int(cursor.fetchone()[0])

    def close(self) -> None:
        self.executor.submit(lambda: connection.close()).result()  # of that thread
        self.executor.shutdown()

    def waits_for_us(self, work: "Future[Any]") -> bool:
        """Wait until the other connection waits for a lock of this one; False when it is done instead."""
        until = time.monotonic() + WAIT_SECONDS_MAX
        while not work.done() and time.monotonic() < until:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid() = ANY (pg_blocking_pids(%s))", [self.pid])
                if cursor.fetchone()[0]:
                    return True
        return False


@pytest.fixture
def other(committed_shop: Shop) -> Iterator[OtherConnection]:
    connected = OtherConnection()
    yield connected
    connected.close()


Pair = tuple[str, str, bool]
"""First verb, second verb, and whether the first is committed."""


def alone(shop: Shop, pairs: list[Pair]) -> dict[Pair, Any]:
    """What each pair comes to, one verb after the other on one connection: the answers, and the numbers afterwards.

    All on one scene, for setting one up takes longer than the verbs: what a pair did is taken back.
    """
    scene, found = Scene(shop, "alone"), {}
    for pair in pairs:
        first, second, is_committed = pair
        with transaction.atomic():
            said = [answer(first, scene, "first")] if is_committed else []
            said.append(answer(second, scene, "second"))
            found[pair] = said, scene.numbers()
            transaction.set_rollback(True)
    ledger.expire_due()  # else this scene's would be found due in the others
    return found


def assert_as_if_one_after_the_other(shop: Shop, other: OtherConnection, pairs: list[Pair]) -> None:
    expected = alone(shop, pairs)
    for pair in pairs:
        first, second, is_committed = pair
        scene = Scene(shop, f"{first}, {second}, {is_committed}")
        said = []
        with transaction.atomic():
            said.append(answer(first, scene, "first"))
            work = other.executor.submit(answer, second, scene, "second")
            assert other.waits_for_us(work), f"the second did not wait for the first: {pair}"
            transaction.set_rollback(not is_committed)
        said.append(work.result(WAIT_SECONDS_MAX))
        answers, numbers = expected[pair]
        assert said[-len(answers) :] == answers, pair
        assert scene.numbers() == numbers, pair
        ledger.expire_due()  # of this scene


RIVALS = [
    ("reserve all", "reserve"),
    ("reserve a basket", "reserve the basket backwards"),
    ("reserve the basket backwards", "reserve a basket"),
    ("reserve anywhere", "reserve all"),
    ("sell", "count"),
    ("count an hour ago", "sell an hour ago"),
    ("sell an hour ago", "count an hour ago"),
    ("block", "reserve"),
    ("reserve", "block"),
    ("block", "confirm"),
    ("expire", "confirm what is due"),
    ("confirm what is due", "expire"),
    ("expire", "release what is due"),
    ("expire", "reserve all"),
    ("reserve all", "expire"),
    ("confirm", "release"),
    ("release", "confirm"),
    ("confirm a part", "confirm"),
    ("send away", "adjust down"),
    ("adjust down", "send away"),
    ("receive", "receive, seen version 5"),
    ("reserve what is sold", "reserve"),
]
"""The pairs that have gone wrong in other systems; the slow test has all of them."""


@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "rolled back"])
def test_rivals(committed_shop: Shop, other: OtherConnection, is_committed: bool) -> None:
    pairs = [*RIVALS, *((verb, verb) for verb in VERBS)]
    assert_as_if_one_after_the_other(committed_shop, other, [(*pair, is_committed) for pair in pairs])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", VERBS)
def test_every_pair(committed_shop: Shop, other: OtherConnection, first: str) -> None:
    pairs = [(first, second, is_committed) for second in VERBS for is_committed in (True, False)]
    assert_as_if_one_after_the_other(committed_shop, other, pairs)
