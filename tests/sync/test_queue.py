"""Which listings are due, and who may tell them."""

import math
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from apps.common import valkey
from apps.connectors.models import Connector, Listing
from apps.inventory import ledger
from apps.inventory.models import Batch, Location, Movement, Product
from apps.sync import queue, turns
from apps.sync.models import SalesRate
from apps.sync.turns import Pause
from apps.tenants.models import Tenant

PAST = Now() - timedelta(minutes=1)  # by the database's clock, whenever the test runs


@dataclass
class Desk:
    tenant: Tenant
    connector: Connector
    product: Product
    store: Location
    depot: Location
    listing: Listing

    def receive(self, location: Location, quantity: int) -> None:
        key = f"{self.product.sku}:{location.code}:{quantity}"
        ledger.receive(self.tenant, self.product.pk, location.pk, quantity, key=key, cause=ledger.Cause(actor="test"))


@pytest.fixture
def desk(db: None) -> Desk:
    return _desk()


@pytest.fixture
def committed_desk(transactional_db: None) -> Desk:
    return _desk()


def _desk() -> Desk:
    tenant = Tenant.objects.create(slug="alice", name="Alice")
    connector = Connector.objects.create(tenant=tenant, kind="ML", name="ML", client_id="1", user_id="1")
    product = Product.objects.create(tenant=tenant, sku="SHIRT", name="Camisa")
    return Desk(
        tenant=tenant,
        connector=connector,
        product=product,
        store=Location.objects.create(tenant=tenant, code="S1", name="Loja"),
        depot=Location.objects.create(tenant=tenant, code="CD1", name="Depósito"),
        listing=Listing.objects.create(
            tenant=tenant, connector=connector, product=product, item_id="MLB1", accepted_quantity=5
        ),
    )


def test_the_target_is_what_all_places_have(desk: Desk) -> None:
    desk.receive(desk.store, 3)
    desk.receive(desk.depot, 4)
    assert queue.target_of(desk.listing.pk) == 7


def test_the_target_counts_only_the_connectors_places(desk: Desk) -> None:
    desk.receive(desk.store, 3)
    desk.receive(desk.depot, 4)
    desk.connector.locations.add(desk.store)
    assert queue.target_of(desk.listing.pk) == 3


def test_an_oversold_place_takes_nothing_from_another(desk: Desk) -> None:
    desk.receive(desk.store, 3)
    desk.receive(desk.depot, 1)
    line = ledger.Line(desk.product.pk, 5, desk.depot.pk)
    ledger.reserve(desk.tenant, [line], key="sale", cause=ledger.Cause(actor="test"), is_fact=True)
    assert queue.target_of(desk.listing.pk) == 3


def test_the_margin_is_taken_from_the_whole(desk: Desk) -> None:
    desk.receive(desk.store, 9)
    Connector.objects.update(margin_percent=50)
    assert queue.target_of(desk.listing.pk) == 4


def test_a_listing_departs_from_its_connectors_rule_part_by_part(desk: Desk) -> None:
    desk.receive(desk.store, 100)
    Connector.objects.update(margin_percent=50, buffer_units=5, end_when_units=2, cap_units=40)
    assert queue.target_of(desk.listing.pk) == 40
    Listing.objects.update(margin_percent=20)
    assert queue.target_of(desk.listing.pk) == 15
    Listing.objects.update(buffer_units=18)
    assert queue.target_of(desk.listing.pk) == 0
    Listing.objects.update(end_when_units=1)
    assert queue.target_of(desk.listing.pk) == 2
    Listing.objects.update(cap_units=1, margin_percent=None)
    assert queue.target_of(desk.listing.pk) == 1
    assert queue.sweep() == 1  # 5 was accepted


def test_a_product_without_any_movement_has_no_target(desk: Desk) -> None:
    assert queue.target_of(desk.listing.pk) is None
    assert queue.sweep() == 0


def test_the_sweep_marks_what_differs_and_only_that(desk: Desk) -> None:
    desk.receive(desk.store, 5)
    assert queue.sweep() == 0
    desk.receive(desk.store, 1)
    assert queue.sweep() == 1
    desk.listing.refresh_from_db()
    assert desk.listing.due_at is not None
    assert queue.sweep() == 0  # already due


@pytest.mark.parametrize("status", ["PAUSADO", "REAUTORIZAR", "ERROR"])
def test_a_stopped_connector_is_left_alone(desk: Desk, status: str) -> None:
    desk.receive(desk.store, 1)
    Connector.objects.update(status=status)
    assert queue.sweep() == 0
    Listing.objects.update(due_at=PAST)
    assert queue.claim([desk.listing.pk]) == []


