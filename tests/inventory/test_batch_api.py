"""Batches over HTTP: which there are, off sale and back, and a recall."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.inventory import ledger
from apps.inventory.ledger import Line
from apps.inventory.models import Batch, Movement, Reservation

from .conftest import Shop
from .test_api_verbs import Caller
from .test_lists import walk

SPRING, SUMMER = datetime(2126, 9, 22, tzinfo=UTC), datetime(2126, 12, 21, tzinfo=UTC)


@pytest.fixture
def keeper(shop: Shop) -> Caller:
    """Five units that expire in summer, three in spring, two that never do, and a mug batch elsewhere."""
    for number, quantity, expires_at in (("SUMMER", 5, SUMMER), ("SPRING", 3, SPRING), ("STONE", 2, None)):
        shop.move(Movement.Kind.RECEIPT, quantity, batch_number=number, batch_expires_at=expires_at)
    shop.move(
        Movement.Kind.RECEIPT,
        1,
        product_id=shop.mug.pk,
        location=shop.depot,
        batch_number="MUG",
        batch_expires_at=SPRING + timedelta(days=1),
    )
    return Caller(shop, "stock:read", "stock:adjust", "stock:reserve")


def _numbers(rows: list[dict[str, Any]]) -> list[str]:
    return [row["batchNumber"] for row in rows if row["batchNumber"]]


def _id_of(number: str) -> str:
    return str(Batch.objects.get(batch_number=number).pk)


def test_batches_are_listed_by_their_date(keeper: Caller) -> None:
    assert _numbers(walk(keeper, "/v1/batches?limit=1")) == ["SPRING", "MUG", "SUMMER", "STONE"]
    assert _numbers(walk(keeper, "/v1/batches?sku=SHIRT&limit=1")) == ["SPRING", "SUMMER", "STONE"]
    assert _numbers(walk(keeper, "/v1/batches?storeId=CD1")) == ["MUG"]
    assert _numbers(walk(keeper, "/v1/batches?expiresBefore=2126-10-01T00:00:00Z")) == ["SPRING", "MUG"]
    assert keeper.get("/v1/batches?expiresBefore=soon")[0] == 422
    _, page = keeper.get("/v1/batches?limit=2")
    _, after = keeper.get(page["next"])
    assert keeper.get(after["prev"])[1]["items"] == page["items"]


def test_a_batch_whose_date_has_come_shows_it_although_nobody_swept(keeper: Caller) -> None:
    Batch.objects.filter(batch_number="SPRING").update(expires_at=timezone.now())
    assert _numbers(walk(keeper, "/v1/batches?status=EXPIRED")) == ["SPRING"]
    assert "SPRING" not in _numbers(walk(keeper, "/v1/batches?status=ACTIVE"))
    assert walk(keeper, "/v1/batches?sku=SHIRT")[0]["status"] == "EXPIRED"


def test_a_blocked_batch_leaves_what_is_available_and_comes_back(keeper: Caller) -> None:
    url = f"/v1/batches/{_id_of('SUMMER')}"
    for _ in range(2):  # blocking twice is blocking once
        status, batch, _headers = keeper.post(f"{url}/block", {"reason": "recall"})
        assert (status, batch["status"], batch["qty"]) == (200, "BLOCKED", 5)
        assert keeper.get("/v1/stores/S1/stock/SHIRT")[1]["available"] == 5
    assert _numbers(walk(keeper, "/v1/batches?status=BLOCKED")) == ["SUMMER"]
    assert Movement.objects.filter(kind="BLOCK").get().reason == "recall"
    assert keeper.post(f"{url}/unblock", {"reason": "all clear"})[1]["status"] == "ACTIVE"
    assert keeper.get("/v1/stores/S1/stock/SHIRT")[1]["available"] == 10


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 201}, {"reason": 1}, []])
def test_a_block_wants_a_reason(keeper: Caller, body: Any) -> None:
    status, problem, _ = keeper.post(f"/v1/batches/{_id_of('SUMMER')}/block", body)
    assert (status, problem["code"]) == (422, "validation_failed")
    assert not Movement.objects.filter(kind="BLOCK").exists()


def test_an_expired_batch_stays_off_sale(shop: Shop, keeper: Caller) -> None:
    Batch.objects.filter(batch_number="SPRING").update(expires_at=timezone.now())
    ledger.expire_due()
    status, problem, _ = keeper.post(f"/v1/batches/{_id_of('SPRING')}/unblock", {"reason": "x"})
    assert (status, problem["code"]) == (409, "batch_expired")


def test_a_recall_names_who_holds_and_who_got_the_batch(shop: Shop, keeper: Caller) -> None:
    def reserve(quantity: int, client: str) -> str:
        body = {"sku": "SHIRT", "storeId": "S1", "qty": quantity, "clientId": client}
        made: str = keeper.post("/v1/stock/reserve", body)[1]["reservationId"]
        return made

    got, part, holds, gone, due = (reserve(1, "got"), reserve(4, "part"), reserve(1, "holds"), *[reserve(1, "x")] * 2)
    due = reserve(1, "due")
    ledger.confirm(shop.tenant, got, key="1", cause=shop.cause())
    ledger.confirm(shop.tenant, part, key="2", cause=shop.cause(), quantity=3)
    ledger.release(shop.tenant, gone, key="3", cause=shop.cause())
    Reservation.objects.filter(pk=due).update(expires_at=timezone.now())
    url = f"/v1/batches/{_id_of('SPRING')}/holders?limit=1"
    spring = {
        row["reservationId"]: (row["status"], row["qty"], row["received"], row["clientId"]) for row in walk(keeper, url)
    }
    assert spring == {got: ("CONFIRMED", 1, 1, "got"), part: ("CONFIRMED", 2, 2, "part")}
    rows = walk(keeper, f"/v1/batches/{_id_of('SUMMER')}/holders")
    summer = [(row["reservationId"], row["status"], row["qty"], row["received"]) for row in rows]
    assert summer == [(holds, "PENDING", 1, 0), (part, "CONFIRMED", 2, 1)]
    moved = Movement.objects.filter(kind="CONFIRM", reservation_id=part, batch_id=_id_of("SUMMER")).get()
    assert moved.on_hand_delta == -1
    detail = keeper.get(f"/v1/reservations/{part}")[1]
    assert [(held["batchNumber"], held["qty"]) for held in detail["batches"]] == [("SPRING", 2), ("SUMMER", 2)]


def test_what_left_without_a_reservation_stands_among_the_movements(shop: Shop, keeper: Caller) -> None:
    shop.move(Movement.Kind.SALE, 4)
    reader = Caller(shop, "movements:read")
    rows = walk(reader, f"/v1/stores/S1/stock/SHIRT/movements?batchId={_id_of('SPRING')}&kind=SALE")
    assert [row["onHandDelta"] for row in rows] == [-3]


def test_a_basket_over_batches_is_one_reservation_each(shop: Shop, keeper: Caller) -> None:
    lines = [{"sku": "SHIRT", "storeId": "S1", "qty": 4}, {"sku": "MUG", "storeId": "CD1", "qty": 1}]
    made = keeper.post("/v1/reservations", {"lines": lines})[1]["reservations"]
    assert [(one["sku"], one["qty"], one["available"]) for one in made] == [("SHIRT", 4, 6), ("MUG", 1, 0)]
    assert shop.reserve(Line(shop.shirt.pk, 6, shop.store.pk))[0].available == 0
