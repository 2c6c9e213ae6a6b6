"""An order's recipient is told once, when the order becomes ready, and what fails is tried again."""

import smtplib
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from apps.notifications import following, sending, tasks
from apps.notifications.models import Notification, NotificationTry, PickupCounter
from apps.orders.models import Order
from tests import factories
from tests.smtp import MailServer

from .conftest import (
    COUNTER_EMAIL,
    HOURS,
    NAME,
    PHONE,
    in_thread,
    let_time_pass,
    make_counter,
    make_ready,
    notify,
    outcomes,
    statuses,
)

Status = Notification.Status


def test_the_mail_names_order_address_and_hours_and_no_person(counter: PickupCounter, mail_server: MailServer) -> None:
    order = make_ready(counter)
    notify()
    [mail] = mail_server.mails
    assert mail_server.recipients == [COUNTER_EMAIL]
    assert order.external_id in mail["Subject"]
    assert mail["Message-ID"] == f"<saldo-notification-{Notification.objects.get().pk}@127.0.0.1>"
    assert mail.get_content_type() == "multipart/alternative"
    plain, html = (part.get_content() for part in mail.iter_parts())
    for text in (order.external_id, "Hub Pinheiros", "Rua das Flores, 77", "São Paulo", HOURS):
        assert text in plain
        assert text in html
    assert "Rua das Flores, 77<br>São Paulo" in html
    assert '<html lang="pt-br">' in html
    assert NAME not in mail.as_string()
    assert PHONE not in mail.as_string()


def test_what_a_counter_is_called_cannot_write_markup(transactional_db: None, mail_server: MailServer) -> None:
    make_ready(make_counter(name="<b>Zé & Cia</b>"))
    notify()
    plain, html = (part.get_content() for part in mail_server.mails[0].iter_parts())
    assert "<b>Zé & Cia</b>" in plain
    assert "&lt;b&gt;Zé &amp; Cia&lt;/b&gt;" in html


def test_an_order_is_told_of_once_however_often_one_looks(counter: PickupCounter, mail_server: MailServer) -> None:
    order = make_ready(counter)
    for _ in range(3):
        notify()
        Order.objects.filter(pk=order.pk).update(status=Order.Status.RECEIVED)
        Order.objects.filter(pk=order.pk).update(status=Order.Status.READY, ready_at=timezone.now())
    assert len(mail_server.mails) == 1
    assert statuses(order) == [("EMAIL", 0, Status.SENT)]
    assert outcomes(order) == ["sent"]


def test_the_database_refuses_a_second_one(counter: PickupCounter) -> None:
    order = make_ready(counter)
    following.queue_ready()
    twin = Notification.objects.get()
    twin.pk = None
    with pytest.raises(IntegrityError, match="ux_notificacao_once"), transaction.atomic():
        twin.save(force_insert=True)
    assert statuses(order) == [("EMAIL", 0, Status.PENDING)]


def test_two_workers_at_the_same_moment_tell_once(counter: PickupCounter, mail_server: MailServer) -> None:
    orders = [make_ready(counter) for _ in range(20)]
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        notify()

    for thread in [in_thread(work) for _ in range(4)]:
        thread.join()
    assert len(mail_server.mails) == 20
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == 20
    assert {tuple(statuses(order)) for order in orders} == {(("EMAIL", 0, Status.SENT),)}


def test_ticks_that_meet_tell_once(counter: PickupCounter, mail_server: MailServer) -> None:
    for _ in range(10):
        make_ready(counter)
    for thread in [in_thread(tasks.notify) for _ in range(5)]:
        thread.join()
    tasks.notify()
    assert len(mail_server.mails) == 10


@pytest.mark.parametrize("status", [Order.Status.RECEIVED, Order.Status.PICKED_UP, Order.Status.CANCELLED])
def test_nobody_is_told_of_an_order_that_is_not_ready(
    counter: PickupCounter, mail_server: MailServer, status: str
) -> None:
    order = make_ready(counter, status=status, picked_up_at=timezone.now())
    notify()
    assert (statuses(order), mail_server.mails) == ([], [])


