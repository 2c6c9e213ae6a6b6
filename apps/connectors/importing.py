"""Bring an account's listings in, and match them to products by the seller's own SKU.

Where the channel replaced a listing with variations by one listing for each (its migration to user products), the new
ones take over the products of the old variations: a person decided that, and sales must not wait for it again.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone

from apps.connectors import credentials, errands, mappings
from apps.connectors.channel import Channel, ListingSnapshot
from apps.connectors.models import RULE_PARTS, SHARING, Connector, Depot, Errand, Listing
from apps.inventory.models import Product

CHUNK = 100
"""Listings written in one statement: five reads of the channel, after which the progress shows."""


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
    channel = credentials.open_connector(connector)
    connector.has_depots = channel.account().has_depots
    connector.save(update_fields=["has_depots", "updated_at"])
    if connector.has_depots:
        _keep_depots(connector, channel)
    for chunk in _chunks(channel.listings()):
        products = _products_by_sku(connector, chunk, report, create_products=create_products)
        _keep(connector, chunk, report, products)
        _follow_moved(connector, channel, chunk)
        if on_progress:
            on_progress(report)
    return report


def run_import(errand: Errand) -> None:
    """Import the listings of an errand's connector, counting as it goes. Raises ChannelError, errands.Cancelled."""
    report = import_listings(
        errand.connector,
        create_products=errand.makes_products,
        on_progress=lambda so_far: errands.note(errand, asdict(so_far)),
    )
    errands.note(errand, asdict(report))


def import_item(connector: Connector, item_id: str) -> None:
    """Keep the listings of one item as the channel shows it, unmapped when they are new. Raises ChannelError."""
    channel = credentials.open_connector(connector)
    rows = channel.listing(item_id)
    _keep(connector, rows, ImportReport(), {})
    _follow_moved(connector, channel, rows)


def _keep_depots(connector: Connector, channel: Channel) -> None:
    """Keep the account's depots; which of the hub's places each is, a person says, and that stays."""
    rows = [
        Depot(
            tenant_id=connector.tenant_id,
            connector=connector,
            store_id=one.store_id,
            network_node_id=one.network_node_id,
            name=one.name,
        )
        for one in channel.depots()
    ]
    Depot.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["connector", "store_id"],
        update_fields=["network_node_id", "name"],
    )


def _follow_moved(connector: Connector, channel: Channel, rows: list[ListingSnapshot]) -> None:
    """Give the listings that replaced others the products which those had; one that a person mapped keeps its own."""
    for item_id in {row.item_id for row in rows if row.has_moved}:
        old = Listing.objects.filter(connector=connector, item_id=item_id, product__isnull=False)
        products = dict(old.values_list("variation_id", "product_id"))
        new_items = channel.moved_to(item_id) if products else {}
        for variation_id, new_item_id in new_items.items():
            heirs = Listing.objects.filter(connector=connector, item_id=new_item_id)
            if variation_id in products and not heirs.exists():
                _keep(connector, channel.listing(new_item_id), ImportReport(), {})
            if variation_id in products:
                heirs.filter(product__isnull=True).update(
                    product_id=products[variation_id], due_at=Now(), due_trigger=Listing.Trigger.AUTO
                )


