"""`prove` finds every kind of seeded corruption and names the rows. It goes around the ledger and its triggers.

Each statement damages one row and returns what names it; the finding must name the same.
"""

# ruff: noqa: S608  # every part of these statements stands in this file
import os
import sys
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.inventory import ledger
from apps.inventory.ledger import Line
from apps.inventory.models import Batch, Movement, Product, Reservation
from apps.inventory.prove import RULES, prove

from .conftest import Shop

Kind = Movement.Kind
MOVEMENTS = int(os.environ.get("SALDO_MOVEMENTS", "30000"))

BALANCE = "tenant_id, product_id, location_id"
BATCHED = "WHERE product_id = (SELECT id FROM inventory_products WHERE sku = 'SHIRT')"
PLAIN = "WHERE product_id = (SELECT id FROM inventory_products WHERE sku = 'MUG')"

# what was done: (the rule that is broken, the statement)
CORRUPTIONS = {
    "units appear on hand": (
        "a balance is the sum of its movements",
        f"UPDATE inventory_balances SET quantity_on_hand = quantity_on_hand + 1 {PLAIN} RETURNING {BALANCE}",
    ),
    "units are reserved by nobody": (
        "a balance is the sum of its movements",
        f"UPDATE inventory_balances SET quantity_reserved = quantity_reserved + 1 {PLAIN} RETURNING {BALANCE}",
    ),
    "units are blocked by nothing": (
        "a balance is the sum of its movements",
        f"UPDATE inventory_balances SET quantity_blocked = quantity_blocked + 1 {PLAIN} RETURNING {BALANCE}",
    ),
    "a version is skipped": (
        "a balance's version counts its movements, without a gap",
        f"UPDATE inventory_balances SET version = version + 1 {PLAIN} RETURNING {BALANCE}",
    ),
    "the newest movement is removed": (
        "a balance's version counts its movements, without a gap",
        (
            f"DELETE FROM inventory_ledger {PLAIN} AND version = (SELECT max(version) FROM inventory_ledger {PLAIN}) "
            f"RETURNING {BALANCE}"
        ),
    ),
    "a movement is removed from the middle": (
        "a balance's version counts its movements, without a gap",
        f"DELETE FROM inventory_ledger {PLAIN} AND version = 2 RETURNING {BALANCE}",
    ),
    "two movements have one version": (
        "a balance's version counts its movements, without a gap",
        f"UPDATE inventory_ledger SET version = 1 {PLAIN} AND version = 2 RETURNING {BALANCE}",
    ),
    "a movement's change is altered": (
        "a balance is the sum of its movements",
        f"UPDATE inventory_ledger SET on_hand_delta = on_hand_delta + 1 {PLAIN} AND version = 1 RETURNING {BALANCE}",
    ),
    "a movement's total is altered": (
        "each movement's totals follow from the movement before it",
        f"UPDATE inventory_ledger SET on_hand_after = 77 {PLAIN} AND version = 1 RETURNING id, {BALANCE}",
    ),
    "a movement is dated back": (
        "movements of a balance were recorded in the order of their versions, after they happened",
        (
            "UPDATE inventory_ledger SET recorded_at = recorded_at - interval '1 hour', "
            f"occurred_at = occurred_at - interval '1 hour' {PLAIN} AND version = 3 RETURNING id, {BALANCE}"
        ),
    ),
    "a receipt is called a sale": (
        "a movement changes what its kind says",
        f"UPDATE inventory_ledger SET kind = 'SALE' {PLAIN} AND version = 1 RETURNING id, {BALANCE}",
    ),
    "a movement is filed under the wrong type": (
        "a movement changes what its kind says",
        f"UPDATE inventory_ledger SET transaction_type = 'TRANSFER' {PLAIN} AND version = 1 RETURNING id, {BALANCE}",
    ),
    "a balance is removed": (
        "everything of a balance has its balance",
        f"DELETE FROM inventory_balances {PLAIN} RETURNING {BALANCE}",
    ),
    "a reservation is another tenant's": (
        "everything of a balance has its balance",
        (
            f"UPDATE inventory_reservations SET tenant_id = tenant_id + 1000 {PLAIN} AND status = 'PENDING' "
            f"RETURNING {BALANCE}"
        ),
    ),
    "a reservation grows": (
        "what is reserved is the sum of the open reservations",
        f"UPDATE inventory_reservations SET quantity = quantity + 1 {PLAIN} AND status = 'PENDING' RETURNING {BALANCE}",
    ),
    "a reservation ends without a movement": (
        "a reservation holds and gives back what it says, as its status says",
        f"UPDATE inventory_reservations SET status = 'RELEASED' {PLAIN} AND status = 'PENDING' RETURNING id, {BALANCE}",
    ),
    "an expired reservation is revived": (
        "a reservation holds and gives back what it says, as its status says",
        f"UPDATE inventory_reservations SET status = 'PENDING' {PLAIN} AND status = 'EXPIRED' RETURNING id, {BALANCE}",
    ),
    "a reservation ends twice": (
        "a reservation holds and gives back what it says, as its status says",
        f"""WITH ended AS (SELECT * FROM inventory_ledger {PLAIN} AND kind = 'EXPIRE'),
                 again AS (INSERT INTO inventory_ledger (
                     tenant_id, product_id, location_id, kind, transaction_type, on_hand_delta, reserved_delta,
                     on_hand_after, reserved_after, version, reservation_id, reason, reference_type, reference_id,
                     actor, source, source_key, trace_id, occurred_at, recorded_at)
                 SELECT tenant_id, product_id, location_id, 'RELEASE', transaction_type, on_hand_delta, reserved_delta,
                     on_hand_after, reserved_after, 99, reservation_id, reason, reference_type, reference_id, actor,
                     source, source_key, trace_id, occurred_at, clock_timestamp() FROM ended)
            SELECT reservation_id AS id, {BALANCE} FROM ended""",
    ),
    "a reservation is removed": (
        "a movement that names a reservation names one that exists",
        (
            f"WITH gone AS (DELETE FROM inventory_reservations {PLAIN} AND status = 'EXPIRED' RETURNING *) "
            "SELECT id AS reservation_id, tenant_id, product_id, location_id FROM gone"
        ),
    ),
    "a movement is reversed twice": (
        "a movement is reversed at most once, by one of the same balance",
        f"""UPDATE inventory_ledger SET reverses_id = (SELECT reverses_id FROM inventory_ledger WHERE reverses_id > 0)
            {BATCHED} AND kind = 'COUNT' RETURNING id, {BALANCE}""",
    ),
    "a movement reverses one of another balance": (
        "a movement is reversed at most once, by one of the same balance",
        (
            "UPDATE inventory_ledger SET reverses_id = (SELECT min(id) FROM inventory_ledger) "
            f"WHERE reverses_id > 0 RETURNING id, {BALANCE}"
        ),
    ),
    "an oversell is closed by hand": (
        "an oversell is open exactly while its balance is oversold",
        f"UPDATE inventory_oversells SET closed_at = now() WHERE closed_at IS NULL RETURNING {BALANCE}",
    ),
    "an oversell is made smaller": (
        "an oversell is open exactly while its balance is oversold",
        f"UPDATE inventory_oversells SET units_short = 0 WHERE closed_at IS NULL RETURNING {BALANCE}",
    ),
    "an oversell blames another movement": (
        "an oversell begins and ends with the movements it names",
        f"UPDATE inventory_oversells SET opened_version = 7 WHERE closed_at IS NULL RETURNING id, {BALANCE}",
    ),
    "a batch loses units": (
        "where there are batches they add up to the balance",
        f"UPDATE inventory_batches SET quantity = quantity - 1 WHERE batch_number = 'B' RETURNING {BALANCE}",
    ),
    "units change from batch to batch": (
        "a batch's quantity is the sum of its movements, where all of them name it",
        f"""WITH taken AS (UPDATE inventory_batches SET quantity = quantity - 1 WHERE batch_number = ''
                           RETURNING product_id)
            UPDATE inventory_batches SET quantity = quantity + 1 WHERE batch_number = 'B' RETURNING id, {BALANCE}""",
    ),
    "a recalled batch goes back on sale": (
        "where there are batches they add up to the balance",
        f"UPDATE inventory_batches SET status = 'ACTIVE' WHERE status = 'BLOCKED' RETURNING {BALANCE}",
    ),
    "a movement names a batch of nowhere": (
        "a movement that names a batch names one of its balance",
        "UPDATE inventory_ledger SET batch_id = uuidv7() WHERE kind = 'BLOCK' RETURNING id, tenant_id, batch_id",
    ),
    "a batch holds for nobody": (
        "what is reserved of a batch is the sum of its open holds",
        f"UPDATE inventory_batches SET reserved = reserved + 1 WHERE batch_number = 'B' RETURNING id, {BALANCE}",
    ),
    "a hold shrinks": (
        "a reservation's holds add up to it, where there are batches",
        """WITH less AS (UPDATE inventory_batch_holds SET quantity = quantity - 1 RETURNING reservation_id, tenant_id)
           SELECT reservation_id AS id, tenant_id FROM less""",
    ),
    "what was counted is altered": (
        "the newest count and what happened after it are what is on hand",
        f"UPDATE inventory_counts SET counted = counted + 1 RETURNING {BALANCE}",
    ),
    "the count is forgotten": (
        "the newest count and what happened after it are what is on hand",
        f"UPDATE inventory_balances SET count_as_of = NULL WHERE count_as_of IS NOT NULL RETURNING {BALANCE}",
    ),
    "a transfer grows on its way": (
        "what is on its way is what was sent and received",
        "UPDATE inventory_transfers SET received = received + 1 RETURNING id, tenant_id, product_id",
    ),
    "a key forgets its answer": (
        "a key that was used has its answer",
        "UPDATE inventory_keys SET answer = NULL WHERE key = 'first' RETURNING tenant_id, key",
    ),
    "nobody sweeps": (
        "nothing is open long after it was due",
        (
            f"UPDATE inventory_reservations SET expires_at = now() - interval '1 hour' {PLAIN} AND status = 'PENDING' "
            f"RETURNING id, {BALANCE}"
        ),
    ),
    "a checkpoint is written by nobody": (
        "a checkpoint is the sum of what had occurred by its day",
        (
            "INSERT INTO inventory_checkpoints SELECT tenant_id, product_id, location_id, DATE '2026-01-01', 1, 0, 0 "
            f"FROM inventory_balances {PLAIN} RETURNING {BALANCE}, day"
        ),
    ),
}


