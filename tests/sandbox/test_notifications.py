"""Telling the hub: form, eight tries, 500 ms, missed_feeds, and the ways to disturb it (contract §2)."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from apps.sandbox.notifications import SENDERS_PER_APPLICATION

from .conftest import Hub, Shop


@pytest.fixture
def shop(box, hub) -> Shop:
    """A shop whose application has the hub's address; all eight tries within a fifth of a second."""
    box.control.notifications(retry_seconds=0.2)
    return Shop(box, notification_url=hub.url)


def test_a_sale_tells_of_order_item_and_stock(shop, hub) -> None:
    item_id = shop.item()
    product = shop.get(f"/items/{item_id}").json["user_product_id"]
    sale = shop.control.sell(item_id)
    shop.control.wait_until_notified()
    told = {
        (one["topic"].rstrip("s") if "stock" in one["topic"] else one["topic"], one["resource"]) for one in hub.received
    }
    assert told == {
        ("orders_v2", f"/orders/{sale['order_id']}"),
        ("items", f"/items/{item_id}"),
        ("stock-location", f"/user-products/{product}/stock"),
    }
    one = hub.received[0]
    assert (one["user_id"], one["application_id"]) == (shop.user_id, int(shop.application["client_id"]))
    assert one["attempts"] == 1
    assert one["sent"].endswith("Z")
    assert one["received"].endswith("Z")


def test_our_own_put_comes_back_as_a_notification(shop, hub) -> None:
    item_id = shop.item()
    shop.put(f"/items/{item_id}", {"available_quantity": 3})
    shop.control.wait_until_notified()
    assert [one["resource"] for one in hub.of("items")] == [f"/items/{item_id}"]


def test_some_come_without_an_id_and_some_with_the_other_spelling(shop, hub) -> None:
    item_id = shop.item(available_quantity=50)
    for number in range(12):
        shop.control.edit_item(item_id, available_quantity=number + 1)
    shop.control.wait_until_notified()
    assert {"_id" in one for one in hub.received} == {True, False}
    assert {one["topic"] for one in hub.received} == {"items", "stock-locations", "stock-location"}


def test_a_refused_one_is_tried_eight_times_then_missed(shop, hub) -> None:
    hub.answer = 201
    sale = shop.control.sell(shop.item())
    shop.control.wait_until_notified()
    orders = hub.of("orders_v2")
    assert [one["attempts"] for one in orders] == list(range(1, 9))
    assert len({one.get("_id") for one in orders}) == 1
    path = f"/missed_feeds?app_id={shop.application['client_id']}&topic=orders_v2"
    rows = shop.get(path).json["messages"]
    assert [(row["resource"], row["attempts"]) for row in rows] == [(f"/orders/{sale['order_id']}", 8)]
    assert (rows[0]["response"]["http_code"], rows[0]["request"]["url"]) == (201, hub.url)
    assert shop.get(path).json["messages"] == rows
    assert shop.get(path.replace("orders_v2", "items")).status == 400
    assert len(shop.get(path.replace("orders_v2", "items") + "&site_id=MLB").json["messages"]) == 1
    assert shop.get("/missed_feeds?app_id=1").status == 403
    for doc in shop.box.market.state.tables["missed"].values():
        doc["at"] -= 2 * 86400 + 1
    assert shop.get(path).json["messages"] == []


def test_it_stops_trying_once_the_hub_accepts(shop, hub) -> None:
    hub.answer = 500
    shop.control.notifications(retry_seconds=2)
    shop.control.sell(shop.item())
    while len(hub.received) < 4:
        time.sleep(0.01)
    hub.answer = 200
    shop.control.wait_until_notified()
    assert max(one["attempts"] for one in hub.received) < 8
    assert shop.control.state()["counts"]["notifications_missed"] == 0


def test_an_answer_after_half_a_second_is_none(shop, hub) -> None:
    hub.wait_seconds = 0.7
    shop.control.application(client_id=shop.application["client_id"], topics=["orders_v2"])
    shop.control.sell(shop.item())
    while len(hub.received) < 2:
        time.sleep(0.02)
    assert [one["attempts"] for one in hub.received[:2]] == [1, 2]
    log = shop.control.notifications()["log"]
    assert (log[0]["status"], log[0]["accepted"]) == (0, False)
    assert log[0]["milliseconds"] > 450


def test_a_slow_hub_does_not_keep_the_others_waiting(shop, box, hub) -> None:
    slow_hub = Hub()
    slow_hub.wait_seconds = 0.4
    slow = box.control.application(notification_url=slow_hub.url)
    busy = box.control.account(client_id=slow["client_id"])
    for item_id in box.control.create_many(busy["user_id"], 160):
        box.control.edit_item(item_id, available_quantity=1)
    item_id = shop.item()
    began = time.monotonic()
    shop.control.edit_item(item_id, available_quantity=1)
    while not hub.received:
        time.sleep(0.01)
    # 320 notifications of 0.4 s by all the senders would take 8 s.
    assert time.monotonic() - began < 4
    while slow_hub.busiest < SENDERS_PER_APPLICATION:
        time.sleep(0.01)
    time.sleep(0.5)
    assert slow_hub.busiest == SENDERS_PER_APPLICATION
    box.market.notifier.stop()
    slow_hub.stop()


