"""No name, phone or e-mail address in a log line, a try, an error or a page."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse
from structlog.testing import capture_logs

from apps.notifications.models import Notification, NotificationTry
from tests import factories
from tests.smtp import MailServer

from .conftest import COUNTER_EMAIL, NAME, PHONE, let_time_pass, make_counter, make_ready, notify

CANARIES = ["12345678909", NAME, PHONE, PHONE.replace(" ", ""), "98765", COUNTER_EMAIL, "s3nha", "Canária"]


class Talkative:
    """A plug-in that says in its errors whom it could not tell."""

    def send(self, message: object) -> None:
        raise RuntimeError(f"{message.to} {message.text} is no number")  # type: ignore[attr-defined]


@pytest.mark.parametrize("reply", ["", f"550 5.1.1 <{COUNTER_EMAIL}> of {NAME}, {PHONE}", f"451 {PHONE}", "535 no"])
def test_nothing_personal_is_logged_or_kept(
    transactional_db: None,
    mail_server: MailServer,
    settings: SimpleNamespace,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    reply: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    settings.NOTIFICATION_DRIVERS = {**settings.NOTIFICATION_DRIVERS, "WHATSAPP": f"{__name__}.Talkative"}
    mail_server.answer = lambda step: reply if step == ("AUTH" if reply.startswith("535") else "RCPT") else ""
    order = make_ready(make_counter(media=["EMAIL", "SMS", "WHATSAPP"]))
    with capture_logs() as structured:
        notify()
        let_time_pass()
        notify()
    said = repr(structured) + caplog.text + "".join(capfd.readouterr())
    kept = repr(list(NotificationTry.objects.values())) + repr(list(Notification.objects.values()))
    client = Client()
    client.force_login(factories.member(order.tenant))
    shown = client.get(reverse("console:order", args=[order.pk])).content.decode()
    for canary in CANARIES:
        assert canary not in said, canary
        assert canary not in kept, canary
        assert canary not in shown, canary
    assert len(structured) >= 3
    assert PHONE in (folder / "sms.jsonl").read_text()  # the message itself went out


def test_tries_say_which_driver_when_and_how_it_ended(transactional_db: None, mail_server: MailServer) -> None:
    make_ready(make_counter(media=["EMAIL", "SMS"]))
    notify()
    for row in NotificationTry.objects.all():
        assert row.driver.startswith("apps.notifications.drivers.")
        assert row.outcome == "sent"
        assert row.duration_ms is not None
        assert row.started_at
