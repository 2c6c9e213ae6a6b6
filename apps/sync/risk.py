"""Which listing to tell first: the one that would oversell most before the next chance. Pure.

Demand until the next chance is taken as Poisson with the product's own rate. A listing that shows more than there is
may sell `min(demand, shown)`, and only `min(demand, target)` of that exists: the difference of the two expectations is
what would be oversold. What is sold out goes before everything else that shows too much: there the very next buyer is
one too many. A listing that shows less loses sales, which hurts nobody, so all of these come last.
"""

import math

HORIZON_HOURS = 1 / 6
"""The next chance, when calls are short: nothing waits much longer than this (`turns.STARVED_SECONDS`)."""

QUIETEST_UNITS_PER_HOUR = 0.02
"""What never sold may sell all the same: one in two days."""

SHOWN_TOO_MANY = 1e-5
"""What a unit shown too many weighs against one oversold: it decides between those that will not sell out."""

BY_HAND = -1e9
"""Added to the score when a person asked: before everything, the riskiest first among themselves."""

SOLD_OUT = -1e6
"""Scores below this are of listings that show something and have nothing."""

RAISE = 1e6
"""Scores above this are no danger: more is there than is shown, worth telling in the order of what it may sell."""

NO_CHANGE = 2e6
"""The channel most likely shows this number already; telling it makes sure."""


def score(shown: int | None, target: int | None, units_per_hour: float) -> float:
    """Return a listing's place in its account's queue: lower goes first.

    shown: what the channel most likely shows; None when nobody knows, which is taken as one unit too many.
    target: what it should show; None when the hub knows nothing of the stock.
    units_per_hour: how fast the product sells.
    """
    if target is None:
        return NO_CHANGE
    shown = target + 1 if shown is None else max(shown, 0)
    demand = max(units_per_hour, QUIETEST_UNITS_PER_HOUR) * HORIZON_HOURS
    if shown > target:
        danger = _units_sold_between(target, shown, demand) + SHOWN_TOO_MANY * (shown - target)
        return -danger if target else SOLD_OUT - danger
    if shown < target:
        return RAISE - _units_sold_between(shown, target, demand)
    return NO_CHANGE


def _units_sold_between(low: int, high: int, demand: float) -> float:
    """Return E[min(D, high)] - E[min(D, low)] for D ~ Poisson(demand): the sum of P(D >= k) for low < k <= high."""
    demand = min(demand, 500.0)  # e^-500 is still a number, and five hundred in ten minutes is fast enough
    high = min(high, math.ceil(demand + 10 * math.sqrt(demand) + 20))  # beyond, P is nothing
    chance = math.exp(-demand)  # P(D = k), from k = 0 on
    tail, expected = 1.0, 0.0  # tail: P(D >= k)
    for k in range(high + 1):
        if k > low:
            expected += tail
        tail = max(0.0, tail - chance)
        chance *= demand / (k + 1)
    return expected
