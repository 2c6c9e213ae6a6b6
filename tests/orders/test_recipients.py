"""Personal data: sealed, masked, shown on purpose and written down, exported and forgotten; and in no other place."""

import io
import json
import logging
import sys

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from apps.connectors.channel import Label
from apps.orders import recipients
from apps.orders.models import Order, Package
from apps.tenants.models import AuditEntry, Membership, Tenant
from tests import factories

NAME, DOCUMENT, PHONE = "Zenóbia Canário", "39053344705", "11987654321"


@pytest.fixture
def order(db: None) -> Order:
    tenant = factories.TenantFactory()
    order: Order = factories.OrderFactory(tenant=tenant, connector=factories.ConnectorFactory(tenant=tenant), item=None)
    order.package = Package.objects.create(
        tenant=tenant, connector=order.connector, channel="ML", external_id="4790", status="AGUARDANDO"
    )
    order.save()
    recipients.keep(order, name=NAME, document=DOCUMENT, phone=PHONE)
    recipients.keep_label(order.package, Label("PDF", b"%PDF-1.4 Zen\xf3bia"))
    return order


def person(tenant: Tenant, role: str) -> Client:
    client = Client()
    user: User = factories.member(tenant, role)
    client.force_login(user)
    return client


def test_what_is_stored_is_sealed(order: Order) -> None:
    row = str(order.recipient.__dict__) + str(Package.objects.get().__dict__)
    assert not any(word in row for word in (NAME, "Zen", DOCUMENT, PHONE))


def test_a_label_makes_its_parcel_ready(order: Order) -> None:
    package = Package.objects.get()
    assert (package.status, package.label_format) == ("PRONTO", "PDF")


def test_a_page_shows_enough_to_tell_two_people_apart(order: Order) -> None:
    page = (
        person(order.tenant, Membership.Role.OPERATOR).get(reverse("console:order", args=[order.pk])).content.decode()
    )
    assert "Z••• C•••" in page
    assert "•••05" in page
    assert not any(word in page for word in ("Zenóbia", "Canário", DOCUMENT, PHONE))


def test_who_hands_it_over_may_look_and_that_is_written_down(order: Order) -> None:
    client = person(order.tenant, Membership.Role.OPERATOR)
    answer = client.post(reverse("console:recipient", args=[order.pk]))
    assert all(word in answer.content.decode() for word in (NAME, DOCUMENT, PHONE))
    assert answer["Cache-Control"] == "no-store"
    label = client.post(reverse("console:label", args=[order.pk]))
    assert (label["Content-Type"], label.content[:5]) == ("application/pdf", b"%PDF-")
    entries = list(AuditEntry.objects.order_by("id").values_list("action", "subject"))
    assert entries == [("recipient_shown", f"order:{order.pk}"), ("label_shown", f"package:{order.package_id}")]


@pytest.mark.parametrize("name", ["recipient", "label"])
def test_who_only_reads_may_not_and_a_stranger_finds_nothing(order: Order, name: str) -> None:
    address = reverse(f"console:{name}", args=[order.pk])
    assert person(order.tenant, Membership.Role.ANALYST).post(address).status_code == 403
    assert person(factories.TenantFactory(), Membership.Role.ADMIN).post(address).status_code == 404
    assert person(order.tenant, Membership.Role.OPERATOR).get(address).status_code == 405
    assert not AuditEntry.objects.exists()


def test_a_person_gets_what_is_kept_about_them(order: Order, capsys: pytest.CaptureFixture[str]) -> None:
    call_command(
        *("export_person", "--tenant", order.tenant.slug, "--document", "390.533.447-05", "--by", "dpo", "--json")
    )
    [told] = json.loads(capsys.readouterr().out)["orders"]
    assert (told["order"], told["name"], told["document"], told["phone"]) == (order.external_id, NAME, DOCUMENT, PHONE)
    assert AuditEntry.objects.get().actor == "command:export_person dpo"


def test_a_person_is_forgotten_and_the_sale_stays(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{DOCUMENT}\n"))
    call_command("forget_person", "--tenant", order.tenant.slug, "--document", "-", "--by", "dpo")
    fresh = Order.objects.get(pk=order.pk)
    assert recipients.read(fresh.recipient) == recipients.Person("", "", "")
    assert recipients.read_label(Package.objects.get()) is None
    recipients.keep(fresh, name=NAME, document=DOCUMENT, phone=PHONE)  # the channel tells it again
    assert recipients.read(Order.objects.get(pk=order.pk).recipient).name == ""
    assert not recipients.orders_of(order.tenant, DOCUMENT).exists()


def test_another_tenants_people_are_not_found(order: Order) -> None:
    assert not recipients.orders_of(factories.TenantFactory(), DOCUMENT).exists()


def test_a_document_that_is_none_is_refused(order: Order) -> None:
    with pytest.raises(CommandError, match="11 digits"):
        call_command("export_person", "--tenant", order.tenant.slug, "--document", "123", "--by", "dpo")


def test_nothing_of_a_person_is_logged(order: Order, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        person(order.tenant, Membership.Role.OPERATOR).post(reverse("console:recipient", args=[order.pk]))
        recipients.forget(order.tenant, DOCUMENT, actor="test")
    assert not any(word in caplog.text for word in ("Zenóbia", DOCUMENT, PHONE))


def test_rotated_keys_still_find_a_person(order: Order, settings: pytest.FixtureRequest) -> None:
    settings.FIELD_ENCRYPTION_KEYS = ["x" * 43 + "=", *settings.FIELD_ENCRYPTION_KEYS]  # type: ignore[attr-defined]
    assert recipients.orders_of(order.tenant, DOCUMENT).count() == 1
