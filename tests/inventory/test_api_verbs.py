"""Reservations and corrections over HTTP, in the words of both requirements."""

import json
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.inventory import ledger, refusals
from apps.inventory.ledger import EndRequest, Line, ReserveRequest
from apps.inventory.models import Balance, Batch, Movement, Reservation
from apps.tenants.models import ApiKey

from .conftest import Shop, open_shop
from .test_combine import at_once

KEY = "checkout-0123456789abcdef0123456789abcdef"


class Caller:
    """A program with a key of a shop."""

    def __init__(self, shop: Shop, *scopes: str) -> None:
        scopes = scopes or ("stock:read", "stock:reserve", "stock:adjust")
        self.key = ApiKey.issue(shop.tenant, name="POS", scopes=list(scopes))[1]

    def post(self, url: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any], Any]:
        response = Client().post(
            url,
            data="" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.key}", **headers},
        )
        return response.status_code, response.json(), response.headers

    def get(self, url: str) -> tuple[int, dict[str, Any]]:
        response = Client().get(url, headers={"X-Api-Key": self.key})
        return response.status_code, response.json()


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.receive(shop.shirt, shop.store, 10)
    return shop


@pytest.fixture
def pos(stocked: Shop) -> Caller:
    return Caller(stocked)


def by_id(shop: Shop, **more: Any) -> dict[str, Any]:
    body = {"product_id": str(shop.shirt.public_id), "warehouse_id": str(shop.store.public_id)}
    return {**body, "quantity": 2, "idempotency_key": KEY, "ttl_seconds": 60, **more}


RESERVE = {"sku": "SHIRT", "storeId": "S1", "qty": 2, "clientId": "C1", "ttlSeconds": 60}


# --- requirement 004 ------------------------------------------------------------------------------------------------


def test_reserve_confirm_and_restock_as_the_requirement_writes_them(stocked: Shop, pos: Caller) -> None:
    status, reserved, headers = pos.post("/v1/stock/reserve", RESERVE)
    assert (status, reserved["available"], reserved["status"], headers["ETag"]) == (200, 8, "PENDING", '"v2"')
    status, ended, _ = pos.post("/v1/stock/confirm", {"reservationId": reserved["reservationId"]})
    assert (status, ended["status"], ended["onHand"], ended["available"]) == (200, "CONFIRMED", 8, 8)
    status, stock, _ = pos.post("/v1/stock/restock", {"sku": "SHIRT", "storeId": "S1", "qty": 5, "expectedVersion": 3})
    assert (status, stock["onHand"], stock["version"]) == (200, 13, 4)
    assert Reservation.objects.get().requester_id == "C1"


def test_cancel_gives_the_units_back(pos: Caller) -> None:
    _, reserved, _ = pos.post("/v1/stock/reserve", RESERVE)
    status, ended, _ = pos.post(f"/v1/stock/cancel/{reserved['reservationId']}")
    assert (status, ended["status"], ended["available"]) == (200, "RELEASED", 10)


def test_confirm_after_cancel_is_refused(pos: Caller) -> None:
    _, reserved, _ = pos.post("/v1/stock/reserve", RESERVE)
    pos.post("/v1/stock/cancel", {"reservationId": reserved["reservationId"]})
    status, problem, _ = pos.post(f"/v1/stock/confirm/{reserved['reservationId']}")
    assert (status, problem["code"], problem["reservationStatus"]) == (409, "reservation_already_released", "RELEASED")
    assert "reservation_status" not in problem


def test_a_part_is_confirmed(pos: Caller) -> None:
    _, reserved, _ = pos.post("/v1/stock/reserve", RESERVE)
    status, ended, _ = pos.post("/v1/stock/confirm", {"reservationId": reserved["reservationId"], "qty": 1})
    assert (status, ended["confirmed"], ended["returned"], ended["available"]) == (200, 1, 1, 9)


