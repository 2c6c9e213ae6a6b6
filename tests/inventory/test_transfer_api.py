"""Transfers over HTTP: sent, received in parts, closed with what never arrived."""

from typing import Any

import pytest

from apps.inventory.api import transfers
from apps.inventory.models import Movement, Transfer

from .conftest import Shop
from .test_api_verbs import Caller
from .test_lists import walk

SEND = {"sku": "SHIRT", "fromStoreId": "S1", "toStoreId": "CD1", "qty": 6, "code": "T1"}


@pytest.fixture
def keeper(shop: Shop) -> Caller:
    shop.receive(shop.shirt, shop.store, 10)
    shop.receive(shop.mug, shop.store, 10)
    return Caller(shop, "stock:read", "stock:adjust")


def _numbers(transfer: dict[str, Any]) -> tuple[int, int, int, int]:
    return transfer["sent"], transfer["received"], transfer["inTransit"], transfer["lost"]


def _on_hand(shop: Shop) -> tuple[int, int]:
    return shop.numbers(shop.shirt, shop.store)[0], shop.numbers(shop.shirt, shop.depot)[0]


def test_units_leave_travel_and_arrive_in_parts(shop: Shop, keeper: Caller) -> None:
    status, sent, _ = keeper.post("/v1/transfers", SEND)
    assert (status, sent["code"], sent["fromStoreId"], sent["toStoreId"]) == (201, "T1", "S1", "CD1")
    assert _numbers(sent) == (6, 0, 6, 0)
    assert shop.numbers(shop.shirt, shop.store)[0] == 4
    status, part, _ = keeper.post("/v1/transfers/T1/receive", {"sku": "SHIRT", "qty": 4})
    assert (status, _numbers(part)) == (200, (6, 4, 2, 0))
    status, problem, _ = keeper.post("/v1/transfers/T1/receive", {"sku": "SHIRT", "qty": 3})
    assert (status, problem["code"], problem["inTransit"]) == (409, "transfer_exceeds_sent", 2)
    assert _numbers(keeper.post("/v1/transfers/T1/receive", {"sku": "SHIRT", "qty": 2})[1]) == (6, 6, 0, 0)
    assert _on_hand(shop) == (4, 6)


def test_what_never_arrived_is_received_and_lost_on_paper(shop: Shop, keeper: Caller) -> None:
    keeper.post("/v1/transfers", SEND)
    keeper.post("/v1/transfers/T1/receive", {"sku": "SHIRT", "qty": 4})
    for _ in range(2):  # closing twice is closing once
        status, closed, _headers = keeper.post("/v1/transfers/T1/close", {"sku": "SHIRT", "reason": "fell off"})
        assert (status, _numbers(closed)) == (200, (6, 4, 0, 2))
        assert _on_hand(shop) == (4, 4)
    loss = Movement.objects.get(kind="LOSS")
    assert (loss.on_hand_delta, loss.reference_id, loss.reason, loss.location_id) == (
        -2,
        "T1",
        "fell off",
        shop.depot.pk,
    )
    status, problem, _ = keeper.post("/v1/transfers/T1/receive", {"sku": "SHIRT", "qty": 1})
    assert (status, problem["code"]) == (409, "transfer_exceeds_sent")


def test_the_loss_takes_no_units_of_another_batch(shop: Shop, keeper: Caller) -> None:
    shop.move(Movement.Kind.RECEIPT, 5, location=shop.depot, batch_number="L1")
    keeper.post("/v1/transfers", SEND)
    keeper.post("/v1/transfers/T1/close", {"sku": "SHIRT", "reason": "lost"})
    assert _on_hand(shop) == (4, 5)
    held = {row["batchNumber"]: row["qty"] for row in walk(keeper, "/v1/batches?storeId=CD1")}
    assert held["L1"] == 5
    assert sum(held.values()) == 5


def test_units_that_arrive_while_it_is_closed_are_not_lost(
    shop: Shop, keeper: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper.post("/v1/transfers", SEND)
    read = transfers._transfer
    raced = []

    def then_some_arrive(*asked: Any) -> Transfer:
        row = read(*asked)
        if not raced:
            raced.append(0)
            raced.append(keeper.post("/v1/transfers/T1/receive", {"sku": "SHIRT", "qty": 4})[0])
        return row

    monkeypatch.setattr(transfers, "_transfer", then_some_arrive)
    status, closed, _ = keeper.post("/v1/transfers/T1/close", {"sku": "SHIRT", "reason": "lost"})
    assert (raced, status, _numbers(closed)) == ([0, 200], 200, (6, 4, 0, 2))
    assert _on_hand(shop) == (4, 4)


def test_a_transfer_that_is_short_is_refused(shop: Shop, keeper: Caller) -> None:
    status, problem, _ = keeper.post("/v1/transfers", {**SEND, "qty": 11})
    assert (status, problem["code"], problem["available"]) == (409, "insufficient_stock", 10)
    assert not Transfer.objects.exists()


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"qty": 0}, 422, "validation_failed"),
        ({"qty": "1"}, 422, "validation_failed"),
        ({"toStoreId": "S1"}, 422, "validation_failed"),
        ({"code": ""}, 422, "validation_failed"),
        ({"code": "a/b"}, 422, "validation_failed"),
        ({"sku": "NOPE"}, 404, "unknown_sku"),
        ({"fromStoreId": "NOPE"}, 404, "unknown_store"),
        ({"toStoreId": "NOPE"}, 404, "unknown_store"),
        ({"batchNumber": "NOPE"}, 404, "unknown_batch"),
    ],
)
def test_a_bad_transfer_is_explained_and_nothing_moves(
    keeper: Caller, changes: dict[str, Any], status: int, code: str
) -> None:
    answered, problem, _ = keeper.post("/v1/transfers", {**SEND, **changes})
    assert (answered, problem["code"]) == (status, code)
    assert Movement.objects.count() == 2


