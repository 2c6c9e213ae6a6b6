"""Which file of tests is dealt out first when several processes take them one by one (pytest-xdist, `--dist loadfile`).

The longest first: what is left at the end is then small, and the processes end together. Nothing is measured or stored
for it; counting is enough, because a test marked `slow` takes some hundred times as long as another.
"""

from collections import Counter

import pytest

SLOW_WEIGHT = 100
"""A slow test takes 20 s or so, another 0.2 s."""


def longest_first(items: list[pytest.Item]) -> None:
    """Order tests by the weight of their files; those of one file stay together and in their order."""
    weights: Counter[str] = Counter()
    for item in items:
        weights[_file(item)] += SLOW_WEIGHT if item.get_closest_marker("slow") else 1
    items.sort(key=lambda item: (-weights[_file(item)], _file(item)))


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