def test_a_number_the_channel_keeps_itself_is_never_due(desk: Desk) -> None:
    Listing.objects.update(logistic_type="fulfillment")
    desk.receive(desk.store, 1)
    assert queue.sweep() == 0


def test_a_claim_is_exclusive_until_it_ends(desk: Desk) -> None:
    Listing.objects.update(due_at=PAST)
    (claim,) = queue.claim([desk.listing.pk])
    assert (claim.listing.pk, claim.listing.attempts, claim.was_interrupted) == (desk.listing.pk, 1, False)
    assert claim.listing == Listing.objects.get()
    assert claim.listing.connector.name == Listing.objects.get().connector.name
    assert queue.claim([desk.listing.pk]) == []
    Listing.objects.update(due_at=PAST)  # the stock moved meanwhile
    assert queue.claim([desk.listing.pk]) == []
    Listing.objects.update(lease_expires_at=PAST)
    (again,) = queue.claim([desk.listing.pk])
    assert again.was_interrupted
    assert again.lease_id != claim.lease_id


def test_movements_that_change_nothing_for_sale_wake_nobody(committed_desk: Desk) -> None:
    desk = committed_desk
    desk.receive(desk.store, 5)
    [held] = ledger.reserve(
        desk.tenant, [ledger.Line(desk.product.pk, 1)], key="sale", cause=ledger.Cause(actor="test")
    )
    assert queue.follow() == 2
    Listing.objects.update(due_at=None)
    ledger.confirm(desk.tenant, held.reservation_id, key="shipped", cause=ledger.Cause(actor="test"))
    assert queue.follow() == 1
    desk.listing.refresh_from_db()
    assert desk.listing.due_at is None


def test_a_batch_off_sale_and_a_count_of_nothing_wake_the_listing(committed_desk: Desk) -> None:
    desk = committed_desk
    move = {"product_id": desk.product.pk, "location_id": desk.store.pk, "cause": ledger.Cause(actor="test")}
    counted = ledger.Move(kind=Movement.Kind.COUNT, quantity=0, **move)  # type: ignore[arg-type]
    received = ledger.Move(kind=Movement.Kind.RECEIPT, quantity=5, batch_number="A", **move)  # type: ignore[arg-type]
    for begin in (
        lambda: ledger.post_one(desk.tenant, counted),
        lambda: ledger.post_one(desk.tenant, received),
        lambda: ledger.block_batch(desk.tenant, Batch.objects.get(batch_number="A").pk, cause=ledger.Cause(actor="t")),
    ):
        Listing.objects.update(due_at=None)
        begin()
        assert queue.follow() == 1
        desk.listing.refresh_from_db()
        assert desk.listing.due_at is not None


def test_a_listing_cannot_be_due_without_a_product(desk: Desk) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Listing.objects.update(product=None, due_at=PAST)


def test_a_listing_cannot_join_two_tenants(desk: Desk) -> None:
    stranger = Tenant.objects.create(slug="charlie", name="Charlie")
    theirs = Product.objects.create(tenant=stranger, sku="SHIRT", name="Camisa")
    with pytest.raises(IntegrityError), transaction.atomic():
        Listing.objects.update(product=theirs)


# --- The line --------------------------------------------------------------------------------------------------------


def next_listing() -> int | None:
    """Return whose turn it is, without telling anything; None when it is nobody's."""
    found = queue.next_turns(1, 1000)
    if isinstance(found, Pause):
        return None
    turns.end(found, were_used=False)
    return found[0].listing_id


def sell(desk: Desk, quantity: int, *, source: str = "pos", kind: str = Movement.Kind.SALE) -> None:
    cause = ledger.Cause(actor="test", source=source)
    move = ledger.Move(kind=kind, product_id=desk.product.pk, location_id=desk.store.pk, quantity=quantity, cause=cause)
    ledger.post_one(desk.tenant, move)


def another(desk: Desk, sku: str, *, accepted: int) -> Desk:
    """Return the same desk with another product and its listing."""
    product = Product.objects.create(tenant=desk.tenant, sku=sku, name=sku)
    listing = Listing.objects.create(
        tenant=desk.tenant,
        connector=desk.connector,
        product=product,
        item_id=f"MLB-{sku}",
        accepted_quantity=accepted,
    )
    return replace(desk, product=product, listing=listing)


def test_a_movement_puts_the_most_dangerous_listing_first(committed_desk: Desk) -> None:
    shirt = committed_desk  # five are shown
    mug, cup = another(shirt, "MUG", accepted=5), another(shirt, "CUP", accepted=5)
    cup.receive(cup.store, 9)
    mug.receive(mug.store, 4)
    shirt.receive(shirt.store, 1)
    queue.follow()
    order = [next_listing() for _ in range(4)]
    assert order == [shirt.listing.pk, mug.listing.pk, cup.listing.pk, None]


