"""What number a channel is told. Pure: the same inputs always give the same number (architecture §5)."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """How much of what is there a listing shows: the connector's rule, each part overridable by the listing.

    margin_percent: the share of the pool that is published, 0 to 100 (requirement 000, Story 5.7).
    buffer_units: units held back after that, for what is sold in a shop before the channel hears of it.
    end_when_units: at this number or below it nothing is offered any more; 0 offers the last unit.
    cap_units: never more than this, however much there is; None for no limit.
    """

    margin_percent: int = 100
    buffer_units: int = 0
    end_when_units: int = 0
    cap_units: int | None = None


def publishable(pool: int, rule: Rule) -> int:
    """Return how many units a channel may show.

    pool: available units over the connector's locations, each place counted as zero when it is oversold.

    The margin is rounded down, so that rounding never promises a unit that is not there.
    """
    number = max(0, pool) * rule.margin_percent // 100 - rule.buffer_units
    if number <= rule.end_when_units:
        return 0
    return number if rule.cap_units is None else min(number, rule.cap_units)


def split(number: int, available: Mapping[str, int], *, out_of: int) -> dict[str, int]:
    """Share a number out over depots in proportion to what each has (largest remainders, ties by name).

    available: units at each depot's place. out_of: units over all places that are sold from; what lies at places that
    are no depot is not offered, for no depot could send it.
    """
    if out_of <= 0:
        return dict.fromkeys(available, 0)
    shares = {name: number * units // out_of for name, units in available.items()}
    left = number * sum(available.values()) // out_of - sum(shares.values())
    for name in sorted(available, key=lambda one: (-(number * available[one] % out_of), one))[:left]:
        shares[name] += 1
    return shares