def _chunks(rows: Iterable[ListingSnapshot]) -> Iterator[list[ListingSnapshot]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _keep(connector: Connector, chunk: list[ListingSnapshot], report: ImportReport, products: dict[str, int]) -> None:
    """Write the chunk's listings; one that no person mapped yet gets the product of its SKU from `products`."""
    known = {
        (listing.item_id, listing.variation_id): listing
        for listing in Listing.objects.filter(connector=connector, item_id__in={row.item_id for row in chunk})
    }
    fresh: list[Listing] = []
    changed: list[Listing] = []
    joining: list[Listing] = []
    for row in chunk:
        listing = known.get((row.item_id, row.variation_id))
        if listing is None:
            listing = Listing(
                tenant_id=connector.tenant_id,
                connector=connector,
                product_id=products.get(row.seller_sku),
                item_id=row.item_id,
                variation_id=row.variation_id,
                sales_baseline=row.quantity,  # what the channel sells from now on is counted from here
                sales_since=timezone.now(),
            )
            fresh.append(listing)
        else:
            changed.append(listing)
            _map_if_unmapped(listing, products.get(row.seller_sku))
        joins = listing.user_product_id != row.user_product_id
        _describe(listing, row)
        listing.capability = capability_of(row, has_depots=connector.has_depots)
        if joins and listing.capability in SHARING:
            joining.append(listing)
        report.mapped += listing.product_id is not None
        report.unmapped += listing.product_id is None
    report.read += len(chunk)
    _take_rules_over(connector, joining)
    # two imports at once: the second one's new rows are the first one's, already there
    report.new += len(Listing.objects.bulk_create(fresh, ignore_conflicts=True))
    Listing.objects.bulk_update(changed, DESCRIBED)
    Listing.objects.bulk_update([row for row in joining if row in changed], SHARED)


SHARED = (*RULE_PARTS, "live_since")
"""What listings of one stock have in common besides their number: their rule, and whether they are told at all."""


def _take_rules_over(connector: Connector, joining: list[Listing]) -> None:
    """Give listings that begin to share a stock at the channel the rule of those that share it: it is one number."""
    names = {row.user_product_id for row in joining if row.user_product_id}
    if not names:
        return
    same = Listing.objects.filter(connector=connector, user_product_id__in=names, capability__in=SHARING)
    others = same.exclude(pk__in=[row.pk for row in joining if row.pk]).order_by("-pk")
    known = {row.user_product_id: row for row in others}
    for row in joining:
        if row.user_product_id in known:
            for part in SHARED:
                setattr(row, part, getattr(known[row.user_product_id], part))


def _map_if_unmapped(listing: Listing, product_id: int | None) -> None:
    """Map the listing unless a person did so meanwhile: theirs is never written over."""
    if listing.product_id is None and product_id is not None:
        Listing.objects.filter(pk=listing.pk, product__isnull=True).update(product_id=product_id)
        listing.product_id = product_id


def capability_of(row: ListingSnapshot, *, has_depots: bool) -> Listing.Capability:
    """Return what kind of number a listing is; what may not be told comes first (contract §5.3).

    has_depots: the account keeps its stock per depot at the channel.
    """
    kinds = Listing.Capability
    if row.has_moved:
        return kinds.MOVED
    if row.logistic_type == "fulfillment":
        return kinds.FULL
    if row.is_kit:
        return kinds.KIT
    if row.variation_id:
        return kinds.VARIATION
    if row.user_product_id:
        return kinds.MULTI_ORIGIN if has_depots else kinds.USER_PRODUCT
    return kinds.PLAIN


DESCRIBED = [
    "user_product_id",
    "seller_sku",
    "gtin",
    "title",
    "channel_status",
    "logistic_type",
    "capability",
    "accepted_quantity",
    "accepted_at",
    "updated_at",
]


def _describe(listing: Listing, row: ListingSnapshot) -> None:
    values: dict[str, Any] = {
        "user_product_id": row.user_product_id,
        "seller_sku": row.seller_sku[:100],
        "gtin": row.gtin[:14],
        "title": row.title[:300],
        "channel_status": row.status[:32],
        "logistic_type": row.logistic_type[:32],
        "accepted_quantity": row.quantity,
        "accepted_at": timezone.now(),
        "updated_at": timezone.now(),
    }
    for name, value in values.items():
        setattr(listing, name, value)


def _products_by_sku(
    connector: Connector, chunk: list[ListingSnapshot], report: ImportReport, *, create_products: bool
) -> dict[str, int]:
    """Return {seller SKU: product id} for the chunk's SKUs, as a person mapped them or else by the same SKU.

    Makes the missing products when told to.
    """
    rows = {row.seller_sku: row for row in chunk if row.seller_sku}
    mapped = mappings.products_of(connector.tenant_id, connector.kind, rows)
    found = _find_products(connector, rows) | mapped
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
        found = _find_products(connector, rows) | mapped
    return found


def _find_products(connector: Connector, skus: Iterable[str]) -> dict[str, int]:
    return dict(Product.objects.filter(tenant_id=connector.tenant_id, sku__in=list(skus)).values_list("sku", "pk"))
