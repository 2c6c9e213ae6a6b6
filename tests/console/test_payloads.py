"""What arrived, three ways; and who may see it unmasked."""

import json
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.console.payloads import difference
from apps.events.models import IntegrationEvent
from apps.tenants.models import AuditEntry, Membership
from tests import factories
from tests.console.test_pages import signed_in

pytestmark = pytest.mark.django_db

SECRET = "APP_USR-1234567890-secret"


@pytest.fixture
def event() -> IntegrationEvent:
    row: IntegrationEvent = factories.EventFactory(status="PROCESSADO")
    row.payload["token"] = SECRET
    row.body = json.dumps(row.payload).encode()
    row.save()
    return row


def person(event: IntegrationEvent, role: str = Membership.Role.MANAGER) -> Client:
    return signed_in(factories.member(event.tenant, role))


def seen(client: Client, event: IntegrationEvent, tab: str = "") -> str:
    return client.get(reverse("console:event", args=[event.pk]), {"ver": tab} if tab else {}).content.decode()


def test_the_three_ways(event: IntegrationEvent) -> None:
    alice = person(event)
    received = seen(alice, event)
    assert "application_id" in received
    assert "•••" in received
    read = seen(alice, event, "interpretado")
    assert "resource_kind" in read
    assert event.delivery_key in read
    assert "application_id" in read
    for page in (received, read, seen(alice, event, "diferenca")):
        assert SECRET not in page


def test_the_difference_is_to_the_event_before_about_the_same_resource(event: IntegrationEvent) -> None:
    same = {"tenant": event.tenant, "connector": event.connector, "external_id": event.external_id}
    factories.EventFactory(tenant=event.tenant, connector=event.connector)  # another resource
    later = factories.EventFactory(**same)
    later.payload |= {"attempts": 7, "news": {"deep": [1, 2]}}
    later.save()
    page = seen(person(event), later, "diferenca")
    assert reverse("console:event", args=[event.pk]) in page
    for words in ("attempts", "<del>1</del>", "<ins>7</ins>", "news.deep[1]"):
        assert words in page, words
    assert SECRET not in page
    assert "<ins>" not in seen(person(event), event, "diferenca")


def test_a_difference_names_every_path_once() -> None:
    before = {"a": 1, "b": {"c": [1, 2], "d": {}}, "gone": None}
    after = {"a": 1, "b": {"c": [1, 3, 4], "d": {"e": True}}}
    found = [(one.path, one.kind, one.before, one.after) for one in difference(before, after)]
    assert found == [
        ("b.c[1]", "changed", "2", "3"),
        ("b.d", "removed", "{}", ""),
        ("gone", "removed", "null", ""),
        ("b.c[2]", "added", "", "4"),
        ("b.d.e", "added", "", "true"),
    ]


def test_a_manager_with_a_reason_sees_the_data_and_it_is_written_down(event: IntegrationEvent) -> None:
    alice = person(event)
    address = reverse("console:show-content", args=[event.pk])
    refused = alice.post(address, {"reason": " x "}, follow=True)
    assert SECRET not in refused.content.decode()
    assert not AuditEntry.objects.filter(action="event.content_shown").exists()
    answer = alice.post(address, {"reason": "chamado 4711"})
    assert SECRET in answer.content.decode()
    assert answer["Cache-Control"] == "no-store"
    entry = AuditEntry.objects.get(action="event.content_shown")
    assert (entry.subject, entry.details["reason"]) == (f"event:{event.pk}", "chamado 4711")


def test_nobody_else_does(event: IntegrationEvent) -> None:
    address = reverse("console:show-content", args=[event.pk])
    for role in (Membership.Role.OPERATOR, Membership.Role.ANALYST):
        client = person(event, role)
        assert client.post(address, {"reason": "chamado 4711"}).status_code == 403
        assert address not in seen(client, event)
    stranger = signed_in(factories.member(factories.TenantFactory(), Membership.Role.ADMIN))
    assert stranger.post(address, {"reason": "chamado 4711"}).status_code == 404
    assert person(event).get(address).status_code == 405
    assert not AuditEntry.objects.filter(action="event.content_shown").exists()


def test_what_was_forgotten_says_when(event: IntegrationEvent, settings: object) -> None:
    event.body, event.payload = b"", None
    event.save()
    page = seen(person(event), event)
    day = timezone.localtime(event.received_at, ZoneInfo(event.tenant.time_zone)) + timedelta(days=30)
    assert f"{day:%d/%m/%Y}" in page
    assert reverse("console:show-content", args=[event.pk]) not in page
    assert event.external_id in seen(person(event), event, "interpretado")


def test_a_command_that_sends_it_again_holds_no_secret_and_survives_quotes(event: IntegrationEvent) -> None:
    event.payload["text"] = "it's $(rm -rf /)"
    event.save()
    page = seen(person(event), event)
    assert "curl -X POST" in page
    assert "&#x27;\\&#x27;&#x27;s $(rm" in page  # closed, escaped, opened again: the shell reads it as text
    assert SECRET not in page
