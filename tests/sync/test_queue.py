"""Which listings are due, and who may tell them."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.connectors.models import Connector, Listing
from apps.inventory import ledger
from apps.inventory.models import Batch, Location, Movement, Product
from apps.sync import queue
from apps.tenants.models import Tenant

PAST = timezone.now() - timedelta(minutes=1)  # a test's transaction began before any `now` of Python's


@dataclass
class Desk:
    tenant: Tenant
    connector: Connector
    product: Product
    store: Location
    depot: Location
    listing: Listing

    def receive(self, location: Location, quantity: int) -> None:
        key = f"{location.code}:{quantity}"
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
    assert queue.claim(desk.listing.pk) is None


def test_a_number_the_channel_keeps_itself_is_never_due(desk: Desk) -> None:
    Listing.objects.update(logistic_type="fulfillment")
    desk.receive(desk.store, 1)
    assert queue.sweep() == 0


def test_a_claim_is_exclusive_until_it_ends(desk: Desk) -> None:
    Listing.objects.update(due_at=PAST)
    claim = queue.claim(desk.listing.pk)
    assert claim is not None
    assert (claim.listing_id, claim.attempt, claim.was_interrupted) == (desk.listing.pk, 1, False)
    assert queue.claim(desk.listing.pk) is None
    Listing.objects.update(due_at=PAST)  # the stock moved meanwhile
    assert queue.claim(desk.listing.pk) is None
    Listing.objects.update(lease_expires_at=PAST)
    again = queue.claim(desk.listing.pk)
    assert again is not None
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
