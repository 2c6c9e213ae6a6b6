"""Rows for tests. Each factory makes what its row needs, all of one tenant; a test names what it is about.

Stock comes from the ledger alone: `stocked(product, location, 5)` receives it, as goods do. Everything else that
touches balances, movements or reservations must be done by the verb a test is about.

The fixed cast of tests about who may see what: Alice has a tenant, Bob is on her team (`member(alice_tenant)`),
Charlie belongs to another tenant.
"""

import json
import uuid
from functools import cache
from typing import Any

import factory
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.utils import timezone

from apps.connectors.channel import Label
from apps.connectors.models import Connector, Listing
from apps.events.models import IntegrationEvent
from apps.inventory import ledger
from apps.inventory.models import Location, Product
from apps.orders import recipients
from apps.orders.models import Order, OrderItem, Package
from apps.sync.models import Divergence, SyncLog
from apps.tenants.models import Membership, Tenant

PASSWORD = "correct-horse-battery"

WAITING = (IntegrationEvent.Status.RECEIVED, IntegrationEvent.Status.RETRY)


@cache
def hashed_password() -> str:
    """Return PASSWORD as it is stored. Made once: hashing is slow on purpose."""
    return make_password(PASSWORD)


class TenantFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Tenant

    slug = factory.Sequence(lambda n: f"loja-{n}")
    name = factory.Sequence(lambda n: f"Loja {n}")


class UserFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = factory.Sequence(lambda n: f"pessoa{n}")
    password = factory.LazyFunction(hashed_password)


class MembershipFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Membership

    tenant = factory.SubFactory(TenantFactory)
    user = factory.SubFactory(UserFactory)
    role = Membership.Role.OPERATOR


def member(tenant: Tenant, role: str = Membership.Role.OPERATOR, **user: Any) -> User:
    """Return a new person who belongs to `tenant` in that role."""
    membership: Membership = MembershipFactory(tenant=tenant, role=role, user=UserFactory(**user))
    return membership.user


class ProductFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Product

    tenant = factory.SubFactory(TenantFactory)
    sku = factory.Sequence(lambda n: f"SKU-{n}")
    name = factory.Sequence(lambda n: f"Produto {n}")


class LocationFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Location

    tenant = factory.SubFactory(TenantFactory)
    code = factory.Sequence(lambda n: f"CD{n}")
    name = factory.LazyAttribute(lambda location: f"Depósito {location.code}")


class ConnectorFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Connector

    tenant = factory.SubFactory(TenantFactory)
    kind = Connector.Kind.MERCADO_LIVRE
    name = factory.Sequence(lambda n: f"Mercado Livre {n}")
    client_id = factory.Sequence(lambda n: str(7_000_000_000 + n))
    user_id = factory.Sequence(lambda n: str(400_000_000 + n))


class ListingFactory(factory.django.DjangoModelFactory):
    """A mapped listing; `product=None` for one that waits to be mapped."""

    class Meta:
        model = Listing

    tenant = factory.SubFactory(TenantFactory)
    connector = factory.SubFactory(ConnectorFactory, tenant=factory.SelfAttribute("..tenant"))
    product = factory.SubFactory(ProductFactory, tenant=factory.SelfAttribute("..tenant"))
    item_id = factory.Sequence(lambda n: f"MLB{3_000_000_000 + n}")
    title = factory.Sequence(lambda n: f"Anúncio {n}")
    seller_sku = factory.LazyAttribute(lambda listing: listing.product.sku if listing.product else "")


class EventFactory(factory.django.DjangoModelFactory):
    """A notification about an order, as the inbox keeps it, not worked on yet."""

    class Meta:
        model = IntegrationEvent

    tenant = factory.SubFactory(TenantFactory)
    connector = factory.SubFactory(ConnectorFactory, tenant=factory.SelfAttribute("..tenant"))
    channel = Connector.Kind.MERCADO_LIVRE
    topic = "orders_v2"
    resource_kind = "orders"
    external_id = factory.Sequence(lambda n: str(2_000_003_600_000_000 + n))
    status = IntegrationEvent.Status.RECEIVED
    delivery_key = factory.LazyFunction(lambda: uuid.uuid4().hex)
    payload = factory.LazyAttribute(
        lambda event: {
            "_id": event.delivery_key,
            "topic": event.topic,
            "resource": f"/{event.resource_kind}/{event.external_id}",
            "user_id": int(event.connector.user_id),
            "application_id": int(event.connector.client_id),
            "sent": "2026-11-22T14:32:10.412Z",
            "attempts": 1,
        }
    )
    body = factory.LazyAttribute(lambda event: json.dumps(event.payload).encode())
    next_attempt_at = factory.LazyAttribute(lambda event: timezone.now() if event.status in WAITING else None)


