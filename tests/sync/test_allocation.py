import pytest

from apps.sync.allocation import publishable


@pytest.mark.parametrize(
    ("pool", "margin_percent", "expected"),
    [(10, 100, 10), (10, 80, 8), (9, 50, 4), (1, 99, 0), (0, 100, 0), (10, 0, 0), (-3, 100, 0)],
)
def test_the_published_number(pool: int, margin_percent: int, expected: int) -> None:
    assert publishable(pool, margin_percent=margin_percent) == expected
