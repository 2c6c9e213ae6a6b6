"""The lists of the API: pages that shift for nobody, filters, and who may read them."""

import threading
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection, transaction
from django.utils import timezone

from apps.common import sql_pages
from apps.inventory import ledger
from apps.inventory.api import history
from apps.inventory.ledger import Line
from apps.inventory.models import Movement, Reservation

from .conftest import Shop, open_shop
from .test_api_verbs import Caller

LISTS = [
    "/v1/reservations",
    "/v1/stores/S1/stock/SHIRT/movements",
    "/v1/stock/movements",
    "/v1/batches",
    "/v1/transfers",
    "/v1/transfers/in-transit",
    "/v1/oversells",
]
NO_ROW = "0199f7b2-5c1e-7a90-b8f4-3f2a6d1c9e55"
OF_ONE = [
    ("GET", f"/v1/reservations/{NO_ROW}", None, "unknown_reservation"),
    ("GET", f"/v1/batches/{NO_ROW}/holders", None, "unknown_batch"),
    ("POST", f"/v1/batches/{NO_ROW}/block", {"reason": "x"}, "unknown_batch"),
    ("POST", f"/v1/batches/{NO_ROW}/unblock", {"reason": "x"}, "unknown_batch"),
    ("POST", "/v1/transfers/NOPE/receive", {"sku": "SHIRT", "qty": 1}, "unknown_transfer"),
    ("POST", "/v1/transfers/NOPE/close", {"sku": "SHIRT", "reason": "x"}, "unknown_transfer"),
    ("GET", "/v1/stores/NOPE/stock/SHIRT/movements", None, "unknown_store"),
    ("GET", "/v1/stores/S1/stock/NOPE/at?moment=2026-01-01T00:00:00Z", None, "unknown_sku"),
]
READING = ("stock:read", "movements:read")


@pytest.fixture
def reader(shop: Shop) -> Caller:
    return Caller(shop, *READING, "stock:adjust")


def walk(caller: Caller, url: str | None, link: str = "next") -> list[dict[str, Any]]:
    """Return all rows from an address on, page by page."""
    found: list[dict[str, Any]] = []
    while url is not None:
        status, page = caller.get(url)
        assert status == 200, page
        if link == "prev" and not page["items"]:
            break  # the head of the list: it may be asked again later
        found += page["items"] if link == "next" else reversed(page["items"])
        url = page[link]
    return found


def reserve(shop: Shop, times: int, **options: Any) -> list[str]:
    return [shop.reserve(Line(shop.shirt.pk, 1, shop.store.pk), **options)[0].reservation_id for _ in range(times)]


# --- pages --------------------------------------------------------------------------------------------------------


def test_pages_hold_every_row_once_in_one_order(shop: Shop, reader: Caller) -> None:
    shop.receive(shop.shirt, shop.store, 100)
    made = reserve(shop, 7)
    for limit in (1, 3, 7, 8):
        rows = walk(reader, f"/v1/reservations?limit={limit}")
        assert [row["reservationId"] for row in rows] == made[::-1]


def test_rows_that_arrive_meanwhile_shift_nothing(shop: Shop, reader: Caller) -> None:
    shop.receive(shop.shirt, shop.store, 100)
    made = reserve(shop, 4)
    _, first = reader.get("/v1/reservations?limit=2")
    later = reserve(shop, 3)
    _, second = reader.get(first["next"])
    assert [row["reservationId"] for row in second["items"]] == [made[1], made[0]]
    assert second["next"] is None
    back = walk(reader, first["prev"], "prev")
    assert [row["reservationId"] for row in back] == later
    _, around = reader.get(second["prev"])
    assert around["items"] == first["items"]


def test_the_head_of_a_list_can_be_asked_again_for_what_is_new(shop: Shop, reader: Caller) -> None:
    shop.receive(shop.shirt, shop.store, 100)
    old = reserve(shop, 2)
    _, first = reader.get("/v1/reservations")
    _, nothing = reader.get(first["prev"])
    assert nothing["items"] == []
    assert [row["reservationId"] for row in walk(reader, nothing["next"])] == old[
        ::-1
    ]  # nothing is lost on the way back
    new = reserve(shop, 1)
    _, page = reader.get(nothing["prev"])
    assert [row["reservationId"] for row in page["items"]] == new