@pytest.fixture
def busy_shop(shop: Shop) -> Shop:
    """A shop where everything has happened: the mugs without batches, the shirts with some."""
    shop.receive(shop.mug, shop.store, 10, key="first")
    shop.reserve(Line(shop.mug.pk, 4, shop.store.pk))
    [held] = shop.reserve(Line(shop.mug.pk, 1, shop.store.pk), ttl_seconds=60)
    Reservation.objects.filter(pk=held.reservation_id).update(expires_at=timezone.now())
    ledger.expire_due()

    received = shop.receive(shop.shirt, shop.store, 5)
    shop.move(Kind.ADJUSTMENT, -5, reverses_id=received.movement_ids[0])
    shop.receive(shop.shirt, shop.store, 3)
    for number, units in (("A", 6), ("B", 4)):
        shop.move(
            Kind.RECEIPT, units, batch_number=number, batch_expires_at=timezone.now() + timedelta(days=ord(number))
        )
    shop.move(Kind.COUNT, 12)
    shop.reserve(Line(shop.shirt.pk, 2, shop.store.pk))
    ledger.block_batch(shop.tenant, Batch.objects.get(batch_number="A").pk, cause=shop.cause())
    shop.move(Kind.TRANSFER_OUT, 1, transfer_code="T1", other_location_id=shop.depot.pk)
    shop.reserve(Line(shop.shirt.pk, 5, shop.depot.pk), is_fact=True)  # an oversell, at the depot
    return shop


