"""Batches that cross, collide, die half way and arrive in any order: the same stock and the same counters come out."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, connections
from django.utils import timezone

from apps.inventory.models import Balance
from apps.sources import decoding, ingest, retry
from apps.sources.models import SourceEvent
from tests.sources.conftest import ERP, POS, Teller, open_teller
from tests.sources.dying_web_server import POINTS

TOGETHER_SECONDS = 60


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run each work in a thread with a connection of its own, all starting together; return what they returned."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        try:
            barrier.wait(TOGETHER_SECONDS)
            results[number] = work()
        except BaseException as error:  # shown by the caller's thread
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TOGETHER_SECONDS)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def take(teller: Teller, body: Any) -> ingest.Taken:
    return ingest.take_in(teller.tenant, decoding.read(json.dumps(body).encode()))


def accepted(taken: ingest.Taken) -> int:
    return sum(outcome.verdict == "accepted" for outcome in taken.outcomes)


def test_a_batch_sent_twice_at_the_same_moment_moves_once(committed_teller: Teller) -> None:
    teller = committed_teller
    for number in range(5):
        first = number * 20 + 1
        batch = teller.batch(teller.numbered(*range(first, first + 20)))
        taken = at_once(*[lambda batch=batch: take(teller, batch)] * 4)
        assert sorted(accepted(one) for one in taken) == [0, 0, 0, 20]
        assert [one.counters[0][1].ack_seq for one in taken] == [first + 19] * 4
    assert teller.on_hand() == -100


def test_batches_that_overlap_and_cross_leave_no_gap_and_no_double(committed_teller: Teller) -> None:
    teller = committed_teller
    sales = teller.numbered(*range(1, 201))
    chance = random.Random(7)
    batches = [teller.batch(sales[start : start + 40]) for start in range(0, 180, 20)]
    chance.shuffle(batches)
    shares = [batches[number::4] for number in range(4)]
    taken = at_once(*[lambda share=share: [take(teller, batch) for batch in share] for share in shares])
    assert sum(accepted(one) for share in taken for one in share) == 200
    counter = teller.counter()
    assert (counter.ack_seq, counter.gaps, teller.on_hand()) == (200, [], -200)


def test_two_systems_that_tell_the_same_sales_in_opposite_order_never_wait_in_a_circle(
    committed_teller: Teller,
) -> None:
    teller = committed_teller
    keys = [f"K{number}" for number in range(100)]
    live = [teller.event(business_key=key, sku=["SHIRT", "MUG"][n % 2]) for n, key in enumerate(keys)]
    copies = [{**teller.event(business_key=e["data"]["business_key"]), "data": e["data"], "source": ERP} for e in live]
    both = [{**e, "id": f"x-{n}", "source": [POS, ERP][n % 2]} for n, e in enumerate(live)]
    rounds = [
        [live[:50], copies[::-1][:50], both[:50][::-1]],
        [live[50:], copies[::-1][50:], both[50:]],
    ]
    for bodies in rounds:
        at_once(*[lambda body=body: take(teller, body) for body in bodies])
    applied = SourceEvent.objects.filter(status="APPLIED")
    assert applied.count() == applied.values("business_key").distinct().count() == 100
    assert (teller.on_hand(), teller.on_hand(teller.mug)) == (-50, -50)


def test_two_reversals_at_the_same_moment_put_back_once(committed_teller: Teller) -> None:
    teller = committed_teller
    sales = [teller.event("SALE", 2) for _ in range(10)]
    teller.tell(*sales)

    def undo(name: str) -> list[dict[str, Any]]:
        return [teller.event("SALE", 2, reverses_event_id=sale["id"], source=name) for sale in sales]

    taken = at_once(lambda: take(teller, undo(POS)), lambda: take(teller, undo(ERP)[::-1]))
    assert sum(accepted(one) for one in taken) == 10
    assert teller.on_hand() == 0


def test_retries_and_arrivals_at_the_same_moment_apply_once(committed_teller: Teller) -> None:
    teller = committed_teller
    waiting = [teller.event(sku="HAT", sequence=number, id=f"hat-{number}") for number in range(1, 31)]
    teller.tell(*waiting)
    type(teller.shirt).objects.create(tenant=teller.tenant, sku="HAT", name="Chapéu")
    at_once(
        retry.again_what_is_mended,
        retry.again_what_is_mended,
        lambda: take(teller, waiting),
        lambda: take(teller, teller.batch(teller.numbered(31, 32))),
    )
    assert SourceEvent.objects.filter(status="APPLIED", payload__data__sku="HAT").count() == 30
    assert Balance.objects.get(product__sku="HAT").on_hand == -30


@pytest.mark.parametrize("point", POINTS)
def test_a_web_process_killed_when(committed_teller: Teller, tmp_path: Path, point: str) -> None:
    teller = committed_teller
    sale = teller.event(sequence=1, business_key="K")
    undo = teller.event(sequence=2, reverses_event_id=sale["id"])
    body = teller.batch([sale, undo, *teller.numbered(3, 4), teller.event(sequence=6, sku="HAT")])
    (tmp_path / "body").write_text(json.dumps(body))
    base, _, query = os.environ["DATABASE_URL"].partition("?")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"{base.rpartition('/')[0]}/{connection.settings_dict['NAME']}?{query}",
        "FIELD_ENCRYPTION_KEYS": ",".join(settings.FIELD_ENCRYPTION_KEYS),
    }
    command = [sys.executable, "-m", "tests.sources.dying_web_server", point, str(teller.tenant.pk), tmp_path / "body"]
    assert subprocess.run(command, env=environment, timeout=60, check=False).returncode == -signal.SIGKILL

    answer = teller.push(body)
    retry.again_what_is_mended()
    assert (answer["ack_seq"], answer["gaps"]) == (4, [[5, 5]])
    states = [teller.stored(event["id"]).status for event in body["events"]]
    assert states == ["APPLIED", "APPLIED", "APPLIED", "APPLIED", "PENDING"]
    assert teller.on_hand() == -2


# --- any order ----------------------------------------------------------------------------------------------------


def random_events(teller: Teller, chance: random.Random, size: int) -> list[dict[str, Any]]:
    """Return deltas, counts, copies and reversals over the last six days, at two places."""
    now = timezone.now()
    events: list[dict[str, Any]] = []
    for number in range(1, size + 1):
        moment = now - timedelta(seconds=chance.randrange(6 * 86_400))
        common = {"id": f"e-{number}", "sequence": number, "location": chance.choice(["S1", "CD1"])}
        draw = chance.random()
        if draw < 0.1:
            events.append(teller.counted(chance.randrange(50), moment, **common))
        elif draw < 0.2 and events:
            target = chance.choice(events)
            if target["data"]["movement_type"] == "COUNT":
                continue
            copy = {**target["data"], "reverses_event_id": target["id"]}
            events.append({**target, "id": f"undo-{number}", "sequence": number, "data": copy})
        else:
            kind = chance.choice(["SALE", "RECEIPT", "RETURN", "LOSS", "ADJUSTMENT"])
            key = {"business_key": f"K{number}"} if chance.random() < 0.3 else {}
            events.append(teller.event(kind, chance.randrange(1, 9), time=moment.isoformat(), **common, **key))
            if key:
                events.append({**events[-1], "id": f"copy-{number}"})
    return events


def end_of(order: list[dict[str, Any]], chance: random.Random) -> tuple[int, ...]:
    """Tell a new tenant the events in that order, in batches of any size, and return the stock that comes out."""
    teller = open_teller()
    while order:
        size = chance.randrange(1, 40)
        take(teller, {"source": POS, "epoch": 1, "events": order[:size]})
        order = order[size:]
    while SourceEvent.objects.filter(tenant=teller.tenant, status="PENDING").exists():
        assert retry.again_what_is_mended()
    rows = Balance.objects.filter(tenant=teller.tenant).order_by("location__code")
    return tuple(rows.values_list("on_hand", flat=True))


def _check_any_order(seed: int, size: int, permutations: int) -> None:
    chance = random.Random(seed)
    events = random_events(open_teller(), chance, size)
    ends = set()
    for _ in range(permutations):
        order = events + chance.sample(events, len(events) // 3)
        chance.shuffle(order)
        ends.add(end_of(order, chance))
    assert len(ends) == 1, f"seed {seed}: {ends}"


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(3))
def test_any_order_ends_in_the_same_stock(seed: int) -> None:
    _check_any_order(seed, size=60, permutations=6)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.django_db
def test_fifty_orders_of_two_hundred_events_end_in_the_same_stock() -> None:
    _check_any_order(2026, size=200, permutations=50)
