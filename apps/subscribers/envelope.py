"""A movement as the event that leaves the house: CloudEvents 1.0, structured JSON.

The event is built from the movement whenever it is sent, and a movement never changes: a replay tells the same thing
under the same id. No free text goes out (a reason may name a person), only who asked, by key or number, and the
document's number.
"""

import json
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from django.conf import settings

from apps.inventory.models import Movement
from apps.subscribers.event_types import BY_KIND, TEST_TYPE, EventType

NAMESPACE = uuid.UUID("5f3c1f1e-52a5-5a0c-9f0e-6a2f6c1d7b44")

BODY_BYTES_MAX = 20_000
"""What Standard Webhooks advises to stay under. The longest names and codes the ledger takes come to half of it."""


def event_id(movement_id: int, trace_id: uuid.UUID) -> uuid.UUID:
    """Return the id of a movement's event: always the same one for one movement, and another one elsewhere.

    The trace id is random and never changes, so two installations that count their movements alike stay apart.
    """
    return uuid.uuid5(NAMESPACE, f"{movement_id}:{trace_id}")


def body_of(movement: Movement) -> bytes:
    """Return the event as it is posted. Give the movement with its tenant, product and location."""
    return json.dumps(envelope(movement), ensure_ascii=False, separators=(",", ":")).encode()


def envelope(movement: Movement) -> dict[str, Any]:
    """Return the event of a movement, as `event_types.envelope_schema` describes it."""
    event_type = BY_KIND[movement.kind]
    identity = event_id(movement.pk, movement.trace_id)
    product, location = movement.product, movement.location
    return {
        "specversion": "1.0",
        "id": str(identity),
        "source": f"/tenants/{movement.tenant.slug}/inventory",
        "type": event_type.type,
        "subject": f"sku/{quote(product.sku, safe='')}/loc/{quote(location.code, safe='')}",
        "time": _moment(movement.occurred_at),
        "recordedtime": _moment(movement.recorded_at),
        "sequence": f"{movement.version:020}",
        "partitionkey": f"{movement.tenant.slug}|{product.sku}",
        "traceparent": f"00-{movement.trace_id.hex}-{identity.hex[:16]}-01",
        "datacontenttype": "application/json",
        "dataschema": f"{settings.SALDO_PUBLIC_URL}/v1/events/schemas/{event_type.type}",
        "data": _data(movement, event_type, identity),
    }


def _data(movement: Movement, event_type: EventType, identity: uuid.UUID) -> dict[str, Any]:
    change = {
        "on_hand": movement.on_hand_delta,
        "reserved": movement.reserved_delta,
        "blocked": movement.blocked_delta,
    }
    after = {
        "on_hand": movement.on_hand_after,
        "reserved": movement.reserved_after,
        "blocked": movement.blocked_after,
        "available": movement.on_hand_after - movement.reserved_after - movement.blocked_after,
    }
    quantity = change[event_type.measure]
    data = {
        "event_id": str(identity),
        "product_id": str(movement.product.public_id),
        "warehouse_id": str(movement.location.public_id),
        "quantity": quantity if event_type.is_signed else abs(quantity),
        "requester_id": _requester(movement.actor),
        "timestamp": _moment(movement.occurred_at),
        "recorded_at": _moment(movement.recorded_at),
        "trace_id": str(movement.trace_id),
        "sku": movement.product.sku,
        "warehouse_code": movement.location.code,
        "version": movement.version,
        "change": change,
        "after": after,
        "origin": movement.source,
    }
    if movement.reservation_id:
        data["reservation_id"] = str(movement.reservation_id)
    if movement.batch_id:
        data["batch_id"] = str(movement.batch_id)
    if movement.reference_type or movement.reference_id:
        data["reference"] = {"type": movement.reference_type, "id": movement.reference_id}
    return data


def _requester(actor: str) -> str:
    """Return who asked. A token's subject may be a mail address: then something that stands for it, always the same."""
    kind, _separator, name = actor.partition(":")
    return f"{kind}:{uuid.uuid5(NAMESPACE, name).hex[:16]}" if "@" in name else actor


def test_body(identity: uuid.UUID, tenant_slug: str, created_at: datetime) -> bytes:
    """Return the event of a test: it carries nothing but itself."""
    document = {
        "specversion": "1.0",
        "id": str(identity),
        "source": f"/tenants/{tenant_slug}/inventory",
        "type": TEST_TYPE,
        "time": _moment(created_at),
        "datacontenttype": "application/json",
        "data": {"event_id": str(identity), "timestamp": _moment(created_at)},
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
