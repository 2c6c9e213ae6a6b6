"""A drain: one thread takes turns and computes numbers, a crew calls; what moves meanwhile is told without a tick."""

import threading
import time
from collections import Counter

import pytest
from django.conf import LazySettings
from django.db import connection
from pytest_django.live_server_helper import LiveServer
from redis import RedisError

from apps.common import valkey
from apps.connectors.models import Listing
from apps.sandbox.server import Sandbox
from apps.sync import inputs, push, queue, tasks
from apps.sync.models import SyncLog
from tests.market import Market, open_market

SKUS = [f"S{number:02d}" for number in range(30)]


@pytest.fixture
def shelf(transactional_db: None, live_server: LiveServer, sandbox: Sandbox, settings: LazySettings) -> Market:
    """Return an account with thirty listings, told by a crew of four."""
    settings.SYNC_THREADS = 4
    items: list[dict[str, object]] = [{"seller_sku": sku, "title": sku, "available_quantity": 10} for sku in SKUS]
    market = open_market(sandbox.control, live_server.url, items=items)
    market.settle()
    return market


def drain(seconds: float = 30) -> None:
    tasks.drain(time.monotonic() + seconds)


def is_all_told(market: Market) -> bool:
    shown = {sku: market.shown(sku) for sku in SKUS}
    return shown == {sku: market.numbers(sku)[0] for sku in SKUS}


def calls_under_way(market: Market) -> int:
    return int(str(valkey.client().zcard(f"saldo:sync:{market.connector.pk}:calls")))


def test_many_numbers_are_told_at_once_and_each_once(shelf: Market) -> None:
    before = SyncLog.objects.count()
    for number, sku in enumerate(SKUS):
        shelf.receive(sku, number + 1)
    drain()
    assert is_all_told(shelf)
    told = SyncLog.objects.filter(status="SUCCESS").order_by("-pk")[: SyncLog.objects.count() - before]
    assert Counter(row.listing_id for row in told) == dict.fromkeys((shelf.listing(sku).pk for sku in SKUS), 1)
    assert not Listing.objects.filter(lease_id__isnull=False).exists()
    assert calls_under_way(shelf) == 0


def test_what_moves_during_a_drain_is_told_by_it(shelf: Market) -> None:
    shelf.receive("S00", 1)
    drainer = threading.Thread(target=lambda: (drain(), connection.close()))
    drainer.start()
    time.sleep(0.8)  # it has told the first and lingers
    shelf.receive("S01", 1)
    drainer.join()
    assert is_all_told(shelf)


def test_without_anything_to_tell_a_drain_goes_home_at_once(shelf: Market) -> None:
    began = SyncLog.objects.count()
    drain()
    assert SyncLog.objects.count() == began
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("push")]


def test_a_number_that_cannot_be_computed_holds_up_nobody(shelf: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = shelf.listing("S07").pk
    read_many = inputs.read_many

    def fails(listing_ids: list[int]) -> dict[int, inputs.Inputs]:
        if broken in listing_ids:
            raise ZeroDivisionError
        return read_many(listing_ids)

    monkeypatch.setattr(inputs, "read_many", fails)
    for sku in SKUS:
        shelf.receive(sku, 5)
    drain()
    assert {sku: shelf.shown(sku) for sku in SKUS} == {sku: 10 if sku == "S07" else 15 for sku in SKUS}
    assert shelf.listing("S07").last_error_code == "internal_error"


def test_a_drain_that_loses_redis_leaves_no_call_without_its_end(
    shelf: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sku in SKUS:
        shelf.receive(sku, 5)
    next_turns, asked = queue.next_turns, []

    def forgets(at_most: int, calls_max: int) -> object:
        asked.append(at_most)
        if len(asked) == 3:
            raise RedisError("gone")
        return next_turns(at_most, calls_max)

    monkeypatch.setattr(queue, "next_turns", forgets)
    with pytest.raises(RedisError):
        drain()
    assert not SyncLog.objects.filter(status="PENDING").exists()
    assert not Listing.objects.filter(lease_id__isnull=False).exists()
    drain()
    assert is_all_told(shelf)


def test_a_listing_that_another_worker_tells_gives_its_turn_back(shelf: Market) -> None:
    shelf.receive("S00", 1)
    queue.follow()
    taken = queue.next_turns(5, 100)
    assert isinstance(taken, list)
    assert len(push.begin(taken)) == 1
    assert push.begin(taken) == []
    assert calls_under_way(shelf) == 0  # ended, as one that made no call


def test_variations_of_one_item_never_set_each_other_back(
    transactional_db: None, live_server: LiveServer, sandbox: Sandbox, settings: LazySettings
) -> None:
    """A write of one variation repeats the others as just read: two at a time would each undo the other's."""
    settings.SYNC_THREADS = 8
    colours = [f"COR-{number}" for number in range(12)]
    variations = [{"seller_sku": sku, "available_quantity": 10} for sku in colours]
    market = open_market(sandbox.control, live_server.url, items=[{"title": "Caneca", "variations": variations}])
    market.settle()
    for units in (7, 5, 3):
        for sku in colours:
            market.receive(sku, units)
        drain()
        shown = {sku: market.shown(sku) for sku in colours}
        assert shown == {sku: market.numbers(sku)[0] for sku in colours}
        assert not Listing.objects.exclude(in_flight_units=0).exists()
    assert not Listing.objects.filter(lease_id__isnull=False).exists()