class OrderFactory(factory.django.DjangoModelFactory):
    """An order with one item, holding no stock: reserving is the intake's deed, not a row's."""

    class Meta:
        model = Order
        skip_postgeneration_save = True

    tenant = factory.SubFactory(TenantFactory)
    connector = factory.SubFactory(ConnectorFactory, tenant=factory.SelfAttribute("..tenant"))
    channel = Connector.Kind.MERCADO_LIVRE
    external_id = factory.Sequence(lambda n: str(2_000_003_500_000_000 + n))
    status = Order.Status.RECEIVED
    channel_status = "paid"
    total_amount = "199.80"
    currency = "BRL"
    ordered_at = factory.LazyFunction(timezone.now)
    channel_updated_at = factory.LazyFunction(timezone.now)
    content_hash = factory.LazyFunction(lambda: uuid.uuid4().hex)
    item = factory.RelatedFactory("tests.factories.OrderItemFactory", factory_related_name="order")


class PackageFactory(factory.django.DjangoModelFactory):
    """A parcel that waits for its label."""

    class Meta:
        model = Package

    tenant = factory.SubFactory(TenantFactory)
    connector = factory.SubFactory(ConnectorFactory, tenant=factory.SelfAttribute("..tenant"))
    channel = Connector.Kind.MERCADO_LIVRE
    external_id = factory.Sequence(lambda n: str(44_000_000_000 + n))


def ready(order: Order) -> Order:
    """Make an order ready for pick-up, as the intake does once its parcel has a label."""
    package = PackageFactory(tenant=order.tenant, connector=order.connector)
    recipients.keep_label(package, Label("PDF", b"%PDF-1.4 label"))
    order.package, order.status, order.ready_at = package, Order.Status.READY, timezone.now()
    order.save()
    return order


class OrderItemFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = OrderItem

    order = factory.SubFactory(OrderFactory, item=None)
    listing = factory.SubFactory(
        ListingFactory,
        tenant=factory.SelfAttribute("..order.tenant"),
        connector=factory.SelfAttribute("..order.connector"),
    )
    product = factory.SelfAttribute("listing.product")
    seller_sku = factory.SelfAttribute("product.sku")
    title = factory.SelfAttribute("listing.title")
    quantity = 2
    unit_price = "99.90"
    is_own_stock = True


class SyncLogFactory(factory.django.DjangoModelFactory):
    """A try that succeeded; give a status and an error_code for another."""

    class Meta:
        model = SyncLog

    listing = factory.SubFactory(ListingFactory)
    tenant = factory.SelfAttribute("listing.tenant")
    product = factory.SelfAttribute("listing.product")
    connector = factory.SelfAttribute("listing.connector")
    marketplace = Connector.Kind.MERCADO_LIVRE
    old_value = 10
    new_value = 8
    status = SyncLog.Status.SUCCESS
    attempt = 1
    http_status = 200
    duration_ms = 180
    finished_at = factory.LazyFunction(timezone.now)


class DivergenceFactory(factory.django.DjangoModelFactory):
    """A listing that was raised at the channel by hand."""

    class Meta:
        model = Divergence

    listing = factory.SubFactory(ListingFactory)
    tenant = factory.SelfAttribute("listing.tenant")
    connector = factory.SelfAttribute("listing.connector")
    item_id = factory.SelfAttribute("listing.item_id")
    variation_id = factory.SelfAttribute("listing.variation_id")
    kind = Divergence.Kind.RAISED
    last_seen_at = factory.LazyFunction(timezone.now)


def stocked(product: Product, location: Location, quantity: int, **cause: Any) -> ledger.Posted:
    """Receive units of a product at a location of its tenant; `cause` overrides parts of the movement's cause."""
    why = ledger.Cause(**{"actor": "test", "reason": "stock for a test", **cause})
    return ledger.receive(product.tenant, product.pk, location.pk, quantity, key=uuid.uuid4().hex, cause=why)
