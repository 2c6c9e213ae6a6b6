"""Every kind of event: one row of one table, and the JSON Schema that follows from it.

An event is a movement, told. `TYPES` gives each kind of movement the name that its event carries; a test fails when a
kind has none. `inventory.reserve.request` and `inventory.reserve.confirmed` and their fields are requirement 003's
("Eventos NATS"); the other types follow their pattern. A type's fields only ever grow: who reads an event must let
pass what it does not know.
"""

from dataclasses import dataclass
from typing import Any

TEST_TYPE = "subscriber.test"
"""What a subscriber is sent when somebody asks for a test event; no movement stands behind it."""

DRAFT = "http://json-schema.org/draft-07/schema#"  # the requirement's


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """What a movement of one kind is called outside.

    kind: the movement's, as `Movement.Kind` has it.
    measure: the number whose change is the event's `quantity`: `on_hand`, `reserved` or `blocked`.
    is_signed: the quantity may go either way and keeps its sign; else it is a number of units without one.
    required: the fields of `data` that every event of the type has.
    """

    kind: str
    type: str
    title: str
    description: str
    measure: str = "on_hand"
    is_signed: bool = False
    required: tuple[str, ...] = (
        *("event_id", "product_id", "warehouse_id", "quantity", "requester_id", "timestamp", "trace_id", "version"),
        *("recorded_at", "change", "after"),
    )


def _stock(kind: str, name: str, description: str, **more: Any) -> EventType:
    title = f"Inventory Stock {name.replace('_', ' ').title()} Event"
    return EventType(kind=kind, type=f"inventory.stock.{name}", title=title, description=description, **more)


TYPES: tuple[EventType, ...] = (
    EventType(
        kind="RESERVE",
        type="inventory.reserve.request",
        title="Inventory Reserve Request Event",
        description="Units were promised: a reservation was asked for and made",
        measure="reserved",
        required=("event_id", "product_id", "warehouse_id", "quantity", "requester_id", "timestamp", "trace_id"),
    ),
    EventType(
        kind="CONFIRM",
        type="inventory.reserve.confirmed",
        title="Inventory Reserve Confirmed Event",
        description="Promised units left: a reservation was confirmed",
        required=("event_id", "reservation_id", "product_id", "warehouse_id", "quantity", "timestamp", "trace_id"),
    ),
    EventType(
        kind="RELEASE",
        type="inventory.reserve.released",
        title="Inventory Reserve Released Event",
        description="A reservation was taken back",
        measure="reserved",
    ),
    EventType(
        kind="EXPIRE",
        type="inventory.reserve.expired",
        title="Inventory Reserve Expired Event",
        description="A reservation ran out of time",
        measure="reserved",
    ),
    _stock("RECEIPT", "received", "Goods arrived"),
    _stock("SALE", "sold", "Goods were sold without a reservation, as a shop already did"),
    _stock("RETURN", "returned", "Goods came back"),
    _stock("ADJUSTMENT", "adjusted", "The number on hand was corrected, up or down", is_signed=True),
    _stock("COUNT", "counted", "A count found another number: the difference, up or down", is_signed=True),
    _stock(
        "COUNT_ABSORB",
        "count_absorbed",
        "A movement that arrived late was already in a count: taken out again",
        is_signed=True,
    ),
    _stock("LOSS", "lost", "Goods were lost, stolen or broken"),
    _stock("TRANSFER_OUT", "transferred_out", "Goods left for another place"),
    _stock("TRANSFER_IN", "transferred_in", "Goods arrived from another place"),
    _stock("BLOCK", "blocked", "Units may not be sold: their batch is blocked, expired or recalled", measure="blocked"),
    _stock("UNBLOCK", "unblocked", "Blocked units may be sold again", measure="blocked"),
)

BY_KIND = {event_type.kind: event_type for event_type in TYPES}
BY_NAME = {event_type.type: event_type for event_type in TYPES}


def is_pattern(text: str) -> bool:
    """Tell whether `text` chooses something: a type's name, or the beginning of some, such as `inventory.reserve.*`."""
    return any(matches(event_type.type, [text]) for event_type in TYPES)


def matches(name: str, patterns: list[str]) -> bool:
    """Tell whether a type's name is chosen by one of the patterns; no patterns choose every type."""
    return not patterns or any(
        name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])) for pattern in patterns
    )