def test_a_code_carries_each_product_once(shop: Shop, keeper: Caller) -> None:
    assert keeper.post("/v1/transfers", SEND)[0] == 201
    assert keeper.post("/v1/transfers", {**SEND, "sku": "MUG"})[0] == 201
    status, problem, _ = keeper.post("/v1/transfers", {**SEND, "qty": 1})
    assert (status, problem["code"]) == (409, "transfer_exists")
    assert _numbers(walk(keeper, "/v1/transfers?code=T1&sku=SHIRT")[0]) == (6, 0, 6, 0)
    assert shop.numbers(shop.shirt, shop.store)[0] == 4


def test_a_transfer_happens_once_per_key(shop: Shop, keeper: Caller) -> None:
    once = {"Idempotency-Key": "transfer-1"}
    body = {name: value for name, value in SEND.items() if name != "code"} | {"qty": 2}
    first = keeper.post("/v1/transfers", body, **once)
    again = keeper.post("/v1/transfers", body, **once)
    assert (again[0], again[1]["code"]) == (201, first[1]["code"])
    assert again[2]["Idempotency-Replayed"] == "true"
    assert keeper.post("/v1/transfers", body)[1]["code"] != first[1]["code"]
    assert shop.numbers(shop.shirt, shop.store)[0] == 6


def test_transfers_are_listed_and_summed_for_each_destination(shop: Shop, keeper: Caller) -> None:
    keeper.post("/v1/transfers", {**SEND, "qty": 1})
    keeper.post("/v1/transfers", {**SEND, "qty": 2, "code": "T2"})
    keeper.post("/v1/transfers", {**SEND, "qty": 3, "code": "T3", "sku": "MUG"})
    keeper.post("/v1/transfers/T1/receive", {"sku": "SHIRT", "qty": 1})
    codes = {
        query: [row["code"] for row in walk(keeper, f"/v1/transfers?limit=1&{query}")]
        for query in ("", "open=true", "open=false", "sku=SHIRT", "storeId=CD1", "storeId=S1", "code=T2")
    }
    assert codes == {
        "": ["T3", "T2", "T1"],
        "open=true": ["T3", "T2"],
        "open=false": ["T1"],
        "sku=SHIRT": ["T2", "T1"],
        "storeId=CD1": ["T3", "T2", "T1"],
        "storeId=S1": [],
        "code=T2": ["T2"],
    }
    keeper.post("/v1/transfers", {**SEND, "qty": 4, "code": "T4"})
    under_way = {
        row["sku"]: (row["toStoreId"], row["inTransit"], row["transfers"])
        for row in walk(keeper, "/v1/transfers/in-transit?limit=1")
    }
    assert under_way == {"SHIRT": ("CD1", 6, 2), "MUG": ("CD1", 3, 1)}
    assert [row["sku"] for row in walk(keeper, "/v1/transfers/in-transit?sku=MUG&storeId=CD1")] == ["MUG"]


def test_a_transfer_that_only_one_end_has_told_is_shown(shop: Shop, keeper: Caller) -> None:
    shop.move(Movement.Kind.TRANSFER_OUT, 3, transfer_code="POS-1")
    [row] = walk(keeper, "/v1/transfers?open=true")
    assert (row["fromStoreId"], row["toStoreId"], row["inTransit"]) == ("S1", None, 3)
    assert walk(keeper, "/v1/transfers/in-transit")[0]["toStoreId"] is None
    for verb, body in (("receive", {"sku": "SHIRT", "qty": 1}), ("close", {"sku": "SHIRT", "reason": "x"})):
        assert keeper.post(f"/v1/transfers/POS-1/{verb}", body)[1]["code"] == "unknown_transfer"
    shop.move(Movement.Kind.TRANSFER_IN, 2, transfer_code="POS-1", location=shop.depot, is_fact=True)
    assert _numbers(keeper.post("/v1/transfers/POS-1/close", {"sku": "SHIRT", "reason": "x"})[1]) == (3, 2, 0, 1)
