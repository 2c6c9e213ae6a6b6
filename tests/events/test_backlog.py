"""What the queue's figures say, in the shell, as an exit code and for Prometheus."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from apps.connectors.breaker import Breaker
from apps.connectors.models import Connector
from apps.events.backlog import measure
from apps.events.models import IntegrationEvent
from apps.events.reprocess import reprocess
from tests.factories import ConnectorFactory, EventFactory

ROOT = Path(__file__).resolve().parent.parent.parent


def age(event: IntegrationEvent, minutes: int, **values: Any) -> None:
    """Let an event have arrived so long ago."""
    moment = timezone.now() - timedelta(minutes=minutes)
    IntegrationEvent.objects.filter(pk=event.pk).update(received_at=moment, **values)


@pytest.fixture
def connector(db: None) -> Connector:
    """A connector with two events waiting, one error, one that waits for a mapping, and two finished."""
    connector: Connector = ConnectorFactory()
    of_it: dict[str, Any] = {"tenant": connector.tenant, "connector": connector}
    age(EventFactory(**of_it), 5)
    EventFactory(**of_it)
    EventFactory(**of_it, status="ERRO", error_code="foreign_order")
    EventFactory(**of_it, status="MAPEAMENTO", error_code="mapping_needed", waiting_for=["MLB1"])
    for seconds in (1, 3):
        done = EventFactory(**of_it, status="PROCESSADO")
        IntegrationEvent.objects.filter(pk=done.pk).update(processed_at=done.received_at + timedelta(seconds=seconds))
    return connector


def test_the_queue_is_counted(connector: Connector) -> None:
    found = measure("ML")
    assert (found.waiting, found.errors, found.mapping) == (2, {"foreign_order": 1}, 1)
    assert 299 < found.oldest_seconds < 360
    assert (found.latency_p50_seconds, found.error_percent, found.reprocesses_pending) == (2.0, 0.0, 0)


def test_an_event_that_is_sent_through_again_waits_since_then(connector: Connector) -> None:
    failed = IntegrationEvent.objects.filter(status="ERRO")
    age(failed.get(), 600)
    assert reprocess(failed, actor="test") == 1
    found = measure("ML")
    assert (found.waiting, found.reprocesses_pending, found.error_count) == (3, 1, 0)
    assert found.oldest_seconds < 360


def test_an_empty_queue_has_figures_too(db: None) -> None:
    assert measure("ML").waiting == 0
    assert measure("ML").oldest_seconds == 0


def monitored(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script as a person does, on the test's own database."""
    name = django_settings.DATABASES["default"]["NAME"]
    address = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}")
    environment = {**os.environ, "DATABASE_URL": urlunsplit(address)}
    script = ROOT / "scripts/validadores/monitorar_fila.py"
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd="/")


@pytest.mark.django_db(transaction=True)
def test_the_script_prints_and_exits_by_its_limits() -> None:
    empty = monitored("--canal", "ML")
    assert empty.returncode == 0, empty.stderr
    assert "waiting: 0" in empty.stdout
    EventFactory(status="ERRO", error_code="foreign_order")
    past = monitored("--canal", "ML")
    assert past.returncode == 1, past.stderr
    assert "events that a person must look at: 1, more than 0 (--max-errors)" in past.stdout
    assert monitored("--canal", "ML", "--max-errors", "1").returncode == 0
    assert monitored("--canal", "XX").returncode == 2


def test_prometheus_reads_figures_without_a_tenant(connector: Connector, settings: Any) -> None:
    settings.METRICS_TOKEN = "a-token-of-the-test"
    settings.CHANNEL_BREAKER_FAILURES = 1
    Breaker(connector.pk).failed()
    assert Client().get("/metrics").status_code == 404
    assert Client(headers={"Authorization": "Bearer another"}).get("/metrics").status_code == 404
    answer = Client(headers={"Authorization": "Bearer a-token-of-the-test"}).get("/metrics")
    lines = answer.content.decode().splitlines()
    assert 'saldo_events_waiting{channel="ML"} 2' in lines
    assert 'saldo_events_errors{channel="ML",code="foreign_order"} 1' in lines
    assert 'saldo_events_latency_seconds{channel="ML",quantile="0.5"} 2' in lines
    assert 'saldo_channel_breakers{channel="ML",state="open"} 1' in lines
    assert connector.tenant.slug not in answer.content.decode()


def test_without_a_token_nobody_reads_them_in_production(db: None, settings: Any) -> None:
    settings.METRICS_TOKEN, settings.IS_DEVELOPMENT = "", False
    assert Client().get("/metrics").status_code == 404
    assert Client(headers={"Authorization": "Bearer "}).get("/metrics").status_code == 404
