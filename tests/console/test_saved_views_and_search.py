"""Views of lists, the search, and the end of a query that takes too long."""

import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.console import filters
from apps.console.models import SavedView
from apps.events.models import IntegrationEvent
from apps.inventory import ledger
from apps.inventory.models import Movement, Product, Reservation
from apps.tenants.models import AuditEntry, Membership, Tenant
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant() -> Tenant:
    return factories.TenantFactory()


def signed_in(tenant: Tenant, role: str = Membership.Role.MANAGER) -> Client:
    client = Client(headers={"accept-language": "pt-BR"})
    client.force_login(factories.member(tenant, role))
    return client


def save(client: Client, **fields: str) -> None:
    client.post(reverse("console:save-view"), {"list": "events", "query": "status=ERRO", "name": "Ruins", **fields})


def promised(owner: Tenant, product: Product) -> Reservation:
    """Two units of five, promised by a program that gave no document."""
    place, cause = factories.LocationFactory(tenant=owner), ledger.Cause(actor="test")
    ledger.receive(owner, product.pk, place.pk, 5, key=uuid.uuid4().hex, cause=cause)
    line = ledger.Line(product.pk, 2, place.pk)
    made = ledger.reserve(owner, [line], key=uuid.uuid4().hex, cause=cause)
    return Reservation.objects.get(pk=made[0].reservation_id)


def test_a_view_keeps_filters_and_no_place_in_the_list(tenant: Tenant) -> None:
    alice = signed_in(tenant)
    save(alice, query="status=ERRO&before=abc&period=&evil=1")
    view = SavedView.objects.get()
    assert view.query == "status=ERRO"
    page = alice.get(reverse("console:events")).content.decode()
    assert f'href="{reverse("console:events")}?status=ERRO"' in page
    assert "Ruins" in page
    assert AuditEntry.objects.filter(tenant=tenant, action="view.save").count() == 1


def test_a_view_is_its_owners_until_it_is_shared(tenant: Tenant) -> None:
    alice, bob, charlie = signed_in(tenant), signed_in(tenant), signed_in(factories.TenantFactory())
    save(alice)
    view = SavedView.objects.get()
    assert "Ruins" not in bob.get(reverse("console:events")).content.decode()
    alice.post(reverse("console:change-view", args=[view.pk]), {"name": "Ruins", "is_shared": "on"})
    assert "Ruins" in bob.get(reverse("console:events")).content.decode()
    assert "Ruins" not in charlie.get(reverse("console:events")).content.decode()
    for other in (bob, charlie):
        for action in ("change-view", "delete-view"):
            assert other.post(reverse(f"console:{action}", args=[view.pk]), {"name": "X"}).status_code == 404


def test_an_analyst_keeps_views_and_shares_none(tenant: Tenant) -> None:
    anna = signed_in(tenant, Membership.Role.ANALYST)
    save(anna)
    assert SavedView.objects.count() == 1
    answer = anna.post(
        reverse("console:save-view"), {"list": "events", "query": "", "name": "Todos", "is_shared": "on"}
    )
    assert answer.status_code == 403
    assert SavedView.objects.count() == 1


def test_a_view_is_renamed_and_deleted(tenant: Tenant) -> None:
    alice = signed_in(tenant)
    save(alice)
    save(alice, name="Outra")
    first, second = SavedView.objects.order_by("pk")
    alice.post(reverse("console:change-view", args=[first.pk]), {"name": "Outra"})  # taken
    first.refresh_from_db()
    assert first.name == "Ruins"
    alice.post(reverse("console:change-view", args=[first.pk]), {"name": "Piores"})
    assert "Piores" in alice.get(reverse("console:views")).content.decode()
    alice.post(reverse("console:delete-view", args=[second.pk]))
    assert list(SavedView.objects.values_list("name", flat=True)) == ["Piores"]


@pytest.fixture
def found(tenant: Tenant) -> dict[str, str]:
    """What there is to find of the tenant, and the same of a stranger: text to address."""
    for owner in (tenant, factories.TenantFactory()):
        product = factories.ProductFactory(tenant=owner, sku="VASO-9", gtin="7891000000017")
        connector = factories.ConnectorFactory(tenant=owner)
        listing = factories.ListingFactory(
            tenant=owner, connector=connector, product=product, item_id="MLB777", variation_id=""
        )
        order = factories.OrderFactory(
            tenant=owner, connector=connector, external_id="2000009", pack_id="3000009", item=None
        )
        event = factories.EventFactory(tenant=owner, connector=connector, external_id="x")
        held = promised(owner, product)
        addresses = {
            "vaso-9": reverse("console:movements", args=[product.pk]),
            "7891000000017": reverse("console:movements", args=[product.pk]),
            "mlb777": reverse("console:listing", args=[listing.pk]),
            "2000009": reverse("console:order", args=[order.pk]),
            "3000009": reverse("console:order", args=[order.pk]),
            str(event.trace_id): reverse("console:event", args=[event.pk]),
            str(held.pk): f"{reverse('console:reservations')}?document={held.pk}",
        }
        if owner == tenant:
            mine = addresses
    return mine