def test_too_many_is_409_with_what_there_is(pos: Caller) -> None:
    status, problem, _ = pos.post("/v1/stock/reserve", {**RESERVE, "qty": 11})
    assert (status, problem["code"], problem["requested"], problem["available"]) == (409, "insufficient_stock", 11, 10)
    assert "product_id" not in problem


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"qty": 0}, 422, "validation_failed"),
        ({"qty": -1}, 422, "validation_failed"),
        ({"qty": 2.5}, 422, "validation_failed"),
        ({"qty": "2"}, 422, "validation_failed"),
        ({"qty": 10**12}, 422, "validation_failed"),
        ({"ttlSeconds": 0}, 422, "validation_failed"),
        ({"sku": ""}, 422, "validation_failed"),
        ({"sku": "a\x00b"}, 422, "validation_failed"),
        ({"sku": "NOPE"}, 404, "unknown_sku"),
        ({"storeId": "NOPE"}, 404, "unknown_store"),
        ({"storeId": None}, 422, "validation_failed"),
    ],
)
def test_bad_input_is_explained_and_nothing_moves(
    stocked: Shop, pos: Caller, changes: dict[str, Any], status: int, code: str
) -> None:
    answered, problem, _ = pos.post("/v1/stock/reserve", {**RESERVE, **changes})
    assert (answered, problem["code"]) == (status, code)
    assert Movement.objects.count() == 1


def test_a_stale_version_is_412_and_nothing_moves(stocked: Shop, pos: Caller) -> None:
    body = {"sku": "SHIRT", "storeId": "S1", "qty": 5, "expectedVersion": 7}
    status, problem, _ = pos.post("/v1/stock/restock", body)
    assert (status, problem["code"], problem["version"]) == (412, "version_mismatch", 1)
    del body["expectedVersion"]
    assert pos.post("/v1/stock/restock", body, **{"If-Match": '"v9"'})[0] == 412
    assert pos.post("/v1/stock/restock", body, **{"If-Match": "v1"})[0] == 400
    assert pos.post("/v1/stock/restock", body, **{"If-Match": '"v1"'})[0] == 200


def test_a_repeated_request_gets_the_first_answer(pos: Caller) -> None:
    first = pos.post("/v1/stock/reserve", RESERVE, **{"Idempotency-Key": "once"})
    again = pos.post("/v1/stock/reserve", RESERVE, **{"Idempotency-Key": "once"})
    assert again[1] == first[1]
    assert again[2]["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first[2]
    status, problem, _ = pos.post("/v1/stock/reserve", {**RESERVE, "qty": 3}, **{"Idempotency-Key": "once"})
    assert (status, problem["code"]) == (422, "idempotency_key_reused")
    end = {"reservationId": first[1]["reservationId"]}
    assert pos.post("/v1/stock/confirm", end, **{"Idempotency-Key": "end"})[0] == 200
    assert pos.post("/v1/stock/confirm", end, **{"Idempotency-Key": "end"})[0] == 200
    assert pos.post("/v1/stock/confirm", end)[1]["code"] == "reservation_already_confirmed"


def test_many_pairs_are_answered_in_one_query(stocked: Shop, pos: Caller, django_assert_max_num_queries: Any) -> None:
    pairs = [{"sku": "SHIRT", "storeId": "S1"}, {"sku": "MUG", "storeId": "CD1"}, {"sku": "NOPE", "storeId": "S1"}]
    pos.get("/v1/stores/S1/stock/SHIRT")  # who asks is remembered from now on
    with django_assert_max_num_queries(1):
        status, body, _ = pos.post("/v1/stock/available", {"items": pairs})
    assert status == 200
    assert [item.get("available", item.get("code")) for item in body["items"]] == [10, 0, "unknown_sku"]
    assert pos.post("/v1/stock/available", {"items": pairs * 200})[0] == 422


def test_an_expired_hold_no_longer_counts_in_what_is_shown(stocked: Shop, pos: Caller) -> None:
    pos.post("/v1/stock/reserve", RESERVE)
    Reservation.objects.update(expires_at=timezone.now())
    status, body = pos.get("/v1/stores/S1/stock/SHIRT")
    assert (status, body["reserved"], body["available"]) == (200, 0, 10)


# --- requirement 003 ------------------------------------------------------------------------------------------------


def test_reserve_and_confirm_by_id(stocked: Shop, pos: Caller) -> None:
    status, reserved, _ = pos.post("/v1/reserve", by_id(stocked))
    assert status == 200
    assert set(reserved) == {"reservation_id", "status", "expires_at", "created_at"}
    status, ended, _ = pos.post("/v1/confirm", {"reservation_id": reserved["reservation_id"]})
    assert (status, ended["status"], ended["quantity_on_hand"]) == (200, "CONFIRMED", 8)
    status, shown = pos.get(
        f"/v1/available?product_id={stocked.shirt.public_id}&warehouse_id={stocked.store.public_id}"
    )
    assert (status, shown["quantity_available"], shown["version"]) == (200, 8, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": 0},
        {"quantity": 1001},
        {"idempotency_key": "x" * 31},
        {"idempotency_key": "x" * 129},
        {"ttl_seconds": 59},
        {"ttl_seconds": 3601},
        {"product_id": "SHIRT"},
        {"warehouse_id": None},
    ],
)
def test_the_requirements_limits(stocked: Shop, pos: Caller, changes: dict[str, Any]) -> None:
    status, problem, _ = pos.post("/v1/reserve", by_id(stocked, **changes))
    assert (status, problem["code"]) == (422, "validation_failed")
    assert problem["errors"]


