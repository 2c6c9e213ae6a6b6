"""What a balance was: right at every moment, in both times, whether or not the checkpoints are up to date."""

import json
import os
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.inventory import feed, history
from apps.inventory.ledger import Line
from apps.inventory.models import Checkpoint, CheckpointHead, Movement
from apps.inventory.prove import prove

from .conftest import Shop, open_shop
from .test_api_verbs import Caller

Kind = Movement.Kind
ROWS = int(os.environ.get("HISTORY_ROWS", "35000"))
DAY = timedelta(days=1)


def ago(days: float) -> datetime:
    return timezone.now() - timedelta(days=days)


def sums(shop: Shop, moment: datetime) -> tuple[int, int, int]:
    """Return the plain sum over all movements that occurred by the moment."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT coalesce(sum(on_hand_delta), 0), coalesce(sum(reserved_delta), 0), coalesce(sum(blocked_delta), 0)
               FROM inventory_ledger WHERE product_id = %s AND location_id = %s AND occurred_at <= %s""",
            [shop.shirt.pk, shop.store.pk, moment],
        )
        return cursor.fetchone()


def at(shop: Shop, moment: datetime) -> tuple[int, int, int]:
    found = history.balance_at(shop.tenant.pk, shop.shirt.pk, shop.store.pk, moment)
    return found.on_hand, found.reserved, found.blocked


def said(shop: Shop, moment: datetime) -> tuple[int, int, int]:
    found = history.known_at(shop.tenant.pk, shop.shirt.pk, shop.store.pk, moment)
    return found.on_hand, found.reserved, found.blocked


# --- the two times ------------------------------------------------------------------------------------------------


def test_a_late_sale_changes_what_was_and_not_what_was_said(committed_shop: Shop) -> None:
    shop = committed_shop
    shop.move(Kind.RECEIPT, 10, at=ago(5))
    told = timezone.now()
    shop.move(Kind.SALE, 3, at=ago(3))
    for _ in range(2):  # without checkpoints, then with
        assert (at(shop, ago(6))[0], at(shop, ago(4))[0], at(shop, ago(2))[0]) == (0, 10, 7)
        assert (said(shop, told)[0], said(shop, ago(1))[0], said(shop, timezone.now())[0]) == (10, 0, 7)
        history.follow()
    assert Checkpoint.objects.count() == 2


def test_a_late_movement_corrects_every_later_checkpoint(committed_shop: Shop) -> None:
    shop = committed_shop
    for days in (9, 6, 3):
        shop.move(Kind.RECEIPT, 10, at=ago(days))
    assert history.follow() == 3
    assert list(Checkpoint.objects.order_by("day").values_list("on_hand", flat=True)) == [10, 20, 30]
    shop.move(Kind.SALE, 4, at=ago(7))
    assert history.follow() == 1
    assert list(Checkpoint.objects.order_by("day").values_list("on_hand", flat=True)) == [10, 6, 16, 26]
    assert history.follow() == 0


def test_a_movement_that_is_read_twice_is_added_once(committed_shop: Shop) -> None:
    shop = committed_shop
    shop.move(Kind.RECEIPT, 10, at=ago(2))
    history.follow()
    feed.restart(history.CONSUMER)
    assert history.follow() == 0
    assert Checkpoint.objects.get().on_hand == 10


