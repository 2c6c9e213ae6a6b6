"""Every verb of the ledger, told: what arrives is what the served schemas say, in the order of the versions."""

import itertools
from datetime import timedelta

import jsonschema
from django.test import Client
from django.utils import timezone

from apps.inventory import ledger
from apps.inventory.models import Batch, Location, Movement, Reservation

from .conftest import Receiver, Shop, tell, verified

Kind = Movement.Kind


def do_everything(shop: Shop) -> None:
    """Make one movement of each kind at least."""
    cause = ledger.Cause(actor="key:saldo_ab12cd34", reason="test", reference_type="order", reference_id="77")
    depot = Location.objects.create(tenant=shop.tenant, code="CD1", name="Depósito")
    morning = timezone.now() - timedelta(hours=2)

    def move(kind: Movement.Kind, quantity: int, place: Location | None = None, **more: object) -> None:
        at = more.pop("at", None)
        ledger.post_one(
            shop.tenant,
            ledger.Move(
                kind=kind,
                product_id=shop.shirt.pk,
                location_id=(place or shop.store).pk,
                quantity=quantity,
                cause=ledger.Cause(actor="user:7", source="pos/store-07", occurred_at=at),  # type: ignore[arg-type]
                **more,  # type: ignore[arg-type]
            ),
        )

    def hold(quantity: int) -> str:
        line = ledger.Line(shop.shirt.pk, quantity, shop.store.pk)
        return ledger.reserve(shop.tenant, [line], key=None, cause=cause, ttl_seconds=60)[0].reservation_id

    move(Kind.RECEIPT, 40)
    move(Kind.COUNT, 38, at=morning)
    move(Kind.SALE, 2, at=morning - timedelta(minutes=5))  # absorbed by the count
    move(Kind.SALE, 1)
    move(Kind.RETURN, 1)
    move(Kind.LOSS, 1)
    move(Kind.ADJUSTMENT, -3)
    move(Kind.TRANSFER_OUT, 4, transfer_code="T1", other_location_id=depot.pk)
    move(Kind.TRANSFER_IN, 4, depot, transfer_code="T1", other_location_id=shop.store.pk)
    ledger.confirm(shop.tenant, hold(2), key=None, cause=cause)
    ledger.release(shop.tenant, hold(3), key=None, cause=cause)
    Reservation.objects.filter(pk=hold(4)).update(expires_at=timezone.now())
    ledger.expire_due()
    move(Kind.RECEIPT, 5, batch_number="A", batch_expires_at=timezone.now() + timedelta(days=30))
    batch = Batch.objects.get(batch_number="A")
    ledger.block_batch(shop.tenant, batch.pk, cause=cause)
    ledger.unblock_batch(shop.tenant, batch.pk, cause=cause)


def test_every_kind_arrives_as_its_schema_says(shop: Shop, receiver: Receiver) -> None:
    _, secret = shop.subscribe(receiver.url)
    do_everything(shop)
    assert set(Movement.objects.values_list("kind", flat=True)) == set(Kind.values)
    tell()

    listed = Client().get("/v1/events/schemas").json()
    schemas = {row["type"]: Client().get(row["schema"]).json() for row in listed["types"]}
    events = [verified(request, secret) for request in receiver.requests]
    assert len(events) == Movement.objects.count()
    assert {event["type"] for event in events} == set(schemas)
    for event in events:
        jsonschema.validate(event, listed["envelope"])
        jsonschema.validate(event["data"], schemas[event["type"]])
        assert event["data"]["product_id"] == str(shop.shirt.public_id)
    at_store = [event["data"] for event in events if event["data"]["warehouse_code"] == "S1"]
    assert [data["version"] for data in at_store] == list(range(1, len(at_store) + 1))
    for before, data in itertools.pairwise(at_store):  # each tells the balance, so a gap can be repaired
        for name in ("on_hand", "reserved", "blocked"):
            assert before["after"][name] + data["change"][name] == data["after"][name]