def test_header_and_body_may_not_name_two_keys(stocked: Shop, pos: Caller) -> None:
    status, problem, _ = pos.post("/v1/reserve", by_id(stocked), **{"Idempotency-Key": "another"})
    assert (status, problem["code"]) == (400, "idempotency_key_mismatch")
    assert pos.post("/v1/reserve", by_id(stocked), **{"Idempotency-Key": KEY})[0] == 200


def test_the_header_alone_is_key_enough(stocked: Shop, pos: Caller) -> None:
    body = by_id(stocked)
    del body["idempotency_key"]
    once = {"Idempotency-Key": "checkout-7"}
    first, again = (pos.post("/v1/reserve", body, **once) for _ in range(2))
    assert (first[0], again[0], again[1], again[2]["Idempotency-Replayed"]) == (200, 200, first[1], "true")
    assert pos.post("/v1/reserve", {**body, "quantity": 3}, **once)[1]["code"] == "idempotency_key_reused"
    status, problem, _ = pos.post("/v1/reserve", body)
    assert (status, problem["code"]) == (422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [("/idempotency_key", "missing")]
    assert stocked.numbers(stocked.shirt, stocked.store) == (10, 2, 8)


@pytest.mark.parametrize("url", ["/v1/reserve", "/v1/stock/reserve"])
@pytest.mark.parametrize(
    ("key", "code"), [("", "wrong_length"), ("x" * 129, "wrong_length"), ("a\0b", "nul_character")]
)
def test_a_key_that_cannot_be_kept_is_named(stocked: Shop, pos: Caller, url: str, key: str, code: str) -> None:
    body = RESERVE if "stock" in url else by_id(stocked, idempotency_key=None)
    status, problem, _ = pos.post(url, body, **{"Idempotency-Key": key})
    assert (status, problem["code"]) == (422, "validation_failed")
    assert [(error["header"], error["code"]) for error in problem["errors"]] == [("Idempotency-Key", code)]
    assert not Reservation.objects.exists()


def test_an_adjustment_is_a_request(stocked: Shop, pos: Caller) -> None:
    body = by_id(stocked, quantity=-11, reason="broken", idempotency_key=None)
    status, problem, _ = pos.post("/v1/adjust", body)
    assert (status, problem["code"]) == (409, "insufficient_stock")
    status, shown, _ = pos.post("/v1/adjust", {**body, "quantity": -4})
    assert (status, shown["quantity_available"]) == (200, 6)
    assert pos.post("/v1/adjust", {**body, "quantity": 0})[0] == 422
    assert Movement.objects.get(kind="ADJUSTMENT").reason == "broken"


# --- whose ----------------------------------------------------------------------------------------------------------


def test_what_belongs_to_another_tenant_does_not_exist(stocked: Shop, pos: Caller) -> None:
    stranger = Caller(open_shop("charlie"))
    _, reserved, _ = pos.post("/v1/stock/reserve", RESERVE)
    end = {"reservation_id": reserved["reservationId"]}
    assert stranger.post("/v1/confirm", end)[1]["code"] == "unknown_reservation"
    assert stranger.post("/v1/release", end)[0] == 404
    assert stranger.post("/v1/reserve", by_id(stocked))[1]["code"] == "unknown_sku"
    assert stranger.post("/v1/adjust", by_id(stocked, quantity=1, reason="x"))[0] == 404


def test_a_scope_opens_its_own_verbs_only(stocked: Shop) -> None:
    reader = Caller(stocked, "stock:read")
    for url, body in {
        "/v1/stock/reserve": RESERVE,
        "/v1/stock/restock": {"sku": "SHIRT", "storeId": "S1", "qty": 1},
        f"/v1/stock/cancel/{uuid.uuid4()}": None,
    }.items():
        status, problem, _ = reader.post(url, body)
        assert (status, problem["code"]) == (403, "missing_scope")


# --- at once --------------------------------------------------------------------------------------------------------


def test_the_last_units_are_sold_once_through_http(committed_shop: Shop) -> None:
    committed_shop.receive(committed_shop.shirt, committed_shop.store, 10)
    pos = Caller(committed_shop)

    def buy(number: int) -> int:
        try:
            return pos.post("/v1/stock/reserve", {**RESERVE, "qty": 1})[0]
        finally:
            connection.close()

    answers = at_once(40, buy)
    assert sorted(answers) == [200] * 10 + [409] * 30  # type: ignore[type-var]
    assert committed_shop.numbers(committed_shop.shirt, committed_shop.store) == (10, 10, 0)


def test_a_balance_that_somebody_holds_fails_its_own_requests_only(committed_shop: Shop) -> None:
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 10)
    shop.receive(shop.mug, shop.store, 10)
    requests = [
        ReserveRequest(
            tenant_id=shop.tenant.pk, lines=[Line(product.pk, 1, shop.store.pk)], cause=shop.cause(), key=product.sku
        )
        for product in (shop.shirt, shop.mug)
    ]
    holder = connection.copy()
    try:
        holder.set_autocommit(False)
        with holder.cursor() as cursor:
            cursor.execute("SELECT FROM inventory_balances WHERE product_id = %s FOR UPDATE", [shop.shirt.pk])
        held, free = ledger.reserve_many(requests)
    finally:
        holder.rollback()
        holder.close()
    assert isinstance(held, refusals.StockBusy)
    assert isinstance(free, list)
    assert isinstance(ledger.reserve_many(requests)[0], list)


