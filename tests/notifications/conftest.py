"""A counter, orders that are ready, and a mail server that takes what is sent."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from apps.notifications import following, sending
from apps.notifications.models import Notification, NotificationTry, PickupCounter
from apps.orders import recipients
from apps.orders.models import Order
from tests import factories
from tests.smtp import MailServer

PHONE = "+55 11 98765-4321"
NAME = "Canária da Silva"
ADDRESS = "Rua das Flores, 77\nSão Paulo"
HOURS = "seg a sex, 9h às 18h"
COUNTER_EMAIL = "balcao@loja.example"

SMTP = "apps.notifications.drivers.email.SmtpDriver"
FILE = "apps.notifications.drivers.file.FileDriver"


@pytest.fixture
def mail_server(settings: SimpleNamespace) -> Iterator[MailServer]:
    """A mail server, and the settings that EMAIL_URL=smtp://saldo:…@127.0.0.1 would make."""
    server = MailServer(user="saldo", password="s3nha")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = server.user, server.password
    settings.NOTIFICATION_DRIVERS = {"EMAIL": SMTP, "SMS": FILE, "WHATSAPP": FILE}
    yield server
    server.close()


@pytest.fixture(autouse=True)
def folder(settings: SimpleNamespace, tmp_path: Path) -> Path:
    """Where the file driver writes."""
    settings.NOTIFICATION_FOLDER = tmp_path / "notifications"
    return tmp_path / "notifications"


def make_counter(**values: Any) -> PickupCounter:
    connector = values.pop("connector", None) or factories.ConnectorFactory()
    values = {"name": "Hub Pinheiros", "address": ADDRESS, "hours": HOURS, "email": COUNTER_EMAIL, **values}
    return PickupCounter.objects.create(connector=connector, **values)


def make_ready(counter: PickupCounter, *, phone: str = PHONE, **values: Any) -> Order:
    """Return an order of the counter's connector that is ready, with its recipient's sealed data."""
    connector = counter.connector
    order: Order = factories.ready(factories.OrderFactory(tenant=connector.tenant, connector=connector, item=None))
    Order.objects.filter(pk=order.pk).update(**values)
    order.refresh_from_db()
    recipients.keep(order, name=NAME, document="12345678909", phone=phone)
    return order


@pytest.fixture
def counter(transactional_db: None) -> PickupCounter:
    """Alice's counter, committed."""
    return make_counter()


def notify() -> None:
    """Do what the ticks do until nothing is left that is due."""
    following.queue_ready()
    while sending.send_next():
        pass


def let_time_pass() -> None:
    """Make everything that waits due: pauses pass and leases end."""
    pending = Notification.objects.filter(due_at__isnull=False)
    pending.update(due_at=timezone.now() - timedelta(seconds=1))


def outcomes(order: Order) -> list[str]:
    tries = NotificationTry.objects.filter(notification__order=order).order_by("id")
    return list(tries.values_list("outcome", flat=True))


def statuses(order: Order) -> list[tuple[str, int, str]]:
    rows = Notification.objects.filter(order=order).order_by("round", "medium")
    return list(rows.values_list("medium", "round", "status"))


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
