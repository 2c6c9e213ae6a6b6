"""Stock over HTTP, and who may ask."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from apps.tenants import identity
from apps.tenants.models import ApiKey

from .conftest import Shop, open_shop

URL = "/v1/stores/S1/stock/SHIRT"


@pytest.fixture
def key(shop: Shop) -> str:
    return ApiKey.issue(shop.tenant, name="POS", scopes=["stock:read"])[1]


def _get(url: str, key: str | None = None, **headers: str) -> tuple[int, dict[str, object]]:
    response = Client().get(url, headers={**({"Authorization": f"Bearer {key}"} if key else {}), **headers})
    if response.status_code >= 400:
        assert response.headers["Content-Type"] == "application/problem+json"
        assert set(response.json()) >= {"type", "title", "status", "detail", "code", "trace_id"}
    return response.status_code, response.json()


def test_the_number_of_a_sku_at_a_store(shop: Shop, key: str) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    response = Client().get(URL, headers={"X-Api-Key": key})
    assert response.json() == {
        "sku": "SHIRT",
        "storeId": "S1",
        "onHand": 10,
        "reserved": 0,
        "available": 10,
        "version": 1,
    }
    assert response.headers["ETag"] == '"v1"'


def test_a_product_that_never_was_there_has_zeros(shop: Shop, key: str) -> None:
    status, body = _get(URL, key)
    assert (status, body["available"], body["version"]) == (200, 0, 0)


@pytest.mark.parametrize(
    ("url", "code"),
    [("/v1/stores/S1/stock/NOPE", "unknown_sku"), ("/v1/stores/NOPE/stock/SHIRT", "unknown_store")],
)
def test_what_is_unknown_is_404_with_a_code(shop: Shop, key: str, url: str, code: str) -> None:
    status, body = _get(url, key)
    assert (status, body["code"]) == (404, code)


def test_another_tenants_stock_does_not_exist(shop: Shop) -> None:
    stranger = open_shop("charlie")
    stranger.receive(stranger.shirt, stranger.store, 99)
    _row, text = ApiKey.issue(shop.tenant, name="POS", scopes=["stock:read"])
    assert _get(URL, text)[1]["onHand"] == 0


def test_without_a_key_or_with_a_dead_one_it_is_401(shop: Shop, key: str) -> None:
    assert _get(URL)[0] == 401
    assert _get(URL, "saldo_guess")[1]["code"] == "invalid_credentials"
    ApiKey.objects.update(revoked_at=timezone.now())
    identity.forget_all()
    assert _get(URL, key)[0] == 401
    identity.forget_all()
    ApiKey.objects.update(revoked_at=None, expires_at=timezone.now() - timedelta(seconds=1))
    assert _get(URL, key)[0] == 401


def test_a_key_without_the_scope_is_403(shop: Shop) -> None:
    _row, text = ApiKey.issue(shop.tenant, name="POS", scopes=["movements:read"])
    status, body = _get(URL, text)
    assert (status, body["code"]) == (403, "missing_scope")


def test_the_last_use_is_kept_without_a_write_each_time(shop: Shop, key: str) -> None:
    _get(URL, key)
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    _get(URL, key)
    assert ApiKey.objects.get().last_used_at == first


def test_other_methods_are_405(shop: Shop, key: str) -> None:
    response = Client().post(URL, headers={"X-Api-Key": key})
    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
