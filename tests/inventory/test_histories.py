"""Eight clients at once: what they were answered must be explained by some order of their calls (histories.py).

Many histories: `SALDO_HISTORIES=1000 .venv/bin/python -m pytest tests/inventory/test_histories.py -m slow`.
"""

import os
import sys
import time

import pytest

from apps.inventory.prove import prove

from .conftest import Shop
from .crowd import Crowd
from .histories import Bustle, Call, problems

HISTORIES = int(os.environ.get("SALDO_HISTORIES", "50"))


def test_what_eight_clients_were_told_has_an_order(committed_shop: Shop, crowd: Crowd) -> None:
    for number in range(3):
        assert Bustle(committed_shop, crowd, f"history-{number}", calls_each=25, skus=3).run() == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_many_histories(committed_shop: Shop, crowd: Crowd, capsys: pytest.CaptureFixture[str]) -> None:
    """Short ones, because a short history meets as often and is judged faster; a few of 8 x 200 calls besides."""
    started, calls, refused = time.monotonic(), 0, 0
    sizes = [(200, 5)] * (HISTORIES // 50) + [(25, 3)] * (HISTORIES - HISTORIES // 50)
    for number, (calls_each, skus) in enumerate(sizes):
        bustle = Bustle(committed_shop, crowd, f"h{number}", calls_each=calls_each, skus=skus)
        assert bustle.run() == []
        calls += sum(map(len, bustle.calls.values()))
        refused += sum(bool(call.refusal) for told in bustle.calls.values() for call in told)
    assert prove() == []
    seconds = time.monotonic() - started
    with capsys.disabled():
        sys.stdout.write(
            f"\n{HISTORIES} histories ({HISTORIES // 50} of 8 x 200 calls, the rest of 8 x 25), {calls} calls, "
            f"{refused} refused: all linearizable, prove clean; {seconds:.0f} s, {calls / seconds:.0f} calls/s\n"
        )


# --- the checker itself finds what is wrong ---------------------------------------------------------------------------


def received(began: int, ended: int, version: int, on_hand: int) -> Call:
    return Call("RECEIPT", 5, began, ended, f"r{version}", version=version, seen={"on_hand": on_hand})


def reserved(began: int, ended: int, version: int, available: int, hold: str) -> Call:
    return Call("RESERVE", 5, began, ended, hold, hold, version, seen={"available": available})


def refused(began: int, ended: int, available: int) -> Call:
    return Call("RESERVE", 5, began, ended, f"x{began}", refusal="insufficient_stock", seen={"available": available})


def test_a_legal_history_is_accepted() -> None:
    calls = [received(0, 10, 1, 5), reserved(5, 20, 2, 0, "a"), refused(15, 30, 0), refused(0, 30, 0)]
    assert problems(calls, 2) == []


@pytest.mark.parametrize(
    ("calls", "final_version", "why"),
    [
        ([received(0, 1, 1, 5), reserved(2, 3, 1, 0, "a")], 1, "gaps or doubles"),
        ([received(0, 1, 1, 5)], 2, "gaps or doubles"),
        ([received(2, 3, 1, 5), received(0, 1, 2, 10)], 2, "began after the other had ended"),
        ([received(0, 1, 1, 5), reserved(2, 3, 2, 0, "a"), reserved(2, 3, 3, -5, "b")], 3, "too few available"),
        ([received(0, 1, 1, 5), received(2, 3, 2, 5)], 2, "wrong numbers"),
        ([received(0, 1, 1, 5), refused(2, 3, 0)], 1, "no moment explains it"),
        ([received(0, 9, 1, 5), received(0, 9, 2, 10), refused(1, 2, 3)], 2, "no moment explains it"),
        ([received(0, 9, 1, 5), Call("CONFIRM", 0, 1, 2, "c", "ghost", 2)], 2, "not open"),
        ([received(0, 1, 1, 5), Call("RECEIPT", 5, 2, 3, "r1", version=2, seen={"on_hand": 10})], 1, "two answers"),
    ],
)
def test_an_illegal_history_is_found(calls: list[Call], final_version: int, why: str) -> None:
    assert any(why in problem for problem in problems(calls, final_version))


def test_two_refusals_that_saw_time_run_backwards_are_found() -> None:
    """The first saw what the reservation left, the later one what was there before it."""
    small = Call("RECEIPT", 3, 0, 9, "r", version=1, seen={"on_hand": 3})
    assert problems([small, refused(1, 2, 3), refused(3, 4, 3)], 1) == []
    assert problems([small, refused(1, 2, 3), refused(3, 4, 0)], 1) != []
