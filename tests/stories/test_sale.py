"""The road of a sale, told as stories. Numbers after every step."""

import os
import random

import pytest

from apps.connectors.models import Connector, Listing
from apps.events.models import IdempotencyKey, IntegrationEvent
from apps.events.reprocess import reprocess
from apps.inventory.models import Balance, Reservation
from apps.orders.models import Order
from apps.sandbox.server import Sandbox
from apps.sync import queue
from apps.sync.models import SyncLog
from tests.market import Market, event_states, let_time_pass, open_market, orders_of, work_until_quiet

SALES = int(os.environ.get("SALDO_SALES", "200"))


def test_a_sale_travels_the_whole_way(market: Market) -> None:
    order_id = market.sell("SHIRT", 3)
    market.settle()
    [order] = orders_of(market)
    assert (order.external_id, order.status, order.channel_status) == (order_id, "RECEBIDO", "paid")
    [item] = order.items.all()
    assert (item.product.sku, item.quantity) == ("SHIRT", 3)
    assert market.numbers("SHIRT") == (10, 3)
    assert market.shown("SHIRT") == 7
    log = SyncLog.objects.filter(product__sku="SHIRT").latest("pk")
    assert (log.status, log.new_value, log.http_status, log.attempt) == ("SUCCESS", 7, 200, 1)
    event = IntegrationEvent.objects.get(topic="orders_v2", status="PROCESSADO")
    assert log.trace_id == event.trace_id  # one thread from the notification to the number


def test_the_hubs_number_wins_over_the_marketplaces_own(market: Market) -> None:
    """Other units of the SKU were sold elsewhere: what is shown after the sale is the hub's number, not 10 - 1."""
    market.receive("SHIRT", 5)
    market.sell("SHIRT")
    market.settle()
    assert market.shown("SHIRT") == 14


def test_a_cancelled_sale_gives_its_units_back(market: Market) -> None:
    order_id = market.sell("SHIRT", 4)
    market.settle()
    assert market.shown("SHIRT") == 6
    market.control.cancel(int(order_id))
    market.settle()
    [order] = orders_of(market)
    assert order.status == "CANCELADO"
    assert market.numbers("SHIRT") == (10, 0)
    assert market.shown("SHIRT") == 10
    assert [r.status for r in Reservation.objects.all()] == ["RELEASED"]


def test_an_unpaid_order_takes_nothing(market: Market) -> None:
    order_id = market.sell("SHIRT", 1, status="payment_in_process")
    market.settle()
    assert orders_of(market) == []
    assert market.numbers("SHIRT") == (10, 0)
    market.control.edit_order(int(order_id), status="paid")
    market.settle()
    assert market.numbers("SHIRT") == (10, 1)


def test_a_sale_of_a_variation_lowers_only_that_variation(transactional_db, live_server, sandbox) -> None:
    variations = [
        {"seller_sku": f"CUP-{colour}", "available_quantity": 10, "attribute_combinations": []} for colour in "AB"
    ]
    market = open_market(
        sandbox.control,
        live_server.url,
        items=[{"title": "Caneca", "available_quantity": 20, "variations": variations}],
    )
    market.sell("CUP-A", 2)
    market.settle()
    assert (market.shown("CUP-A"), market.shown("CUP-B")) == (8, 10)
    assert (market.numbers("CUP-A"), market.numbers("CUP-B")) == ((10, 2), (10, 0))


def test_the_same_content_again_is_a_duplicate_with_no_effect(market: Market) -> None:
    order_id = market.sell("SHIRT")
    market.settle()
    market.control.notify(int(order_id), 4)
    market.settle()
    assert event_states(market) == {"PROCESSADO": 1, "DUPLICADO": 4}
    assert market.numbers("SHIRT") == (10, 1)
    assert IdempotencyKey.objects.count() == 1


def test_a_sale_the_stock_cannot_cover_is_taken_in_and_shown(market: Market) -> None:
    """The sale was made: it is never refused, the balance says that it is oversold, and the marketplace shows zero."""
    market.sell("SHIRT", 12, force=True)
    market.settle()
    assert market.numbers("SHIRT") == (10, 12)
    assert Balance.objects.get(product__sku="SHIRT").oversold_since is not None
    assert market.shown("SHIRT") == 0


