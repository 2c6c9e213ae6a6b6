"""Every kind of movement has an event, and every event is what its schema says."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.test import Client

from apps.inventory.models import Location, Movement, Product
from apps.subscribers import envelope, event_types
from apps.subscribers.event_types import BY_KIND, TYPES
from apps.tenants.models import Tenant

FORMATS = jsonschema.FormatChecker()
NOW = datetime(2026, 11, 22, 14, 32, 10, 412345, tzinfo=UTC)

REQUIRED = {
    "inventory.reserve.request": {
        *("event_id", "product_id", "warehouse_id", "quantity", "requester_id", "timestamp", "trace_id"),
    },
    "inventory.reserve.confirmed": {
        *("event_id", "reservation_id", "product_id", "warehouse_id", "quantity", "timestamp", "trace_id"),
    },
}
"""Requirement 003, "Eventos NATS"."""


@FORMATS.checks("date-time")
def is_moment(text: object) -> bool:
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


def validate(document: object, schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema, format_checker=FORMATS).validate(document)


def movement(kind: str, **changes: Any) -> Movement:
    """Return an unsaved movement of a kind; nothing of it is looked up."""
    tenant = Tenant(pk=1, slug="alice", name="Alice")
    values = {
        "id": 4127,
        "tenant": tenant,
        "product": Product(pk=3, tenant=tenant, sku="CAMISA P/AZUL", name="Camisa", public_id=uuid.UUID(int=3)),
        "location": Location(pk=5, tenant=tenant, code="CD1", name="Depósito", public_id=uuid.UUID(int=5)),
        "kind": kind,
        "transaction_type": "OUT",
        "on_hand_delta": -2,
        "reserved_delta": -2,
        "blocked_delta": 1,
        "on_hand_after": 38,
        "reserved_after": 5,
        "blocked_after": 1,
        "version": 4127,
        "reservation_id": uuid.UUID(int=9) if kind in ("RESERVE", "CONFIRM", "RELEASE", "EXPIRE") else None,
        "reason": "devolvido por Dona Maria",
        "reference_type": "order",
        "reference_id": "2000003456789012",
        "actor": "key:saldo_ab12cd34",
        "source": "pos/store-07",
        "source_key": "k",
        "trace_id": uuid.UUID(int=7),
        "occurred_at": NOW - timedelta(minutes=1),
        "recorded_at": NOW,
        "transaction_id": 1,
    }
    return Movement(**values | changes)


def test_every_kind_of_movement_has_an_event_type() -> None:
    assert set(Movement.Kind.values) - set(BY_KIND) == set()


def test_no_two_kinds_share_a_type() -> None:
    assert len({event_type.type for event_type in TYPES}) == len(TYPES)


@pytest.mark.parametrize("kind", [event_type.kind for event_type in TYPES])
def test_each_event_is_what_the_schemas_say(kind: str) -> None:
    document = json.loads(envelope.body_of(movement(kind)))
    validate(document, event_types.envelope_schema())
    validate(document["data"], event_types.data_schema(BY_KIND[kind]))
    assert document["id"] == document["data"]["event_id"]


@pytest.mark.parametrize("name", REQUIRED)
def test_the_requirements_events_ask_for_exactly_its_fields(name: str) -> None:
    schema = event_types.data_schema(event_types.BY_NAME[name])
    assert set(schema["required"]) == REQUIRED[name]
    assert (schema["$id"], schema["$schema"]) == (f"{name}.v1", "http://json-schema.org/draft-07/schema#")


@pytest.mark.parametrize("field", sorted(REQUIRED["inventory.reserve.request"]))
def test_a_schema_refuses_an_event_that_lacks_a_field(field: str) -> None:
    data = envelope.envelope(movement("RESERVE", reserved_delta=2))["data"]
    del data[field]
    with pytest.raises(jsonschema.ValidationError):
        validate(data, event_types.data_schema(BY_KIND["RESERVE"]))


@pytest.mark.parametrize(
    ("field", "value"),
    [("quantity", 0), ("quantity", 1.5), ("event_id", "x"), ("timestamp", "2026-11-22T00:00:00"), ("version", 0)],
)
def test_a_schema_refuses_a_wrong_value(field: str, value: object) -> None:
    data = envelope.envelope(movement("RESERVE", reserved_delta=2))["data"] | {field: value}
    with pytest.raises((jsonschema.ValidationError, ValueError)):
        validate(data, event_types.data_schema(BY_KIND["RESERVE"]))


@pytest.mark.parametrize(
    ("kind", "changes", "quantity"),
    [
        ("RESERVE", {"on_hand_delta": 0, "reserved_delta": 3}, 3),
        ("CONFIRM", {"on_hand_delta": -2, "reserved_delta": -3}, 2),
        ("RELEASE", {"on_hand_delta": 0, "reserved_delta": -3}, 3),
        ("SALE", {"on_hand_delta": -4, "reserved_delta": 0}, 4),
        ("ADJUSTMENT", {"on_hand_delta": -4, "reserved_delta": 0}, -4),
        ("COUNT", {"on_hand_delta": 4, "reserved_delta": 0}, 4),
        ("RECEIPT", {"on_hand_delta": 4, "reserved_delta": 0}, 4),
    ],
)
def test_the_quantity_is_the_change_that_the_kind_is_about(kind: str, changes: dict[str, int], quantity: int) -> None:
    assert envelope.envelope(movement(kind, **changes))["data"]["quantity"] == quantity


def test_the_envelope_names_stream_order_and_trace() -> None:
    event = envelope.envelope(movement("CONFIRM"))
    assert event["source"] == "/tenants/alice/inventory"
    assert event["subject"] == "sku/CAMISA%20P%2FAZUL/loc/CD1"
    assert event["time"] == "2026-11-22T14:31:10.412Z"
    assert event["sequence"] == "00000000000000004127"
    assert event["partitionkey"] == "alice|CAMISA P/AZUL"
    assert event["traceparent"].split("-")[1] == uuid.UUID(int=7).hex
    assert event["dataschema"].endswith("/v1/events/schemas/inventory.reserve.confirmed")
    assert all(name.isalnum() and name.islower() and len(name) <= 20 for name in event)  # CloudEvents 1.0 §3


def test_an_event_keeps_its_id_and_two_movements_never_share_one() -> None:
    assert envelope.event_id(1, uuid.UUID(int=7)) == envelope.event_id(1, uuid.UUID(int=7))
    ids = {envelope.event_id(number, uuid.UUID(int=trace)) for number in range(100) for trace in range(3)}
    assert len(ids) == 300


def test_free_text_that_may_name_a_person_stays_in_the_house() -> None:
    assert b"Maria" not in envelope.body_of(movement("RETURN"))


def test_a_mail_address_that_signed_in_stays_in_the_house_too() -> None:
    first, again, other = (
        envelope.envelope(movement("SALE", actor=f"token:{name}@example.com"))["data"]["requester_id"]
        for name in ("maria", "maria", "ana")
    )
    assert first == again != other
    assert first.startswith("token:")
    assert "maria" not in first


def test_the_longest_event_stays_under_20_kb() -> None:
    tenant = Tenant(pk=1, slug="a" * 50, name="x")
    widest = movement(
        "CONFIRM",
        tenant=tenant,
        product=Product(pk=1, tenant=tenant, sku="😀" * 100, name="x", public_id=uuid.UUID(int=3)),
        location=Location(pk=1, tenant=tenant, code="😀" * 50, name="x", public_id=uuid.UUID(int=5)),
        actor="😀" * 128,
        source="😀" * 64,
        reference_type="😀" * 50,
        reference_id="😀" * 128,
        version=2**62,
    )
    assert len(envelope.body_of(widest)) < envelope.BODY_BYTES_MAX


def test_a_test_event_fits_the_envelope_too() -> None:
    validate(json.loads(envelope.test_body(uuid.UUID(int=1), "alice", NOW)), event_types.envelope_schema())


def test_patterns_choose_types() -> None:
    assert event_types.matches("inventory.reserve.request", [])
    assert event_types.matches("inventory.reserve.request", ["inventory.stock.sold", "inventory.reserve.*"])
    assert not event_types.matches("inventory.stock.sold", ["inventory.reserve.*"])
    assert not event_types.is_pattern("inventory.reserve")
    assert not event_types.is_pattern("")
    assert event_types.is_pattern("*")


def test_the_schemas_are_served_to_everybody() -> None:
    listed = Client().get("/v1/events/schemas").json()
    assert {row["type"] for row in listed["types"]} == {event_type.type for event_type in TYPES}
    for row in listed["types"]:
        answer = Client().get(row["schema"])
        assert answer.headers["Content-Type"] == "application/schema+json"
        jsonschema.Draft7Validator.check_schema(answer.json())
    jsonschema.Draft7Validator.check_schema(listed["envelope"])
    refused = Client().get("/v1/events/schemas/inventory.nonsense")
    assert (refused.status_code, refused.json()["code"]) == (404, "unknown_event_type")


def test_the_event_that_the_documentation_shows_is_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
    shown = json.loads(page.split("```json")[1].split("```")[0])
    validate(shown, event_types.envelope_schema())
    validate(shown["data"], event_types.data_schema(BY_KIND["RESERVE"]))
    real = envelope.envelope(movement("RESERVE"))
    assert shown.keys() == real.keys()
    assert shown["data"].keys() == real["data"].keys() - {"reference"}
