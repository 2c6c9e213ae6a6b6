"""SKUs and store codes are the companies' own words: with slashes in them they are found all the same."""

from urllib.parse import quote

import pytest

from apps.inventory.models import Location, Product

from .conftest import Shop
from .test_api_verbs import Caller

STRANGE = ("A/B", "A/B/C", "/A", "A/", "A//B", "A%2FB", "A/stock/B", "A b+c?d#e&f", "Ação/1", "movements", "at")
ENDING_LIKE_AN_ADDRESS = ("A/movements", "A/at", "A/at/movements")


@pytest.fixture
def reader(shop: Shop) -> Caller:
    return Caller(shop, "stock:read", "movements:read", "stock:adjust")


def _stock(shop: Shop, sku: str, store: str) -> None:
    product, _ = Product.objects.get_or_create(tenant=shop.tenant, sku=sku, defaults={"name": sku})
    location, _ = Location.objects.get_or_create(tenant=shop.tenant, code=store, defaults={"name": store})
    shop.receive(product, location, 3)


@pytest.mark.parametrize("store", ["S1", "SP/01", "stock"])
@pytest.mark.parametrize("sku", STRANGE)
def test_a_strange_sku_is_found_in_every_address(shop: Shop, reader: Caller, sku: str, store: str) -> None:
    _stock(shop, sku, store)
    url = f"/v1/stores/{quote(store, safe='')}/stock/{quote(sku, safe='')}"
    status, stock = reader.get(url)
    assert (status, stock["sku"], stock["storeId"], stock["onHand"]) == (200, sku, store, 3)
    status, page = reader.get(f"{url}/movements")
    assert (status, [row["sku"] for row in page["items"]]) == (200, [sku])
    status, past = reader.get(f"{url}/at?knownAt=2126-01-01T00:00:00Z")
    assert (status, past["sku"], past["onHand"]) == (200, sku, 3)


@pytest.mark.parametrize("sku", ENDING_LIKE_AN_ADDRESS)
def test_a_sku_that_ends_like_an_address_has_its_stock_by_body(shop: Shop, reader: Caller, sku: str) -> None:
    """The address with the fixed end wins, also when there is no such shorter SKU."""
    _stock(shop, sku, "S1")
    url = f"/v1/stores/S1/stock/{quote(sku, safe='')}"
    status, problem = reader.get(url + ("?moment=2126-01-01T00:00:00Z" if sku.endswith("/at") else ""))
    assert (status, problem["code"]) == (404, "unknown_sku")
    assert [row["sku"] for row in reader.get(f"{url}/movements")[1]["items"]] == [sku]
    assert reader.get(f"{url}/at?moment=2126-01-01T00:00:00Z")[1]["onHand"] == 3
    asked = {"items": [{"sku": sku, "storeId": "S1"}]}
    assert reader.post("/v1/stock/available", asked)[1]["items"][0]["onHand"] == 3


@pytest.mark.parametrize("url", ["/v1/stores/S1/stock/", "/v1/stores//stock/SHIRT", "/v1/stores/S1/stock"])
def test_an_address_without_a_name_is_none(reader: Caller, url: str) -> None:
    assert reader.get(url)[0] == 404