def test_a_page_beyond_the_end_leads_back(shop: Shop, reader: Caller) -> None:
    shop.receive(shop.shirt, shop.store, 100)
    made = reserve(shop, 2)
    _, page = reader.get("/v1/reservations?limit=1")
    _, last = reader.get(page["next"])
    beyond = sql_pages._encode(("after", (made[0],)))
    _, empty = reader.get(f"/v1/reservations?cursor={beyond}")
    assert (empty["items"], empty["next"]) == ([], None)
    assert [row["reservationId"] for row in reader.get(empty["prev"])[1]["items"]] == made[::-1]
    assert [row["reservationId"] for row in last["items"]] == [made[0]]


def test_a_search_that_finds_little_says_where_to_go_on(
    shop: Shop, reader: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_pages, "EXAMINED_MAX", 3)
    shop.receive(shop.shirt, shop.store, 100)
    shop.receive(shop.mug, shop.store, 5)
    mug = shop.reserve(Line(shop.mug.pk, 1, shop.store.pk))[0].reservation_id
    reserve(shop, 7)
    _, first = reader.get("/v1/reservations?sku=MUG")
    assert first["items"] == []
    assert first["next"] is not None
    rows = walk(reader, "/v1/reservations?sku=MUG")
    assert [row["reservationId"] for row in rows] == [mug]
    _, home = reader.get(f"/v1/reservations?sku=MUG&cursor={sql_pages._encode(('before', (mug,)))}")
    assert (home["items"], home["prev"] is None) == ([], False)


def test_links_keep_the_filters(shop: Shop, reader: Caller) -> None:
    shop.receive(shop.shirt, shop.store, 100)
    reserve(shop, 2)
    _, page = reader.get("/v1/reservations?limit=1&sku=SHIRT&status=PENDING")
    kept = parse_qs(urlsplit(page["next"]).query)
    assert {name: value[0] for name, value in kept.items() if name != "cursor"} == {
        "limit": "1",
        "sku": "SHIRT",
        "status": "PENDING",
    }


@pytest.mark.parametrize("url", LISTS)
@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("limit=0", 422, "validation_failed"),
        ("limit=201", 422, "validation_failed"),
        ("limit=x", 422, "validation_failed"),
        ("cursor=x", 400, "invalid_cursor"),
        ("cursor=%C3%A7", 400, "invalid_cursor"),
        ("cursor=WyJhZnRlciIsWzEsMiwzLDRdXQ", 400, "invalid_cursor"),  # four numbers
        ("cursor=WyJhZnRlciIsWyInOyBEUk9QIl1d", 400, "invalid_cursor"),  # SQL
        ("cursor=WyJzaWRld2F5cyIsWzFdXQ", 400, "invalid_cursor"),  # another side
    ],
)
def test_a_bad_page_is_explained(reader: Caller, url: str, query: str, status: int, code: str) -> None:
    answered, problem = reader.get(f"{url}?{query}")
    assert (answered, problem["code"]) == (status, code)


@pytest.mark.parametrize("url", [url for url in LISTS if "stores" not in url])
def test_a_filter_by_what_is_not_there_is_404(reader: Caller, url: str) -> None:
    assert reader.get(f"{url}?sku=NOPE")[1]["code"] == "unknown_sku"
    assert reader.get(f"{url}?storeId=NOPE")[1]["code"] == "unknown_store"
    assert reader.get(f"{url}?sku=a%00b")[0] == 400


# --- who may read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", LISTS)
def test_without_the_scope_it_is_403(shop: Shop, url: str) -> None:
    status, problem = Caller(shop, "movements:write").get(url)
    assert (status, problem["code"]) == (403, "missing_scope")


@pytest.mark.parametrize(("method", "url", "body", "code"), OF_ONE)
def test_what_is_not_there_is_404(reader: Caller, method: str, url: str, body: Any, code: str) -> None:
    status, problem = reader.get(url) if method == "GET" else reader.post(url, body)[:2]
    assert (status, problem["code"]) == (404, code)


@pytest.mark.parametrize(("method", "url", "body", "_code"), OF_ONE)
def test_each_needs_its_scope(shop: Shop, method: str, url: str, body: Any, _code: str) -> None:
    caller = Caller(shop, "movements:write")
    status, problem = caller.get(url) if method == "GET" else caller.post(url, body)[:2]
    assert (status, problem["code"]) == (403, "missing_scope")


