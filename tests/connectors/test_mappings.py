"""What people decide a channel's words mean: versions, files, and what waited for the decision."""

import io
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from apps.connectors import mappings
from apps.connectors.models import Connector, Listing, SkuMapping, StatusMapping
from apps.inventory.models import Product
from apps.tenants.models import AuditEntry, Membership, Tenant
from tests import factories

Meaning = StatusMapping.Meaning
HEADER = "canal;sku_externo;sku_interno\n"


@pytest.fixture
def shop(db: None) -> Connector:
    connector: Connector = factories.ConnectorFactory()
    for sku in ("MUG", "HAT"):
        factories.ProductFactory(tenant=connector.tenant, sku=sku)
    return connector


def product(shop: Connector, sku: str) -> Product:
    return Product.objects.get(tenant=shop.tenant, sku=sku)


def person(tenant: Tenant, role: str = Membership.Role.MANAGER) -> Client:
    client = Client()
    client.force_login(factories.member(tenant, role))
    return client


def listing(shop: Connector, seller_sku: str, mapped_to: Product | None = None) -> Listing:
    made: Listing = factories.ListingFactory(
        tenant=shop.tenant, connector=shop, seller_sku=seller_sku, product=mapped_to, due_at=None
    )
    return made


def test_a_changed_mapping_is_a_new_version_and_the_old_one_stays(shop: Connector) -> None:
    for sku in ("MUG", "HAT", "HAT"):
        mappings.map_sku(shop.tenant, "ML", "caneca-1", product(shop, sku), actor="user:7")
    versions = SkuMapping.objects.order_by("version").values_list("version", "product__sku", "made_by")
    assert list(versions) == [(1, "MUG", "user:7"), (2, "HAT", "user:7")]
    assert SkuMapping.objects.filter(replaced_at__isnull=True).get().version == 2
    assert mappings.products_of(shop.tenant_id, "ML", ["caneca-1", "other"]) == {"caneca-1": product(shop, "HAT").pk}
    assert [entry.details["after"] for entry in AuditEntry.objects.order_by("id")] == ["MUG", "HAT"]


def test_listings_without_a_product_get_it_and_are_told_others_keep_theirs(shop: Connector) -> None:
    waiting, decided = listing(shop, "caneca-1"), listing(shop, "caneca-1", product(shop, "HAT"))
    stranger = listing(factories.ConnectorFactory(), "caneca-1")
    assert mappings.map_sku(shop.tenant, "ML", "caneca-1", product(shop, "MUG"), actor="test") == 1
    rows = {row.pk: row for row in Listing.objects.all()}
    assert (rows[waiting.pk].product, rows[waiting.pk].due_at is None) == (product(shop, "MUG"), False)
    assert rows[decided.pk].product == product(shop, "HAT")
    assert rows[stranger.pk].product is None


def test_a_listing_whose_stock_the_channel_keeps_gets_its_product_and_is_told_nothing(shop: Connector) -> None:
    full = listing(shop, "caneca-1")
    Listing.objects.filter(pk=full.pk).update(logistic_type="fulfillment")
    assert mappings.map_sku(shop.tenant, "ML", "caneca-1", product(shop, "MUG"), actor="test") == 1
    row = Listing.objects.get()
    assert (row.product, row.due_at) == (product(shop, "MUG"), None)


def test_a_file_is_shown_before_it_changes_anything(shop: Connector) -> None:
    client = person(shop.tenant)
    row = listing(shop, "caneca-1")
    factories.EventFactory(tenant=shop.tenant, connector=shop, status="MAPEAMENTO", waiting_for=[row.item_id])
    text = HEADER + "ML;caneca-1;MUG\nML;chapéu;NOPE\nXX;a;MUG\nML;only two\nML;boné;HAT\n"
    seen = client.post(reverse("console:mappings-upload"), {"file": io.BytesIO(text.encode())})
    page = seen.content.decode()
    assert not SkuMapping.objects.exists()
    assert all(word in page for word in ("caneca-1", "NOPE", "XX", "boné"))
    assert page.count('data-label="Erro"') == 3
    assert seen.context["waiting_count"] == 1
    client.post(reverse("console:mappings-upload"), {"text": text})
    assert set(SkuMapping.objects.values_list("external_sku", "product__sku")) == {("caneca-1", "MUG"), ("boné", "HAT")}
    assert Listing.objects.get().product == product(shop, "MUG")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a;b\n",
        b"\x00\x01",
        b"\xff\xfe\xfa",
        b'canal;sku_externo;sku_interno\n"ML;"";\n',
        HEADER.encode() + b"ML;x;MUG\n" * 5001,
        b"x" * (1024 * 1024 + 1),
    ],
)
def test_a_file_that_cannot_be_taken_is_a_sentence(shop: Connector, content: bytes) -> None:
    answer = person(shop.tenant).post(reverse("console:mappings-upload"), {"file": io.BytesIO(content)})
    assert answer.status_code in (200, 422)
    assert not SkuMapping.objects.exists()


def test_what_goes_out_comes_in_again_and_no_cell_is_run(shop: Connector) -> None:
    for external_sku in ("=1+1", "-x", "plain", 'with "quotes"; and more'):
        mappings.map_sku(shop.tenant, "ML", external_sku, product(shop, "MUG"), actor="test")
    answer: Any = person(shop.tenant, Membership.Role.ANALYST).get(reverse("console:mappings-csv"))
    text = b"".join(answer.streaming_content).decode()
    assert ";'=1+1;" in text
    lines = mappings.read_csv(shop.tenant, text)
    assert [(line.error, line.is_news) for line in lines] == [("", False)] * 4


def test_only_who_may_write_maps_and_only_their_own(shop: Connector) -> None:
    form = {"external_sku": "caneca-1", "sku": "MUG"}
    address = reverse("console:map-sku")
    assert person(shop.tenant, Membership.Role.ANALYST).post(address, form).status_code == 403
    assert person(factories.TenantFactory()).post(address, form).status_code == 422  # has no such product
    assert person(shop.tenant).post(address, form).status_code == 302
    assert SkuMapping.objects.get().tenant == shop.tenant


def test_a_status_gets_a_meaning_once_and_those_the_hub_knows_are_refused(shop: Connector) -> None:
    client = person(shop.tenant)
    address = reverse("console:map-status")
    assert client.post(address, {"external_status": "Paid", "meaning": "RECEBIDO"}).status_code == 422
    for meaning in ("AGUARDANDO", "RECEBIDO", "RECEBIDO"):
        assert client.post(address, {"external_status": " On_Hold ", "meaning": meaning}).status_code == 302
    versions = StatusMapping.objects.order_by("version").values_list("external_status", "meaning", "replaced_at")
    assert [row[:2] for row in versions] == [("on_hold", "AGUARDANDO"), ("on_hold", "RECEBIDO")]
    assert [row[2] is None for row in versions] == [False, True]
    found = mappings.meaning_of(shop.tenant_id, "ML", "on_hold")
    assert found is not None
    assert found.meaning == Meaning.RECEIVED
    assert "on_hold" in client.get(reverse("console:mappings")).content.decode()
