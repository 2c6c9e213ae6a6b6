"""Say which product a listing sells."""

from django.db import transaction
from django.db.models import Count, F, Func
from django.utils import timezone

from apps.connectors.models import Listing
from apps.events.models import IntegrationEvent
from apps.inventory.models import Product
from apps.orders.intake import listing_key
from apps.sync import queue
from apps.tenants.models import Tenant


def map_listing(listing: Listing, product: Product) -> None:
    """Map `listing` to `product` of the same tenant and have its number sent at once.

    Orders that waited for it come in by themselves: the inbox looks for newly mapped listings every second. Orders that
    came in before keep the product they were taken in with.
    """
    with transaction.atomic():
        set_product(listing, product)
        queue.mark_now(Listing.objects.filter(pk=listing.pk))


def set_product(listing: Listing, product: Product) -> None:
    """Write down that `listing` sells `product`, and nothing else."""
    Listing.objects.filter(pk=listing.pk).update(product=product, updated_at=timezone.now())


def waiting_for_skus(tenant: Tenant, skus: list[str]) -> int:
    """Return how many events wait for listings without a product that have one of these SKUs at the channel."""
    rows = Listing.objects.filter(tenant=tenant, product__isnull=True, seller_sku__in=skus)
    keys = [listing_key(item_id, variation_id) for item_id, variation_id in rows.values_list("item_id", "variation_id")]
    waiting = IntegrationEvent.objects.filter(tenant=tenant, status=IntegrationEvent.Status.MAPPING)
    return waiting.filter(waiting_for__overlap=keys).count() if keys else 0


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
