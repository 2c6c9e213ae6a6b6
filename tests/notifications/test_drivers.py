"""Phones are told through plug-ins; the local one writes a file that only its owner reads."""

import json
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from apps.notifications.apps import drivers_exist
from apps.notifications.drivers import Message, NotSent
from apps.notifications.drivers.file import FileDriver
from apps.notifications.models import Notification
from apps.orders.models import Recipient

from .conftest import FILE, HOURS, PHONE, in_thread, make_counter, make_ready, notify, outcomes, statuses


@pytest.fixture(autouse=True)
def _local(settings: SimpleNamespace) -> None:
    settings.NOTIFICATION_DRIVERS = {"EMAIL": FILE, "SMS": FILE, "WHATSAPP": FILE}


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("medium", ["SMS", "WHATSAPP"])
def test_the_phone_is_told_where_and_when_in_one_line(transactional_db: None, folder: Path, medium: str) -> None:
    order = make_ready(make_counter(media=[medium]))
    notify()
    path = folder / f"{medium.lower()}.jsonl"
    [line] = lines(path)
    assert line["to"] == PHONE
    assert line["key"] == f"saldo-notification-{Notification.objects.get().pk}"
    for text in (order.external_id, "Hub Pinheiros", "Rua das Flores, 77 São Paulo", HOURS):
        assert text in line["text"]
    assert "\n" not in line["text"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_who_has_no_phone_is_not_told_by_phone(transactional_db: None, folder: Path) -> None:
    order = make_ready(make_counter(media=["SMS"]), phone="")
    erased, forgotten = make_ready(make_counter(media=["SMS"])), make_ready(make_counter(media=["SMS"]))
    Recipient.objects.filter(order=forgotten).delete()
    Recipient.objects.filter(order=erased).update(phone_enc="")
    notify()
    for one in (order, erased, forgotten):
        assert statuses(one) == [("SMS", 0, Notification.Status.FAILED)]
        assert outcomes(one) == ["no_phone"]
    assert not folder.exists()


def test_a_phone_of_another_order_does_not_open_here(transactional_db: None, folder: Path) -> None:
    counter = make_counter(media=["SMS"])
    order, other = make_ready(counter), make_ready(counter, phone="+55 21 91234-5678")
    notify()
    Notification.objects.update(status=Notification.Status.PENDING, due_at="2026-01-01T00:00:00Z")
    stolen = Recipient.objects.get(order=other).phone_enc
    Recipient.objects.filter(order=order).update(phone_enc=stolen)
    notify()
    assert outcomes(order) == ["sent", "contact_unreadable"]
    assert [line["to"] for line in lines(folder / "sms.jsonl")] == [PHONE, "+55 21 91234-5678", "+55 21 91234-5678"]


def test_a_folder_that_cannot_be_written_to_may_pass(settings: SimpleNamespace, tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    settings.NOTIFICATION_FOLDER = blocked / "below"
    with pytest.raises(NotSent) as refusal:
        FileDriver().send(Message("k", "SMS", "1", "", "text", ""))
    assert (refusal.value.code, refusal.value.is_permanent) == ("file_unwritable", False)


def test_lines_of_many_workers_stay_whole(folder: Path) -> None:
    message = Message("k", "SMS", PHONE, "", "á" * 2000, "")
    for thread in [in_thread(lambda: [FileDriver().send(message) for _ in range(20)]) for _ in range(4)]:
        thread.join()
    assert [line["text"] for line in lines(folder / "sms.jsonl")] == ["á" * 2000] * 80


def test_a_message_shows_nobody_when_it_is_printed() -> None:
    assert repr(Message("k", "SMS", PHONE, "s", "t", "h")) == "Message(key='k', medium='SMS')"


def test_a_misspelt_driver_stops_the_start(settings: SimpleNamespace) -> None:
    assert drivers_exist(None) == []
    settings.NOTIFICATION_DRIVERS = {"SMS": "loja.gateway.Sms"}
    [error] = drivers_exist(None)
    assert error.id == "notifications.E001"
    assert "NOTIFICATION_SMS_DRIVER" in error.msg
