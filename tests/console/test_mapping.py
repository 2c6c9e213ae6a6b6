"""Which listing sells which product: suggestions with their reasons, many at once, by file, made new, taken away.

The cast is that of test_pages: Alice manages the shop, Bob works there, Anna only reads; Charlie is a stranger.
"""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.html import escape

from apps.connectors.mappings import map_sku
from apps.connectors.models import Listing, MappingItem, MappingJob
from apps.console import mapping_jobs, suggestions
from apps.console.tasks import map_on
from apps.events.models import IntegrationEvent
from apps.inventory.models import Product
from apps.tenants.models import AuditEntry, Membership, Tenant
from tests import factories
from tests.console.test_pages import QUERIES_MAX, Shop, open_shop, signed_in

pytestmark = pytest.mark.django_db

Reason = suggestions.Reason
State = MappingItem.State


@pytest.fixture
def shop() -> Shop:
    return open_shop("Alice")


@pytest.fixture
def alice(shop: Shop) -> Client:
    return signed_in(factories.member(shop.tenant, Membership.Role.MANAGER))


@pytest.fixture
def bob(shop: Shop) -> Client:
    return signed_in(factories.member(shop.tenant, Membership.Role.OPERATOR))


@pytest.fixture
def anna(shop: Shop) -> Client:
    return signed_in(factories.member(shop.tenant, Membership.Role.ANALYST))


