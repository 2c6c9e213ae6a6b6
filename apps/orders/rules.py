"""What an order's state on the channel means for ours and for stock. Pure: a table, no database.

Mercado Livre's words: contract §3.2. A word that is not in the table changes nothing and is never an error: the order
stays as it is until the channel says something the hub understands.
"""

from enum import Enum


class Effect(Enum):
    """What a newly read order does to stock."""

    RESERVE = "reserve"  # the units are sold: promise them
    RELEASE = "release"  # the sale ended: take the promise back
    NOTHING = "nothing"


PAID = frozenset({"paid", "partially_refunded", "pending_cancel"})
"""Credited, and not (yet) ended: the buyer is owed the units."""

ENDED = frozenset({"cancelled", "invalid"})
"""Ended without a shipment. What came back after one is a return, which is another fact."""


def effect(*, is_known: bool, is_cancelled: bool, channel_status: str) -> Effect:
    """Return what to do with stock.

    is_known: the hub has this order; is_cancelled: and had seen it cancelled, which is final.
    channel_status: the channel's word for the order now.
    """
    if is_cancelled:
        return Effect.NOTHING
    if channel_status in PAID:
        return Effect.NOTHING if is_known else Effect.RESERVE
    if channel_status in ENDED and is_known:
        return Effect.RELEASE
    return Effect.NOTHING
