"""Raw bodies are forgotten after their days; what waits for something keeps its own (requirement 001, LGPD)."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from apps.events import inbox
from apps.events.models import IntegrationEvent
from apps.events.reprocess import reprocess
from tests import factories

pytestmark = pytest.mark.django_db


def event(days: int, **values: object) -> IntegrationEvent:
    made: IntegrationEvent = factories.EventFactory(**values)
    IntegrationEvent.objects.filter(pk=made.pk).update(received_at=timezone.now() - timedelta(days=days))
    return made


def test_only_what_is_old_and_done_is_forgotten(settings: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EVENT_BODY_DAYS = 30
    monkeypatch.setattr(inbox, "FORGET_TOGETHER", 2)
    done = {"status": "PROCESSADO", "next_attempt_at": None}
    old = [event(31, **done) for _ in range(5)]
    kept = [
        event(29, **done),
        event(31, status="NOVA_TENTATIVA", next_attempt_at=timezone.now()),
        event(31, status="MAPEAMENTO", next_attempt_at=None),
    ]
    assert inbox.forget_old_bodies() == len(old)
    rows = IntegrationEvent.objects.in_bulk()
    assert all(bytes(rows[row.pk].body) == b"" and rows[row.pk].payload is None for row in old)
    assert all(bytes(rows[row.pk].body) for row in kept)
    assert inbox.forget_old_bodies() == 0


def test_an_event_without_its_body_is_reprocessed_by_what_it_said(settings: SimpleNamespace) -> None:
    settings.EVENT_BODY_DAYS = 30
    row = event(31, status="PROCESSADO", next_attempt_at=None)
    inbox.forget_old_bodies()
    assert reprocess(IntegrationEvent.objects.filter(pk=row.pk), actor="test") == 1
    assert IntegrationEvent.objects.get().external_id == row.external_id
