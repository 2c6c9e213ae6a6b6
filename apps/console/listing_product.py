"""Say which product a listing sells."""

from django.db import transaction
from django.db.models import Count, F, Func
from django.utils import timezone

from apps.connectors.models import Listing
from apps.events.models import IntegrationEvent
from apps.inventory.models import Product
from apps.orders.intake import listing_key
from apps.sync import queue


def map_listing(listing: Listing, product: Product) -> None:
    """Map `listing` to `product` of the same tenant and have its number sent at once.

    Orders that waited for it come in by themselves: the inbox looks for newly mapped listings every second. Orders that
    came in before keep the product they were taken in with.
    """
    with transaction.atomic():
        same = Listing.objects.filter(pk=listing.pk)
        same.update(product=product, updated_at=timezone.now())
        queue.mark_now(same)


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