@pytest.mark.django_db(transaction=True)
def test_a_stranger_sees_none_of_it() -> None:
    alice, charlie = open_shop("alice"), open_shop("charlie")
    alice.move(Movement.Kind.RECEIPT, 10, batch_number="L1")
    [made] = alice.reserve(Line(alice.shirt.pk, 2, alice.store.pk))
    alice.move(Movement.Kind.TRANSFER_OUT, 3, transfer_code="T1", other_location_id=alice.depot.pk)
    alice.move(Movement.Kind.SALE, 9)
    stranger, own = Caller(charlie, *READING, "stock:adjust"), Caller(alice, *READING)
    batch = own.get("/v1/batches")[1]["items"][0]["batchId"]
    for url in LISTS:
        assert own.get(url)[1]["items"] != [], url
        assert stranger.get(url)[1]["items"] == [], url
    assert stranger.get(f"/v1/reservations/{made.reservation_id}")[0] == 404
    assert stranger.get(f"/v1/batches/{batch}/holders")[0] == 404
    assert stranger.post(f"/v1/batches/{batch}/block", {"reason": "x"})[0] == 404
    assert stranger.post("/v1/transfers/T1/receive", {"sku": "SHIRT", "qty": 1})[0] == 404
    assert stranger.post("/v1/transfers/T1/close", {"sku": "SHIRT", "reason": "x"})[0] == 404


# --- reservations -------------------------------------------------------------------------------------------------


def test_a_reservation_shows_what_it_is_now(shop: Shop, reader: Caller) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    [held] = shop.reserve(Line(shop.shirt.pk, 3, shop.store.pk), ttl_seconds=60)
    status, shown = reader.get(f"/v1/reservations/{held.reservation_id}")
    assert (status, shown["status"], shown["qty"], shown["storeId"], shown["endedAt"]) == (
        200,
        "PENDING",
        3,
        "S1",
        None,
    )
    ledger.confirm(shop.tenant, held.reservation_id, key="c", cause=shop.cause(), quantity=2)
    _, shown = reader.get(f"/v1/reservations/{held.reservation_id}")
    assert (shown["status"], shown["confirmed"]) == ("CONFIRMED", 2)
    assert shown["endedAt"] is not None


def test_a_deadline_that_passed_shows_although_nobody_swept(shop: Shop, reader: Caller) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    due, held = reserve(shop, 2, ttl_seconds=60)
    Reservation.objects.filter(pk=due).update(expires_at=timezone.now())
    assert Reservation.objects.get(pk=due).status == "PENDING"
    shown = reader.get(f"/v1/reservations/{due}")[1]
    assert (shown["status"], shown["endedAt"]) == ("EXPIRED", shown["expiresAt"])
    by_status = {
        status: [row["reservationId"] for row in walk(reader, f"/v1/reservations?status={status}")]
        for status in ("PENDING", "EXPIRED", "CONFIRMED", "RELEASED")
    }
    assert by_status == {"PENDING": [held], "EXPIRED": [due], "CONFIRMED": [], "RELEASED": []}


def test_reservations_are_filtered(shop: Shop, reader: Caller) -> None:
    till = Caller(shop)
    shop.receive(shop.shirt, shop.store, 10)
    shop.receive(shop.mug, shop.depot, 10)
    made = {}
    for name, sku, store, client in (("a", "SHIRT", "S1", "C1"), ("b", "MUG", "CD1", "C1"), ("c", "SHIRT", "S1", "C2")):
        body = {"sku": sku, "storeId": store, "qty": 1, "clientId": client}
        made[till.post("/v1/stock/reserve", body)[1]["reservationId"]] = name

    def names(query: str) -> str:
        return "".join(made[row["reservationId"]] for row in walk(reader, f"/v1/reservations?limit=1&{query}"))

    for status in ("", "&status=PENDING"):
        assert names(f"clientId=C1{status}") == "ba"
        assert names(f"sku=SHIRT{status}") == "ca"
        assert names(f"storeId=CD1{status}") == "b"
        assert names(f"sku=SHIRT&clientId=C2{status}") == "c"
    assert reader.get("/v1/reservations?status=OPEN")[0] == 422


# --- a basket -----------------------------------------------------------------------------------------------------


@pytest.fixture
def basket(shop: Shop) -> Caller:
    shop.receive(shop.shirt, shop.store, 10)
    shop.receive(shop.mug, shop.depot, 3)
    return Caller(shop, "stock:read", "stock:reserve")