def test_copies_are_identical_or_of_their_own(shop, hub) -> None:
    shop.control.notifications(duplicate=5)
    shop.control.application(client_id=shop.application["client_id"], topics=["orders_v2"])
    item_id = shop.item()
    for _ in range(2):
        shop.control.sell(item_id)
    shop.control.wait_until_notified()
    assert len(hub.received) == 10
    first = [one for one in hub.received if one["resource"] == hub.received[0]["resource"]]
    assert len(first) == 5
    assert len({one.get("_id") for one in first}) in (1, 3)


def test_dropped_ones_are_gone_or_missed(shop, hub) -> None:
    shop.control.notifications(drop_percent=100)
    item_id = shop.item()
    shop.control.sell(item_id)
    shop.control.notifications(drop_to_missed_feeds=True)
    sale = shop.control.sell(item_id)
    path = f"/missed_feeds?app_id={shop.application['client_id']}&topic=orders_v2"
    assert [row["resource"] for row in shop.get(path).json["messages"]] == [f"/orders/{sale['order_id']}"]
    assert hub.received == []


def test_switched_off_shuffled_delayed_and_silent(shop, hub) -> None:
    item_id = shop.item(available_quantity=90)
    shop.control.notifications(enabled=False)
    shop.control.sell(item_id)
    shop.control.notifications(enabled=True)
    shop.control.sell(item_id, notify=False)
    shop.control.wait_until_notified()
    assert hub.received == []
    shop.control.application(client_id=shop.application["client_id"], topics=["orders_v2"])
    shop.control.notifications(shuffle=True, shuffle_ms=200)
    ids = [shop.control.sell(item_id)["order_id"] for _ in range(20)]
    shop.control.wait_until_notified()
    told = [int(one["resource"].split("/")[2]) for one in hub.received]
    assert sorted(told) == ids
    assert told != ids
    shop.control.notifications(shuffle=False, delay_ms=150)
    began = time.monotonic()
    shop.control.notify(ids[0], times=3)
    shop.control.wait_until_notified()
    assert len(hub.received) == 23
    assert time.monotonic() - began >= 0.15


def test_a_revoked_grant_ends_notifications(shop, hub) -> None:
    item_id = shop.item()
    shop.control.kill_token(shop.user_id, "grant")
    shop.control.sell(item_id)
    shop.control.wait_until_notified()
    assert hub.received == []


def test_a_clock_set_ahead_makes_every_try_at_once(shop, hub) -> None:
    hub.answer = 500
    shop.control.notifications(retry_seconds=3600)
    shop.control.clock(-7200)
    shop.control.application(client_id=shop.application["client_id"], topics=["orders_v2"])
    sale = shop.control.sell(shop.item())
    shop.control.wait_until_notified(which="due")
    assert [one["attempts"] for one in hub.received] == [1]
    sent = datetime.fromisoformat(hub.received[0]["sent"])
    assert timedelta(hours=1.9) < datetime.now(UTC) - sent < timedelta(hours=2.1)
    shop.control.clock(-5400)
    shop.control.wait_until_notified(which="due")
    assert 2 < len(hub.received) < 8
    shop.control.clock(0)
    shop.control.wait_until_notified()
    path = f"/missed_feeds?app_id={shop.application['client_id']}"
    assert [row["resource"] for row in shop.get(path).json["messages"]] == [f"/orders/{sale['order_id']}"]
    shop.control.clock(2 * 86400 + 60)
    shop.renew()
    assert shop.get(path).json["messages"] == []


def test_a_topic_that_is_given_up_too_often_is_switched_off_without_a_word(shop, hub) -> None:
    shop.control.notifications(disable_topic_after=2)
    shop.control.application(client_id=shop.application["client_id"], topics=["orders_v2", "shipments"])
    hub.answer = 500
    item_id = shop.item(available_quantity=20)
    for _ in range(2):
        shop.control.sell(item_id)
        shop.control.wait_until_notified()
    [application] = shop.control.state()["applications"]
    assert application["topics"] == ["shipments"]
    hub.answer = 200
    hub.received.clear()
    shop.control.sell(item_id)
    shop.control.wait_until_notified()
    assert hub.of("orders_v2") == []
    path = f"/missed_feeds?app_id={shop.application['client_id']}&topic=orders_v2"
    assert len(shop.get(path).json["messages"]) == 2


def test_one_that_arrives_forgives_those_given_up_before(shop, hub) -> None:
    shop.control.notifications(disable_topic_after=2)
    shop.control.application(client_id=shop.application["client_id"], topics=["orders_v2"])
    item_id = shop.item(available_quantity=20)
    for hub.answer in (500, 200, 500):
        shop.control.sell(item_id)
        shop.control.wait_until_notified()
    [application] = shop.control.state()["applications"]
    assert application["topics"] == ["orders_v2"]