def test_a_follower_that_dies_leaves_nothing_half_done(committed_shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = committed_shop
    shop.move(Kind.RECEIPT, 10, at=ago(2))
    keep = history._keep

    def die_afterwards(balances: Any) -> int:
        keep(balances)
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(history, "_keep", die_afterwards)
        with pytest.raises(RuntimeError):
            history.follow()
    assert not Checkpoint.objects.exists()
    assert not CheckpointHead.objects.exists()
    assert history.follow() == 1


def test_an_older_transaction_that_moves_later_is_added_too(committed_shop: Shop) -> None:
    """The feed is in the order of transaction ids, a balance in that of its versions; they may cross (ADR 9)."""
    shop = committed_shop
    has_begun, may_move = threading.Event(), threading.Event()

    def begin_first_move_last() -> None:
        with transaction.atomic():
            shop.receive(shop.mug, shop.depot, 1, key="its transaction id is the smaller one")
            has_begun.set()
            assert may_move.wait(20)
            shop.receive(shop.shirt, shop.store, 4, key="older")
        connection.close()

    thread = threading.Thread(target=begin_first_move_last)
    thread.start()
    assert has_begun.wait(20)
    shop.receive(shop.shirt, shop.store, 2, key="younger")
    assert history.follow() == 0  # the older one may still commit below it
    may_move.set()
    thread.join()
    for _ in range(5):
        history.follow(batches_max=1)
    assert list(CheckpointHead.objects.order_by("version").values_list("version", flat=True)) == [1, 2]
    assert set(Checkpoint.objects.values_list("on_hand", flat=True)) == {1, 6}
    assert prove() == []


def test_the_follower_runs_beside_the_writers(committed_shop: Shop) -> None:
    shop = committed_shop
    is_over = threading.Event()

    def write() -> None:
        for number in range(60):
            shop.move(Kind.RECEIPT, 1, at=ago(number % 5))
        connection.close()

    def follow() -> None:
        while not is_over.is_set():
            history.follow()
        connection.close()

    writers = [threading.Thread(target=write) for _ in range(2)]
    followers = [threading.Thread(target=follow) for _ in range(2)]
    for thread in (*writers, *followers):
        thread.start()
    for thread in writers:
        thread.join()
    is_over.set()
    for thread in followers:
        thread.join()
    history.follow()
    assert CheckpointHead.objects.get().version == 120
    assert Checkpoint.objects.order_by("-day")[0].on_hand == 120
    assert prove() == []


def test_the_edges_of_a_day_belong_to_one_day_each(committed_shop: Shop) -> None:
    shop = committed_shop
    midnight = datetime.combine(ago(3).date(), datetime.min.time(), UTC)
    tick = timedelta(microseconds=1)
    shop.move(Kind.RECEIPT, 1, at=midnight - tick)
    shop.move(Kind.RECEIPT, 2, at=midnight)
    shop.move(Kind.RECEIPT, 4, at=midnight + DAY - tick)
    for _ in range(2):
        moments = (midnight - 2 * tick, midnight - tick, midnight, midnight + DAY - 2 * tick, midnight + DAY - tick)
        assert [at(shop, moment)[0] for moment in moments] == [0, 1, 3, 3, 7]
        history.follow()
    assert list(Checkpoint.objects.order_by("day").values_list("on_hand", flat=True)) == [1, 7]


MOVES = st.lists(
    st.tuples(
        st.sampled_from([Kind.RECEIPT, Kind.SALE, Kind.RETURN, Kind.LOSS, Kind.COUNT, Kind.RESERVE, "follow"]),
        st.integers(0, 9),
        st.floats(0, 6),
    ),
    max_size=25,
)


@pytest.mark.django_db(transaction=True)
@settings(max_examples=25, deadline=None)
@given(MOVES, st.integers(0, 2**32))
def test_every_moment_is_the_plain_sum_of_what_occurred_by_then(moves: list[tuple[str, int, float]], seed: int) -> None:
    shop = open_shop(f"shop-{timezone.now().timestamp()}")
    moments = [ago(random.Random(seed).uniform(0, 7)) for _ in range(6)]
    said_then: list[tuple[datetime, tuple[int, int, int]]] = []
    for kind, quantity, days in moves:
        if kind == "follow":
            history.follow()
        elif kind == Kind.RESERVE:
            shop.reserve(Line(shop.shirt.pk, quantity + 1, shop.store.pk), is_fact=True)
        else:
            shop.move(Kind(kind), quantity if kind == Kind.COUNT else quantity + 1, at=ago(days))
        moments.append(ago(days))
        last = Movement.objects.filter(tenant=shop.tenant).order_by("-recorded_at", "-version").first()
        if last is not None:
            said_then.append((last.recorded_at, (last.on_hand_after, last.reserved_after, last.blocked_after)))
    now = timezone.now()
    assert {moment: at(shop, moment) for moment in moments} == {moment: sums(shop, moment) for moment in moments}
    assert [said(shop, moment) for moment, _numbers in said_then] == [numbers for _moment, numbers in said_then]
    history.follow()
    assert at(shop, now + DAY) == said(shop, now + DAY)
    assert {moment: at(shop, moment) for moment in moments} == {moment: sums(shop, moment) for moment in moments}
    assert prove() == []


@pytest.mark.corrupts
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "corruption",
    [
        "UPDATE inventory_checkpoints SET on_hand = on_hand + 1 WHERE on_hand = 7",
        "DELETE FROM inventory_checkpoints WHERE on_hand = 7",
        "UPDATE inventory_checkpoint_heads SET version = 1",
    ],
)
def test_prove_finds_a_wrong_checkpoint(corruption: str) -> None:
    shop = open_shop()
    shop.move(Kind.RECEIPT, 10, at=ago(5))
    shop.move(Kind.SALE, 3, at=ago(2))
    history.follow()
    assert prove() == []
    with connection.cursor() as cursor:
        cursor.execute(corruption)
    [finding] = prove()
    assert (finding.rule, finding.count) == ("a checkpoint is the sum of what had occurred by its day", 1)
    assert finding.examples[0]["product_id"] == shop.shirt.pk


