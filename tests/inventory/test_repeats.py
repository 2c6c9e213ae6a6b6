"""A request that is repeated with its key gets its first answer, whatever its product and its stores are called now."""

from typing import Any

import pytest

from apps.inventory.models import Location, Movement, Product

from .conftest import Shop
from .test_api_verbs import Caller, by_id

ONCE = {"Idempotency-Key": "delivery-1001"}
RESTOCK = {"sku": "SHIRT", "storeId": "S1", "qty": 5}
SEND = {"sku": "SHIRT", "fromStoreId": "S1", "toStoreId": "CD1", "qty": 3}
RECEIVE = {"sku": "SHIRT", "qty": 2}
CASES = [("/v1/stock/restock", RESTOCK), ("/v1/transfers", SEND), ("/v1/transfers/T1/receive", RECEIVE)]


@pytest.fixture
def keeper(shop: Shop) -> Caller:
    shop.receive(shop.shirt, shop.store, 10)
    caller = Caller(shop, "stock:read", "stock:adjust", "stock:reserve")
    assert caller.post("/v1/transfers", {**SEND, "qty": 4, "code": "T1"})[0] == 201
    return caller


def _rename(shop: Shop, *, takes_old_name: bool) -> None:
    """Give product and stores other names; with `takes_old_name` other ones have theirs afterwards."""
    Product.objects.filter(pk=shop.shirt.pk).update(sku="SHIRT-OLD")
    for location in (shop.store, shop.depot):
        Location.objects.filter(pk=location.pk).update(code=f"{location.code}-OLD")
    if takes_old_name:
        Product.objects.create(tenant=shop.tenant, sku="SHIRT", name="another")
        for code in ("S1", "CD1"):
            Location.objects.create(tenant=shop.tenant, code=code, name="another")


@pytest.mark.parametrize("takes_old_name", [False, True])
@pytest.mark.parametrize(("url", "body"), CASES)
def test_the_first_answer_survives_other_names(
    shop: Shop, keeper: Caller, url: str, body: dict[str, Any], takes_old_name: bool
) -> None:
    status, first, _ = keeper.post(url, body, **ONCE)
    made = Movement.objects.count()
    _rename(shop, takes_old_name=takes_old_name)
    answered, again, headers = keeper.post(url, body, **ONCE)
    assert (answered, headers.get("Idempotency-Replayed")) == (status, "true"), again
    # a transfer is shown as it is now, under the names of now
    changing = {"sku", "storeId", "fromStoreId", "toStoreId"} if "transfers" in url else set()
    assert {**again, **{name: first.get(name) for name in changing & set(again)}} == first
    assert Movement.objects.count() == made
    status, problem, _ = keeper.post(url, {**body, "qty": 1}, **ONCE)
    assert (status, problem["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(("url", "body"), CASES)
def test_what_has_no_name_now_is_404_under_a_new_key(
    shop: Shop, keeper: Caller, url: str, body: dict[str, Any]
) -> None:
    _rename(shop, takes_old_name=False)
    for headers in ({}, ONCE):
        status, problem, _ = keeper.post(url, body, **headers)
        assert (status, problem["code"]) == (404, "unknown_sku")
    Product.objects.filter(pk=shop.shirt.pk).update(sku="SHIRT")
    if "storeId" in body or "toStoreId" in body:
        assert keeper.post(url, body, **ONCE)[1]["code"] == "unknown_store"
    Location.objects.filter(pk=shop.store.pk).update(code="S1")
    Location.objects.filter(pk=shop.depot.pk).update(code="CD1")
    assert keeper.post(url, body, **ONCE)[0] in (200, 201)  # a refusal left the key unused


def test_an_adjustment_by_id_never_cared(shop: Shop, keeper: Caller) -> None:
    body = by_id(shop, quantity=-1, reason="broken", idempotency_key=None)
    first = keeper.post("/v1/adjust", body, **ONCE)
    _rename(shop, takes_old_name=True)
    again = keeper.post("/v1/adjust", body, **ONCE)
    assert (again[0], again[1], again[2]["Idempotency-Replayed"]) == (200, first[1], "true")
