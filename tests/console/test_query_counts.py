"""How many queries each list costs, with no rows and with fifty: a number that changes is changed here on purpose.

A list of `lists.LISTS` that is missing from the table fails; a query for each row fails everywhere.
"""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.console.lists import LISTS
from apps.inventory import ledger
from apps.tenants.models import Membership, Tenant
from tests import factories

pytestmark = pytest.mark.django_db

ROWS = 50

#: list: (queries with no rows, queries with fifty)
BASELINE = {
    "events": (9, 10),
    "syncs": (9, 9),
    "orders": (7, 9),
    "stock": (9, 12),
    "listings": (7, 10),
    "divergences": (11, 11),
    "all-movements": (9, 10),
    "reservations": (8, 10),
    "batches": (8, 8),
    "oversells": (8, 11),
}


@pytest.fixture
def tenant() -> Tenant:
    return factories.TenantFactory()


def queries_of(tenant: Tenant, name: str) -> int:
    client = Client()
    client.force_login(factories.member(tenant, Membership.Role.MANAGER))
    client.get(reverse(f"console:{name}"))  # what is remembered afterwards is remembered now
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(reverse(f"console:{name}"))
    assert answer.status_code == 200
    return len(queries)


def fill(tenant: Tenant) -> None:
    """Make fifty rows of every list, each with a product, a listing and an order of its own."""
    connector = factories.ConnectorFactory(tenant=tenant)
    place = factories.LocationFactory(tenant=tenant)
    for _ in range(ROWS):
        product = factories.ProductFactory(tenant=tenant)
        factories.stocked(product, place, 5)
        listing = factories.ListingFactory(tenant=tenant, connector=connector, product=product)
        factories.ListingFactory(tenant=tenant, connector=connector, product=None, seller_sku=product.sku)
        order = factories.OrderFactory(tenant=tenant, connector=connector, item=None)
        factories.OrderItemFactory(order=order, listing=listing)
        factories.EventFactory(
            tenant=tenant, connector=connector, external_id=order.external_id, processed_at=timezone.now()
        )
        factories.SyncLogFactory(listing=listing)
        factories.DivergenceFactory(listing=listing)
        ledger.reserve(
            tenant,
            [ledger.Line(product_id=product.pk, location_id=place.pk, quantity=7)],
            key=f"order:{order.pk}:reserve",
            cause=ledger.Cause(
                actor="worker:orders", reason="sale", reference_type="order", reference_id=str(order.pk)
            ),
            is_fact=True,
        )


def test_every_list_has_its_numbers() -> None:
    assert set(BASELINE) == set(LISTS)


def test_no_list_costs_more_than_it_did(tenant: Tenant) -> None:
    empty = {name: queries_of(tenant, name) for name in LISTS}
    fill(tenant)
    full = {name: queries_of(tenant, name) for name in LISTS}
    assert {name: (empty[name], full[name]) for name in LISTS} == BASELINE
