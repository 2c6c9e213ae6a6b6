"""Whose turn it is: order by risk, a budget per account, nobody starved, nothing kept that Redis may not lose."""

import pytest

from apps.common import valkey
from apps.connectors import budget
from apps.connectors.budget import Budget
from apps.sync import turns
from apps.sync.risk import SOLD_OUT
from apps.sync.turns import Pause, Turn, Waiting

NO_LIMIT = 0.0


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock that turns and budgets go by."""
    clock = Clock()
    monkeypatch.setattr(budget, "clock", clock)
    return clock


def line_up(scores: dict[int, float], *, connector: int = 1, ceiling: float = NO_LIMIT, waited: float = 0) -> None:
    entries = [Waiting(connector, listing, score, waited) for listing, score in scores.items()]
    turns.line_up(entries, {connector: ceiling}, is_everything=True)


def take(calls_max: int = 1000) -> Turn:
    found = turns.take(1, calls_max)
    assert isinstance(found, list), found
    return found[0]


def pause(calls_max: int = 1000) -> Pause:
    found = turns.take(1, calls_max)
    assert isinstance(found, Pause), found
    return found


def test_the_riskiest_goes_first_and_each_listing_stands_in_line_once(clock: Clock) -> None:
    line_up({7: 2e6, 8: -0.5, 9: -3.0})
    line_up({7: -9.0, 9: -3.0})  # its stock moved again
    assert [take().listing_id for _ in range(3)] == [7, 9, 8]
    assert pause() == Pause(None)


def test_several_turns_are_those_that_would_be_taken_one_by_one(clock: Clock) -> None:
    line_up({7: -3.0, 8: 2.0, 9: 1.0})
    line_up({17: 5.0, 18: -1.0}, connector=2)
    taken = turns.take(4, 1000)
    assert isinstance(taken, list)
    assert [(turn.connector_id, turn.listing_id) for turn in taken] == [(1, 7), (2, 18), (1, 9), (2, 17)]
    assert len({turn.call_id for turn in taken}) == 4
    assert take().listing_id == 8
    turns.end(taken)
    assert not valkey.client().exists("saldo:sync:2:calls")


def test_several_turns_keep_to_the_limits_of_one(clock: Clock) -> None:
    line_up(dict.fromkeys(range(100), 0.0))
    taken = turns.take(10, 3)
    assert isinstance(taken, list)
    assert len(taken) == 3  # calls of one account at once
    line_up(dict.fromkeys(range(200, 300), 0.0), connector=2, ceiling=10.0)
    others = turns.take(100, 3)
    assert isinstance(others, list)
    assert len(others) == 3
    turns.end([*taken, *others])
    valkey.client().delete("saldo:sync:ring")
    line_up(dict.fromkeys(range(200, 300), 0.0), connector=2, ceiling=10.0)
    rest = turns.take(100, 1000)
    assert isinstance(rest, list)
    assert len(rest) + 3 <= 10.0 * budget.BURST_SECONDS  # and what its bucket holds


def test_a_redis_that_forgot_says_so(clock: Clock) -> None:
    line_up({7: 1.0})
    valkey.client().flushdb()
    assert pause().is_lost
    turns.line_up([Waiting(1, 7, 1.0, 0)], {1: NO_LIMIT})  # some, not all: it still does not know
    assert pause().is_lost
    line_up({7: 1.0})
    assert take().listing_id == 7


def test_an_account_makes_no_more_calls_than_its_ceiling(clock: Clock) -> None:
    line_up(dict.fromkeys(range(1000), 0.0), ceiling=5.0)
    told = 0
    for _ in range(600):  # a minute in tenths of a second
        while isinstance(taken := turns.take(1, 1000), list):
            turns.end(taken)
            told += 1
        clock.now += 0.1
    assert 5.0 * 60 <= told <= 5.0 * 60 + 5.0 * budget.BURST_SECONDS


def test_the_pause_is_as_long_as_the_budget_needs(clock: Clock) -> None:
    line_up(dict.fromkeys(range(100), 0.0), ceiling=0.5)
    while isinstance(found := turns.take(1, 1000), list):
        pass
    assert found.seconds is not None
    assert 0 < found.seconds <= 2
    clock.now += found.seconds + 0.01
    take()


def test_reads_of_orders_go_first(clock: Clock) -> None:
    line_up(dict.fromkeys(range(1000), 0.0), ceiling=10.0)
    line, told = Budget(1), 0
    for tenth in range(300):  # half a minute, with 8 reads a second
        for _read in range(8 if tenth % 10 == 0 else 0):
            line.ask()
        while isinstance(turns.take(1, 1000), list):
            told += 1
        clock.now += 0.1
    assert 2 * 25 <= told <= 2 * 30 + 20  # what is left of ten a second


def test_reads_cannot_take_everything(clock: Clock) -> None:
    line_up(dict.fromkeys(range(1000), 0.0), ceiling=10.0)
    line, told = Budget(1), 0
    for _ in range(300):
        for _read in range(5):  # five times what the account may call
            line.ask()
        while isinstance(turns.take(1, 1000), list):
            told += 1
        clock.now += 0.1
    assert told == pytest.approx(30 * 10.0 * budget.RESERVED, abs=3)


def test_a_turn_without_a_call_is_given_back(clock: Clock) -> None:
    line_up(dict.fromkeys(range(100), 0.0), ceiling=1.0)
    for _ in range(50):
        turns.end([take()], were_used=False)
    turns.end([turn := take()], were_used=False)
    turns.end([turn], were_used=False)  # once is enough
    used = 0
    while isinstance(turns.take(1, 1000), list):
        used += 1
    assert used <= budget.BURST_SECONDS


def test_a_429_slows_down_at_once_and_the_rate_comes_back_slowly(clock: Clock) -> None:
    line_up(dict.fromkeys(range(10_000), 0.0), ceiling=10.0)
    line = Budget(1)
    take()
    line.limited(None)
    line.limited(None)  # under way at the same time: the same refusal
    assert pause().seconds == pytest.approx(1.0, abs=0.01)
    assert told_within(clock, 30) == pytest.approx(5.0 * 29, rel=0.2)
    line.limited(20.0)
    assert pause().seconds == pytest.approx(20.0, abs=0.01)
    clock.now += budget.RECOVERY_SECONDS
    told_within(clock, 5)
    assert told_within(clock, 20) == pytest.approx(10.0 * 20, rel=0.1)


def told_within(clock: Clock, seconds: int) -> int:
    told = 0
    for _ in range(seconds * 10):
        clock.now += 0.1
        while isinstance(turns.take(1, 10_000), list):
            told += 1
    return told


def test_an_account_without_a_ceiling_learns_one(clock: Clock) -> None:
    line_up(dict.fromkeys(range(5000), 0.0))
    Budget(1).limited(None)
    clock.now += 1.1
    assert told_within(clock, 2) < 100


def test_accounts_take_turns_however_much_one_has_to_tell(clock: Clock) -> None:
    line_up(dict.fromkeys(range(5000), -50.0), connector=1)
    line_up({9001: 2e6, 9002: 2e6}, connector=2)
    assert sorted(take().connector_id for _ in range(4)) == [1, 1, 2, 2]


def test_an_account_that_hangs_leaves_room_for_others(clock: Clock) -> None:
    line_up(dict.fromkeys(range(100), -50.0), connector=1)
    line_up({9001: 2e6}, connector=2)
    assert [take(calls_max=3).connector_id for _ in range(4)].count(1) == 3
    assert pause(calls_max=3).seconds is not None
    clock.now += turns.CALL_SECONDS + 1  # the workers died
    assert take(calls_max=3).connector_id == 1


def test_nothing_waits_for_ever_and_the_dangerous_keep_going_first(clock: Clock) -> None:
    line_up({5000: 2e6})
    clock.now += turns.STARVED_SECONDS + 1
    line_up(dict.fromkeys(range(40), -1.0))
    order = [take().listing_id for _ in range(8)]
    assert 5000 in order[: turns.STARVED_SHARE]
    assert len([listing for listing in order if listing < 40]) == 7


def test_what_is_sold_out_waits_for_nobody(clock: Clock) -> None:
    line_up({5000: 2e6})
    clock.now += turns.STARVED_SECONDS + 1
    line_up(dict.fromkeys(range(40), SOLD_OUT - 1))
    assert 5000 not in [take().listing_id for _ in range(40)]
    assert take().listing_id == 5000


def test_an_account_that_rests_is_passed_over_until_then(clock: Clock) -> None:
    line_up({1: -1.0}, connector=1)
    line_up({2: 2e6}, connector=2)
    budget.rest(1, 30)
    assert take().connector_id == 2
    assert pause().seconds == pytest.approx(30, abs=0.01)
    clock.now += 31
    assert take().connector_id == 1


def test_who_leaves_has_no_turn(clock: Clock) -> None:
    line_up({1: -1.0, 2: -2.0, 3: -3.0})
    turns.leave(1, [3, 1])
    assert turns.waiting_counts([1, 77]) == {1: 1, 77: 0}
    assert take().listing_id == 2
