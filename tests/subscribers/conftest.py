"""A shop whose movements are told."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook

from apps.inventory import ledger
from apps.inventory.models import Location, Product
from apps.subscribers import delivering, following, subscribing
from apps.subscribers.models import Delivery, Lane, Subscriber
from apps.tenants.models import Tenant
from tests.receivers import Receiver, Request


@pytest.fixture
def receivers() -> Iterator[Callable[..., Receiver]]:
    """Make receivers; all of them are closed at the end."""
    made: list[Receiver] = []

    def make(answer: Callable[[Request], Any] = lambda request: 204) -> Receiver:
        made.append(Receiver(answer))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


@pytest.fixture
def receiver(receivers: Callable[..., Receiver]) -> Receiver:
    return receivers()


@dataclass
class Shop:
    """One tenant with two products at one place, its rows committed."""

    tenant: Tenant
    shirt: Product
    mug: Product
    store: Location
    numbers: "count[int]" = field(default_factory=count)

    def receive(self, product: Product, quantity: int = 1) -> int:
        """Receive units and return the movement's id."""
        cause = ledger.Cause(actor="test", reason="test")
        key = f"{self.tenant.slug}-{next(self.numbers)}"
        posted = ledger.receive(self.tenant, product.pk, self.store.pk, quantity, key=key, cause=cause)
        return posted.movement_ids[0]

    def subscribe(self, url: str, **options: Any) -> tuple[Subscriber, str]:
        return subscribing.create(self.tenant, url, **options)


def open_shop(slug: str) -> Shop:
    tenant = Tenant.objects.create(slug=slug, name=slug.title())
    return Shop(
        tenant=tenant,
        shirt=Product.objects.create(tenant=tenant, sku="SHIRT", name="Camisa"),
        mug=Product.objects.create(tenant=tenant, sku="MUG", name="Caneca"),
        store=Location.objects.create(tenant=tenant, code="S1", name="Loja 1"),
    )


@pytest.fixture
def shop(transactional_db: None) -> Shop:
    """Alice's shop, committed: the feed shows only what is."""
    return open_shop("alice")


def follow() -> None:
    """Do what the follower's ticks do until nothing is left."""
    while following.follow() + sum(following.catch_up(subscriber_id) for subscriber_id in following.behind()):
        pass


def deliver(seconds: float = 30.0) -> None:
    """Do what a delivery tick does."""
    crew = delivering.Crew()
    crew.work(seconds)
    crew.go_home()


def tell() -> None:
    follow()
    deliver()


def let_time_pass(seconds: int = 3 * 24 * 3600) -> None:
    """Make every waiting lane due: pauses pass and leases end."""
    Lane.objects.filter(due_at__isnull=False).update(due_at=timezone.now() - timedelta(seconds=1))


def verified(request: Request, secret: str) -> dict[str, Any]:
    """Return the event, as a receiver that checks it with the public library reads it."""
    return Webhook(secret).verify(request.body, request.headers)


def pending(subscriber: Subscriber) -> int:
    return Delivery.objects.filter(subscriber=subscriber, status=Delivery.Status.PENDING).count()


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    """Run `work` in a thread with a connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
