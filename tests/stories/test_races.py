"""Workers that are slow, late or wrong, accounts in trouble: each of these once made a wrong number or lost an order.

The road is the real one; a test only decides when somebody is slow.
"""

import json
import threading
import time
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from apps.connectors import credentials, importing
from apps.connectors.channel import open_channel
from apps.connectors.connecting import connect
from apps.connectors.importing import import_listings
from apps.connectors.models import Connector, Listing
from apps.events import inbox
from apps.events.models import IntegrationEvent
from apps.events.reprocess import reprocess
from apps.inventory.models import Location
from apps.orders import reading
from apps.orders.models import Order
from apps.sandbox.server import Sandbox
from apps.sync import push, queue, telling
from apps.sync.models import SyncLog
from tests.market import Market, let_time_pass, open_market, orders_of, work_until_quiet


def _read_slowly(market: Market) -> tuple[inbox.Claim, Connector, reading.Reading]:
    """Claim the due event and read its order; the caller decides when to go on."""
    claim = inbox.claim_due()
    assert claim is not None
    connector = Connector.objects.select_related("tenant").get(pk=claim.connector_id)
    channel = open_channel(connector.kind, credentials.ConnectorTokens(connector.pk))
    return claim, connector, reading.read(channel, connector, claim.external_id)


def test_a_slow_worker_with_an_old_paid_order_does_not_undo_its_cancellation(market: Market) -> None:
    order_id = market.sell("SHIRT", 3)
    market.control.wait_until_notified()
    claim, connector, paid = _read_slowly(market)
    market.control.cancel(int(order_id))
    market.control.wait_until_notified()
    assert inbox.process_next()  # another worker reads "cancelled" first
    inbox._take_in(claim, connector, paid)
    work_until_quiet()
    assert [order.status for order in orders_of(market)] == ["CANCELADO"]
    assert (market.numbers("SHIRT"), market.shown("SHIRT")) == ((10, 0), 10)


def test_goods_that_were_shipped_do_not_come_back_by_a_cancellation(market: Market) -> None:
    order_id = int(market.sell("SHIRT", 3))
    market.settle()
    market.control.edit_order(order_id, shipment_status="shipped")
    market.control.cancel(order_id)
    market.settle()
    assert Order.objects.get().status == "CANCELADO"
    assert (market.numbers("SHIRT"), market.shown("SHIRT")) == ((7, 0), 7)


def test_the_first_sale_after_an_import_does_not_zero_the_listing(market: Market) -> None:
    [item] = market.control.create_items(market.seller_id, [{"seller_sku": "HAT", "available_quantity": 50}])
    import_listings(market.connector, create_products=True)
    market.control.sell(item, 1)
    market.settle()
    queue.sweep()
    work_until_quiet()
    assert market.numbers("HAT") == (0, 1)
    assert market.control.item(item)["available_quantity"] == 49
    market.receive("HAT", 20)
    work_until_quiet()
    assert market.control.item(item)["available_quantity"] == 19


def test_an_order_whose_channel_is_down_for_an_hour_still_arrives(market: Market) -> None:
    market.control.faults({"path": "^/orders/", "action": "status", "status": 503})
    market.sell("SHIRT")
    market.settle()
    for _ in range(6):
        let_time_pass()
        work_until_quiet()
    event = IntegrationEvent.objects.get(topic="orders_v2")
    assert (event.status, event.error_code) == ("ERRO", "server_error")  # a person sees it
    assert event.next_attempt_at is not None  # and it goes on
    market.control.clear_faults()
    let_time_pass()
    work_until_quiet()
    assert market.numbers("SHIRT") == (10, 1)


def test_a_new_notification_has_its_own_tries(market: Market) -> None:
    market.control.faults({"path": "^/orders/", "action": "status", "status": 503})
    order_id = int(market.sell("SHIRT"))
    market.settle()
    for _ in range(4):
        let_time_pass()
        work_until_quiet()
    market.control.notify(order_id)
    market.control.wait_until_notified()
    let_time_pass()
    work_until_quiet()
    states = IntegrationEvent.objects.filter(topic="orders_v2").order_by("pk").values_list("status", "attempts")
    assert list(states) == [("ERRO", 6), ("NOVA_TENTATIVA", 1)]


