"""PostgreSQL killed (SIGKILL) while clients move stock: each keeps a journal, asks again with the same key until it is
answered, and afterwards the ledger holds what the journals say, each thing once.
"""

import random
import threading
import time
from typing import Any

from django.db import Error, connection, connections

from apps.inventory import ledger, refusals
from apps.inventory.ledger import EndRequest, Line, ReserveRequest
from apps.inventory.models import Balance, LedgerKey, Movement, Product, Reservation
from apps.inventory.prove import prove
from scripts.launcher.throwaway import ThrowawayServers

from .conftest import Shop

Kind = Movement.Kind
CLIENTS = 6
KILLS = 3
BETWEEN_KILLS_SECONDS = 0.4
RETRY_SECONDS = 0.02


class Client:
    """Moves stock until told to stop, and writes down what it was answered."""

    def __init__(self, shop: Shop, number: int, products: list[int]) -> None:
        self.shop, self.number, self.products = shop, number, products
        self.chance = random.Random(number)
        self.journal: dict[str, tuple[str, Any, Any]] = {}  # key: verb, request, answer
        self.holds: list[str] = []
        self.unanswered = 0

    def work(self, is_over: threading.Event) -> None:
        turn = 0
        while not is_over.is_set():
            turn += 1
            key = f"{self.number}/{turn}"
            verb, request = self._something(key)
            answer = self._until_answered(verb, request)
            if not isinstance(answer, refusals.LedgerError):
                self.journal[key] = verb, request, answer
                if verb == "reserve":
                    self.holds += [row.reservation_id for row in answer]
        connection.close()

    def ask(self, verb: str, request: Any) -> Any:
        if verb == "post":
            return ledger.post(self.shop.tenant, [request])[0]
        return ledger.reserve_many([request])[0] if verb == "reserve" else ledger.end_many([request])[0]

    def _until_answered(self, verb: str, request: Any) -> Any:
        while True:
            try:
                answer = self.ask(verb, request)
            except Error:
                self.unanswered += 1
                connection.close()
                time.sleep(RETRY_SECONDS)
                continue
            if not isinstance(answer, refusals.KeyInFlight):  # the lock of a connection that died may outlive it a bit
                return answer

    def _something(self, key: str) -> tuple[str, Any]:
        cause = ledger.Cause(actor="test", source_key=key)
        what = self.chance.random()
        if what < 0.4:
            kind = self.chance.choice([Kind.RECEIPT, Kind.RECEIPT, Kind.SALE])
            product, place = self.chance.choice(self.products), self.shop.store.pk
            units = self.chance.randrange(1, 5)
            return "post", ledger.Move(
                kind=kind, product_id=product, location_id=place, quantity=units, cause=cause, key=key
            )
        if what < 0.7 or not self.holds:
            lines = [
                Line(product, self.chance.randrange(1, 3), self.shop.store.pk)
                for product in self.chance.sample(self.products, 2)
            ]
            return "reserve", ReserveRequest(
                tenant_id=self.shop.tenant.pk, lines=lines, cause=cause, key=key, ttl_seconds=3600
            )
        hold = self.holds.pop(self.chance.randrange(len(self.holds)))
        return "end", EndRequest(
            tenant_id=self.shop.tenant.pk,
            reservation_id=hold,
            is_confirmed=self.chance.random() < 0.5,
            cause=cause,
            key=key,
        )


def test_what_was_answered_is_there_after_postgresql_was_killed(
    committed_shop: Shop, servers: ThrowawayServers
) -> None:
    shop = committed_shop
    products = [Product.objects.create(tenant=shop.tenant, sku=f"k{n}", name="killed").pk for n in range(3)]
    clients = [Client(shop, number, products) for number in range(CLIENTS)]
    is_over = threading.Event()
    threads = [threading.Thread(target=client.work, args=[is_over]) for client in clients]
    for thread in threads:
        thread.start()
    try:
        for _ in range(KILLS):
            time.sleep(BETWEEN_KILLS_SECONDS)
            servers.postgres.kill()
            answered = {key for client in clients for key in list(client.journal)}
            servers.postgres.start()
            connections.close_all()
            assert answered <= set(LedgerKey.objects.values_list("key", flat=True))
    finally:
        is_over.set()
        for thread in threads:
            thread.join(30)
        connections.close_all()

    assert sum(client.unanswered for client in clients) >= KILLS  # else nothing was in flight
    _assert_each_is_there_once(clients)
    assert prove() == []


def _assert_each_is_there_once(clients: list[Client]) -> None:
    made: dict[str, list[Movement]] = {}
    for movement in Movement.objects.order_by("id"):
        made.setdefault(movement.source_key, []).append(movement)
    answered = {key for client in clients for key in client.journal}
    assert set(made) == answered  # nothing lost, and nothing done that nobody was told of
    for client in clients:
        for key, (verb, request, answer) in client.journal.items():
            rows = answer if verb == "reserve" else [answer]
            assert [row.version for row in rows] == [movement.version for movement in made[key]], key
            again = client.ask(verb, request)
            assert again == answer
            assert all(row.replayed for row in (again if verb == "reserve" else [again]))
    on_hand = sum(movement.on_hand_delta for movements in made.values() for movement in movements)
    assert sum(Balance.objects.values_list("on_hand", flat=True)) == on_hand
    open_holds = Reservation.objects.filter(status="PENDING").values_list("quantity", flat=True)
    assert sum(Balance.objects.values_list("reserved", flat=True)) == sum(open_holds)
