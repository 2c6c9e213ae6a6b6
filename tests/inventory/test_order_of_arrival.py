"""The same facts in any order, told once or often, alone or many in a call, end in the same number (contract §3.2).

The number itself is worked out here from the definition: the newest count, and what happened after it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from django.db.models import Sum
from django.utils import timezone

from apps.inventory import ledger
from apps.inventory.models import Balance, Count, Movement, Product

from .conftest import Shop

Kind = Movement.Kind
CHANGES = (Kind.RECEIPT, Kind.SALE, Kind.RETURN, Kind.LOSS, Kind.ADJUSTMENT)


@dataclass(frozen=True)
class Fact:
    key: str
    kind: Movement.Kind
    quantity: int
    minute: int
    order: str = ""
    batch: str | None = None

    @property
    def delta(self) -> int:
        return -self.quantity if self.kind in (Kind.SALE, Kind.LOSS) else self.quantity


def some_facts(chance: random.Random, how_many: int) -> list[Fact]:
    """Facts within an hour, so that many share a minute; one in eight is a count."""
    facts = []
    for number in range(how_many):
        minute = chance.randrange(60)
        if chance.random() < 0.125:
            order = chance.choice(["", "0001", "0002"])
            facts.append(Fact(f"count-{number}", Kind.COUNT, chance.randrange(50), minute, order))
        else:
            kind, batch = chance.choice(CHANGES), chance.choice([None, None, None, "A", "B"])
            quantity = chance.randrange(1, 9) * (chance.choice([1, -1]) if kind == Kind.ADJUSTMENT else 1)
            facts.append(Fact(f"fact-{number}", kind, quantity, minute, batch=batch))
    return facts


def the_number(facts: list[Fact]) -> int:
    counts = [fact for fact in facts if fact.kind == Kind.COUNT]
    newest = max(counts, key=lambda count: (count.minute, count.order, -count.quantity), default=None)
    after = newest.minute if newest else -1
    changes = (fact.delta for fact in facts if fact.kind != Kind.COUNT and fact.minute > after)
    return (newest.quantity if newest else 0) + sum(changes)


def as_it_may_arrive(chance: random.Random, facts: list[Fact]) -> Iterator[list[Fact]]:
    """The facts shuffled, a third of them twice or more, in calls of one to twenty."""
    arriving = facts + [chance.choice(facts) for _ in range(len(facts) // 3)]
    chance.shuffle(arriving)
    while arriving:
        size = chance.randrange(1, 21)
        yield arriving[:size]
        arriving = arriving[size:]


def tell(shop: Shop, product: Product, hour: datetime, facts: list[Fact]) -> None:
    moves = [
        ledger.Move(
            kind=fact.kind,
            product_id=product.pk,
            location_id=shop.store.pk,
            quantity=fact.quantity,
            cause=ledger.Cause(actor="test", occurred_at=hour + timedelta(minutes=fact.minute)),
            key=f"{product.pk}/{fact.key}",
            is_fact=True,
            batch_number=fact.batch,
            count_order=fact.order,
        )
        for fact in facts
    ]
    refused = [verdict.code for verdict in ledger.post(shop.tenant, moves) if isinstance(verdict, ledger.LedgerError)]
    assert set(refused) <= {"idempotency_key_in_flight"}  # twice in one call


def assert_any_order_ends_alike(shop: Shop, seed: int, *, facts: int, orders: int) -> None:
    chance = random.Random(seed)
    happened = some_facts(chance, facts)
    hour = timezone.now() - timedelta(hours=3)
    for number in range(orders):
        product = Product.objects.create(tenant=shop.tenant, sku=f"{seed}-{number}", name="in some order")
        for call in as_it_may_arrive(chance, happened):
            tell(shop, product, hour, call)
        moved = Movement.objects.filter(product=product).aggregate(units=Sum("on_hand_delta"))["units"]
        found = Balance.objects.get(product=product).on_hand
        assert (found, moved) == (the_number(happened), the_number(happened)), f"seed {seed}, order {number}"
        assert Count.objects.filter(product=product).count() == sum(fact.kind == Kind.COUNT for fact in happened)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_arrival_ends_in_the_same_number(shop: Shop, seed: int) -> None:
    assert_any_order_ends_alike(shop, seed, facts=40, orders=8)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_orders_of_two_hundred_facts_end_in_the_same_number(committed_shop: Shop) -> None:
    # committed, because a transaction holds a lock for each of its keys, and these are 13,000
    assert_any_order_ends_alike(committed_shop, 100, facts=200, orders=50)


def test_the_definition_itself_says_what_the_contract_says() -> None:
    sale, count = Fact("s", Kind.SALE, 3, 10), Fact("c", Kind.COUNT, 12, 10)
    assert the_number([sale]) == -3
    assert the_number([sale, count]) == 12
    assert the_number([replace(sale, minute=11), count]) == 9
    assert the_number([count, replace(count, minute=9, quantity=90)]) == 12
