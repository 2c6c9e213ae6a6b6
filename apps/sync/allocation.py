"""What number a channel is told. Pure: the same inputs always give the same number (architecture §5)."""


def publishable(pool: int, *, margin_percent: int = 100) -> int:
    """Return how many units a channel may show.

    pool: available units over the connector's locations, each place counted as zero when it is oversold.
    margin_percent: the share of the pool that is published, 0 to 100 (requirement 000, Story 5.7); rounded down, so
        that rounding never promises a unit that is not there.
    """
    return max(0, pool) * margin_percent // 100