def test_what_sells_fast_goes_before_what_is_scarcer(committed_desk: Desk) -> None:
    slow, fast = committed_desk, another(committed_desk, "FAST", accepted=30)
    slow.receive(slow.store, 2)
    fast.receive(fast.store, 2_003)
    sell(fast, 2_000)
    queue.follow()
    assert next_listing() == fast.listing.pk


def test_a_listing_that_waits_moves_when_its_stock_does(committed_desk: Desk) -> None:
    first, second = committed_desk, another(committed_desk, "MUG", accepted=5)
    first.receive(first.store, 1)
    second.receive(second.store, 9)
    queue.follow()
    sell(second, 9)
    queue.follow()
    assert next_listing() == second.listing.pk


def test_redis_may_forget_everything_at_any_moment(committed_desk: Desk) -> None:
    committed_desk.receive(committed_desk.store, 1)
    queue.follow()
    for _ in range(3):
        valkey.client().flushdb()
        assert next_listing() == committed_desk.listing.pk
        assert next_listing() is None


def test_the_minute_lines_up_what_only_the_database_knows(committed_desk: Desk) -> None:
    queue.line_up_due()
    committed_desk.receive(committed_desk.store, 1)
    queue.follow()
    turns.leave(committed_desk.connector.pk, [committed_desk.listing.pk])  # a worker died with it
    assert next_listing() is None
    queue.sweep()
    assert next_listing() == committed_desk.listing.pk


def test_a_retry_comes_back_when_its_time_comes(committed_desk: Desk) -> None:
    Listing.objects.update(due_at=timezone.now() + timedelta(hours=1))
    queue.line_up_due()
    assert queue.line_up_recent() == 0
    Listing.objects.update(due_at=timezone.now())
    assert queue.line_up_recent() == 1
    assert next_listing() == committed_desk.listing.pk


def test_what_a_person_asks_for_goes_first(committed_desk: Desk) -> None:
    asked, other = committed_desk, another(committed_desk, "MUG", accepted=5)
    queue.line_up_due()
    other.receive(other.store, 1)
    asked.receive(asked.store, 5)
    queue.follow()
    assert queue.mark_now(Listing.objects.filter(pk=asked.listing.pk)) == 1
    assert next_listing() == asked.listing.pk


def test_a_rate_counts_sales_and_fades(committed_desk: Desk) -> None:
    desk = committed_desk
    desk.receive(desk.store, 100)
    sell(desk, 24)
    ledger.reserve(desk.tenant, [ledger.Line(desk.product.pk, 24)], key="web", cause=ledger.Cause(actor="test"))
    queue.follow()
    rate = SalesRate.objects.get()
    assert (rate.tenant, rate.units_per_hour) == (desk.tenant, pytest.approx(2.0, rel=1e-3))
    SalesRate.objects.update(as_of=timezone.now() - timedelta(hours=queue.RATE_MEMORY_HOURS))
    sell(desk, 24)
    queue.follow()
    assert SalesRate.objects.get().units_per_hour == pytest.approx(1 + 2 / math.e, rel=1e-3)
    sell(desk, 1, kind=Movement.Kind.LOSS)
    queue.follow()
    assert SalesRate.objects.get().units_per_hour == pytest.approx(1 + 2 / math.e, rel=1e-3)  # nobody bought that


def test_what_the_channel_sold_itself_is_no_hurry(committed_desk: Desk) -> None:
    sold_there, dangerous = committed_desk, another(committed_desk, "MUG", accepted=5)
    Listing.objects.update(accepted_at=timezone.now() - timedelta(minutes=1))
    sold_there.receive(sold_there.store, 5)
    dangerous.receive(dangerous.store, 5)
    queue.follow()
    Listing.objects.update(due_at=None)
    for desk, source in ((sold_there, "ML"), (dangerous, "shop")):
        cause = ledger.Cause(actor="test", source=source)
        ledger.reserve(desk.tenant, [ledger.Line(desk.product.pk, 3)], key=source, cause=cause)
    queue.follow()
    sold_there.listing.refresh_from_db()
    assert sold_there.listing.sold_there == 3
    assert [next_listing(), next_listing()] == [dangerous.listing.pk, sold_there.listing.pk]


def test_a_sale_from_before_the_last_number_is_not_taken_off(committed_desk: Desk) -> None:
    desk = committed_desk
    desk.receive(desk.store, 5)
    Listing.objects.update(accepted_at=timezone.now())
    before = ledger.Cause(actor="test", source="ML", occurred_at=timezone.now() - timedelta(minutes=1))
    ledger.reserve(desk.tenant, [ledger.Line(desk.product.pk, 3)], key="web", cause=before)
    queue.follow()
    desk.listing.refresh_from_db()
    assert desk.listing.sold_there == 0
