"""Bring an account's listings in, and match them to products by the seller's own SKU."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.utils import timezone

from apps.connectors import credentials
from apps.connectors.channel import ListingSnapshot, open_channel
from apps.connectors.models import Connector, Listing
from apps.inventory.models import Product

CHUNK = 500
"""Listings written in one statement."""


@dataclass(slots=True)
class ImportReport:
    """What an import did, counted in listings (a variation counts as one)."""

    read: int = 0
    new: int = 0
    mapped: int = 0
    unmapped: int = 0
    products_made: int = 0


def import_listings(
    connector: Connector, *, create_products: bool = False, on_progress: Callable[[ImportReport], None] | None = None
) -> ImportReport:
    """Read every listing of the account and keep it, matched to the product with its seller SKU.

    create_products: make the product of a SKU that the tenant does not have yet.
    A mapping a person made is never changed, and no stock moves: the number the channel shows now is kept as the
    accepted one, so that the first push is sent only when the hub's own number differs. Safe to repeat.
    Raises ChannelError when the channel fails; what was read until then is kept.
    """
    report = ImportReport()
    channel = open_channel(connector.kind, credentials.ConnectorTokens(connector.pk))
    for chunk in _chunks(channel.listings()):
        _keep(connector, chunk, report, create_products=create_products)
        if on_progress:
            on_progress(report)
    return report


def _chunks(rows: Iterable[ListingSnapshot]) -> Iterator[list[ListingSnapshot]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _keep(connector: Connector, chunk: list[ListingSnapshot], report: ImportReport, *, create_products: bool) -> None:
    products = _products_by_sku(connector, chunk, report, create_products=create_products)
    known = {
        (listing.item_id, listing.variation_id): listing
        for listing in Listing.objects.filter(connector=connector, item_id__in={row.item_id for row in chunk})
    }
    fresh: list[Listing] = []
    changed: list[Listing] = []
    for row in chunk:
        listing = known.get((row.item_id, row.variation_id))
        is_new = listing is None
        if listing is None:
            listing = Listing(
                tenant_id=connector.tenant_id,
                connector=connector,
                item_id=row.item_id,
                variation_id=row.variation_id,
            )
        _describe(listing, row)
        if listing.product_id is None:
            listing.product_id = products.get(row.seller_sku)
        (fresh if is_new else changed).append(listing)
        report.mapped += listing.product_id is not None
        report.unmapped += listing.product_id is None
    report.read += len(chunk)
    # two imports at once: the second one's new rows are the first one's, already there
    report.new += len(Listing.objects.bulk_create(fresh, ignore_conflicts=True))
    Listing.objects.bulk_update(changed, [*DESCRIBED, "product"])


DESCRIBED = [
    "user_product_id",
    "seller_sku",
    "title",
    "channel_status",
    "logistic_type",
    "accepted_quantity",
    "accepted_at",
    "updated_at",
]


def _describe(listing: Listing, row: ListingSnapshot) -> None:
    values: dict[str, Any] = {
        "user_product_id": row.user_product_id,
        "seller_sku": row.seller_sku[:100],
        "title": row.title[:300],
        "channel_status": row.status,
        "logistic_type": row.logistic_type,
        "accepted_quantity": row.quantity,
        "accepted_at": timezone.now(),
        "updated_at": timezone.now(),
    }
    for name, value in values.items():
        setattr(listing, name, value)


def _products_by_sku(
    connector: Connector, chunk: list[ListingSnapshot], report: ImportReport, *, create_products: bool
) -> dict[str, int]:
    """Return {seller SKU: product id} for the chunk's SKUs, making the missing products when told to."""
    rows = {row.seller_sku: row for row in chunk if row.seller_sku}
    found = _find_products(connector, rows)
    missing = [row for sku, row in rows.items() if sku not in found]
    if create_products and missing:
        Product.objects.bulk_create(
            [
                Product(tenant_id=connector.tenant_id, sku=row.seller_sku, gtin=row.gtin[:14], name=row.title[:300])
                for row in missing
            ],
            ignore_conflicts=True,
        )
        report.products_made += len(missing)
        found = _find_products(connector, rows)
    return found


def _find_products(connector: Connector, skus: Iterable[str]) -> dict[str, int]:
    return dict(Product.objects.filter(tenant_id=connector.tenant_id, sku__in=list(skus)).values_list("sku", "pk"))