@pytest.fixture
def similarity(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")


def unmapped(shop: Shop, **values: Any) -> Listing:
    row: Listing = factories.ListingFactory(tenant=shop.tenant, connector=shop.connector, product=None, **values)
    return row


def product(shop: Shop, sku: str, **values: Any) -> Product:
    row: Product = factories.ProductFactory(tenant=shop.tenant, sku=sku, **values)
    return row


def suggested(shop: Shop, row: Listing) -> list[tuple[str, Reason, bool]]:
    found = suggestions.suggest(shop.tenant, [row]).get(row.pk, [])
    return [(one.product.sku, one.reason, one.is_certain) for one in found]


def product_of(row: Listing) -> str | None:
    return Listing.objects.values_list("product__sku", flat=True).get(pk=row.pk)


def plan(client: Client, *chosen: tuple[Listing, Product]) -> MappingJob:
    said: dict[str, Any] = {"listing": [str(row.pk) for row, _product in chosen]}
    said |= {f"product-{row.pk}": str(one.pk) for row, one in chosen}
    answer = client.post(reverse("console:plan-mapping"), said)
    assert answer.status_code == 302
    return MappingJob.objects.latest("made_at")


def confirm(client: Client, job: MappingJob, **said: str) -> Any:
    count = job.items.filter(state=State.WAITING).count()
    return client.post(reverse("console:confirm-mapping", args=[job.pk]), {"count": str(count), **said})


def send(client: Client, text: str) -> Any:
    file = SimpleUploadedFile("anuncios.csv", text.encode(), "text/csv")
    return client.post(reverse("console:listings-upload"), {"file": file})


def file_of(*lines: tuple[Listing | str, str]) -> str:
    return "anuncio;titulo;sku_no_canal;sku\r\n" + "".join(f"{row};t;s;{sku}\r\n" for row, sku in lines)


# --- Suggestions -----------------------------------------------------------------------------------------------------


def test_codes_say_the_product_and_are_certain(shop: Shop) -> None:
    product(shop, "CAM-P")
    product(shop, "CANECA", gtin="7891234567895")
    map_sku(shop.tenant, "ML", "outro", product(shop, "MEIA"), actor="user:1")
    assert suggested(shop, unmapped(shop, seller_sku="CAM-P")) == [("CAM-P", Reason.SKU, True)]
    assert suggested(shop, unmapped(shop, gtin="07891234567895")) == [("CANECA", Reason.GTIN, True)]
    assert suggested(shop, unmapped(shop, seller_sku="outro")) == [("MEIA", Reason.MAPPED, True)]
    assert suggested(shop, unmapped(shop, seller_sku="nada", title="")) == []


def test_codes_that_disagree_are_for_a_person(shop: Shop) -> None:
    product(shop, "CAM-P")
    product(shop, "CAM-M", gtin="7891234567895")
    row = unmapped(shop, seller_sku="CAM-P", gtin="7891234567895")
    assert suggested(shop, row) == [("CAM-P", Reason.SKU, False), ("CAM-M", Reason.GTIN, False)]
    assert list(suggestions.certain(shop.tenant, Listing.objects.all(), most=9)) == []


def test_two_products_of_one_gtin_are_not_certain(shop: Shop) -> None:
    product(shop, "A", gtin="7891234567895")
    product(shop, "B", gtin="7891234567895")
    assert [one[2] for one in suggested(shop, unmapped(shop, gtin="7891234567895"))] == [False, False]


def test_a_sku_spelt_differently_and_a_title_that_is_alike_are_never_certain(shop: Shop, similarity: None) -> None:
    product(shop, "CAM-AZUL-P", name="Vela")
    assert suggested(shop, unmapped(shop, seller_sku="cam azul p", title="x"))[0][1:] == (Reason.SPELLING, False)
    product(shop, "JARRO", name="Jarro de cerâmica esmaltada branco")
    row = unmapped(shop, title="Jarro cerâmica esmaltada branco 30cm")
    assert suggested(shop, row)[0] == ("JARRO", Reason.TITLE, False)


def test_titles_are_compared_word_by_word_where_the_database_cannot(shop: Shop, monkeypatch: Any) -> None:
    monkeypatch.setattr(suggestions, "_compares_texts", lambda: False)
    product(shop, "JARRO", name="Jarro de cerâmica branco")
    product(shop, "PANELA", name="Panela de ferro")
    assert suggested(shop, unmapped(shop, title="Jarro Cerâmica Branco")) == [("JARRO", Reason.TITLE, False)]


def test_no_tenants_products_are_suggested_to_another(shop: Shop, similarity: None) -> None:
    other = open_shop("Charlie")
    product(other, "SEGREDO", gtin="7891234567895", name="Jarro de cerâmica branco")
    row = unmapped(shop, seller_sku="SEGREDO", gtin="7891234567895", title="Jarro de cerâmica branco")
    assert suggested(shop, row) == []


def test_the_page_shows_reason_confidence_and_what_waits(shop: Shop, alice: Client, anna: Client) -> None:
    product(shop, "X1")
    Listing.objects.filter(pk=shop.unmapped.pk).update(seller_sku="X1", gtin="7891234567895")
    page = alice.get(reverse("console:map-listings"))
    text = page.content.decode()
    assert shop.unmapped.item_id in text
    with translation.override("pt-br"):
        assert escape(str(suggestions.WHY[Reason.SKU])) in text
    assert f'name="listing" value="{shop.unmapped.pk}" checked' in text
    assert "badge-warn" in text  # the parked event that waits for it
    read = anna.get(reverse("console:map-listings")).content.decode()
    assert shop.unmapped.item_id in read
    assert 'name="listing"' not in read


def test_the_page_costs_the_same_for_many_listings(shop: Shop, alice: Client, similarity: None) -> None:
    for n in range(24):
        product(shop, f"S{n}", name=f"Vaso azul {n}")
        unmapped(shop, seller_sku=f"S{n}" if n % 2 else f"s {n}", title=f"Vaso azul {n}")
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert alice.get(reverse("console:map-listings")).status_code == 200
    assert len(captured) <= QUERIES_MAX + 10


# --- Many at once ----------------------------------------------------------------------------------------------------


def test_a_plan_maps_nothing_and_its_confirmation_does(shop: Shop, alice: Client) -> None:
    row, one = unmapped(shop, seller_sku="A1"), product(shop, "A1")
    job = plan(alice, (row, one))
    page = alice.get(reverse("console:mapping-job", args=[job.pk])).content.decode()
    assert "(um)" in page
    assert (product_of(row), job.items.get().reason) == (None, Reason.SKU)
    assert confirm(alice, job).status_code == 302
    job.refresh_from_db()
    row.refresh_from_db()
    assert (product_of(row), job.status) == ("A1", MappingJob.Status.DONE)
    assert row.due_at is not None
    assert row.due_trigger == Listing.Trigger.MANUAL
    entry = AuditEntry.objects.get(action="listing.mapped")
    assert (entry.subject, entry.details) == (f"listing:{row.pk}", {"changes": {"product": [None, "A1"]}})
    assert AuditEntry.objects.get(action="mapping_job.confirmed").details["count"] == 1


def test_a_plan_says_what_waits(shop: Shop, alice: Client) -> None:
    job = plan(alice, (shop.unmapped, product(shop, "A1")))
    page = alice.get(reverse("console:mapping-job", args=[job.pk])).content.decode()
    assert IntegrationEvent.objects.filter(status="MAPEAMENTO").count() == 1
    assert "badge-warn" in page


def test_what_was_mapped_meanwhile_is_left_as_it_is(shop: Shop, alice: Client) -> None:
    row, other = unmapped(shop), product(shop, "B")
    job = plan(alice, (row, product(shop, "A")))
    Listing.objects.filter(pk=row.pk).update(product=other)
    confirm(alice, job)
    assert (product_of(row), job.items.get().code) == ("B", "other_product")


def test_listings_that_share_stock_get_one_product(shop: Shop, alice: Client) -> None:
    shares: dict[str, Any] = {"user_product_id": "MLBU1", "capability": Listing.Capability.USER_PRODUCT}
    first, second, third = (unmapped(shop, **shares) for _n in range(3))
    one, two = product(shop, "A"), product(shop, "B")
    job = plan(alice, (first, one), (second, two))
    assert {item.code for item in job.items.all()} == {"shared_stock"}
    Listing.objects.filter(pk=first.pk).update(product=one)
    assert plan(alice, (third, two)).items.get().code == "shared_stock"
    assert plan(alice, (third, one)).items.get().code == ""


def test_confirming_another_number_changes_nothing(shop: Shop, alice: Client) -> None:
    row = unmapped(shop)
    job = plan(alice, (row, product(shop, "A")))
    answer = alice.post(reverse("console:confirm-mapping", args=[job.pk]), {"count": "2"})
    assert (answer.status_code, product_of(row)) == (409, None)
    assert confirm(alice, job).status_code == 302
    assert confirm(alice, job).status_code == 409  # twice is once


def many(shop: Shop, count: int) -> list[Listing]:
    Product.objects.bulk_create(Product(tenant=shop.tenant, sku=f"M{n}", name="Muitos") for n in range(count))
    same: dict[str, Any] = {"tenant": shop.tenant, "connector": shop.connector}
    return Listing.objects.bulk_create(
        Listing(item_id=f"MLB77{n}", seller_sku=f"M{n}", sales_since=timezone.now(), **same) for n in range(count)
    )


def test_many_are_done_by_a_worker_and_can_be_paused_and_cancelled(shop: Shop, alice: Client, bob: Client) -> None:
    rows = many(shop, 230)
    assert alice.post(reverse("console:plan-certain")).status_code == 302
    job = MappingJob.objects.get()
    confirm(alice, job)
    assert Listing.objects.filter(pk__in=[row.pk for row in rows], product__isnull=False).count() == 0
    assert mapping_jobs.step(job)
    assert bob.post(reverse("console:pause-mapping", args=[job.pk])).status_code == 403
    assert alice.post(reverse("console:pause-mapping", args=[job.pk])).status_code == 302
    map_on()
    assert mapping_jobs.progress(job) == mapping_jobs.Progress(waiting=130, done=100, failed=0, skipped=0)
    page = alice.get(reverse("console:mapping-job", args=[job.pk])).content.decode()
    assert 'value="100" max="230"' in page
    alice.post(reverse("console:resume-mapping", args=[job.pk]))
    assert mapping_jobs.step(job)
    alice.post(reverse("console:cancel-mapping", args=[job.pk]))
    map_on()
    assert mapping_jobs.progress(job) == mapping_jobs.Progress(waiting=0, done=200, failed=0, skipped=30)


def test_a_worker_does_all_of_a_large_job(shop: Shop, alice: Client) -> None:
    rows = many(shop, 130)
    alice.post(reverse("console:plan-certain"), {"connector": str(shop.connector.pk)})
    job = MappingJob.objects.get()
    confirm(alice, job)
    map_on()
    job.refresh_from_db()
    assert job.status == MappingJob.Status.DONE
    assert Listing.objects.filter(pk__in=[row.pk for row in rows], product__isnull=False).count() == 130


def test_ticks_of_another_company_are_not_taken(shop: Shop, alice: Client) -> None:
    other = open_shop("Charlie")
    answer = alice.post(
        reverse("console:plan-mapping"),
        {"listing": str(other.unmapped.pk), f"product-{other.unmapped.pk}": str(other.listing.product_id)},
    )
    assert (answer.status_code, MappingJob.objects.count()) == (422, 0)


# --- The file --------------------------------------------------------------------------------------------------------


def test_the_template_comes_back_filled_in(shop: Shop, alice: Client) -> None:
    row = unmapped(shop, title="=1+1", variation_id="9")
    one = product(shop, "A1")
    text = b"".join(alice.get(reverse("console:listings-csv")).streaming_content).decode()
    assert f"{row};'=1+1" in text
    assert shop.listing.item_id not in text
    filled = text.replace(f"{row};'=1+1;;", f"{row};'=1+1;;{one.sku}")
    assert filled != text
    assert send(alice, filled).status_code == 302
    job = MappingJob.objects.get()
    assert {item.named: item.code for item in job.items.all()}[str(row)] == ""
    assert {item.named: item.code for item in job.items.all()}[shop.unmapped.item_id] == "empty"
    confirm(alice, job)
    assert product_of(row) == "A1"


def test_each_line_says_its_error_and_leaving_them_out_is_a_choice(shop: Shop, alice: Client) -> None:
    good, torn, taken = unmapped(shop), unmapped(shop), shop.listing
    product(shop, "A"), product(shop, "B")
    text = file_of((good, "A"), (torn, "A"), (torn, "B"), (taken, "B"), ("MLB404", "A"), (good, "Z"), ("x;y", "A"))
    assert send(alice, text).status_code == 302
    job = MappingJob.objects.get()
    codes = dict(job.items.values_list("line", "code"))
    assert codes == {
        2: "",
        3: "two_skus",
        4: "two_skus",
        5: "other_product",
        6: "unknown_listing",
        7: "unknown_sku",
        8: "columns",
    }
    page = alice.get(reverse("console:mapping-job", args=[job.pk])).content.decode()
    with translation.override("pt-br"):
        assert escape(str(mapping_jobs.CODES["two_skus"])) in page
    assert confirm(alice, job).status_code == 422
    assert product_of(good) is None
    assert confirm(alice, job, leaves_out="1").status_code == 302
    assert (product_of(good), product_of(torn)) == ("A", None)
    report = b"".join(alice.get(reverse("console:mapping-report", args=[job.pk])).streaming_content).decode()
    assert "MLB404" in report


def test_the_same_file_twice_is_harmless(shop: Shop, alice: Client) -> None:
    row = unmapped(shop)
    product(shop, "A")
    text = file_of((row, "A"))
    first, again = send(alice, text), send(alice, text)
    assert first["Location"] == again["Location"]
    [job] = MappingJob.objects.all()
    confirm(alice, job)
    entries = AuditEntry.objects.filter(action="listing.mapped").count()
    third = MappingJob.objects.get(pk=send(alice, text)["Location"].rstrip("/").rpartition("/")[2])
    assert (third.items.get().code, mapping_jobs.earlier_of(third)) == ("already", job)
    assert str(job.pk) in alice.get(reverse("console:mapping-job", args=[third.pk])).content.decode()
    assert AuditEntry.objects.filter(action="listing.mapped").count() == entries


@pytest.mark.parametrize("text", ["", "a;b\r\n1;2\r\n", "anuncio;titulo;sku_no_canal;sku\r\n"])
def test_a_file_without_lines_is_refused(text: str, shop: Shop, alice: Client) -> None:
    answer = send(alice, text)
    assert (answer.status_code, MappingJob.objects.count()) == (422, 0)


# --- One listing -----------------------------------------------------------------------------------------------------


def test_the_product_of_a_listing_is_made(shop: Shop, alice: Client, bob: Client) -> None:
    row = unmapped(shop, seller_sku="NOVO", title="Vaso novo", gtin="7891234567895")
    address = reverse("console:new-product", args=[row.pk])
    page = alice.get(address).content.decode()
    assert 'value="NOVO"' in page
    assert 'value="7891234567895"' in page
    assert bob.get(address).status_code == 403
    assert alice.post(address, {"sku": "NOVO", "name": "Vaso novo", "gtin": "12"}).status_code == 422
    assert alice.post(address, {"sku": "NOVO", "name": "Vaso novo", "gtin": "7891234567895"}).status_code == 302
    made = Product.objects.get(tenant=shop.tenant, sku="NOVO")
    assert (product_of(row), made.gtin) == ("NOVO", "7891234567895")
    assert AuditEntry.objects.filter(action="product.made").count() == 1
    second = reverse("console:new-product", args=[unmapped(shop, seller_sku="NOVO").pk])
    assert alice.post(second, {"sku": "NOVO", "name": "x", "gtin": ""}).status_code == 422


def test_unmapping_says_what_it_means_and_stops_the_numbers(shop: Shop, bob: Client, anna: Client) -> None:
    row = shop.listing
    Listing.objects.filter(pk=row.pk).update(due_at=timezone.now(), sync_state="ERROR", last_error_code="x")
    address = reverse("console:unmap", args=[row.pk])
    assert anna.get(address).status_code == 403
    assert "12" in bob.get(address).content.decode()  # what the channel goes on showing
    assert product_of(row) is not None
    assert bob.post(address).status_code == 302
    row.refresh_from_db()
    assert (row.product_id, row.due_at, row.sync_state, row.last_error_code) == (None, None, "PENDING", "")
    assert row.accepted_quantity == 12
    entry = AuditEntry.objects.get(action="listing.unmapped")
    assert entry.details == {"changes": {"product": ["VASO-Alice", None]}}
    assert shop.order.items.get().product.sku == "VASO-Alice"


def test_mapping_one_listing_is_audited(shop: Shop, bob: Client) -> None:
    other = product(shop, "B")
    bob.post(reverse("console:map", args=[shop.listing.pk]), {"sku": other.sku, "confirmed": "1"})
    assert AuditEntry.objects.get(action="listing.mapped").details == {"changes": {"product": ["VASO-Alice", "B"]}}


def test_a_job_is_its_companys_alone(shop: Shop, alice: Client) -> None:
    job = plan(alice, (unmapped(shop), product(shop, "A")))
    tenant: Tenant = open_shop("Charlie").tenant
    stranger = signed_in(factories.member(tenant, Membership.Role.ADMIN))
    assert stranger.get(reverse("console:mapping-job", args=[job.pk])).status_code == 404
    assert confirm(stranger, job).status_code == 404