def test_an_unknown_item_waits_for_its_mapping_and_is_then_taken_in(market: Market) -> None:
    [item_id] = market.control.create_items(
        market.seller_id, [{"seller_sku": "HAT", "title": "Chapéu", "available_quantity": 5}]
    )
    market.control.sell(item_id, 2)
    market.settle()
    event = IntegrationEvent.objects.get(topic="orders_v2")
    assert (event.status, event.error_code, event.waiting_for) == ("MAPEAMENTO", "mapping_needed", [item_id])
    assert orders_of(market) == []
    listing = Listing.objects.get(item_id=item_id)
    assert (listing.product, listing.title) == (None, "Chapéu")

    listing.product = market.product("MUG")
    listing.save()
    work_until_quiet()
    event.refresh_from_db()
    assert event.status == "PROCESSADO"
    assert market.numbers("MUG") == (10, 2)
    assert market.control.item(item_id)["available_quantity"] == 8


def test_an_order_not_yet_readable_is_tried_again(market: Market) -> None:
    market.sell("SHIRT", visible_after_ms=60_000)
    market.settle()
    event = IntegrationEvent.objects.get(topic="orders_v2")
    assert (event.status, event.error_code) == ("NOVA_TENTATIVA", "order_not_found")
    assert orders_of(market) == []


def test_a_channel_failure_is_tried_again_and_then_shown_to_a_person(market: Market) -> None:
    market.control.faults({"path": "^/orders/", "action": "status", "status": 500})
    market.sell("SHIRT")
    market.settle()
    for _ in range(3):
        let_time_pass()
        work_until_quiet()
    event = IntegrationEvent.objects.get(topic="orders_v2")
    assert (event.status, event.attempts, event.error_code) == ("ERRO", 4, "server_error")
    market.control.clear_faults()
    assert reprocess(IntegrationEvent.objects.filter(pk=event.pk), actor="test") == 1
    work_until_quiet()
    assert market.numbers("SHIRT") == (10, 1)
    event.refresh_from_db()
    assert (event.status, event.reprocess_count) == ("PROCESSADO", 1)


def test_a_push_that_fails_is_tried_again_with_the_number_of_then(market: Market) -> None:
    market.control.faults({"method": "PUT", "path": "^/items/", "action": "status", "status": 500, "times": 1})
    market.sell("SHIRT")
    market.settle()
    listing = market.listing("SHIRT")
    assert (listing.sync_state, listing.last_error_code) == ("RETRY", "server_error")
    market.receive("SHIRT", 1)
    let_time_pass()
    work_until_quiet()
    assert market.shown("SHIRT") == 10
    assert list(SyncLog.objects.filter(listing=listing).order_by("pk").values_list("status", "attempt"))[-2:] == [
        ("ERROR", 1),
        ("SUCCESS", 2),
    ]


def test_an_answer_200_that_changed_nothing_is_an_error(market: Market) -> None:
    market.control.faults({"method": "PUT", "path": "^/items/", "action": "lie"})
    market.receive("SHIRT", 5)
    work_until_quiet()
    listing = market.listing("SHIRT")
    assert (listing.last_error_code, listing.accepted_quantity) == ("ignored_by_channel", 10)
    market.control.clear_faults()
    let_time_pass()
    work_until_quiet()
    assert market.shown("SHIRT") == 15


def test_a_write_that_was_applied_but_not_answered_ends_right(market: Market) -> None:
    market.control.faults({"method": "PUT", "path": "^/items/", "action": "reset_after_applying", "times": 1})
    market.receive("SHIRT", 5)
    work_until_quiet()
    assert market.listing("SHIRT").sync_state == "RETRY"
    let_time_pass()
    work_until_quiet()
    assert (market.shown("SHIRT"), market.listing("SHIRT").accepted_quantity) == (15, 15)


