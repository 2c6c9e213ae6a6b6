"""A shop at the marketplace, connected to the hub: what the stories are played with.

The marketplace is the sandbox, over HTTP. The hub's web server is Django's live server. The workers are the functions
that the Celery ticks call, called here until nothing is due, so that a test decides when they run.
"""

import uuid
from contextlib import suppress
from dataclasses import dataclass

from django.db import connection
from redis import RedisError

from apps.common import valkey
from apps.connectors import budget
from apps.connectors.breaker import Breaker
from apps.connectors.connecting import connect
from apps.connectors.importing import import_listings
from apps.connectors.models import Connector, Listing
from apps.events import inbox
from apps.events.models import IntegrationEvent
from apps.inventory import ledger
from apps.inventory.models import Balance, Location, Product
from apps.orders.models import Order
from apps.sandbox.client import Control
from apps.sync import push, queue
from apps.sync.turns import Turn
from apps.tenants.models import Tenant


@dataclass
class Market:
    """One tenant with one connected account, its listings imported and its stock received."""

    control: Control
    tenant: Tenant
    connector: Connector
    location: Location
    seller_id: int

    def product(self, sku: str) -> Product:
        return Product.objects.get(tenant=self.tenant, sku=sku)

    def listing(self, sku: str) -> Listing:
        return Listing.objects.get(connector=self.connector, seller_sku=sku)

    def shown(self, sku: str) -> int:
        """Return the number the marketplace shows for the SKU now."""
        listing = self.listing(sku)
        item = self.control.item(listing.item_id)
        if not listing.variation_id:
            return int(item["available_quantity"])
        return next(int(v["available_quantity"]) for v in item["variations"] if str(v["id"]) == listing.variation_id)

    def numbers(self, sku: str) -> tuple[int, int]:
        """Return on hand and reserved of the SKU, over all locations."""
        balances = Balance.objects.filter(tenant=self.tenant, product__sku=sku)
        return sum(b.on_hand for b in balances), sum(b.reserved for b in balances)

    def receive(self, sku: str, quantity: int) -> None:
        ledger.receive(
            self.tenant,
            self.product(sku).pk,
            self.location.pk,
            quantity,
            key=f"delivery:{uuid.uuid4()}",
            cause=ledger.Cause(actor="test", reason="delivery"),
        )

    def sell(self, sku: str, quantity: int = 1, **how: object) -> str:
        """Let a buyer buy and return the order's number; the hub is notified by the marketplace itself."""
        listing = self.listing(sku)
        if listing.variation_id:
            how["variation_id"] = int(listing.variation_id)
        return str(self.control.sell(listing.item_id, quantity, **how)["order_id"])

    def settle(self) -> None:
        """Wait for the notifications to arrive, then let the workers work until nothing is due."""
        self.control.wait_until_notified()
        work_until_quiet()


def work_until_quiet() -> None:
    """Do what the ticks do, until none of them finds anything."""
    is_busy = True
    while is_busy:
        inbox.obey_flags()
        inbox.wake_mapped()
        is_busy = False
        while inbox.process_next():
            is_busy = True
        while queue.follow():
            is_busy = True
        with suppress(RedisError):  # as the tick does
            queue.line_up_due()
            while isinstance(push.push_next(), Turn):
                is_busy = True


def let_time_pass() -> None:
    """Let every lease and pause end, as waiting would."""
    for connector_id in Connector.objects.values_list("pk", flat=True):
        Breaker(connector_id).close()
        with suppress(RedisError):
            valkey.client().delete(f"{budget.KEY}{connector_id}", f"saldo:sync:{connector_id}:calls")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE integracao_anuncio SET lease_expires_at = now() - interval '1 s' WHERE lease_expires_at IS NOT NULL"
        )
        cursor.execute("UPDATE integracao_anuncio SET due_at = now() - interval '1 s' WHERE due_at IS NOT NULL")
        cursor.execute(
            "UPDATE integracao_evento SET next_attempt_at = now() - interval '1 s' WHERE next_attempt_at IS NOT NULL"
        )


def open_market(
    control: Control,
    hub_url: str,
    *,
    slug: str = "alice",
    items: list[dict[str, object]] | None = None,
    stock: int = 10,
    **account_fields: object,
) -> Market:
    """Open an account at the marketplace, connect it, import its listings and receive `stock` units of each SKU."""
    application = control.application()
    account = control.account(client_id=application["client_id"], nickname=slug.upper(), **account_fields)
    control.create_items(
        account["user_id"],
        items
        or [
            {"seller_sku": "SHIRT", "title": "Camisa", "available_quantity": stock},
            {"seller_sku": "MUG", "title": "Caneca", "available_quantity": stock},
        ],
    )
    tenant = Tenant.objects.create(slug=slug, name=slug.title())
    connector = connect(
        tenant,
        kind="ML",
        client_id=application["client_id"],
        client_secret=application["client_secret"],
        refresh_token=account["refresh_token"],
    )
    path = connector.notification_url.partition("/api/")[2]
    control.application(client_id=application["client_id"], notification_url=f"{hub_url}/api/{path}")
    import_listings(connector, create_products=True)
    market = Market(
        control=control,
        tenant=tenant,
        connector=connector,
        location=Location.objects.create(tenant=tenant, code="CD1", name="Depósito"),
        seller_id=account["user_id"],
    )
    for product in Product.objects.filter(tenant=tenant):
        market.receive(product.sku, stock)
    work_until_quiet()
    return market


def orders_of(market: Market) -> list[Order]:
    return list(Order.objects.filter(tenant=market.tenant).order_by("pk"))


def event_states(market: Market) -> dict[str, int]:
    """Return how many order events are in which state."""
    states: dict[str, int] = {}
    for event in IntegrationEvent.objects.filter(tenant=market.tenant, topic="orders_v2"):
        states[event.status] = states.get(event.status, 0) + 1
    return states