def test_an_honest_ledger_is_proven(busy_shop: Shop) -> None:
    assert prove() == []


@pytest.mark.corrupts
@pytest.mark.parametrize("done", CORRUPTIONS)
def test_a_corruption_is_found_and_its_row_named(busy_shop: Shop, done: str) -> None:
    rule, statement = CORRUPTIONS[done]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement)
        assert cursor.description
        damaged = [dict(zip([column.name for column in cursor.description], row, strict=True)) for row in cursor]
        cursor.execute("SET LOCAL session_replication_role = origin")
    assert len(damaged) == 1
    found = {finding.rule: finding for finding in prove()}
    assert rule in found
    assert any(damaged[0].items() <= example.items() for example in found[rule].examples)


def test_every_rule_is_broken_by_some_corruption_or_held_by_the_database() -> None:
    by_the_database = {"fewer on hand than reserved is a recorded oversell, and nothing else is"}
    assert {rule for rule, _ in CORRUPTIONS.values()} | by_the_database == set(RULES)


@pytest.mark.slow
@pytest.mark.timeout(MOVEMENTS // 200)
def test_a_proof_of_many_movements_is_quick(committed_shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of the movements are of one balance with batches: a rule that looks each up would not be done in time."""
    shop = committed_shop
    products = [Product.objects.create(tenant=shop.tenant, sku=f"P{n}", name="many").pk for n in range(200)]
    shop.move(Kind.RECEIPT, 10**6, batch_number="A")
    ledger.post(shop.tenant, [shop.a_move(Kind.RECEIPT, 10**6, product_id=product_id) for product_id in products])
    while Movement.objects.count() < MOVEMENTS:
        lines = [Line(shop.shirt.pk, 1, shop.store.pk)] * 250 + [Line(p, 1, shop.store.pk) for p in products]
        requests = [ledger.ReserveRequest(tenant_id=shop.tenant.pk, lines=[x], cause=shop.cause()) for x in lines]
        held: list[Any] = ledger.reserve_many(requests)
        ledger.end_many(
            [
                ledger.EndRequest(
                    tenant_id=shop.tenant.pk,
                    reservation_id=rows[0].reservation_id,
                    is_confirmed=bool(number % 2),
                    cause=shop.cause(),
                )
                for number, rows in enumerate(held)
            ]
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    started = time.monotonic()
    assert prove() == []
    with capsys.disabled():
        sys.stdout.write(f"\n{Movement.objects.count()} movements proven in {time.monotonic() - started:.1f} s\n")
