"""What an order's state on the channel means for ours and for stock. Pure: a table, no database.

Mercado Livre's words: contract §3.2. A word that is not in the table changes nothing and is never an error: the order
stays as it is until the channel says something the hub understands.
"""

from enum import Enum


class Effect(Enum):
    """What a newly read order does to stock."""

    RESERVE = "reserve"  # the units are sold: promise them
    RELEASE = "release"  # the sale ended and the goods are here: take the promise back
    CONFIRM = "confirm"  # the sale ended after the goods had left: they are not here to be sold again
    NOTHING = "nothing"


PAID = frozenset({"paid", "partially_refunded", "pending_cancel"})
"""Credited, and not (yet) ended: the buyer is owed the units."""

ENDED = frozenset({"cancelled", "invalid"})
"""Ended. Whether the goods are still here is the shipment's to say; what comes back later is a return, another fact."""


def effect(*, is_known: bool, is_cancelled: bool, channel_status: str, goods_left: bool) -> Effect:
    """Return what to do with stock.

    is_known: the hub has this order; is_cancelled: and had seen it cancelled, which is final.
    channel_status: the channel's word for the order now.
    goods_left: they were shipped before the order ended (contract §3.2: "return stock unless shipped").
    """
    if is_cancelled:
        return Effect.NOTHING
    if channel_status in PAID:
        return Effect.NOTHING if is_known else Effect.RESERVE
    if channel_status in ENDED and is_known:
        return Effect.CONFIRM if goods_left else Effect.RELEASE
    return Effect.NOTHING