def test_what_is_typed_in_full_opens_at_once(tenant: Tenant, found: dict[str, str]) -> None:
    alice = signed_in(tenant)
    for text, address in found.items():
        answer = alice.get(reverse("console:search"), {"q": f" {text} "})
        assert (answer.status_code, answer.headers.get("Location")) == (302, address), text


def test_a_product_is_found_by_a_part_of_its_name(tenant: Tenant) -> None:
    for owner in (tenant, factories.TenantFactory()):
        factories.ProductFactory(tenant=owner, sku="AB-1", name="Luminária de mesa")
        factories.ProductFactory(tenant=owner, sku="LUM-2", name="Abajur")
    page = signed_in(tenant).get(reverse("console:search"), {"q": "lum"}).content.decode()
    assert [page.count(sku) for sku in ("LUM-2", "AB-1")] == [1, 1]
    assert page.index("LUM-2") < page.index("AB-1")  # what begins with it goes first


def test_an_id_that_no_event_has_may_be_a_movements(tenant: Tenant) -> None:
    product = factories.ProductFactory(tenant=tenant)
    promised(tenant, product)
    trace = Movement.objects.filter(tenant=tenant).latest("id").trace_id
    alice = signed_in(tenant)
    address = f"{reverse('console:all-movements')}?trace={trace}"
    assert address in alice.get(reverse("console:search"), {"q": str(trace)}).content.decode()
    assert product.sku in alice.get(address).content.decode()


def test_a_sale_that_became_no_order_yet_is_found_by_its_number(tenant: Tenant) -> None:
    alice, state = signed_in(tenant), IntegrationEvent.Status
    for owner in (factories.TenantFactory(), tenant):
        connector = factories.ConnectorFactory(tenant=owner)
        event = factories.EventFactory(
            tenant=owner, connector=connector, external_id="2000019000000141", status=state.MAPPING
        )
    address = reverse("console:event", args=[event.pk])
    for text in ("2000019000000141", f"#{event.pk}"):
        assert alice.get(reverse("console:search"), {"q": text}).headers.get("Location") == address, text
    order = factories.OrderFactory(tenant=tenant, connector=connector, external_id="2000019000000141", item=None)
    answer = alice.get(reverse("console:search"), {"q": "2000019000000141"})
    assert answer.headers.get("Location") == reverse("console:order", args=[order.pk])


def test_the_beginning_is_enough_and_strangers_rows_are_not_found(tenant: Tenant, found: dict[str, str]) -> None:
    alice = signed_in(tenant)
    for text in ("VAS", "MLB7", "20000"):
        page = alice.get(reverse("console:search"), {"q": text}).content.decode()
        assert page.count('class="mono cell-main"') == 1, text
    strangers = IntegrationEvent.objects.exclude(tenant=tenant).get()
    assert alice.get(reverse("console:search"), {"q": str(strangers.trace_id)}).status_code == 200


def test_a_search_costs_the_same_whatever_is_typed(tenant: Tenant, found: dict[str, str]) -> None:
    alice = signed_in(tenant)
    for text in ("VAS", "2", "9" * 19, "99999999999999999999", "%", "nothing", "\x00x"):
        with CaptureQueriesContext(connection) as queries:
            answer = alice.get(reverse("console:search"), {"q": text, "all": "1"})
        assert answer.status_code == 200, text
        assert len(queries) <= 10, [query["sql"] for query in queries]


@pytest.mark.django_db(transaction=True)
def test_a_page_that_searches_too_long_says_so(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, settings: object
) -> None:
    settings.CONSOLE_STATEMENT_SECONDS = 1  # type: ignore[attr-defined]
    alice: Client = signed_in(tenant)
    factories.EventFactory(tenant=tenant)

    def slowly(self: object, rows: object, name: str, value: str) -> object:
        return rows.extra(where=["(SELECT true FROM pg_sleep(5))"])  # type: ignore[attr-defined]

    monkeypatch.setattr(filters.EventFilters, "of_resource", slowly)
    answer = alice.get(reverse("console:events"), {"resource": "2000"})
    assert answer.status_code == 503
    assert reverse("console:events") in answer.content.decode()
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)