def test_an_order_that_left_before_it_was_told_of_is_not(counter: PickupCounter, mail_server: MailServer) -> None:
    order = make_ready(counter)
    following.queue_ready()
    Order.objects.filter(pk=order.pk).update(status=Order.Status.PICKED_UP, picked_up_at=timezone.now())
    notify()
    assert statuses(order) == [("EMAIL", 0, Status.CANCELLED)]
    assert (outcomes(order), mail_server.mails) == (["order_not_ready"], [])


def test_a_connector_without_a_counter_tells_nobody_until_it_has_one(
    transactional_db: None, mail_server: MailServer
) -> None:
    connector = factories.ConnectorFactory()
    counter = make_counter(connector=connector, media=[], email="")
    today = make_ready(counter)
    long_ago = make_ready(counter, ready_at=timezone.now() - timedelta(days=following.READY_DAYS_MAX, hours=1))
    notify()
    assert Notification.objects.count() == 0
    counter.media, counter.email = ["EMAIL"], COUNTER_EMAIL
    counter.save()
    notify()
    assert statuses(today) == [("EMAIL", 0, Status.SENT)]
    assert statuses(long_ago) == []


def test_a_counter_of_three_media_tells_by_each_once(transactional_db: None, mail_server: MailServer) -> None:
    order = make_ready(make_counter(media=["EMAIL", "SMS", "WHATSAPP"]))
    notify()
    notify()
    sent = [("EMAIL", 0, Status.SENT), ("SMS", 0, Status.SENT), ("WHATSAPP", 0, Status.SENT)]
    assert statuses(order) == sent
    assert len(mail_server.mails) == 1


def test_a_page_of_orders_never_cuts_the_media_of_one(
    transactional_db: None, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "ORDERS_MAX", 1)
    counter = make_counter(media=["EMAIL", "SMS"])
    orders = [make_ready(counter) for _ in range(3)]
    assert [following.queue_ready() for _ in range(4)] == [2, 2, 2, 0]
    notify()
    assert all(len(statuses(order)) == 2 for order in orders)


# --- What fails ---------------------------------------------------------------------------------------------------


