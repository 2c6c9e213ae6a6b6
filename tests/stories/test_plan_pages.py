"""Simulating and applying on the event's page: what is shown is what happens, or nothing happens and one is told."""

import re
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from apps.console import planned
from apps.events.models import IntegrationEvent, Reprocess
from apps.orders.models import Order
from apps.tenants.models import AuditEntry, Membership, Tenant
from tests import factories
from tests.market import Market
from tests.stories.test_plans import LABELLED, heard, witness


@pytest.fixture
def quiet(market: Market) -> Market:
    """A marketplace that tells nobody of anything."""
    market.control.notifications(enabled=False)
    return market


def person(tenant: Tenant, role: str = Membership.Role.OPERATOR) -> Client:
    client = Client(headers={"accept-language": "pt-BR"})
    client.force_login(factories.member(tenant, role))
    return client


def text_of(answer: object) -> str:
    """Return what a reader reads: no tags, one blank between words."""
    page = re.sub(r"<(script|style|svg).*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)  # type: ignore[attr-defined]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def simulated(client: Client, event: IntegrationEvent) -> Reprocess:
    answer = client.post(reverse("console:simulate", args=[event.pk]))
    row = Reprocess.objects.latest("created_at")
    assert (answer.status_code, answer["Location"]) == (302, reverse("console:plan", args=[row.pk]))
    return row


def test_a_person_sees_every_row_then_applies_exactly_those(quiet: Market) -> None:
    order_id = quiet.sell("SHIRT", 2, buyer={"first_name": "Zulmira", "last_name": "Canária"})
    quiet.control.edit_order(int(order_id), **LABELLED)
    event = heard(quiet, order_id)
    client = person(quiet.tenant)
    before = witness()
    row = simulated(client, event)
    assert witness() == before
    answer = client.get(reverse("console:plan", args=[row.pk]))
    shown = text_of(answer)
    for words in (order_id, "SHIRT · CD1", "Reservado", "de 0 → para 2", "Pronto para retirada", "de Erro → para"):
        assert words in shown, words
    assert f"assim que isto for aplicado: {order_id}" in shown or f"once this is applied: {order_id}" in shown
    assert "Zulmira" not in answer.content.decode()
    assert "gAAAA" not in answer.content.decode()
    assert planned.describe(quiet.tenant, row.plan or {}).count == len((row.plan or {})["changes"])

    answer = client.post(reverse("console:apply-plan", args=[row.pk]), {"reason": "o canal caiu"}, follow=True)
    assert answer.status_code == 200
    row.refresh_from_db()
    assert (row.status, row.reason) == ("APLICADO", "o canal caiu")
    assert Order.objects.get().status == "PRONTO"
    assert quiet.numbers("SHIRT") == (10, 2)
    assert AuditEntry.objects.filter(action="plan.applied", subject=f"reprocess:{row.pk}").count() == 1
    assert "<form" not in answer.content.decode().split("<main")[1].split("</main>")[0]
    again = client.post(reverse("console:apply-plan", args=[row.pk]))
    assert again.status_code == 409
    assert quiet.numbers("SHIRT") == (10, 2)


def test_a_world_that_moved_is_said_and_the_button_simulates_again(quiet: Market) -> None:
    event = heard(quiet, quiet.sell("SHIRT", 2))
    client = person(quiet.tenant)
    row = simulated(client, event)
    quiet.receive("SHIRT", 1)
    before = witness()
    answer = client.post(reverse("console:apply-plan", args=[row.pk]))
    assert answer.status_code == 409
    assert witness() == before
    page = answer.content.decode()
    assert 'role="alert"' in page
    again = reverse("console:simulate-again", args=[row.pk])
    assert again in page
    assert f'action="{reverse("console:apply-plan", args=[row.pk])}"' not in page
    client.post(again)
    new = Reprocess.objects.latest("created_at")
    assert (new.pk != row.pk, new.event_ids, new.status) == (True, row.event_ids, "PLANEJADO")
    assert client.post(reverse("console:apply-plan", args=[new.pk])).status_code == 302
    assert quiet.numbers("SHIRT") == (11, 2)


def test_a_channel_that_fails_and_an_event_without_use_are_said(quiet: Market) -> None:
    client = person(quiet.tenant)
    quiet.control.faults({"path": "^/orders/", "action": "status", "status": 503})
    order_id = quiet.sell("SHIRT")
    row = simulated(client, heard(quiet, order_id))
    assert f"Pedido {order_id}" in text_of(client.get(reverse("console:plan", args=[row.pk])))
    quiet.control.clear_faults()
    listing = quiet.listing("SHIRT")
    row = simulated(client, heard(quiet, listing.item_id, resource_kind="items", topic="items"))
    answer = client.get(reverse("console:plan", args=[row.pk]))
    assert answer.status_code == 200
    assert '<table class="table planned">' not in answer.content.decode()


def test_only_who_may_write_simulates_and_applies_and_only_their_own(quiet: Market) -> None:
    event = heard(quiet, quiet.sell("SHIRT"))
    row = simulated(person(quiet.tenant), event)
    buttons = [reverse(f"console:{name}", args=[row.pk]) for name in ("apply-plan", "simulate-again")]
    buttons.append(reverse("console:simulate", args=[event.pk]))
    reader, stranger = person(quiet.tenant, Membership.Role.ANALYST), person(factories.TenantFactory())
    before = witness()
    assert [reader.post(address).status_code for address in buttons] == [403, 403, 403]
    assert [stranger.post(address).status_code for address in buttons] == [404, 404, 404]
    assert [reader.get(address).status_code for address in buttons] == [405, 405, 405]
    assert reader.get(reverse("console:plan", args=[row.pk])).status_code == 200
    assert stranger.get(reverse("console:plan", args=[row.pk])).status_code == 404
    assert (
        b"<form"
        not in reader.get(reverse("console:plan", args=[row.pk])).content.split(b"<main")[1].split(b"</main>")[0]
    )
    assert witness() == before
    assert Reprocess.objects.count() == 1


def test_every_table_that_names_an_order_has_words(quiet: Market) -> None:
    """A new table with a key to the order would otherwise be shown by its bare name; these are written by others."""
    named = {relation.related_model._meta.db_table for relation in Order._meta.related_objects}
    assert named - {model._meta.db_table for model in planned.TABLES} <= {"notificacao"}