def test_one_closed_listing_does_not_stop_the_others(market: Market) -> None:
    market.control.edit_item(market.listing("MUG").item_id, status="closed")
    market.receive("MUG", 1)
    market.receive("SHIRT", 1)
    work_until_quiet()
    assert (market.listing("MUG").sync_state, market.listing("MUG").last_error_code) == ("ERROR", "item_closed")
    assert market.shown("SHIRT") == 11
    assert Connector.objects.get().status == "ATIVO"


def test_a_revoked_grant_stops_the_account_and_says_so(market: Market) -> None:
    market.control.kill_token(market.seller_id, "grant")
    market.receive("SHIRT", 1)
    market.sell("MUG")
    market.settle()
    connector = Connector.objects.get()
    assert connector.status == "REAUTORIZAR"
    assert connector.status_reason
    calls = len(market.control.journal())
    work_until_quiet()
    assert len(market.control.journal()) == calls  # no storm: a stopped account makes no calls


def test_an_access_token_that_died_early_is_replaced_once(market: Market) -> None:
    market.control.kill_token(market.seller_id, "access")
    market.sell("SHIRT")
    market.settle()
    assert market.shown("SHIRT") == 9
    refreshes = [call for call in market.control.journal() if call["path"] == "/oauth/token"]
    assert len(refreshes) == 2  # when it was connected, and now


def test_the_minute_sweep_heals_a_number_that_was_lost(market: Market) -> None:
    Listing.objects.filter(seller_sku="SHIRT").update(accepted_quantity=3)
    assert queue.sweep() == 1
    work_until_quiet()
    assert market.listing("SHIRT").accepted_quantity == 10
    assert queue.sweep() == 0


def test_nothing_is_said_of_a_product_whose_stock_was_never_told(market: Market, sandbox: Sandbox) -> None:
    """An import must not zero a shop: until the first movement the hub does not know the number."""
    from apps.connectors.importing import import_listings

    market.control.create_items(market.seller_id, [{"seller_sku": "HAT", "available_quantity": 5}])
    import_listings(market.connector, create_products=True)
    assert queue.sweep() == 0
    work_until_quiet()
    assert market.shown("HAT") == 5


@pytest.mark.timeout(600)
def test_many_sales_each_told_five_times_in_any_order(market: Market) -> None:
    """`SALDO_SALES=1000 pytest tests/stories/test_sale.py -k many`: so many orders and reservations, no more."""
    market.control.notifications(enabled=False)
    market.receive("SHIRT", 2 * SALES)
    work_until_quiet()
    orders = [market.sell("SHIRT") for _ in range(SALES)]
    deliveries = orders * 5
    random.Random(7).shuffle(deliveries)
    body = (
        '{"resource": "/orders/%s", "user_id": %d, "topic": "orders_v2", "application_id": %s,'
        ' "attempts": 1, "sent": "2026-11-22T08:00:00.000Z", "received": "2026-11-22T08:00:00.000Z"}'
    )
    from apps.events import inbox

    for order_id in deliveries:
        inbox.store(market.connector, (body % (order_id, market.seller_id, market.connector.client_id)).encode())
    work_until_quiet()
    assert Order.objects.count() == SALES
    assert Reservation.objects.filter(status="PENDING").count() == SALES
    assert event_states(market) == {"PROCESSADO": SALES, "DUPLICADO": 4 * SALES}
    assert market.numbers("SHIRT") == (2 * SALES + 10, SALES)
    assert market.shown("SHIRT") == SALES + 10


@pytest.mark.parametrize("seed", range(5))
def test_sales_and_cancellations_in_any_order_of_arrival_end_the_same(market: Market, seed: int) -> None:
    chance = random.Random(seed)
    orders = [int(market.sell("MUG")) for _ in range(6)]
    for order_id in orders[:3]:
        market.control.cancel(order_id)
    for order_id in chance.sample(orders, k=6):
        market.control.notify(order_id, chance.randint(1, 3))
    market.settle()
    assert market.numbers("MUG") == (10, 3)
    assert market.shown("MUG") == 7
