import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.sync.allocation import Rule, publishable, split


@pytest.mark.parametrize(
    ("pool", "margin_percent", "expected"),
    [(10, 100, 10), (10, 80, 8), (9, 50, 4), (1, 99, 0), (0, 100, 0), (10, 0, 0), (-3, 100, 0)],
)
def test_the_margin_is_a_share_of_the_pool(pool: int, margin_percent: int, expected: int) -> None:
    assert publishable(pool, Rule(margin_percent=margin_percent)) == expected


@pytest.mark.parametrize(
    ("pool", "rule", "expected"),
    [
        (10, Rule(buffer_units=3), 7),
        (3, Rule(buffer_units=3), 0),
        (2, Rule(buffer_units=3), 0),
        (10, Rule(margin_percent=50, buffer_units=3), 2),  # the margin first, then the buffer
        (3, Rule(end_when_units=2), 3),
        (2, Rule(end_when_units=2), 0),
        (5, Rule(buffer_units=3, end_when_units=2), 0),  # what would be shown decides, not what is there
        (100, Rule(cap_units=30), 30),
        (20, Rule(cap_units=30), 20),
        (20, Rule(cap_units=0), 0),
        (100, Rule(margin_percent=80, buffer_units=5, end_when_units=2, cap_units=50), 50),
    ],
)
def test_the_published_number(pool: int, rule: Rule, expected: int) -> None:
    assert publishable(pool, rule) == expected


RULES = st.builds(
    Rule,
    margin_percent=st.integers(0, 100),
    buffer_units=st.integers(0, 50),
    end_when_units=st.integers(0, 50),
    cap_units=st.none() | st.integers(0, 200),
)


@given(pool=st.integers(-100, 10_000), rule=RULES)
def test_no_rule_promises_what_is_not_there_and_more_stock_never_shows_less(pool: int, rule: Rule) -> None:
    number = publishable(pool, rule)
    assert 0 <= number <= max(pool, 0)
    assert number <= publishable(pool + 1, rule)


@pytest.mark.parametrize(
    ("number", "available", "out_of", "expected"),
    [
        (10, {"a": 6, "b": 4}, 10, {"a": 6, "b": 4}),
        (5, {"a": 6, "b": 4}, 10, {"a": 3, "b": 2}),
        (1, {"a": 5, "b": 5}, 10, {"a": 1, "b": 0}),  # a tie goes by name, the same way each time
        (9, {"a": 6, "b": 4}, 10, {"a": 5, "b": 4}),
        (10, {"a": 6}, 10, {"a": 6}),  # four lie at a place that is no depot
        (0, {"a": 6, "b": 4}, 10, {"a": 0, "b": 0}),
        (0, {"a": 0}, 0, {"a": 0}),
    ],
)
def test_a_number_is_shared_out_over_depots(
    number: int, available: dict[str, int], out_of: int, expected: dict[str, int]
) -> None:
    assert split(number, available, out_of=out_of) == expected
