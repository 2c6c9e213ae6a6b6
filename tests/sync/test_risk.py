"""Which listing goes first."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.sync.risk import HORIZON_HOURS, NO_CHANGE, RAISE, SOLD_OUT, score


def test_a_faster_seller_goes_first() -> None:
    assert score(5, 0, 10) < score(5, 0, 1) < score(5, 0, 0)


def test_the_one_closer_to_nothing_goes_first() -> None:
    for rate in (0.0, 0.1, 5.0):
        assert score(5, 0, rate) < score(5, 1, rate) < score(5, 3, rate) < score(5, 4, rate)


def test_what_is_sold_out_goes_before_all_else_that_shows_too_much() -> None:
    assert score(1, 0, 0) < SOLD_OUT < score(500, 1, 500)


def test_a_drop_that_cannot_sell_out_still_goes_before_every_raise() -> None:
    assert score(10_001, 10_000, 0) < 0 < score(0, 10_000, 1_000)


def test_raises_go_by_what_they_may_sell_and_sure_ones_last() -> None:
    assert score(0, 5, 10) < score(0, 5, 1) < score(3, 5, 1) < RAISE < NO_CHANGE == score(5, 5, 10)


def test_what_nobody_knows_is_one_too_many() -> None:
    assert score(None, 0, 1) == score(1, 0, 1)
    assert score(None, None, 1) == score(3, None, 1) == NO_CHANGE


def test_the_expectation_is_that_of_played_demand() -> None:
    dice = random.Random(7)
    rate, target, shown, rounds = 24.0, 3, 9, 20_000
    oversold = 0
    for _ in range(rounds):
        sold, left = 0, HORIZON_HOURS
        while (left := left - dice.expovariate(rate)) > 0:
            sold += 1
        oversold += min(sold, shown) - min(sold, target)
    assert -score(shown, target, rate) == pytest.approx(oversold / rounds, abs=0.05)


@given(shown=st.integers(0, 100_000), target=st.integers(0, 100_000), rate=st.floats(0, 1e6), more=st.floats(0, 1e3))
def test_any_numbers_have_a_place(shown: int, target: int, rate: float, more: float) -> None:
    place = score(shown, target, rate)
    assert math.isfinite(place)
    assert score(shown, target, rate + more) <= place + 1e-6  # selling faster never waits longer