def test_what_is_free_is_answered_while_a_balance_is_held(committed_shop: Shop) -> None:
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 10)
    shop.receive(shop.mug, shop.store, 10)
    batch = shop.move(Movement.Kind.RECEIPT, 5, batch_number="A")
    batch_id = Batch.objects.get(batch_number="A").pk
    [hold] = shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk))
    end = ledger.EndRequest(
        tenant_id=shop.tenant.pk, reservation_id=hold.reservation_id, is_confirmed=True, cause=shop.cause()
    )
    requests = [
        ReserveRequest(tenant_id=shop.tenant.pk, lines=[Line(product.pk, 1, shop.store.pk)], cause=shop.cause())
        for product in (shop.shirt, shop.mug)
    ]
    pos = Caller(shop)
    holder = connection.copy()
    try:
        holder.set_autocommit(False)
        with holder.cursor() as cursor:
            cursor.execute("SELECT FROM inventory_balances WHERE product_id = %s FOR UPDATE", [shop.shirt.pk])
        held, free = ledger.reserve_many(requests, wait_ms=0)
        [unended] = ledger.end_many([end], wait_ms=0)
        status, problem, headers = pos.post("/v1/stock/reserve", RESERVE, **{"Idempotency-Key": "checkout-8"})
        blocked = pos.post(f"/v1/batches/{batch_id}/block", {"reason": "recall"})[:2]
    finally:
        holder.rollback()
        holder.close()
    assert isinstance(held, refusals.StockBusy)
    assert isinstance(free, list)
    assert isinstance(unended, refusals.StockBusy)
    assert (status, problem["code"], headers["Retry-After"]) == (503, "stock_busy", "1")
    assert (blocked[0], blocked[1]["code"]) == (503, "stock_busy")
    assert shop.numbers(shop.shirt, shop.store)[:2] == (batch.on_hand, 1)
    assert pos.post("/v1/stock/reserve", RESERVE, **{"Idempotency-Key": "checkout-8"})[0] == 200