def test_a_long_history_is_added_up_from_its_checkpoint(committed_shop: Shop) -> None:
    """A year of movements costs the rows of one day: what is read shows in the plan, not on a clock."""
    shop = committed_shop
    shop.move(Kind.RECEIPT, 1, at=ago(400))
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO inventory_ledger (
                      tenant_id, product_id, location_id, kind, transaction_type, on_hand_delta, reserved_delta,
                      on_hand_after, reserved_after, version, reason, reference_type, reference_id, actor, source,
                      source_key, trace_id, occurred_at, recorded_at, transaction_id)
               SELECT tenant_id, product_id, location_id, 'RECEIPT', 'IN', 1, 0, 1 + n, 0, 1 + n, '', '', '', 'test',
                      '', '', trace_id, m.recorded_at - interval '365 days' + n * %(step)s,
                      m.recorded_at + n * interval '1 microsecond', 1 + n %% 500
                 FROM inventory_ledger AS m, generate_series(1, %(rows)s) AS n
                WHERE m.version = 1""",
            {"rows": ROWS - 1, "step": timedelta(days=365) / ROWS},
        )
        cursor.execute(
            "UPDATE inventory_balances SET quantity_on_hand = %(rows)s, version = %(rows)s, last_updated = now()",
            {"rows": ROWS},
        )
        cursor.execute("ANALYZE inventory_ledger")
    moment = ago(100)
    assert _rows_read(lambda: at(shop, moment)) > ROWS / 2
    assert history.follow() == ROWS
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_checkpoints")
    assert _rows_read(lambda: at(shop, moment)) < 2 * ROWS / 365 + 200
    assert at(shop, moment) == sums(shop, moment)


def _rows_read(ask: Callable[[], Any]) -> int:
    """Return how many rows of the ledger's tables the database fetched for a question."""
    counts = []
    with connection.cursor() as cursor:
        cursor.execute("SET stats_fetch_consistency = none")
        for action in (lambda: None, ask):
            action()
            cursor.execute("SELECT pg_stat_force_next_flush()")
            cursor.execute(
                "SELECT sum(idx_tup_fetch + seq_tup_read) FROM pg_stat_user_tables WHERE relname LIKE 'inventory%'"
            )
            counts.append(int(cursor.fetchone()[0]))
    return counts[1] - counts[0]


# --- asked over HTTP and at the shell -----------------------------------------------------------------------------


@pytest.fixture
def reader(shop: Shop) -> Caller:
    return Caller(shop, "stock:read")


def test_the_stock_of_a_moment_over_http(shop: Shop, reader: Caller) -> None:
    shop.move(Kind.RECEIPT, 10, at=ago(5))
    shop.move(Kind.SALE, 3, at=ago(3))
    url = "/v1/stores/S1/stock/SHIRT/at"
    then = ago(4).strftime("%Y-%m-%dT%H:%M:%SZ")
    status, body = reader.get(f"{url}?moment={then}")
    assert (status, body["onHand"], body["available"], body["moment"], body["knownAt"]) == (200, 10, 10, then, None)
    status, body = reader.get(f"{url}?knownAt={then}")
    assert (status, body["onHand"], body["version"]) == (200, 0, 0)
    now = timezone.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert reader.get(f"{url}?knownAt={now}")[1]["version"] == 2


@pytest.mark.parametrize(
    "query",
    [
        "",
        "moment=yesterday",
        "moment=2026-01-01T00:00:00",
        "moment=2026-01-01T00:00:00Z&knownAt=2026-01-01T00:00:00Z",
        "moment=99999-01-01T00:00:00Z",
    ],
)
def test_a_moment_that_is_none_is_422(reader: Caller, query: str) -> None:
    status, problem = reader.get(f"/v1/stores/S1/stock/SHIRT/at?{query}")
    assert (status, problem["code"]) == (422, "validation_failed")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"])
def test_the_ends_of_time_are_answered(reader: Caller, moment: str) -> None:
    for name in ("moment", "knownAt"):
        assert reader.get(f"/v1/stores/S1/stock/SHIRT/at?{name}={moment}")[0] in (200, 422)


def test_without_the_scope_it_is_403(shop: Shop) -> None:
    caller = Caller(shop, "movements:read")
    assert caller.get("/v1/stores/S1/stock/SHIRT/at?moment=2026-01-01T00:00:00Z")[0] == 403


def test_the_operator_asks_at_the_shell(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.move(Kind.RECEIPT, 10, at=ago(5))
    options = {"tenant": "alice", "sku": "SHIRT", "location": "S1"}
    call_command("balance_at", **options, at=ago(4).isoformat(), json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["on_hand_as_known_now"], shown["on_hand_as_said_then"], shown["version_then"]) == (10, 0, 0)
    call_command("balance_at", **options)
    assert "on_hand_as_said_then: 10" in capsys.readouterr().out
    for wrong in ({"sku": "NOPE"}, {"location": "NOPE"}, {"at": "yesterday"}, {"tenant": "nobody"}):
        with pytest.raises(CommandError):
            call_command("balance_at", **{**options, **wrong})