LINES = [
    {"sku": "MUG", "storeId": "CD1", "qty": 2},
    {"sku": "SHIRT", "storeId": "S1", "qty": 3},
    {"sku": "MUG", "storeId": "CD1", "qty": 1},
]


def test_a_basket_is_reserved_whole(shop: Shop, basket: Caller) -> None:
    status, made, _ = basket.post("/v1/reservations", {"lines": LINES, "clientId": "C1", "ttlSeconds": 60})
    assert status == 201
    shown = [(one["sku"], one["storeId"], one["qty"], one["available"]) for one in made["reservations"]]
    assert shown == [("MUG", "CD1", 3, 0), ("SHIRT", "S1", 3, 7)]
    for one in made["reservations"]:
        detail = basket.get(f"/v1/reservations/{one['reservationId']}")[1]
        assert (detail["sku"], detail["qty"], detail["clientId"]) == (one["sku"], one["qty"], "C1")


def test_a_basket_that_is_short_reserves_nothing_and_names_what(shop: Shop, basket: Caller) -> None:
    lines = [*LINES, {"sku": "MUG", "storeId": "CD1", "qty": 1}]
    status, problem, _ = basket.post("/v1/reservations", {"lines": lines})
    assert (status, problem["code"]) == (409, "insufficient_stock")
    assert (problem["sku"], problem["storeId"], problem["requested"], problem["available"]) == ("MUG", "CD1", 4, 3)
    assert "product_id" not in problem
    assert Reservation.objects.count() == 0


def test_a_basket_happens_once_per_key(basket: Caller) -> None:
    once = {"Idempotency-Key": "basket-1"}
    first = basket.post("/v1/reservations", {"lines": LINES}, **once)
    again = basket.post("/v1/reservations", {"lines": LINES}, **once)
    assert (again[0], again[1]) == (201, first[1])
    assert again[2]["Idempotency-Replayed"] == "true"
    assert basket.post("/v1/reservations", {"lines": LINES[:1]}, **once)[1]["code"] == "idempotency_key_reused"
    assert Reservation.objects.count() == 2


@pytest.mark.parametrize(
    ("lines", "status", "code", "facts"),
    [
        ([], 422, "validation_failed", {}),
        (LINES[:1] * 101, 422, "validation_failed", {}),
        ([{"sku": "MUG", "storeId": "CD1", "qty": 0}], 422, "validation_failed", {}),
        ([{"sku": "MUG", "storeId": "CD1"}], 422, "validation_failed", {}),
        ("MUG", 422, "validation_failed", {}),
        ([*LINES, {"sku": "NOPE", "storeId": "S1", "qty": 1}], 404, "unknown_sku", {"sku": "NOPE"}),
        ([*LINES, {"sku": "MUG", "storeId": "NOPE", "qty": 1}], 404, "unknown_store", {"storeId": "NOPE"}),
        ([{"sku": "MUG", "storeId": "CD1", "qty": 1_000_000_000}] * 5, 409, "insufficient_stock", {"sku": "MUG"}),
    ],
)
def test_a_bad_basket_is_explained_and_nothing_moves(
    basket: Caller, lines: Any, status: int, code: str, facts: dict[str, Any]
) -> None:
    before = Movement.objects.count()
    answered, problem, _ = basket.post("/v1/reservations", {"lines": lines})
    assert (answered, problem["code"]) == (status, code)
    assert problem.items() >= facts.items()
    assert Movement.objects.count() == before


# --- movements ----------------------------------------------------------------------------------------------------


def test_movements_explain_a_number(shop: Shop, reader: Caller) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    shop.move(Movement.Kind.SALE, 4)
    shop.receive(shop.mug, shop.store, 1)
    rows = walk(reader, "/v1/stores/S1/stock/SHIRT/movements?limit=1")
    shown = [(row["kind"], row["onHandDelta"], row["onHand"], row["version"]) for row in rows]
    assert shown == [("SALE", -4, 6, 2), ("RECEIPT", 10, 10, 1)]
    assert rows[0]["actor"] == "test"
    sales = walk(reader, "/v1/stores/S1/stock/SHIRT/movements?kind=SALE")
    assert [row["kind"] for row in sales] == ["SALE"]
    assert reader.get("/v1/stores/S1/stock/SHIRT/movements?kind=GIFT")[0] == 422


def test_every_kind_of_movement_can_be_asked_for() -> None:
    assert set(get_args(history.Kind)) == set(Movement.Kind.values)