def test_how_long_a_verb_waits_does_not_outlive_it(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    with connection.cursor() as cursor:
        ledger.post(shop.tenant, [shop.a_move(Movement.Kind.SALE, 1)], wait_ms=70)
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_request_whose_twin_is_in_flight_is_409(committed_shop: Shop) -> None:
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 10)
    pos = Caller(shop)
    holder = connection.copy()
    try:
        holder.set_autocommit(False)
        with holder.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{shop.tenant.pk}/api:checkout-7"]
            )
        status, problem, headers = pos.post("/v1/stock/reserve", RESERVE, **{"Idempotency-Key": "checkout-7"})
    finally:
        holder.rollback()
        holder.close()
    assert (status, problem["code"], headers["Retry-After"]) == (409, "idempotency_key_in_flight", "1")
    assert pos.post("/v1/stock/reserve", RESERVE, **{"Idempotency-Key": "checkout-7"})[0] == 200


def test_a_callers_key_is_none_of_the_hubs_own(stocked: Shop, pos: Caller) -> None:
    assert pos.post("/v1/stock/reserve", RESERVE, **{"Idempotency-Key": "order:1:reserve"})[0] == 200
    held = ledger.reserve(
        stocked.tenant,
        [Line(stocked.shirt.pk, 1)],
        key="order:1:reserve",
        cause=stocked.cause(),
        is_fact=True,
    )
    assert not held[0].replayed


def test_a_repeated_request_is_the_same_one_although_the_key_it_came_with_was_replaced(stocked: Shop) -> None:
    first = Caller(stocked).post("/v1/reserve", by_id(stocked))
    again = Caller(stocked).post("/v1/reserve", by_id(stocked))
    assert again[1] == first[1]


def test_one_balance_that_no_integer_holds_does_not_stop_the_sweeper(stocked: Shop, pos: Caller) -> None:
    huge = ledger.QUANTITY_MAX
    for kind, batch in (("SALE", None), ("SALE", None), *(("RECEIPT", name) for name in "AABB")):
        stocked.move(
            Movement.Kind(kind),
            huge,
            location=stocked.depot,
            batch_number=batch,
            batch_expires_at=timezone.now() + timedelta(days=1) if batch else None,
        )
    pos.post("/v1/stock/reserve", RESERVE)
    Batch.objects.update(expires_at=timezone.now())
    Reservation.objects.update(expires_at=timezone.now())
    assert ledger.expire_due() == 1
    assert Reservation.objects.get().status == Reservation.Status.EXPIRED


def test_a_clock_that_stepped_back_expires_nobody_elses_hold(stocked: Shop) -> None:
    stocked.receive(stocked.mug, stocked.store, 5)
    [held] = stocked.reserve(Line(stocked.mug.pk, 1, stocked.store.pk), ttl_seconds=600)
    [other] = stocked.reserve(Line(stocked.shirt.pk, 1, stocked.store.pk))
    ahead = timezone.now() + timedelta(hours=1)
    Balance.objects.filter(product=stocked.shirt).update(last_updated=ahead)
    ends = [
        EndRequest(
            tenant_id=stocked.tenant.pk,
            reservation_id=one.reservation_id,
            is_confirmed=True,
            cause=stocked.cause(),
        )
        for one in (other, held)
    ]
    assert [type(ended) for ended in ledger.end_many(ends)] == [ledger.Ended, ledger.Ended]
    assert Balance.objects.get(product=stocked.mug).last_updated < ahead
    assert Balance.objects.get(product=stocked.shirt).last_updated > ahead


def test_a_batch_date_that_no_calendar_holds_is_refused(stocked: Shop) -> None:
    for wrong in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1999-12-31T00:00:00+00:00"):
        with pytest.raises(refusals.InvalidBatchDate):
            stocked.move(Movement.Kind.RECEIPT, 1, batch_number="A", batch_expires_at=datetime.fromisoformat(wrong))
    far = datetime.fromisoformat("2030-01-01T00:00:00+23:59")
    assert stocked.move(Movement.Kind.RECEIPT, 1, batch_number="A", batch_expires_at=far).on_hand == 11
