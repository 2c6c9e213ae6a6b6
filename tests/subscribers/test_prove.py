"""`prove` finds what is lost, out of order or stuck, and names the rows."""

import pytest
from django.db import connection

from apps.subscribers import subscribing
from apps.subscribers.models import Subscriber
from apps.subscribers.prove import RULES, prove

from .conftest import Receiver, Shop, follow, tell

CORRUPTIONS = {
    "no movement that a subscriber wants is without a delivery": (
        "DELETE FROM subscriber_attempts;"
        "DELETE FROM subscriber_deliveries WHERE id = (SELECT min(id) FROM subscriber_deliveries)"
    ),
    "in a lane nothing was delivered before something older": (
        "UPDATE subscriber_deliveries SET status = 'PENDING' WHERE id = (SELECT min(id) FROM subscriber_deliveries)"
    ),
    "the events of a balance are queued in the order of its versions": (
        "UPDATE subscriber_deliveries d SET movement_id = swapped.movement_id, movement_recorded_at = swapped.moment"
        " FROM (SELECT id, lead(movement_id) OVER w AS movement_id, lead(movement_recorded_at) OVER w AS moment"
        "       FROM subscriber_deliveries WINDOW w AS (ORDER BY id)) AS swapped"
        " WHERE swapped.id = d.id AND d.id = (SELECT min(id) FROM subscriber_deliveries);"
    ),
    "a lane with something pending has its time": "UPDATE subscriber_deliveries SET status = 'PENDING'",
    "no lane is held long past its lease": (
        "UPDATE subscriber_lanes SET lease_id = gen_random_uuid(), due_at = now() - interval '1 hour'"
    ),
    "a subscriber's cursor is not ahead of the room's": (
        "UPDATE subscribers SET status = 'PAUSED', cursor_transaction_id = 9e17, cursor_movement_id = 1"
    ),
    "a replay that runs has a subscriber that stands behind": (
        "INSERT INTO subscriber_replays"
        " (id, subscriber_id, since, status, queued, return_transaction_id, return_movement_id)"
        " SELECT gen_random_uuid(), id, now(), 'RUNNING', 0, 0, 0 FROM subscribers"
    ),
    "a subscriber that was disabled has an alert": (
        "UPDATE subscribers SET status = 'DISABLED', cursor_transaction_id = 0, cursor_movement_id = 0"
    ),
}


@pytest.fixture
def told(shop: Shop, receiver: Receiver) -> Subscriber:
    subscriber, _ = shop.subscribe(receiver.url)
    shop.receive(shop.shirt)
    shop.receive(shop.shirt)
    tell()
    return subscriber


def test_an_honest_room_is_proven(told: Subscriber) -> None:
    assert prove() == []


def test_every_rule_has_its_corruption() -> None:
    assert set(CORRUPTIONS) == set(RULES)


@pytest.mark.corrupts
@pytest.mark.parametrize("rule", CORRUPTIONS)
def test_a_corruption_is_found_and_its_row_named(told: Subscriber, rule: str) -> None:
    with connection.cursor() as cursor:
        if "swapped" in CORRUPTIONS[rule]:
            cursor.execute("DROP INDEX delivery_once_per_movement_and_replay")
        cursor.execute(CORRUPTIONS[rule])
    found = {finding.rule: finding for finding in prove()}
    assert rule in found
    if "swapped" in CORRUPTIONS[rule]:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM subscriber_attempts; DELETE FROM subscriber_deliveries")
            cursor.execute(
                "CREATE UNIQUE INDEX delivery_once_per_movement_and_replay ON subscriber_deliveries"
                " (subscriber_id, movement_id, replay_id) NULLS NOT DISTINCT WHERE movement_id IS NOT NULL"
            )


def test_what_a_filter_leaves_out_is_not_missed(shop: Shop, receiver: Receiver) -> None:
    subscriber, _ = shop.subscribe(receiver.url, event_types=["inventory.reserve.*"])
    shop.receive(shop.shirt)
    follow()
    assert prove() == []
    subscribing.change(subscriber, event_types=["inventory.*"])
    assert prove() == []
