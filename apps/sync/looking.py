"""Both sides of a comparison, for twenty items at a time: what the hub has of them, and what the channel shows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Q

from apps.connectors import mappings
from apps.connectors.channel import Channel, ListingSnapshot
from apps.connectors.models import Connector, Listing
from apps.inventory.models import Product
from apps.sync import queue
from apps.sync.drift import Hub, LastTry, Owner, Sales
from apps.sync.models import ReconcileRun


@dataclass(slots=True)
class Report:
    """What a run did, counted in listings unless said otherwise."""

    items: int = 0
    listings: int = 0
    equal: int = 0
    in_flight: int = 0
    unreadable_items: int = 0
    learned: int = 0  # right at the channel, and not known to be
    resolved: int = 0  # divergences that are gone
    unknown_items_not_read: int = 0
    found: dict[str, int] = field(default_factory=dict)  # by kind
    repaired: dict[str, int] = field(default_factory=dict)  # by kind

    def count(self, counts: dict[str, int], kind: str) -> None:
        """Add one to `found` or `repaired`."""
        counts[kind] = counts.get(kind, 0) + 1


@dataclass(slots=True)
class Batch:
    """Twenty items as both sides have them."""

    run: ReconcileRun
    channel: Channel
    item_ids: list[str]
    shown: dict[str, list[ListingSnapshot] | None]
    hubs: list[Hub]
    report: Report
    units: dict[int, int] = field(default_factory=dict)  # listing -> its number without the channel's own warehouse
    sales: Mapping[str, Sales] | None = field(default_factory=dict)

    def snapshot(self, hub: Hub) -> ListingSnapshot | None:
        """Return what the channel shows of a listing."""
        rows = self.shown.get(hub.item_id) or ()
        return next((row for row in rows if row.variation_id == hub.variation_id), None)

    def number(self, hub: Hub) -> int | None:
        """Return the number of a listing that is to be compared."""
        shown = self.snapshot(hub)
        return self.units.get(hub.listing_id, shown.quantity) if shown else None


def read_places(batch: Batch) -> None:
    """Where a listing's number includes what lies in the channel's own warehouse, ask for the seller's part."""
    for hub in batch.hubs:
        row = batch.snapshot(hub)
        is_spread = hub.capability == Listing.Capability.MULTI_ORIGIN and row is not None
        if is_spread and row is not None and row.user_product_id and row.quantity != hub.target:
            own = batch.channel.own_units(row.user_product_id)
            if own is not None:
                batch.units[hub.listing_id] = own


# --- The hub's side -------------------------------------------------------------------------------------------------

HUB = """
SELECT l.id, l.item_id, l.variation_id, l.product_id, p.gtin, l.capacidade, l.logistic_type, l.channel_status,
       l.user_product_id, l.accepted_quantity, l.sold_there,
       l.held_at IS NOT NULL, l.accepted_at, l.due_at, l.lease_id, l.lease_expires_at, l.sync_state,
       l.last_error_code,
       (SELECT max(b.last_updated) FROM inventory_balances b WHERE b.tenant_id = l.tenant_id
           AND b.product_id = l.product_id) AS moved_at,
       newest.status, newest.error_code, newest.old_value, newest.new_value,
       done.status, done.error_code, done.old_value, done.new_value, l.live_since IS NOT NULL
  FROM integracao_anuncio l
  JOIN inventory_products p ON p.id = l.product_id
  LEFT JOIN LATERAL (SELECT s.* FROM marketplace_sync_logs s
                      WHERE s.listing_id = l.id AND s.sync_type = 'STOCK' AND s.status NOT IN ('PENDING', 'SHADOW')
                        AND s.timestamp > now() - interval '30 days'
                      ORDER BY s.timestamp DESC LIMIT 1) newest ON true
  LEFT JOIN LATERAL (SELECT s.* FROM marketplace_sync_logs s
                      WHERE s.listing_id = l.id AND s.sync_type = 'STOCK' AND s.status = 'SUCCESS'
                        AND s.timestamp > now() - interval '30 days'
                      ORDER BY s.timestamp DESC LIMIT 1) done ON true
 WHERE l.connector_id = %s AND l.item_id = ANY (%s) AND l.capacidade <> 'MIGRADO'
 ORDER BY l.item_id, l.variation_id
"""


def look(connector: Connector, item_ids: list[str]) -> list[Hub]:
    """Return the hub's side of the mapped listings of some items, as it is now."""
    with connection.cursor() as cursor:
        cursor.execute(HUB, [connector.pk, item_ids])
        rows = cursor.fetchall()
    targets = queue.targets_of([row[0] for row in rows])
    return [Hub(*(*row[:19], targets.get(row[0]), _try(row[19:23]), _try(row[23:27]), row[27])) for row in rows]


def _try(columns: tuple[Any, ...]) -> LastTry | None:
    return None if columns[0] is None else LastTry(*columns)


def owners(batch: Batch) -> dict[int, Owner]:
    """Return, per listing id, which other product the listing's marks at the channel name."""
    tenant_id, kind = batch.run.tenant_id, batch.run.connector.kind
    rows = {hub.listing_id: row for hub in batch.hubs if (row := batch.snapshot(hub))}
    skus = {row.seller_sku for row in rows.values() if row.seller_sku}
    gtins = {row.gtin for row in rows.values() if row.gtin}
    products = Product.objects.filter(tenant_id=tenant_id)
    known = {product.pk: product for product in products.filter(Q(sku__in=skus) | Q(gtin__in=gtins))}
    by_sku = {product.sku: product.pk for product in known.values()}
    by_sku |= mappings.products_of(tenant_id, kind, skus)  # what a person said counts for more
    by_gtin: dict[str, set[int]] = {}
    for product in known.values():
        by_gtin.setdefault(product.gtin, set()).add(product.pk)
    sharers = _sharers(batch, rows.values())
    found = {}
    for hub in batch.hubs:
        row = rows.get(hub.listing_id)
        said = by_sku.get(row.seller_sku) if row else None
        is_sku_ours = said is None or said == hub.product_id
        carriers = by_gtin.get(row.gtin, set()) if row and row.gtin and hub.product_gtin else set()
        is_gtin_ours = not carriers or hub.product_id in carriers
        others = sharers.get(row.user_product_id, {}) if row else {}
        found[hub.listing_id] = Owner(
            by_sku="" if is_sku_ours or row is None else row.seller_sku,
            by_gtin="" if is_gtin_ours or row is None else row.gtin,
            shared_with=", ".join(sku for product_id, sku in others.items() if product_id != hub.product_id),
        )
    return found


def _sharers(batch: Batch, rows: Iterable[ListingSnapshot]) -> dict[str, dict[int, str]]:
    """Return {user product: {product id: SKU}} of all products that listings of these user products sell."""
    shared: dict[str, dict[int, str]] = {}
    names = {row.user_product_id for row in rows if row.user_product_id}
    known = Listing.objects.filter(connector=batch.run.connector_id, user_product_id__in=names, product__isnull=False)
    alive = known.exclude(channel_status="closed")
    for name, product_id, sku in alive.values_list("user_product_id", "product_id", "product__sku"):
        shared.setdefault(name, {})[product_id] = sku
    return shared
