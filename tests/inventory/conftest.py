"""A shop to move stock in."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

import pytest

from apps.inventory import ledger
from apps.inventory.models import Balance, Location, Movement, Product
from apps.tenants.models import Tenant

from .crowd import Crowd


@dataclass
class Shop:
    """One tenant with two products and two places, and the verbs with fewer words."""

    tenant: Tenant
    shirt: Product
    mug: Product
    store: Location
    depot: Location
    keys: "count[int]" = field(default_factory=count)

    def cause(self) -> ledger.Cause:
        return ledger.Cause(actor="test", reason="test")

    def key(self) -> str:
        return f"test-{next(self.keys)}"

    def receive(self, product: Product, location: Location, quantity: int, key: str | None = None) -> ledger.Posted:
        return ledger.receive(self.tenant, product.pk, location.pk, quantity, key=key or self.key(), cause=self.cause())

    def adjust(self, product: Product, location: Location, delta: int, key: str | None = None) -> ledger.Posted:
        return ledger.adjust(self.tenant, product.pk, location.pk, delta, key=key or self.key(), cause=self.cause())

    def reserve(self, *lines: ledger.Line, key: str | None = None, **options: Any) -> list[ledger.Reserved]:
        return ledger.reserve(self.tenant, lines, key=key or self.key(), cause=self.cause(), **options)

    def a_move(
        self,
        kind: Movement.Kind,
        quantity: int,
        *,
        at: datetime | None = None,
        location: Location | None = None,
        **options: Any,
    ) -> ledger.Move:
        """A move of shirts, at the store unless told otherwise."""
        options.setdefault("product_id", self.shirt.pk)
        return ledger.Move(
            kind=kind,
            location_id=(location or self.store).pk,
            quantity=quantity,
            cause=ledger.Cause(actor="test", reason="test", occurred_at=at),
            **options,
        )

    def move(self, kind: Movement.Kind, quantity: int, **options: Any) -> ledger.Posted:
        return ledger.post_one(self.tenant, self.a_move(kind, quantity, **options))

    def numbers(self, product: Product, location: Location) -> tuple[int, int, int]:
        """Return on hand, reserved, available."""
        balance = Balance.objects.get(product=product, location=location)
        return balance.on_hand, balance.reserved, balance.available


def open_shop(slug: str = "alice") -> Shop:
    tenant = Tenant.objects.create(slug=slug, name=slug.title())
    return Shop(
        tenant=tenant,
        shirt=Product.objects.create(tenant=tenant, sku="SHIRT", name="Camisa"),
        mug=Product.objects.create(tenant=tenant, sku="MUG", name="Caneca"),
        store=Location.objects.create(tenant=tenant, code="S1", name="Loja 1"),
        depot=Location.objects.create(tenant=tenant, code="CD1", name="Depósito"),
    )


@pytest.fixture
def shop(db: None) -> Shop:
    return open_shop()


@pytest.fixture
def committed_shop(transactional_db: None) -> Shop:
    """A shop whose rows other connections see: for tests with threads or with the feed."""
    return open_shop()


@pytest.fixture
def crowd(transactional_db: None) -> Iterator[Crowd]:
    """Eight clients with a connection each."""
    clients = Crowd(8)
    yield clients
    clients.close()