@pytest.mark.django_db(transaction=True)
def test_movements_of_all_are_followed_without_a_gap() -> None:
    shop = open_shop()
    reader = Caller(shop, *READING)
    shop.receive(shop.shirt, shop.store, 10)
    shop.receive(shop.mug, shop.depot, 5)
    _, first = reader.get("/v1/stock/movements?limit=1")
    assert [row["sku"] for row in first["items"]] == ["MUG"]
    assert [row["sku"] for row in walk(reader, "/v1/stock/movements?limit=1")] == ["MUG", "SHIRT"]
    shop.move(Movement.Kind.SALE, 1)
    shop.move(Movement.Kind.LOSS, 1)
    assert [row["kind"] for row in walk(reader, first["prev"], "prev")] == ["SALE", "LOSS"]
    assert [row["kind"] for row in walk(reader, "/v1/stock/movements?sku=SHIRT&kind=RECEIPT")] == ["RECEIPT"]


@pytest.mark.django_db(transaction=True)
def test_a_movement_that_commits_late_is_not_missed_by_who_follows() -> None:
    """The ids are drawn before the commit; another tenant's traffic in between changes nothing."""
    shop, other = open_shop(), open_shop("charlie")
    reader = Caller(shop, *READING)
    shop.receive(shop.shirt, shop.store, 10)
    _, first = reader.get("/v1/stock/movements")
    is_written, may_commit = threading.Event(), threading.Event()

    def slowly() -> None:
        with transaction.atomic():
            shop.move(Movement.Kind.SALE, 1)
            is_written.set()
            may_commit.wait(10)
        connection.close()

    thread = threading.Thread(target=slowly)
    thread.start()
    try:
        assert is_written.wait(10)
        other.receive(other.shirt, other.store, 1)
        shop.receive(shop.mug, shop.store, 1)
        _, meanwhile = reader.get(first["prev"])
        assert meanwhile["items"] == []  # the fast one waits: something older may still come
    finally:
        may_commit.set()
        thread.join()
    assert [row["sku"] for row in walk(reader, meanwhile["prev"], "prev")] == ["SHIRT", "MUG"]
    assert [row["sku"] for row in walk(reader, "/v1/stock/movements?limit=1")] == ["MUG", "SHIRT", "SHIRT"]


@pytest.mark.django_db(transaction=True)
def test_movements_of_a_document() -> None:
    shop = open_shop()
    reader = Caller(shop, *READING)
    shop.receive(shop.shirt, shop.store, 10)
    shop.move(Movement.Kind.TRANSFER_OUT, 3, transfer_code="T1", other_location_id=shop.depot.pk)
    shop.move(Movement.Kind.TRANSFER_IN, 3, transfer_code="T1", location=shop.depot, other_location_id=shop.store.pk)
    url = "/v1/stock/movements?referenceType=transfer&limit=1"
    for rows in (walk(reader, f"{url}&referenceId=T1"), walk(reader, url)):
        assert [row["kind"] for row in rows] == ["TRANSFER_IN", "TRANSFER_OUT"]


# --- oversells ----------------------------------------------------------------------------------------------------


def test_oversells_are_listed_while_they_last_and_after(shop: Shop, reader: Caller) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    reserve(shop, 4)
    shop.move(Movement.Kind.SALE, 3)
    [row] = walk(reader, "/v1/oversells?open=true")
    assert (row["sku"], row["unitsShort"], row["unitsShortNow"], row["openedVersion"]) == ("SHIRT", 2, 2, 6)
    shop.receive(shop.shirt, shop.store, 1)
    assert walk(reader, "/v1/oversells?open=true")[0]["unitsShortNow"] == 1
    shop.receive(shop.shirt, shop.store, 1)
    assert walk(reader, "/v1/oversells?open=true") == []
    [row] = walk(reader, "/v1/oversells?open=false&sku=SHIRT&storeId=S1")
    assert (row["unitsShort"], row["unitsShortNow"], row["closedVersion"]) == (2, 0, 8)
    assert walk(reader, "/v1/oversells") == [row]


def test_a_list_costs_a_few_queries_however_long(
    shop: Shop, reader: Caller, django_assert_max_num_queries: Any
) -> None:
    shop.receive(shop.shirt, shop.store, 100)
    reserve(shop, 20)
    reader.get("/v1/reservations")
    for url in LISTS:
        with django_assert_max_num_queries(3), connection.cursor():
            assert reader.get(url)[0] == 200
