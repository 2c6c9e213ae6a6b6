"""A canary: one buyer and one account whose data are looked for everywhere they must not be.

Name, document, phone and secrets go through sale, failure, readiness, notification and cancellation. Afterwards no log
line, no row in the clear, no page or answer for those who may not look, no error and no task holds any of them.
"""

import inspect
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse

from apps.connectors import credentials
from apps.connectors.models import Connector
from apps.events.models import IntegrationEvent
from apps.notifications import tasks as notification_tasks
from apps.notifications.models import PickupCounter
from apps.orders import recipients
from apps.orders.models import Order, Recipient
from apps.tenants.models import ApiKey, Membership
from config.celery import app
from tests import factories
from tests.market import Market, let_time_pass, work_until_quiet

NAME, SURNAME, DOCUMENT, PHONE = "Zulmirinha", "Canarinho", "39053344705", "11987650123"
WRITTEN = "390.533.447-05"


@pytest.fixture
def canaries(market: Market) -> list[str]:
    """Everything that must not be seen: the buyer's data and the account's secrets."""
    connector = Connector.objects.get()
    secrets = [credentials.reveal(connector, name) for name in ("client_secret", "refresh_token", "access_token")]
    return [NAME, SURNAME, DOCUMENT, WRITTEN, PHONE, *secrets]


@pytest.fixture
def counter(market: Market, settings: SimpleNamespace, tmp_path: Path) -> Iterator[None]:
    """Told by text message, which a file stands for: the only place a phone number goes to."""
    settings.NOTIFICATION_DRIVERS = {"SMS": "apps.notifications.drivers.file.FileDriver"}
    settings.NOTIFICATION_FOLDER = tmp_path
    PickupCounter.objects.create(connector=market.connector, name="Hub", address="Rua A, 1", hours="9h", media=["SMS"])
    yield
    assert PHONE in (tmp_path / "sms.jsonl").read_text()


def live_through(market: Market) -> None:
    """Everything that may happen to an order, failures that repeat its data included."""
    order_id = int(
        market.sell(
            "SHIRT",
            buyer={
                "first_name": NAME,
                "last_name": SURNAME,
                "document_type": "CPF",
                "document_number": DOCUMENT,
                "phone": PHONE,
            },
        )
    )
    quoted = {"message": f"buyer {NAME} {SURNAME} {WRITTEN} {DOCUMENT}", "error": "bad_request", "status": 500}
    for path in ("^/orders/", "^/shipments/"):
        market.control.faults({"path": path, "action": "status", "status": 500, "body": quoted, "times": 1})
    market.settle()
    let_time_pass()
    work_until_quiet()
    market.control.faults({"path": "^/orders/", "action": "html", "status": 502, "body": f"<p>{NAME}</p>", "times": 1})
    market.control.edit_order(order_id, shipment_status="ready_to_ship", shipment_substatus="ready_to_print")
    market.settle()
    let_time_pass()
    work_until_quiet()
    notification_tasks.notify()
    market.control.cancel(order_id)
    market.settle()
    for status in (400, 500):
        market.control.faults({"path": "^/orders/", "action": "status", "status": status, "body": quoted})
        market.control.notify(order_id, 1)
        market.settle()
    assert set(IntegrationEvent.objects.exclude(error_code="").values_list("status", flat=True))  # and it stays so


def test_the_canary_is_seen_nowhere(
    market: Market, counter: None, canaries: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        live_through(market)
        seen = {**pages(market), **answers(market), "the logs": caplog.text, "the rows": rows(), "reprs": reprs()}
    order = Order.objects.get()
    assert recipients.read(Recipient.objects.get(order=order)) == recipients.Person(
        f"{NAME} {SURNAME}", DOCUMENT, PHONE
    )  # else it would be no wonder
    found = [(place, canary) for place, text in seen.items() for canary in canaries if canary in text]
    assert found == []


def pages(market: Market) -> dict[str, str]:
    """Every list of console and admin, and the pages of the order, for somebody who only reads."""
    client = Client()
    user = factories.member(market.tenant, Membership.Role.ANALYST, is_staff=True, is_superuser=True)
    client.force_login(user)
    order, event = Order.objects.get(), IntegrationEvent.objects.order_by("pk")[0]
    addresses = [
        *(reverse(f"console:{name}") for name in ("events", "syncs", "orders", "stock", "listings", "connectors")),
        *(
            reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
            for model in admin.site._registry
        ),
        reverse("console:order", args=[order.pk]),
        reverse("console:connector", args=[market.connector.pk]),
        reverse("console:event", args=[event.pk]),
        reverse("admin:orders_order_change", args=[order.pk]),
        reverse("admin:connectors_connector_change", args=[market.connector.pk]),
        reverse("admin:events_integrationevent_change", args=[event.pk]),
    ]
    return {address: client.get(address).content.decode() for address in addresses}


def answers(market: Market) -> dict[str, str]:
    """What programs of the tenant are told."""
    _key, text = ApiKey.issue(market.tenant, name="ERP", scopes=["stock:read", "movements:read", "integrations:read"])
    client = Client(headers={"X-Api-Key": text})
    addresses = ["/api/integracoes/eventos", "/v1/stock/movements", "/v1/reservations"]
    return {address: client.get(address).content.decode() for address in addresses}


def rows() -> str:
    """Every row of every table of ours, as text: what is kept in the clear."""
    texts = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            cursor.execute(f'SELECT t::text FROM "{model._meta.db_table}" AS t')  # noqa: S608  our own names
            texts += [row[0] for row in cursor.fetchall()]
            for field in model._meta.fields:
                if field.get_internal_type() == "BinaryField":
                    escaped = f"encode(\"{field.column}\", 'escape')"
                    cursor.execute(f'SELECT {escaped} FROM "{model._meta.db_table}"')  # noqa: S608  our own names
                    texts += [row[0] or "" for row in cursor.fetchall()]
    return "\n".join(texts)


def reprs() -> str:
    """What a traceback or a log would show of the objects that carry the data."""
    return f"{Order.objects.get()!r} {Recipient.objects.get()!r} {recipients.read(Recipient.objects.get())!r}"


def test_no_task_takes_anything_but_numbers() -> None:
    ours = [task for name, task in app.tasks.items() if name.startswith("apps.")]
    assert ours
    for task in ours:
        for parameter in inspect.signature(task.run).parameters.values():
            assert parameter.annotation in (int, "int"), f"{task.name}: {parameter}"
