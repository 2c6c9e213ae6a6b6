"""What an account's channel shows beside what it would be told, before anything is sent. Nothing is changed or asked.

The numbers are those of the push (`queue.targets_of`): stock of the account's places, less what is held, by the rule.
"""

from dataclasses import dataclass

from apps.connectors.models import WRITABLE, Connector, Listing
from apps.sync import queue

ROWS_MAX = 200
"""Rows that are shown; all are counted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One listing: what the channel shows (None: not read yet) and what it would be told."""

    listing_id: int
    shown: int | None
    number: int

    @property
    def change(self) -> int:
        """Return by how many units the channel's number would change."""
        return self.number - (self.shown or 0)

    @property
    def differs(self) -> bool:
        """Tell whether it would change at all."""
        return self.shown != self.number


@dataclass(frozen=True, slots=True)
class Simulation:
    """Every listing of an account that would be told a number, those that change most first, and counts of them.

    uncounted: have a product whose stock nobody entered yet, so nothing would be told. kept_there: the channel counts
    their stock itself (Full). unmapped: have no product. live: are told already.
    """

    rows: list[Row]
    raised: int
    lowered: int
    zeroed: int
    uncounted: int
    kept_there: int
    unmapped: int
    live: int

    @property
    def total(self) -> int:
        """Return how many listings would be told a number."""
        return len(self.rows)

    @property
    def equal(self) -> int:
        """Return how many show the right number already."""
        return self.total - self.raised - self.lowered

    def first_ones(self, count: int) -> list[Row]:
        """Return the listings to begin with: the smallest changes that can be seen; what would end its sale comes last.

        Raises nothing when there are fewer.
        """
        return sorted(self.rows, key=lambda row: (row.number == 0, not row.differs, abs(row.change), row.listing_id))[
            :count
        ]


def simulate(connector: Connector) -> Simulation:
    """Return what would be sent for an account if all of its listings were told now."""
    ours = Listing.objects.filter(connector=connector)
    mapped = ours.filter(WRITABLE, product__isnull=False)
    known = list(mapped.values_list("pk", "accepted_quantity", "sold_there", "live_since"))
    numbers = queue.targets_of([pk for pk, *_rest in known])
    rows = [
        Row(pk, None if accepted is None else accepted - sold_there, numbers[pk])
        for pk, accepted, sold_there, _live in known
        if pk in numbers
    ]
    return Simulation(
        rows=sorted(rows, key=lambda row: (not row.differs, -abs(row.change), row.listing_id)),
        raised=sum(row.differs and row.change >= 0 for row in rows),
        lowered=sum(row.change < 0 for row in rows),
        zeroed=sum(row.differs and row.number == 0 for row in rows),
        uncounted=len(known) - len(rows),
        kept_there=ours.exclude(WRITABLE).count(),
        unmapped=ours.filter(WRITABLE, product__isnull=True).count(),
        live=sum(live is not None for *_rest, live in known),
    )
