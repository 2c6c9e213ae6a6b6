"""`prove` finds seeded corruption and names the rows. The corruption goes around the ledger and its triggers."""

import pytest
from django.db import connection

from apps.inventory.ledger import Line
from apps.inventory.prove import prove

from .conftest import Shop

CORRUPTIONS = {
    "a balance is the sum of its movements": "UPDATE inventory_balances SET quantity_on_hand = quantity_on_hand + 1",
    "a balance's version counts its movements, without a gap": "UPDATE inventory_balances SET version = version + 1",
    "each movement's totals follow from the movement before it": (
        "UPDATE inventory_ledger SET on_hand_after = 77 WHERE version = 1"
    ),
    "what is reserved is the sum of the open reservations": "UPDATE inventory_reservations SET quantity = quantity + 1",
    "a reservation holds and gives back what it says, as its status says": (
        "UPDATE inventory_reservations SET status = 'CONFIRMED'"
    ),
    "a movement that names a reservation names one that exists": "DELETE FROM inventory_reservations",
}


@pytest.fixture
def busy_shop(shop: Shop) -> Shop:
    shop.receive(shop.shirt, shop.store, 10)
    shop.reserve(Line(shop.shirt.pk, 4, shop.store.pk))
    return shop


def test_an_honest_ledger_is_proven(busy_shop: Shop) -> None:
    assert prove() == []


@pytest.mark.corrupts
@pytest.mark.parametrize("rule", CORRUPTIONS)
def test_a_corruption_is_found_and_its_row_named(busy_shop: Shop, rule: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(CORRUPTIONS[rule])
        cursor.execute("SET LOCAL session_replication_role = origin")
    found = {finding.rule: finding for finding in prove()}
    assert rule in found
    assert found[rule].count == 1
    assert found[rule].examples[0]["tenant_id"] == busy_shop.tenant.pk
