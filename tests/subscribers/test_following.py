"""Every committed movement becomes one delivery per subscriber that wants it: none skipped, none doubled, in order."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from django.db import connection, transaction

from apps.inventory import feed
from apps.inventory.models import FeedCursor, Movement
from apps.subscribers import following, subscribing
from apps.subscribers.models import Delivery, Replay, Subscriber

from .conftest import Receiver, Shop, deliver, follow, in_thread, open_shop, pending, tell

Make = Callable[..., Receiver]
Hold = Callable[[Callable[[], object]], "Held"]
URL = "http://127.0.0.1:9/nobody"


def queued(subscriber: Subscriber) -> list[int]:
    """Return the queued movements' ids in the order of their deliveries."""
    return list(Delivery.objects.filter(subscriber=subscriber).order_by("id").values_list("movement_id", flat=True))


def database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment


# --- Who is told what -------------------------------------------------------------------------------------------


def test_each_subscriber_of_the_tenant_is_owed_each_movement_once(shop: Shop) -> None:
    first, _ = shop.subscribe(URL)
    second, _ = shop.subscribe(URL)
    stranger, _ = open_shop("charlie").subscribe(URL)
    moved = [shop.receive(shop.shirt), shop.receive(shop.mug)]
    follow()
    follow()
    assert (queued(first), queued(second), queued(stranger)) == (moved, moved, [])


def test_a_subscriber_is_told_only_of_the_types_it_chose(shop: Shop) -> None:
    chosen, _ = shop.subscribe(URL, event_types=["inventory.reserve.*"])
    every, _ = shop.subscribe(URL, event_types=["*"])
    shop.receive(shop.shirt)
    follow()
    assert (len(queued(chosen)), len(queued(every))) == (0, 1)


def test_who_subscribes_is_not_told_of_the_past(shop: Shop) -> None:
    shop.receive(shop.shirt)
    subscriber, _ = shop.subscribe(URL)
    shop.receive(shop.shirt)
    follow()
    assert len(queued(subscriber)) == 1


def test_without_subscribers_the_feed_is_not_read(shop: Shop) -> None:
    shop.receive(shop.shirt)
    assert following.follow() == 0
    assert not FeedCursor.objects.filter(consumer=following.CONSUMER).exists()


def test_what_did_not_commit_is_not_told(shop: Shop) -> None:
    subscriber, _ = shop.subscribe(URL)

    def call_off() -> None:
        with transaction.atomic():
            shop.receive(shop.shirt)
            raise RuntimeError("the sale was called off")

    with pytest.raises(RuntimeError):
        call_off()
    follow()
    assert queued(subscriber) == []


def test_a_follower_that_dies_between_reading_and_committing_loses_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber, _ = shop.subscribe(URL)
    moved = shop.receive(shop.shirt)
    with monkeypatch.context() as patch:
        queue = following.queue
        patch.setattr(following, "queue", lambda *args: [queue(*args), 1 / 0])
        with pytest.raises(ZeroDivisionError):
            following.follow()
    assert queued(subscriber) == []
    follow()
    assert queued(subscriber) == [moved]


# --- The order of versions --------------------------------------------------------------------------------------


