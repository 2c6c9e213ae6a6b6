"""The feed gives every committed movement to each reader, in commit order, and skips none."""

import threading

import pytest
from django.db import connection, transaction

from apps.inventory import feed
from apps.inventory.models import FeedCursor

from .conftest import Shop


def _read(consumer: str = "reader") -> list[int]:
    with feed.batch(consumer) as movements:
        return [movement.pk for movement in movements]


def test_each_reader_gets_every_movement_once_and_in_order(committed_shop: Shop) -> None:
    posted = [committed_shop.receive(committed_shop.shirt, committed_shop.store, 1).movement_ids[0] for _ in range(3)]
    assert _read() == posted
    assert _read() == []
    assert _read("another") == posted


def test_a_reader_that_fails_gets_the_same_movements_again(committed_shop: Shop) -> None:
    posted = committed_shop.receive(committed_shop.shirt, committed_shop.store, 1)
    with pytest.raises(RuntimeError), feed.batch("reader"):
        raise RuntimeError("the reader died")
    assert _read() == [posted.movement_ids[0]]


def test_a_slow_commit_is_not_skipped(committed_shop: Shop) -> None:
    """Ids are drawn before the commit: `id > last seen` would lose the slow one (reliability 44c)."""
    shop = committed_shop
    is_written, may_commit = threading.Event(), threading.Event()
    slow: list[int] = []

    def slowly() -> None:
        with transaction.atomic():
            slow.append(shop.receive(shop.shirt, shop.store, 1, key="slow").movement_ids[0])
            is_written.set()
            may_commit.wait(10)
        connection.close()

    thread = threading.Thread(target=slowly)
    thread.start()
    assert is_written.wait(10)
    fast = shop.receive(shop.mug, shop.store, 1, key="fast").movement_ids[0]
    assert slow[0] < fast
    assert _read() == []  # the fast one waits: something older may still commit below it
    may_commit.set()
    thread.join()
    assert sorted(_read()) == [slow[0], fast]


def test_two_workers_of_one_reader_do_not_read_the_same(committed_shop: Shop) -> None:
    shop = committed_shop
    shop.receive(shop.shirt, shop.store, 1)
    seen: list[list[int]] = []

    def rival() -> None:
        seen.append(_read())
        connection.close()

    with feed.batch("reader") as movements:
        thread = threading.Thread(target=rival)
        thread.start()
        thread.join()
        assert len(movements) == 1
    assert seen == [[]]
    assert _read() == []


def test_a_restarted_reader_reads_from_the_first_movement(committed_shop: Shop) -> None:
    posted = committed_shop.receive(committed_shop.shirt, committed_shop.store, 1)
    _read()
    feed.restart("reader")
    assert _read() == [posted.movement_ids[0]]


def test_a_cursor_from_another_cluster_starts_over(committed_shop: Shop) -> None:
    """A dump was restored into a younger cluster: its transaction ids are far below the cursor."""
    FeedCursor.objects.create(consumer="reader", transaction_id=2**60, movement_id=7)
    posted = committed_shop.receive(committed_shop.shirt, committed_shop.store, 1)
    assert _read() == [posted.movement_ids[0]]
    assert _read() == []
