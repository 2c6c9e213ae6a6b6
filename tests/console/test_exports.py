"""Files of lists: what they hold, who may take them, and that a worker's death costs nothing."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from apps.console import exporting
from apps.console.lists import Column, ListPage
from apps.console.models import Export, ExportPart
from apps.console.tasks import forget_exports, write_exports
from apps.tenants.models import AuditEntry, Membership, Tenant
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Tenant:
    tenant = factories.TenantFactory()
    place = factories.LocationFactory(tenant=tenant, code="LOJA1")
    for number in range(1, 7):
        product = factories.ProductFactory(tenant=tenant, sku=f"CANECA-{number}", name=f"Caneca {number}")
        factories.stocked(product, place, number)
    stranger = factories.ProductFactory(sku="ALHEIA")
    factories.stocked(stranger, factories.LocationFactory(tenant=stranger.tenant), 3)
    return tenant


def member(tenant: Tenant, role: str = Membership.Role.ANALYST) -> tuple[Client, Any]:
    user = factories.member(tenant, role)
    client = Client(headers={"accept-language": "pt-BR"})
    client.force_login(user)
    return client, user


def ask(client: Client, **fields: str) -> Export:
    answer = client.post(reverse("console:ask-export"), {"list": "stock", "profile": "PLANILHA", **fields})
    assert answer.status_code == 302
    return Export.objects.latest("pk")


def text_of(client: Client, export: Export) -> str:
    answer = client.get(reverse("console:export", args=[export.pk]))
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


def test_a_list_becomes_a_file_with_its_filters_and_only_the_tenants_rows(shop: Tenant) -> None:
    client, _user = member(shop)
    export = ask(client, query="product=caneca&before=abc&nonsense=1")
    assert export.query == "product=caneca"  # neither a place in the list nor what is no filter
    write_exports()
    lines = text_of(client, export).split("\r\n")
    assert lines[0].startswith("\ufeffSKU;GTIN;")
    assert [line.split(";")[0] for line in lines[1:-1]] == [f"CANECA-{number}" for number in range(1, 7)]
    assert "ALHEIA" not in "".join(lines)
    actions = list(AuditEntry.objects.filter(tenant=shop).order_by("pk").values_list("action", flat=True))
    assert actions == ["export.ask", "export.download"]


def test_the_page_shows_how_far_it_is_and_the_download(shop: Tenant) -> None:
    client, _user = member(shop)
    export = ask(client)
    before = client.get(reverse("console:exports")).content.decode()
    assert "<progress" in before
    write_exports()
    after = client.get(reverse("console:exports")).content.decode()
    assert "<progress" not in after
    assert reverse("console:export", args=[export.pk]) in after


def test_a_colleague_and_a_stranger_cannot_take_it(shop: Tenant) -> None:
    client, _user = member(shop)
    export = ask(client)
    write_exports()
    for other in (member(shop, Membership.Role.ADMIN)[0], member(factories.TenantFactory())[0]):
        assert other.get(reverse("console:export", args=[export.pk])).status_code == 404
        assert other.post(reverse("console:cancel-export", args=[export.pk])).status_code == 404


def test_who_left_the_company_gets_no_file(shop: Tenant) -> None:
    client, user = member(shop)
    export = ask(client)
    Membership.objects.filter(user=user).delete()
    write_exports()
    export.refresh_from_db()
    assert (export.status, export.error_code) == (Export.Status.FAILED, "forbidden")
    assert not ExportPart.objects.exists()


def test_a_killed_workers_export_goes_on_and_writes_nothing_twice(
    shop: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _user = member(shop)
    export = ask(client)
    monkeypatch.setattr(exporting, "PART_ROWS", 2)
    written = exporting._write_part

    def die_at_the_second(row: Export, *rest: Any) -> None:
        if row.rows_done == 2:
            raise SystemExit
        written(row, *rest)

    with monkeypatch.context() as dying:
        dying.setattr(exporting, "_write_part", die_at_the_second)
        with pytest.raises(SystemExit):
            write_exports()
    export.refresh_from_db()
    assert (export.status, export.rows_done) == (Export.Status.RUNNING, 2)
    write_exports()
    skus = [line.split(";")[0] for line in text_of(client, export).split("\r\n")[1:-1]]
    assert skus == [f"CANECA-{number}" for number in range(1, 7)]


def test_an_export_that_kills_its_workers_is_given_up(shop: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _user = member(shop)
    export = ask(client)

    def die(*_all: Any) -> None:
        raise SystemExit

    monkeypatch.setattr(exporting, "_write_part", die)
    for _ in range(exporting.TRIES_MAX):
        with pytest.raises(SystemExit):
            write_exports()
    write_exports()
    export.refresh_from_db()
    assert (export.status, export.error_code) == (Export.Status.FAILED, "worker_died")


def test_cancelling_ends_it_before_and_while_it_is_written(shop: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _user = member(shop)
    waiting = ask(client)
    client.post(reverse("console:cancel-export", args=[waiting.pk]))
    waiting.refresh_from_db()
    assert waiting.status == Export.Status.CANCELLED
    monkeypatch.setattr(exporting, "PART_ROWS", 2)
    monkeypatch.setattr(exporting, "TURN_SECONDS", 0.0)
    running = ask(client)
    exporting.work_on()
    client.post(reverse("console:cancel-export", args=[running.pk]))
    exporting.work_on()
    running.refresh_from_db()
    assert running.status == Export.Status.CANCELLED
    assert not running.parts.exists()
    assert client.get(reverse("console:export", args=[running.pk])).status_code == 404


def test_a_day_later_it_is_gone(shop: Tenant) -> None:
    client, _user = member(shop)
    export = ask(client)
    write_exports()
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.get(reverse("console:export", args=[export.pk])).status_code == 404
    forget_exports()
    assert not Export.objects.exists()
    assert not ExportPart.objects.exists()


def test_too_many_at_a_time_are_refused(shop: Tenant) -> None:
    client, _user = member(shop)
    for _ in range(exporting.OPEN_MAX + 1):
        client.post(reverse("console:ask-export"), {"list": "stock", "profile": "SISTEMA"})
    assert Export.objects.count() == exporting.OPEN_MAX


def test_an_unknown_list_is_a_404(shop: Tenant) -> None:
    client, _user = member(shop)
    assert client.post(reverse("console:ask-export"), {"list": "users", "profile": "PLANILHA"}).status_code == 404


def lines_of(profile: Export.Profile, value: Any) -> str:
    shown = ListPage("", select=lambda request: None, order=("id",), columns=(Column("x", "X", lambda row: row),))  # type: ignore[arg-type,return-value]
    with timezone.override("America/Sao_Paulo"):
        return exporting.Writer(profile, shown).line(value).rstrip("\r\n")


@pytest.mark.parametrize("text", ["=1+1", "+55", "-1", "@x", "\tx"])
def test_text_that_a_spreadsheet_would_run_is_made_harmless(text: str) -> None:
    for profile in Export.Profile:
        assert lines_of(profile, text).startswith("'")


def test_cells_are_written_as_their_reader_expects() -> None:
    moment = timezone.datetime.fromisoformat("2026-11-22T17:32:10+00:00")  # type: ignore[attr-defined]
    sheet, machine = Export.Profile.SHEET, Export.Profile.MACHINE
    assert lines_of(sheet, Decimal("-1234.50")) == "-1234,50"
    assert lines_of(machine, Decimal("-1234.50")) == "-1234.50"
    assert lines_of(sheet, moment) == "22/11/2026 14:32"
    assert lines_of(machine, moment) == "2026-11-22T14:32:10-03:00"
    assert lines_of(sheet, None) == '""'
    assert lines_of(sheet, "a;b") == '"a;b"'


def test_every_list_can_be_written(shop: Tenant) -> None:
    client, _user = member(shop)
    connector = factories.ConnectorFactory(tenant=shop)
    listing = factories.ListingFactory(tenant=shop, connector=connector, product=None)
    mapped = factories.ListingFactory(
        tenant=shop, connector=connector, product=factories.ProductFactory(tenant=shop, sku="Z")
    )
    factories.EventFactory(tenant=shop, connector=connector)
    factories.SyncLogFactory(listing=mapped)
    factories.DivergenceFactory(listing=mapped)
    order = factories.OrderFactory(tenant=shop, connector=connector, item=None)
    factories.OrderItemFactory(order=order, listing=mapped)
    with translation.override("pt-br"):
        for name in exporting.LISTS:
            export = ask(client, list=name, profile="SISTEMA")
            write_exports()
            lines = text_of(client, export).split("\r\n")
            assert lines[0] == ",".join(column.key for column in exporting.LISTS[name].columns)
            assert len(lines) > 2 or name in ("batches", "oversells", "reservations"), name  # the shop has none
    assert listing.pk
