"""A tenant that other systems tell movements, and short words for what they tell."""

import gzip
import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apps.inventory.models import Balance, Location, Movement, Product
from apps.sources.models import Source, SourceEpoch, SourceEvent
from apps.tenants.models import ApiKey, Tenant
from tests.factories import LocationFactory, ProductFactory, TenantFactory

POS = "/loja-07/pos/term-02"
ERP = "/matriz/erp"


@dataclass
class Teller:
    """A program of one tenant that pushes movements over HTTP."""

    tenant: Tenant
    shirt: Product
    mug: Product
    store: Location
    depot: Location
    key: str
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def event(self, movement_type: str = "SALE", quantity: Any = 1, **changes: Any) -> dict[str, Any]:
        """Return an event about shirts at the store, a minute ago; `changes` go into its data, or its envelope."""
        envelope = {name: changes.pop(name) for name in ("id", "source", "time", "sequence") if name in changes}
        data = {"movement_type": movement_type, "sku": "SHIRT", "location": "S1", "quantity": quantity, **changes}
        return {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": POS,
            "type": f"com.example.stock.{movement_type.lower()}.v1",
            "time": (timezone.now() - timedelta(minutes=1)).isoformat(),
            "data": data,
            **envelope,
        }

    def counted(self, units: Any, as_of: datetime, **changes: Any) -> dict[str, Any]:
        return self.event("COUNT", units, mode="ABSOLUTE", count={"as_of": as_of.isoformat()}, **changes)

    def numbered(self, *numbers: int, **changes: Any) -> list[dict[str, Any]]:
        """Return one sale for each number of the source's counter."""
        return [self.event(sequence=number, id=f"sale-{number}", **changes) for number in numbers]

    def push(self, body: Any, status: int = 200, **headers: str) -> dict[str, Any]:
        """Post a body (an object, or bytes as they are) and return the answer, which has that status."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = Client(raise_request_exception=False).post(
            "/v1/movements",
            raw,
            content_type="application/cloudevents-batch+json",
            headers={"Authorization": f"Bearer {self.key}", **headers},
        )
        assert response.status_code == status, response.content
        answer: dict[str, Any] = response.json()
        return answer

    def push_packed(self, raw: bytes, status: int = 200) -> dict[str, Any]:
        return self.push(gzip.compress(raw), status, **{"Content-Encoding": "gzip"})

    def batch(self, events: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
        return {"source": POS, "epoch": 1, "batch_id": "b", "events": events, **changes}

    def tell(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        """Push events and return what came of each."""
        results: list[dict[str, Any]] = self.push(list(events))["results"]
        return results

    def get(self, path: str, status: int = 200) -> dict[str, Any]:
        response = Client(raise_request_exception=False).get(path, headers={"Authorization": f"Bearer {self.key}"})
        assert response.status_code == status, response.content
        answer: dict[str, Any] = response.json()
        return answer

    def on_hand(self, product: Product | None = None, location: Location | None = None) -> int:
        """Return what is on hand; 0 where nothing ever was."""
        balance = Balance.objects.filter(
            tenant=self.tenant, product=product or self.shirt, location=location or self.store
        ).first()
        return balance.on_hand if balance else 0

    def stored(self, event: dict[str, Any] | str) -> SourceEvent:
        event_id = event if isinstance(event, str) else event["id"]
        return SourceEvent.objects.get(tenant=self.tenant, event_id=event_id)

    def source(self, name: str = POS) -> Source:
        return Source.objects.get(tenant=self.tenant, name=name)

    def counter(self, epoch: int = 1, name: str = POS) -> SourceEpoch:
        return SourceEpoch.objects.get(source__tenant=self.tenant, source__name=name, epoch=epoch)

    def movements(self) -> list[tuple[str, int]]:
        """Return (kind, change on hand) of every movement, oldest first."""
        return list(Movement.objects.filter(tenant=self.tenant).order_by("id").values_list("kind", "on_hand_delta"))


def open_teller(**tenant: Any) -> Teller:
    owner: Tenant = TenantFactory(**tenant)
    _key, text = ApiKey.issue(owner, name="till", scopes=["movements:write", "movements:read"])
    return Teller(
        tenant=owner,
        shirt=ProductFactory(tenant=owner, sku="SHIRT", gtin="7891234567895"),
        mug=ProductFactory(tenant=owner, sku="MUG"),
        store=LocationFactory(tenant=owner, code="S1"),
        depot=LocationFactory(tenant=owner, code="CD1"),
        key=text,
    )


@pytest.fixture
def teller(db: None) -> Teller:
    return open_teller()


@pytest.fixture
def committed_teller(transactional_db: None) -> Teller:
    """For tests with other connections: what they write is committed."""
    return open_teller()