class Held:
    """A transaction in a thread that has drawn its id and waits; then it does its work and commits."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.has_id, self.may_go_on = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
                self.has_id.set()
                assert self.may_go_on.wait(20)
                work()

        self.thread = in_thread(hold)
        assert self.has_id.wait(20)

    def finish(self) -> None:
        self.may_go_on.set()
        self.thread.join()


@pytest.fixture
def hold() -> Iterator["Hold"]:
    """Hold transactions open; whatever a test leaves open ends with it."""
    held: list[Held] = []

    def begin(work: Callable[[], object]) -> Held:
        held.append(Held(work))
        return held[-1]

    yield begin
    for transaction_held in held:
        transaction_held.finish()


def test_a_lower_version_that_the_feed_still_holds_back_goes_first(shop: Shop, receiver: Receiver, hold: Hold) -> None:
    """The transaction with the smaller id wrote the higher version, and a third one parts the two in the feed."""
    subscriber, _ = shop.subscribe(receiver.url)
    small_id = hold(lambda: shop.receive(shop.shirt))
    between = hold(lambda: None)
    shop.receive(shop.shirt)
    small_id.finish()
    with feed.batch("witness") as seen:
        assert [movement.version for movement in seen] == [
            2
        ]  # so the feed alone would tell the second before the first
    tell()
    assert receiver.versions("SHIRT") == [1, 2]
    between.finish()
    tell()
    assert receiver.versions("SHIRT") == [1, 2]
    assert pending(subscriber) == 0


def test_a_lower_version_behind_the_end_of_a_batch_goes_first(
    shop: Shop, receiver: Receiver, hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.subscribe(receiver.url)
    holders = [hold(lambda: shop.receive(shop.shirt)) for _ in range(3)]
    shop.receive(shop.shirt)
    for holder in reversed(holders):  # the smaller its id, the higher its version
        holder.finish()
    monkeypatch.setattr(feed, "BATCH_MAX", 1)
    tell()
    assert receiver.versions("SHIRT") == [1, 2, 3, 4]


def test_movements_of_rivals_are_told_in_the_order_of_versions(shop: Shop, receiver: Receiver) -> None:
    """Many writers at one balance, a follower that reads all the while: each version once, in order."""
    subscriber, _ = shop.subscribe(receiver.url)
    shop.receive(shop.shirt)
    is_over = threading.Event()

    def keep_following() -> None:
        while not is_over.is_set():
            following.follow()

    follower = in_thread(keep_following)
    writers = [in_thread(lambda: [shop.receive(shop.shirt) for _ in range(25)]) for _ in range(4)]
    for writer in writers:
        writer.join()
    is_over.set()
    follower.join()
    tell()
    assert receiver.versions("SHIRT") == list(range(1, 102))
    assert pending(subscriber) == 0


# --- Away and back ----------------------------------------------------------------------------------------------


def test_a_paused_subscriber_piles_nothing_up_and_misses_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAGE", 2)
    shop.receive(shop.mug)  # before anybody listened
    other, _ = shop.subscribe(URL)
    subscriber, _ = shop.subscribe(URL)
    moved = [shop.receive(shop.shirt)]
    follow()
    subscribing.pause(subscriber)
    moved += [shop.receive(shop.shirt) for _ in range(5)]
    follow()
    assert queued(subscriber) == moved[:1]
    subscribing.resume(subscriber)
    moved += [shop.receive(shop.shirt)]
    follow()
    assert queued(subscriber) == queued(other) == moved
    assert Subscriber.objects.filter(cursor_transaction_id=None).count() == 2


def test_the_only_subscriber_paused_before_the_first_movement_misses_nothing(shop: Shop) -> None:
    subscriber, _ = shop.subscribe(URL)
    subscribing.pause(subscriber)
    moved = [shop.receive(shop.shirt) for _ in range(3)]
    follow()
    newcomer, _ = shop.subscribe(URL)  # the room's cursor jumps; the one who is away keeps its own
    moved_later = shop.receive(shop.shirt)
    subscribing.resume(subscriber)
    follow()
    assert queued(subscriber) == [*moved, moved_later]
    assert queued(newcomer) == [moved_later]


def test_a_subscriber_with_too_much_waiting_goes_along_no_longer_and_catches_up(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "ALONG_MAX", 3)
    monkeypatch.setattr(following, "BACKLOG_MAX", 3)
    subscriber, _ = shop.subscribe(receiver.url)
    for _ in range(3):
        shop.receive(shop.shirt)
    follow()
    assert following.set_aside_the_overloaded() == 1
    for _ in range(3):
        shop.receive(shop.shirt)
    follow()
    assert pending(subscriber) == 3
    deliver()
    tell()
    assert receiver.versions("SHIRT") == [1, 2, 3, 4, 5, 6]
    assert Subscriber.objects.get().cursor_transaction_id is None


def test_a_choice_of_types_counts_from_where_it_was_changed(shop: Shop) -> None:
    subscriber, _ = shop.subscribe(URL, event_types=["inventory.reserve.*"])
    shop.receive(shop.shirt)
    follow()
    subscribing.change(subscriber, event_types=[])
    moved = shop.receive(shop.shirt)
    follow()
    assert queued(subscriber) == [moved]


def test_a_cursor_of_another_cluster_starts_over_and_doubles_nothing(shop: Shop) -> None:
    """A dump was restored into a younger cluster: both cursors stand in its future (ADR 0002)."""
    subscriber, _ = shop.subscribe(URL)
    moved = [shop.receive(shop.shirt)]
    follow()
    FeedCursor.objects.update(transaction_id=2**60, movement_id=1)
    Subscriber.objects.update(cursor_transaction_id=2**60, cursor_movement_id=1)
    moved.append(shop.receive(shop.shirt))
    other, _ = shop.subscribe(URL)
    FeedCursor.objects.filter(consumer=following.CONSUMER).update(transaction_id=2**60)
    follow()
    follow()
    assert queued(subscriber) == moved
    assert other.pk


# --- Replays ----------------------------------------------------------------------------------------------------


def test_a_replay_tells_again_what_was_recorded_since_a_moment_under_the_same_ids_in_order(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 2)
    subscriber, _ = shop.subscribe(receiver.url)
    shop.receive(shop.shirt)
    tell()
    since = database_time()
    for _ in range(5):
        shop.receive(shop.shirt)
    tell()
    assert receiver.versions("SHIRT") == [1, 2, 3, 4, 5, 6]
    replay = subscribing.start_replay(subscriber, since)
    shop.receive(shop.shirt)  # meanwhile: it waits behind
    tell()
    assert receiver.versions("SHIRT")[6:] == [2, 3, 4, 5, 6, 7]
    ids = [event["id"] for event in receiver.events]
    assert ids[1:6] == ids[6:11]
    replay.refresh_from_db()
    assert replay.status == Replay.Status.DONE
    assert replay.queued in (5, 6)  # the one that happened meanwhile, told once, may count to it
    assert Subscriber.objects.get().cursor_transaction_id is None


def test_a_replay_reaches_before_the_subscriber_began(shop: Shop, receiver: Receiver) -> None:
    since = database_time()
    shop.receive(shop.shirt)
    subscriber, _ = shop.subscribe(receiver.url)
    subscribing.start_replay(subscriber, since)
    tell()
    assert receiver.versions("SHIRT") == [1]


def test_a_replay_fills_no_more_than_a_backlog_and_can_be_cancelled_without_a_gap(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 2)
    monkeypatch.setattr(following, "BACKLOG_MAX", 2)
    subscriber, _ = shop.subscribe(receiver.url)
    since = database_time()
    for _ in range(8):
        shop.receive(shop.shirt)
    follow()
    deliver()
    assert len(receiver.requests) == 8
    replay = subscribing.start_replay(subscriber, since)
    follow()
    assert pending(subscriber) == 2  # the rest waits until these are taken
    shop.receive(shop.shirt)
    assert subscribing.cancel_replay(replay).status == Replay.Status.CANCELLED
    deliver()
    tell()
    assert receiver.versions("SHIRT")[8:] == [1, 2, 9]
    assert subscribing.cancel_replay(replay).queued == 2  # cancelling twice changes nothing


def test_one_replay_at_a_time(shop: Shop) -> None:
    subscriber, _ = shop.subscribe(URL)
    since = database_time()
    subscribing.start_replay(subscriber, since)
    with pytest.raises(subscribing.LifeError) as refused:
        subscribing.start_replay(subscriber, since)
    assert refused.value.code == "replay_running"


def test_the_events_of_a_paused_subscribers_replay_wait(shop: Shop, receiver: Receiver) -> None:
    subscriber, _ = shop.subscribe(receiver.url)
    since = database_time()
    shop.receive(shop.shirt)
    subscribing.pause(subscriber)
    subscribing.start_replay(subscriber, since)
    tell()
    assert receiver.requests == []
    subscribing.resume(subscriber)
    tell()
    assert receiver.versions("SHIRT") == [1]


def test_the_ledgers_rows_are_what_is_told(shop: Shop, receiver: Receiver) -> None:
    shop.subscribe(receiver.url)
    shop.receive(shop.shirt, 7)
    tell()
    movement = Movement.objects.get()
    (event,) = receiver.events
    assert event["data"]["after"]["on_hand"] == movement.on_hand_after == 7
    assert event["data"]["trace_id"] == str(movement.trace_id)