def test_an_unknown_listing_of_the_channels_warehouse_takes_nothing_from_ours(market: Market) -> None:
    [item] = market.control.create_items(
        market.seller_id, [{"seller_sku": "FULL", "available_quantity": 9, "logistic_type": "fulfillment"}]
    )
    market.control.sell(item, 2)
    market.settle()
    listing = Listing.objects.get(item_id=item)
    assert listing.logistic_type == "fulfillment"
    Listing.objects.filter(pk=listing.pk).update(product=market.product("MUG"))
    work_until_quiet()
    assert len(orders_of(market)) == 1
    assert market.numbers("MUG") == (10, 0)


def test_a_listing_that_moves_to_the_channels_warehouse_leaves_its_old_orders_right(market: Market) -> None:
    market.sell("SHIRT", 2)
    market.settle()
    market.control.edit_item(market.listing("SHIRT").item_id, logistic_type="fulfillment")
    import_listings(market.connector)
    assert market.listing("SHIRT").logistic_type == "fulfillment"  # the proof afterwards must hold all the same


def test_an_old_number_that_arrives_last_does_not_stay(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    send, sent = telling.send, []

    def held_up(begun: telling.Telling) -> object:
        sent.append(begun.made_of.number)
        if len(sent) == 1:  # longer than the lease: another worker tells a newer number meanwhile
            Listing.objects.filter(pk=begun.listing.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
            market.receive("SHIRT", 50)
            work_until_quiet()
        return send(begun)

    market.receive("SHIRT", 1)
    monkeypatch.setattr(telling, "send", held_up)
    work_until_quiet()
    assert sent[:2] == [11, 61]
    assert (market.shown("SHIRT"), market.listing("SHIRT").accepted_quantity) == (61, 61)


def test_an_account_whose_secrets_do_not_open_stops_alone(
    market: Market, sandbox: Sandbox, live_server: object
) -> None:
    other = open_market(sandbox.control, live_server.url, slug="bob")
    Connector.objects.filter(pk=market.connector.pk).update(access_token_enc="sealed with a key we dropped")
    market.receive("SHIRT", 1)
    other.receive("SHIRT", 1)
    work_until_quiet()
    assert other.shown("SHIRT") == 11
    stopped = Connector.objects.get(pk=market.connector.pk)
    assert (stopped.status, "FIELD_ENCRYPTION_KEYS" in stopped.status_reason) == ("REAUTORIZAR", True)


def test_a_defect_of_ours_on_one_listing_holds_up_no_other(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    send = telling.send

    def breaks_on_shirts(begun: telling.Telling) -> object:
        if begun.listing.seller_sku == "SHIRT":
            raise ZeroDivisionError
        return send(begun)

    monkeypatch.setattr(telling, "send", breaks_on_shirts)
    market.receive("SHIRT", 1)
    market.receive("MUG", 1)
    work_until_quiet()
    assert market.shown("MUG") == 11
    assert (market.listing("SHIRT").last_error_code, market.listing("SHIRT").sync_state) == ("internal_error", "ERROR")
    assert not SyncLog.objects.filter(status="PENDING").exists()
    monkeypatch.undo()
    let_time_pass()
    work_until_quiet()
    assert market.shown("SHIRT") == 11


def test_a_token_refresh_does_not_hold_up_the_front_door(market: Market) -> None:
    is_held, may_end = threading.Event(), threading.Event()

    def refresh_slowly() -> None:
        with transaction.atomic():
            Connector.objects.select_for_update(no_key=True).get(pk=market.connector.pk)  # as `_refresh` does
            is_held.set()
            may_end.wait(10)
        connections.close_all()

    refresh = threading.Thread(target=refresh_slowly)
    refresh.start()
    is_held.wait(10)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '1s'")
        inbox.store(market.connector, b"{}")
        cursor.execute("RESET lock_timeout")
    may_end.set()
    refresh.join()


def test_an_account_that_needs_authorisation_is_put_to_work_again(market: Market) -> None:
    market.control.kill_token(market.seller_id, "grant")
    market.receive("SHIRT", 1)
    work_until_quiet()
    assert Connector.objects.get().status == "REAUTORIZAR"
    connect(
        market.tenant,
        kind="ML",
        client_id=market.connector.client_id,
        client_secret=market.control.state()["applications"][0]["client_secret"],
        refresh_token=market.control.grant(market.seller_id)["refresh_token"],
    )
    let_time_pass()
    work_until_quiet()
    assert Connector.objects.get().status == "ATIVO"
    assert market.shown("SHIRT") == 11


def test_a_closed_order_does_not_stop_its_account(market: Market) -> None:
    market.control.faults({"action": "status", "path": "^/orders/999$", "status": 401})
    notice = {
        "resource": "/orders/999",
        "topic": "orders_v2",
        "user_id": market.seller_id,
        "application_id": int(market.connector.client_id),
    }
    inbox.store(market.connector, json.dumps(notice).encode())
    work_until_quiet()
    assert IntegrationEvent.objects.get(external_id="999").error_code == "forbidden"
    assert Connector.objects.get().status == "ATIVO"


def test_a_hiccup_of_seconds_costs_seconds(market: Market) -> None:
    market.control.faults({"method": "PUT", "path": "^/items/", "action": "status", "status": 503})
    market.receive("SHIRT", 1)
    work_until_quiet()
    for _ in range(2):
        let_time_pass()
        work_until_quiet()
    listing = market.listing("SHIRT")
    assert (listing.sync_state, listing.attempts) == ("ERROR", 3)
    assert listing.due_at - timezone.now() < timedelta(seconds=12)


def test_an_order_with_odd_values_is_taken_in(market: Market) -> None:
    order_id = int(market.sell("SHIRT"))
    odd = market.control.order(order_id) | {"currency_id": "BRLX" * 30, "status_detail": "x" * 5000}
    market.control.faults({"action": "status", "path": f"/orders/{order_id}", "status": 200, "body": odd})
    market.settle()
    assert market.numbers("SHIRT") == (10, 1)


def test_an_import_does_not_undo_what_a_person_maps_meanwhile(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    [item] = market.control.create_items(market.seller_id, [{"seller_sku": "NOPE", "available_quantity": 7}])
    import_listings(market.connector)
    describe = importing._describe

    def mapped_meanwhile(listing: Listing, row: object) -> None:
        Listing.objects.filter(item_id=item).update(product=market.product("MUG"))
        describe(listing, row)

    monkeypatch.setattr(importing, "_describe", mapped_meanwhile)
    import_listings(market.connector)
    assert Listing.objects.get(item_id=item).product == market.product("MUG")


def test_a_late_worker_does_not_settle_what_was_reprocessed(market: Market) -> None:
    market.sell("SHIRT")
    market.control.wait_until_notified()
    late = inbox.claim_due()
    reprocess(IntegrationEvent.objects.filter(topic="orders_v2"), actor="test")
    assert inbox.claim_due() is not None
    inbox._set_aside(late, "late", "speaks of the past")
    assert IntegrationEvent.objects.get(topic="orders_v2").status == "RECEBIDO"


def test_an_event_that_kills_its_workers_is_set_aside(market: Market) -> None:
    market.sell("SHIRT")
    market.control.wait_until_notified()
    IntegrationEvent.objects.exclude(topic="orders_v2").update(next_attempt_at=None, status="IGNORADO")
    for _ in range(inbox.INTERRUPTIONS_MAX):
        assert inbox.claim_due() is not None  # and dies
        let_time_pass()
    assert inbox.claim_due().interruptions == inbox.INTERRUPTIONS_MAX
    let_time_pass()
    work_until_quiet()
    event = IntegrationEvent.objects.get(topic="orders_v2")
    assert (event.status, event.error_code, event.next_attempt_at) == ("ERRO", "worker_died", None)


def test_each_listing_is_told_at_most_once_at_a_time(market: Market) -> None:
    """Four workers, a slow channel, stock that keeps moving: calls for one listing never overlap (I7)."""
    market.control.faults({"method": "PUT", "path": "^/items/", "action": "delay", "delay_ms": 60})
    stop_at = time.monotonic() + 3

    def work() -> None:
        while time.monotonic() < stop_at:
            queue.follow()
            push.push_next(calls_max=4)
        connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for _ in range(20):
        market.receive("SHIRT", 1)
        time.sleep(0.1)
    for worker in workers:
        worker.join()
    work_until_quiet()
    logs = SyncLog.objects.filter(product__sku="SHIRT", new_value__gt=10).order_by("pk")
    overlaps = [(a.pk, b.pk) for a, b in pairwise(logs) if b.timestamp < a.finished_at]
    assert overlaps == []
    assert (market.shown("SHIRT"), market.numbers("SHIRT")) == (30, (30, 0))
    assert Location.objects.count() == 1