def waits_seconds() -> int:
    """Return in how many seconds, by the database's clock, the only notification is due."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT round(extract(epoch FROM due_at - now())) FROM notificacao")
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize(
    ("step", "reply", "outcome", "detail"),
    [
        ("connect", "421 4.3.2 busy", "mail_refused", "SMTP 421"),
        ("MAIL", "451 4.3.0 later", "mail_refused", "SMTP 451"),
        ("RCPT", "450 4.2.1 mailbox busy", "mail_refused", "SMTP 450"),
        ("DATA", "452 4.3.1 full", "mail_refused", "SMTP 452"),
        ("AUTH", "535 5.7.8 no", "mail_login_refused", "SMTP 535"),
        ("DATA", None, "mail_unreachable", "SMTPServerDisconnected"),
    ],
)
def test_what_may_pass_is_tried_again_after_30_s_2_min_10_min_and_then_waits_for_a_person(
    counter: PickupCounter, mail_server: MailServer, step: str, reply: str | None, outcome: str, detail: str
) -> None:
    order = make_ready(counter)
    mail_server.answer = lambda at: reply if at == step else ""
    waited = []
    notify()
    for _ in range(3):
        waited.append(waits_seconds())
        let_time_pass()
        notify()
    assert waited == [30, 120, 600]
    assert statuses(order) == [("EMAIL", 0, Status.FAILED)]
    assert Notification.objects.get().error_code == outcome
    assert outcomes(order) == [outcome] * 4
    assert set(NotificationTry.objects.values_list("driver", "detail")) == {
        ("apps.notifications.drivers.email.SmtpDriver", detail)
    }
    mail_server.answer = lambda at: ""
    let_time_pass()
    notify()
    assert mail_server.mails == []


def test_a_mail_server_that_comes_back_is_told(counter: PickupCounter, mail_server: MailServer) -> None:
    order = make_ready(counter)
    mail_server.answer = lambda at: "451 later" if at == "MAIL" else ""
    notify()
    notify()  # before its time: nothing
    assert outcomes(order) == ["mail_refused"]
    mail_server.answer = lambda at: ""
    let_time_pass()
    notify()
    assert outcomes(order) == ["mail_refused", "sent"]
    assert statuses(order) == [("EMAIL", 0, Status.SENT)]
    assert Notification.objects.get().error_code == ""
    assert len(mail_server.mails) == 1


def test_nobody_listens_and_nobody_answers(
    counter: PickupCounter, mail_server: MailServer, settings: SimpleNamespace
) -> None:
    order = make_ready(counter)
    settings.EMAIL_PORT = 1
    notify()
    settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = mail_server.port, 0.2
    hold = threading.Event()
    mail_server.answer = lambda at: "" if hold.wait(5) else None
    let_time_pass()
    notify()
    hold.set()
    assert outcomes(order) == ["mail_unreachable", "mail_timeout"]


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_what_the_mail_server_refuses_for_good_is_not_tried_again(
    counter: PickupCounter, mail_server: MailServer, step: str
) -> None:
    order = make_ready(counter)
    mail_server.answer = lambda at: "550 5.1.1 no such person" if at == step else ""
    notify()
    assert statuses(order) == [("EMAIL", 0, Status.FAILED)]
    assert outcomes(order) == ["mail_refused"]


def test_a_medium_without_a_driver_fails_with_its_reason(counter: PickupCounter, settings: SimpleNamespace) -> None:
    settings.NOTIFICATION_DRIVERS = {"EMAIL": ""}
    order = make_ready(counter)
    notify()
    assert statuses(order) == [("EMAIL", 0, Status.FAILED)]
    assert outcomes(order) == ["no_driver"]


class Broken:
    """A plug-in that was written in a hurry."""

    def send(self, message: object) -> None:
        raise smtplib.SMTPException(f"could not tell {PHONE}")


def test_a_driver_that_breaks_is_tried_again_and_stops_nobody_else(
    transactional_db: None, mail_server: MailServer, settings: SimpleNamespace
) -> None:
    settings.NOTIFICATION_DRIVERS = {**settings.NOTIFICATION_DRIVERS, "SMS": f"{__name__}.Broken"}
    order = make_ready(make_counter(media=["EMAIL", "SMS"]))
    notify()
    assert statuses(order) == [("EMAIL", 0, Status.SENT), ("SMS", 0, Status.PENDING)]
    assert sorted(outcomes(order)) == ["driver_failed", "sent"]
    row = NotificationTry.objects.get(outcome="driver_failed")
    assert row.detail.startswith("SMTPException test_once.py:")


def test_a_late_worker_ends_nothing_that_another_has_claimed(counter: PickupCounter, mail_server: MailServer) -> None:
    make_ready(counter)
    following.queue_ready()
    late = sending.claim_due()
    assert late is not None
    let_time_pass()
    current = sending.claim_due()
    assert current is not None
    assert current.was_interrupted
    row = NotificationTry.objects.create(notification_id=late.notification_id, number=1)
    sending._settle(late, row, sending.Outcome("mail_refused", is_final=True), took_ms=1)
    assert Notification.objects.get().status == Status.PENDING
    assert Notification.objects.get().lease_id == current.lease_id
    let_time_pass()
    notify()


def test_looking_for_ready_orders_reads_only_those(counter: PickupCounter) -> None:
    """The follower looks every second: the index must serve it, or it reads every order there ever was."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {following.QUEUE}", [following.READY_DAYS_MAX, following.ORDERS_MAX])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "ix_pedido_pronto" in plan
    assert "Seq Scan on pedido" not in plan
