"""Workers killed at every joint: the recipient is told, and told again at most once."""

import os
import signal
import subprocess
import sys

import pytest
from django.conf import settings
from django.db import connection

from apps.notifications.models import Notification, PickupCounter
from tests.smtp import MailServer

from .conftest import let_time_pass, make_ready, notify, outcomes, statuses
from .dying_worker import JOINTS


def work_until_death(joint: str, port: int) -> int:
    """Run a worker that dies at the joint, on this test's database; return its exit code."""
    base, _, query = os.environ["DATABASE_URL"].partition("?")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"{base.rpartition('/')[0]}/{connection.settings_dict['NAME']}?{query}",
        "FIELD_ENCRYPTION_KEYS": ",".join(settings.FIELD_ENCRYPTION_KEYS),
        "EMAIL_URL": f"smtp://saldo:s3nha@127.0.0.1:{port}",
    }
    command = [sys.executable, "-m", "tests.notifications.dying_worker", joint]
    return subprocess.run(command, env=environment, timeout=60, check=False).returncode


@pytest.mark.parametrize("joint", JOINTS)
def test_a_worker_killed_when(counter: PickupCounter, mail_server: MailServer, joint: str) -> None:
    order = make_ready(counter)
    assert work_until_death(joint, mail_server.port) == -signal.SIGKILL

    notify()  # a lease that has not ended lets nobody in
    let_time_pass()
    notify()

    assert statuses(order) == [("EMAIL", 0, Notification.Status.SENT)]
    was_sent_before = joint == "the mail is sent, nothing settled"
    assert len(mail_server.mails) == (2 if was_sent_before else 1)
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == 1
    died_trying = joint in {"the try is opened, nothing sent", "the mail is sent, nothing settled"}
    assert outcomes(order) == (["interrupted", "sent"] if died_trying else ["sent"])


def test_a_notification_that_kills_every_worker_is_set_aside(counter: PickupCounter, mail_server: MailServer) -> None:
    order = make_ready(counter)
    for _ in range(4):
        assert work_until_death("the try is opened, nothing sent", mail_server.port) == -signal.SIGKILL
        let_time_pass()
    notify()
    assert statuses(order) == [("EMAIL", 0, Notification.Status.FAILED)]
    assert outcomes(order) == ["interrupted"] * 4 + ["sender_died"]
    assert mail_server.mails == []
