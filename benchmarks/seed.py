"""What the API benchmarks need in the database; called by Service.call in a process that has Django."""

from typing import Any

from apps.inventory import ledger
from apps.inventory.models import Location, Movement, Product
from apps.inventory.refusals import LedgerError
from apps.tenants.models import ApiKey, Tenant
from apps.tenants.scopes import SCOPES
from benchmarks.service import SKU, STORE, TENANT

BATCH = 500


def shop(*, skus: int, units: int) -> dict[str, Any]:
    """Make a tenant with so many SKUs at one store, received through the ledger, and an API key."""
    tenant = Tenant.objects.create(slug=TENANT, name="Bench")
    store = Location.objects.create(tenant=tenant, code=STORE, name="Store 1")
    products = Product.objects.bulk_create(
        [Product(tenant=tenant, sku=SKU.format(sku=f"{n:05d}"), name=f"Product {n}") for n in range(1, skus + 1)],
        batch_size=5000,
    )
    cause = ledger.Cause(actor="command:bench", reason="stock to measure with")
    for first in range(0, skus, BATCH):
        moves = [
            ledger.Move(
                kind=Movement.Kind.RECEIPT,
                product_id=product.pk,
                location_id=store.pk,
                quantity=units,
                cause=cause,
                key=f"seed:{product.sku}",
            )
            for product in products[first : first + BATCH]
        ]
        refused = [verdict for verdict in ledger.post(tenant, moves) if isinstance(verdict, LedgerError)]
        if refused:
            raise refused[0]
    _row, text = ApiKey.issue(tenant, name="bench", scopes=list(SCOPES))
    return {"tenant_id": tenant.pk, "key": text}
