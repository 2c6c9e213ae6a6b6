"""The `webhooks` of the OpenAPI document: what a subscriber is sent, made from the code that sends it.

One webhook a type of event (apps/subscribers/event_types.py), each with the CloudEvents envelope, the schema of its
`data`, an example built as real ones are, and the three headers of Standard Webhooks that sign it.
"""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from apps.inventory.models import Location, Movement, Product
from apps.subscribers import delivering, envelope
from apps.subscribers.event_types import TEST_TYPE, TYPES, EventType, data_schema, envelope_schema, test_data_schema
from apps.tenants.models import Tenant

Json = dict[str, Any]

REF = "#/components/{kind}/{name}"
EVENT = "inventory.event.v1"
TAG = "Events"

HOURS = round(sum(delivering.PAUSES_SECONDS) / 3600)
SENT = (
    "Posted to every subscriber whose `event_types` choose it. At least once: the same event always has the same "
    "`webhook-id`. In order for each product. Answer 2xx within "
    f"{delivering.CALL_SECONDS:.0f} seconds; otherwise it is tried {delivering.TRIES_MAX} times over {HOURS} hours."
)

SIGNATURE = (
    "Standard Webhooks 1.0: `v1,` and the base64 HMAC-SHA256 of `id.timestamp.body` by the subscriber's secret "
    "(`whsec_…`, whose part after the prefix is base64). While a secret is being rotated there are two signatures, "
    "with a space between: one that fits is enough."
)

HEADERS = {
    "webhook-id": ("The event's id, the same in every try and replay: drop what you have seen.", {"format": "uuid"}),
    "webhook-timestamp": ("When this try was made, in seconds since 1970.", {"pattern": "^[0-9]+$"}),
    "webhook-signature": (SIGNATURE, {"pattern": "^v1,[A-Za-z0-9+/=]+( v1,[A-Za-z0-9+/=]+)*$"}),
}

ANSWERS: Json = {
    "Taken": {"description": "Taken; it is not sent again unless somebody asks for a replay."},
    "Gone": {"description": "No more events are wanted: the subscriber is disabled at once."},
    "NotTaken": {"description": "Not taken: tried again later, and later events of the same product wait for it."},
}
ANSWER_TO = {"2XX": "Taken", "410": "Gone", "default": "NotTaken"}


def webhooks() -> Json:
    """Return the `webhooks` member: the type of each event with what is posted."""
    found = {event_type.type: _webhook(event_type) for event_type in TYPES}
    return dict(sorted(found.items())) | {TEST_TYPE: _test_webhook()}


def components() -> dict[str, Json]:
    """Return what the webhooks refer to, by kind and name; a schema's name is its id at /v1/events/schemas."""
    schemas = [envelope_schema(), test_data_schema(), *map(data_schema, TYPES)]
    return {
        "parameters": {name: _header(name, *told) for name, told in HEADERS.items()},
        "responses": ANSWERS,
        # without their own ids: within the document they are found by their place in it
        "schemas": {
            schema["$id"]: {name: value for name, value in schema.items() if name not in ("$id", "$schema")}
            for schema in schemas
        },
    }


def _webhook(event_type: EventType) -> Json:
    return _operation(
        event_type.type,
        event_type.title,
        f"{event_type.description}.\n\n{SENT}",
        data=f"{event_type.type}.v1",
        example=_example(event_type),
    )


def _test_webhook() -> Json:
    body = envelope.test_body(_id(0), "alice", _TIME)
    description = "What `POST /v1/subscribers/{subscriberId}/test` sends, to that subscriber alone."
    return _operation(TEST_TYPE, "Test Event", description, data=f"{TEST_TYPE}.v1", example=json.loads(body))


def _operation(name: str, summary: str, description: str, *, data: str, example: Json) -> Json:
    properties = {"type": {"const": name}, "data": {"$ref": REF.format(kind="schemas", name=data)}}
    schema = {"allOf": [{"$ref": REF.format(kind="schemas", name=EVENT)}, {"type": "object", "properties": properties}]}
    media = {"schema": schema, "example": example}
    return {
        "post": {
            "operationId": name,
            "tags": [TAG],
            "summary": summary,
            "description": description,
            "parameters": [{"$ref": REF.format(kind="parameters", name=header)} for header in HEADERS],
            "security": [],
            "requestBody": {"required": True, "content": {delivering.CONTENT_TYPE: media}},
            "responses": {
                status: {"$ref": REF.format(kind="responses", name=name)} for status, name in ANSWER_TO.items()
            },
        }
    }


def _header(name: str, description: str, form: Json) -> Json:
    return {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": {"type": "string", **form},
    }


# --- examples -----------------------------------------------------------------------------------------------------

_TIME = datetime(2026, 11, 22, 14, 32, 10, tzinfo=UTC)
_LESSENING = {"CONFIRM", "RELEASE", "EXPIRE", "SALE", "LOSS", "TRANSFER_OUT", "UNBLOCK"}


def _id(number: int) -> uuid.UUID:
    return uuid.UUID(f"0199f7b2-0000-7000-8000-{number:012}")


def _example(event_type: EventType) -> Json:
    """Return an event as it is sent for a movement of two units."""
    delta = -2 if event_type.kind in _LESSENING else 2
    change = {f"{event_type.measure}_delta": delta} | (
        {"reserved_delta": delta} if event_type.kind == "CONFIRM" else {}
    )
    is_reservations = event_type.type.startswith("inventory.reserve.")
    movement = Movement(
        pk=4127,
        tenant=Tenant(slug="alice"),
        product=Product(sku="SKU-001", public_id=_id(1)),
        location=Location(code="S1", public_id=_id(2)),
        kind=event_type.kind,
        **({"on_hand_delta": 0, "reserved_delta": 0, "blocked_delta": 0} | change),
        on_hand_after=40,
        reserved_after=2,
        blocked_after=2 if event_type.measure == "blocked" else 0,
        version=17,
        reservation_id=_id(3) if is_reservations else None,
        actor="key:saldo_ab12cd34",
        source="api",
        trace_id=_id(4),
        occurred_at=_TIME,
        recorded_at=_TIME,
    )
    schema_url = f"https://saldo.example.com/v1/events/schemas/{event_type.type}"
    return {**envelope.envelope(movement), "dataschema": schema_url}