# --- The schemas ------------------------------------------------------------------------------------------------


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _numbers(description: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the schema of an object of whole numbers with these names."""
    numbers = {name: {"type": "integer"} for name in names}
    return {"type": "object", "description": description, "required": list(names), "properties": numbers}


_MEASURES = ("on_hand", "reserved", "blocked")

_DATA: dict[str, Any] = {
    "event_id": _text("Unique event identifier; the same again when the event is sent again", format="uuid"),
    "product_id": _text("Product identifier", format="uuid"),
    "warehouse_id": _text("Warehouse identifier", format="uuid"),
    "reservation_id": _text("Reservation identifier, where one is behind the event", format="uuid"),
    "batch_id": _text("Batch identifier, where the units are of one", format="uuid"),
    "requester_id": _text("Who asked for it: an API key, a user or a worker of the hub; never a person's name"),
    "timestamp": _text("When it happened", format="date-time"),
    "recorded_at": _text("When the hub learned of it", format="date-time"),
    "trace_id": _text("Distributed tracing identifier"),
    "sku": _text("The product's SKU"),
    "warehouse_code": _text("The warehouse's code"),
    "version": {
        "type": "integer",
        "minimum": 1,
        "description": "Version of the balance after the event: per product and warehouse from 1, without a gap",
    },
    "change": _numbers("What the event changed, in units", _MEASURES),
    "after": _numbers("The balance after the event, in units", (*_MEASURES, "available")),
    "reference": {
        "type": "object",
        "description": "The document behind the event, where there is one",
        "required": ["type", "id"],
        "properties": {"type": {"type": "string"}, "id": {"type": "string"}},
    },
    "origin": _text("The system the movement came from"),
}


def data_schema(event_type: EventType) -> dict[str, Any]:
    """Return the JSON Schema of an event's `data`."""
    quantity: dict[str, Any] = {
        "type": "integer",
        "description": f"Units: the change of what is {event_type.measure.replace('_', ' ')}",
    }
    if event_type.kind == "RESERVE":
        quantity = {"type": "integer", "minimum": 1, "description": "Quantity to reserve"}
    elif not event_type.is_signed:
        quantity |= {"minimum": 0}
    return {
        "$schema": DRAFT,
        "$id": f"{event_type.type}.v1",
        "title": event_type.title,
        "description": event_type.description,
        "type": "object",
        "required": list(event_type.required),
        "properties": _DATA | {"quantity": quantity},
    }


def test_data_schema() -> dict[str, Any]:
    """Return the JSON Schema of a test event's `data`."""
    return {
        "$schema": DRAFT,
        "$id": f"{TEST_TYPE}.v1",
        "title": "Test Event",
        "description": "Somebody asked for a test event",
        "type": "object",
        "required": ["event_id", "timestamp"],
        "properties": {name: _DATA[name] for name in ("event_id", "timestamp")},
    }


def envelope_schema() -> dict[str, Any]:
    """Return the JSON Schema of the whole event: CloudEvents 1.0 in structured mode, as the hub fills it in."""
    return {
        "$schema": DRAFT,
        "$id": "inventory.event.v1",
        "title": "Inventory Event",
        "description": "The CloudEvents 1.0 envelope of every event; `dataschema` names the schema of `data`",
        "type": "object",
        "required": ["specversion", "id", "source", "type", "time", "datacontenttype", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": _text("Unique event identifier, and the webhook-id of its delivery", format="uuid"),
            "source": _text("The stock of one tenant", format="uri-reference", minLength=1),
            "type": {"enum": [*BY_NAME, TEST_TYPE]},
            "subject": _text("sku/<SKU>/loc/<warehouse code>, both percent-encoded"),
            "time": _text("When it happened", format="date-time"),
            "recordedtime": _text("When the hub learned of it", format="date-time"),
            "sequence": _text(
                "The balance's version in 20 digits: per subject, compare as text", pattern="^[0-9]{20}$"
            ),
            "partitionkey": _text("Events with the same key are delivered in order"),
            "traceparent": _text("W3C Trace Context", pattern="^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"),
            "datacontenttype": {"const": "application/json"},
            "dataschema": _text("Where the schema of `data` is served", format="uri"),
            "data": {"type": "object"},
        },
    }
