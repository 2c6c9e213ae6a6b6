"""From a sale at the marketplace to the e-mail and the text message that its parcel is ready."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from apps.notifications import tasks
from apps.notifications.models import Notification, PickupCounter
from apps.orders.models import Order
from tests.market import Market, work_until_quiet
from tests.smtp import MailServer


@pytest.fixture
def mail_server(settings: SimpleNamespace, tmp_path: Path) -> Iterator[MailServer]:
    server = MailServer()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    drivers = "apps.notifications.drivers"
    settings.NOTIFICATION_DRIVERS = {"EMAIL": f"{drivers}.email.SmtpDriver", "SMS": f"{drivers}.file.FileDriver"}
    settings.NOTIFICATION_FOLDER = tmp_path
    yield server
    server.close()


def test_a_sale_is_told_of_when_its_parcel_is_ready_and_once(
    market: Market, mail_server: MailServer, tmp_path: Path
) -> None:
    PickupCounter.objects.create(
        connector=market.connector,
        name="Hub Pinheiros",
        address="Rua das Flores, 77",
        hours="9h às 18h",
        media=["EMAIL", "SMS"],
        email="balcao@loja.example",
    )
    order_id = int(market.sell("SHIRT"))
    market.settle()
    tasks.notify()
    assert mail_server.mails == []  # paid, and not ready yet

    market.control.edit_order(order_id, shipment_status="ready_to_ship", shipment_substatus="ready_to_print")
    market.settle()
    tasks.notify()
    market.control.notify(order_id, 3)
    work_until_quiet()
    tasks.notify()

    order = Order.objects.get(external_id=str(order_id))
    told = Notification.objects.filter(order=order).order_by("medium")
    assert order.status == Order.Status.READY
    [mail] = mail_server.mails
    assert str(order_id) in mail["Subject"]
    assert mail_server.recipients == ["balcao@loja.example"]
    by_mail, by_phone = told
    assert by_mail.status == Notification.Status.SENT
    lines = [json.loads(line) for line in (tmp_path / "sms.jsonl").read_text().splitlines()]
    assert [str(order_id) in line["text"] for line in lines] == [True]
    assert by_phone.status == Notification.Status.SENT
