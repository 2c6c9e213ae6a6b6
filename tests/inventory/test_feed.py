"""The feed gives every committed movement to each reader, in commit order, and skips none."""

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from apps.inventory import feed
from apps.inventory.models import FeedCursor, Movement

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


def _recorded(shop: Shop, moments: list[tuple[int, datetime]]) -> None:
    """Write movements of the transactions given, each recorded at its moment."""
    Movement.objects.bulk_create(
        Movement(
            tenant=shop.tenant,
            product=shop.mug,
            location=shop.store,
            kind="SALE",
            transaction_type="OUT",
            on_hand_delta=-1,
            reserved_delta=0,
            on_hand_after=0,
            reserved_after=0,
            version=transaction_id,
            trace_id=uuid.uuid4(),
            occurred_at=moment,
            recorded_at=moment,
            transaction_id=transaction_id,
        )
        for transaction_id, moment in moments
    )


@pytest.mark.corrupts  # the rows are made, not moved
@pytest.mark.django_db
def test_the_first_transaction_of_a_moment_is_found(shop: Shop) -> None:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    assert feed.transaction_at(shop.tenant.pk, begun) is None  # nothing was recorded yet
    shop.receive(shop.mug, shop.store, 1)  # the balance that the rows are of
    days = [(1000 + 7 * n, begun + timedelta(days=3 * n)) for n in range(100)]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM inventory_ledger")
    _recorded(shop, days)
    for transaction_id, moment in days:
        found = feed.transaction_at(shop.tenant.pk, moment)
        assert transaction_id - 7 < (found or 0) <= transaction_id
    beyond = feed.transaction_at(shop.tenant.pk, begun + timedelta(days=1000))
    assert (beyond or 0) > days[-1][0]


@pytest.mark.corrupts
@pytest.mark.django_db
def test_ids_that_do_not_rise_with_time_say_nothing_of_a_moment(shop: Shop) -> None:
    """A dump restored into another cluster: its newest movements have the smallest ids."""
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    shop.receive(shop.mug, shop.store, 1)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("DELETE FROM inventory_ledger")
    older = [(1000 + n, begun + timedelta(days=n)) for n in range(100)]
    newer = [(100 + n, begun + timedelta(days=100 + n)) for n in range(20)]
    _recorded(shop, older + newer)
    assert feed.transaction_at(shop.tenant.pk, begun + timedelta(days=50)) is None
