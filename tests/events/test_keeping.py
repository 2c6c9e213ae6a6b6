"""What ended long ago is forgotten after ENDED_KEEP_DAYS; what is open, and what says who did what, stays."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from apps.connectors.models import Errand
from apps.events import tasks
from apps.events.models import Reprocess
from apps.notifications import sending
from apps.notifications.models import Medium, Notification, NotificationTry
from apps.notifications.prove import prove
from tests import factories

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture(autouse=True)
def ninety_days(settings: SimpleNamespace) -> None:
    settings.ENDED_KEEP_DAYS = 90


def errand(connector: object, kind: str, ended_days: int | None) -> int:
    ended = None if ended_days is None else NOW - timedelta(days=ended_days)
    row = Errand.objects.create(
        tenant=connector.tenant,  # type: ignore[attr-defined]
        connector=connector,
        kind=kind,
        status="CONCLUIDO" if ended else "PENDENTE",
        finished_at=ended,
        asked_by="user:1",
    )
    return row.pk


def test_ended_errands_go_but_for_the_newest_of_a_kind() -> None:
    connector = factories.ConnectorFactory()
    gone = [errand(connector, "TESTE", days) for days in (200, 91)]
    kept = [errand(connector, "TESTE", 89), errand(connector, "IMPORTACAO", 300)]
    other = factories.ConnectorFactory()
    kept += [errand(other, "TESTE", 400), errand(other, "IMPORTACAO", None)]
    tasks.forget_old_bodies()
    assert set(Errand.objects.values_list("pk", flat=True)) == set(kept)
    assert not Errand.objects.filter(pk__in=gone).exists()


def notification(*tried_days: int, status: str = "ENVIADA") -> Notification:
    order = factories.OrderFactory(status="RETIRADO", picked_up_at=NOW)
    is_open = status == "PENDENTE"
    row = Notification.objects.create(
        tenant=order.tenant,
        order=order,
        medium=Medium.EMAIL,
        status=status,
        due_at=NOW if is_open else None,
        sent_at=None if is_open else NOW - timedelta(days=min(tried_days)),
    )
    for number, days in enumerate(tried_days, 1):
        outcome = "sent" if number == len(tried_days) and not is_open else "mail_timeout"
        NotificationTry.objects.create(
            notification=row, number=number, outcome=outcome, started_at=NOW - timedelta(days=days)
        )
    return row


def test_old_tries_go_and_their_notifications_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FORGET_TOGETHER", 2)
    old, recent, waiting = notification(120, 119, 118), notification(91, 10), notification(100, status="PENDENTE")
    tasks.forget_old_bodies()
    left = list(NotificationTry.objects.values_list("notification_id", "number").order_by("pk"))
    assert left == [(recent.pk, 2), (waiting.pk, 1)]
    assert Notification.objects.filter(pk__in=[old.pk, recent.pk, waiting.pk]).count() == 3
    assert [finding for finding in prove() if "try" in finding.rule] == []


def test_old_plans_are_emptied_and_say_who_and_why() -> None:
    tenant = factories.TenantFactory()
    rows = {}
    for status, days in (("PLANEJADO", 91), ("APLICADO", 91), ("RECUSADO", 91), ("PLANEJADO", 89), ("ENFILEIRADO", 91)):
        row = Reprocess.objects.create(
            tenant=tenant,
            actor="user:7",
            reason="lost",
            status=status,
            count=1,
            event_ids=[1] if status != "ENFILEIRADO" else [],
            plan={"changes": []} if status != "ENFILEIRADO" else None,
            plan_hash="h",
        )
        Reprocess.objects.filter(pk=row.pk).update(created_at=NOW - timedelta(days=days))
        rows[row.pk] = (status, days)
    tasks.forget_old_bodies()
    after = {rows[row.pk]: row for row in Reprocess.objects.all()}
    assert {key: (row.status, row.plan) for key, row in after.items()} == {
        ("PLANEJADO", 91): ("VENCIDO", None),
        ("APLICADO", 91): ("APLICADO", None),
        ("RECUSADO", 91): ("RECUSADO", None),
        ("PLANEJADO", 89): ("PLANEJADO", {"changes": []}),
        ("ENFILEIRADO", 91): ("ENFILEIRADO", None),
    }
    assert {(row.actor, row.reason, row.count) for row in after.values()} == {("user:7", "lost", 1)}
