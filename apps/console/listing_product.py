"""Say which product a listing sells, and that it sells none any more."""

from django.contrib.postgres.expressions import ArraySubquery
from django.db import transaction
from django.db.models import Count, F, Func, QuerySet
from django.utils import timezone

from apps.connectors.models import Listing, lock
from apps.events.models import IntegrationEvent
from apps.inventory.models import Product
from apps.orders.intake import LISTING_KEY, listing_key
from apps.sync import queue
from apps.tenants import audit
from apps.tenants.models import Tenant


def map_listing(listing: Listing, product: Product, *, actor: str) -> None:
    """Map `listing` to `product` of the same tenant and have its number sent at once.

    Orders that waited for it come in by themselves: the inbox looks for newly mapped listings every second. Orders that
    came in before keep the product they were taken in with. actor: who did it, `user:7`.
    """
    with transaction.atomic():
        lock(Listing.objects.filter(pk=listing.pk))
        before = _sku_of(listing)
        set_product(listing, product)
        queue.mark_now(Listing.objects.filter(pk=listing.pk))
        record_mapped(listing, before, product.sku, actor=actor)


def record_mapped(listing: Listing, before: str | None, after: str | None, *, actor: str) -> None:
    """Write down who gave a listing another product, in the caller's transaction. None: it sold none, or sells none."""
    if before != after:
        action = "listing.mapped" if after else "listing.unmapped"
        audit.record(listing.tenant, actor, action, f"listing:{listing.pk}", changes={"product": [before, after]})


def _sku_of(listing: Listing) -> str | None:
    return Listing.objects.filter(pk=listing.pk).values_list("product__sku", flat=True).get()


def set_product(listing: Listing, product: Product) -> None:
    """Write down that `listing` sells `product`, and nothing else."""
    Listing.objects.filter(pk=listing.pk).update(product=product, updated_at=timezone.now())


def unmap_listing(listing: Listing, *, actor: str) -> bool:
    """Say that `listing` sells no product of ours: it is told no number any more. False when it sold none anyway.

    The number that the channel shows stays as it is there. A call that is on its way ends as that of a worker which
    lost its lease. Orders that came in keep the product they were taken in with; new ones wait for a mapping.
    """
    with transaction.atomic():
        lock(Listing.objects.filter(pk=listing.pk))
        before = _sku_of(listing)
        if before is None:
            return False
        Listing.objects.filter(pk=listing.pk).update(
            product=None,
            due_at=None,
            due_trigger="",
            lease_id=None,
            lease_expires_at=None,
            held_at=None,
            zeroing_since=None,
            shadow_quantity=None,
            live_since=None,
            attempts=0,
            sync_state=Listing.SyncState.NEVER,
            last_error="",
            last_error_code="",
            updated_at=timezone.now(),
        )
        record_mapped(listing, before, None, actor=actor)
    return True


def make_product(listing: Listing, *, sku: str, name: str, gtin: str, actor: str) -> Product:
    """Make the product that a listing sells and map it. Raises IntegrityError when the tenant has that SKU already."""
    with transaction.atomic():
        product = Product.objects.create(tenant=listing.tenant, sku=sku, name=name, gtin=gtin)
        audit.record(listing.tenant, actor, "product.made", f"product:{product.pk}", sku=sku, name=name, gtin=gtin)
        map_listing(listing, product, actor=actor)
    return product


def waiting_for_skus(tenant: Tenant, skus: list[str]) -> int:
    """Return how many events wait for listings without a product that have one of these SKUs at the channel."""
    rows = Listing.objects.filter(tenant=tenant, product__isnull=True, seller_sku__in=skus)
    return waiting_for(tenant, rows)


def waiting_for(tenant: Tenant, rows: QuerySet[Listing]) -> int:
    """Return how many of the tenant's events wait for one of these listings to be mapped."""
    keys = ArraySubquery(rows.order_by().annotate(key=LISTING_KEY).values("key"))  # thousands take long as parameters
    waiting = IntegrationEvent.objects.filter(tenant=tenant, status=IntegrationEvent.Status.MAPPING)
    return waiting.filter(waiting_for__overlap=keys).count()


def waiting_events(listings: list[Listing]) -> dict[int, int]:
    """Return, per listing id, how many events wait for it to be mapped."""
    keys = {(row.connector_id, listing_key(row.item_id, row.variation_id)): row.pk for row in listings}
    if not keys:
        return {}
    counted = (
        IntegrationEvent.objects.filter(
            status=IntegrationEvent.Status.MAPPING,
            connector_id__in={connector_id for connector_id, _ in keys},
            waiting_for__overlap=[key for _, key in keys],
        )
        .annotate(listing_key=Func(F("waiting_for"), function="unnest"))
        .values_list("connector_id", "listing_key")
        .annotate(events=Count("pk"))
    )
    return {keys[connector_id, key]: events for connector_id, key, events in counted if (connector_id, key) in keys}
