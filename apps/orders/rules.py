"""What a channel's words mean: from the states of an order and its shipment to ours, and to stock. Pure, two tables.

Mercado Livre's words: contract §3.2 (orders) and §4.3 (shipments). Nothing here depends on what happened before: a
verdict says where the goods *should* be, and `intake.py` moves what is missing. So readings may come late, twice or
not at all, and the newest decides. A word that is in no table changes nothing, is never an error, and is shown to
a person (`Flag.UNKNOWN_WORD`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum


class Sale(Enum):
    """What became of the sale."""

    OPEN = "open"  # not paid yet, or not enough: nobody is owed units
    SOLD = "sold"
    NOT_COMPLETED = "not_completed"  # the seller said on the web that it came to nothing; the API calls it confirmed
    ENDED = "ended"


class Goods(Enum):
    """Where the units of an order are."""

    UNKNOWN = "unknown"  # leave stock as it is
    NOT_SOLD = "not_sold"  # here and free
    HELD = "held"  # here and promised
    GONE = "gone"
    BACK = "back"  # they had gone, or were to go, and are here again
    ELSEWHERE = "elsewhere"  # in the channel's own warehouse (Full): never ours to move


class State(StrEnum):
    """The hub's word for an order, as it is stored."""

    RECEIVED = "RECEBIDO"
    READY = "PRONTO"
    PICKED_UP = "RETIRADO"
    CANCELLED = "CANCELADO"


class Flag(StrEnum):
    """What a person should look at."""

    FRAUD_RISK = "fraud_risk"
    PARTLY_REFUNDED = "partly_refunded"
    PENDING_CANCEL = "pending_cancel"
    REFUNDED_TO_ACCOUNT = "refunded_to_account"
    NOT_COMPLETED = "not_completed"
    RETURNED = "returned"
    UNKNOWN_WORD = "unknown_word"


ORDER_WORDS: Mapping[str, Sale] = {
    "confirmed": Sale.OPEN,
    "payment_required": Sale.OPEN,
    "payment_in_process": Sale.OPEN,
    "partially_paid": Sale.OPEN,
    "paid": Sale.SOLD,
    "partially_refunded": Sale.SOLD,
    "pending_cancel": Sale.SOLD,
    "cancelled": Sale.ENDED,
    "invalid": Sale.ENDED,
}
"""Credited and not (yet) ended is sold: the buyer is owed the units (contract §3.2)."""

ORDER_FLAGS: Mapping[str, Flag] = {
    "partially_refunded": Flag.PARTLY_REFUNDED,
    "pending_cancel": Flag.PENDING_CANCEL,
    "fraud_risk_detected": Flag.FRAUD_RISK,
    "unfulfilled": Flag.REFUNDED_TO_ACCOUNT,  # the order stays "paid" for ever
}
"""By the order's status or one of its tags. Other tags are no reliable input (contract §3.2)."""

HERE = frozenset(
    {"", "to_be_agreed", "not_verified", "closed", "error", "active", "not_specified", "stale_ready_to_ship"}
    | {"pending", "handling", "ready_to_ship", "cancelled"}
)
LEFT = frozenset({"shipped", "delivered", "not_delivered", "stale_shipped"})
"""`not_delivered` is among them: under way back or lost, until it says that it is here again."""

LEFT_ALL_THE_SAME = frozenset(
    {("ready_to_ship", word) for word in ("picked_up", "dropped_off", "in_hub", "in_transit")}
    | {("cancelled", word) for word in ("shipped_outside_me", "shipped_outside_me_trusted", "inferred_shipped")}
)
"""Substatuses that say more than their status: the goods are no longer with the seller."""

BACK_HERE = frozenset(
    {("not_delivered", word) for word in ("returned", "returned_to_warehouse", "recovered")}
    | {("cancelled", "recovered")}
)
"""The only words that put goods back on the shelf: an order's cancellation does not (contract §4.3)."""

PRINTABLE_LOGISTICS = frozenset({"drop_off", "xd_drop_off", "cross_docking", "self_service"})
PRINTABLE = frozenset({("ready_to_ship", "ready_to_print"), ("ready_to_ship", "printed")})
FULL = "fulfillment"


@dataclass(frozen=True, slots=True)
class Words:
    """What the channel said about one order: its own words, lower case, "" for what it did not say."""

    order: str
    tags: tuple[str, ...] = ()
    shipment: str = ""
    substatus: str = ""
    logistic_type: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What those words mean. `state` None: as it was."""

    goods: Goods
    state: State | None
    flags: tuple[Flag, ...]

    @property
    def may_be_ready(self) -> bool:
        """Tell whether nothing but label and companions of its pack keeps the order from being picked up."""
        return self.state is State.RECEIVED and self.goods is Goods.HELD and Flag.FRAUD_RISK not in self.flags


def judge(words: Words, *, was_sold: bool = False, extra: Mapping[str, Sale] | None = None) -> Verdict:
    """Return what a channel's words mean.

    was_sold: the hub held units for this order before; only then is a sale that came to nothing a cancellation.
    extra: what the tenant decided about order words that this table does not know (`mapeamento_status`).
    """
    sale = ORDER_WORDS.get(words.order) or (extra or {}).get(words.order)
    flags = {flag for word, flag in ORDER_FLAGS.items() if word == words.order or word in words.tags}
    if sale is None or words.shipment not in HERE | LEFT:
        flags.add(Flag.UNKNOWN_WORD)
    if sale is Sale.OPEN and was_sold and words.order == "confirmed":
        sale = Sale.NOT_COMPLETED
        flags.add(Flag.NOT_COMPLETED)
    goods = _goods(sale, words, was_sold=was_sold)
    if goods is Goods.BACK:
        flags.add(Flag.RETURNED)
    return Verdict(goods, _state(sale, goods, words), tuple(sorted(flags)))


def word_that_counts(known: str, read: str, *, terminal: Collection[str]) -> str:
    """Return which of two order words counts: the one the hub has of an order, or the one that was read now.

    terminal: words that the tenant said nothing comes after (`mapeamento_status`). Once such a word was read, only
    another one, or the channel's own end of a sale, moves the order; what else the channel says later does not move
    it back. Where the goods are the parcel says all the same.
    """
    is_final = read in terminal or ORDER_WORDS.get(read) is Sale.ENDED
    return known if known in terminal and not is_final else read


def is_printable(words: Words) -> bool:
    """Tell whether the channel has a label for the shipment now (contract §4.5)."""
    return words.logistic_type in PRINTABLE_LOGISTICS and (words.shipment, words.substatus) in PRINTABLE


def has_left(words: Words) -> bool:
    """Tell whether the goods are no longer with the seller."""
    place = (words.shipment, words.substatus)
    return (words.shipment in LEFT and place not in BACK_HERE) or place in LEFT_ALL_THE_SAME


def _goods(sale: Sale | None, words: Words, *, was_sold: bool) -> Goods:
    if words.logistic_type == FULL:
        return Goods.ELSEWHERE
    if sale is None:
        return Goods.UNKNOWN
    if sale is Sale.OPEN:
        return Goods.UNKNOWN if was_sold else Goods.NOT_SOLD
    if (words.shipment, words.substatus) in BACK_HERE:
        return Goods.BACK
    if has_left(words):
        return Goods.GONE
    return Goods.HELD if sale is Sale.SOLD else Goods.NOT_SOLD


def _state(sale: Sale | None, goods: Goods, words: Words) -> State | None:
    if sale in (Sale.ENDED, Sale.NOT_COMPLETED):
        return State.CANCELLED
    if sale is not Sale.SOLD:
        return None
    is_gone = goods in (Goods.GONE, Goods.BACK) or (goods is Goods.ELSEWHERE and has_left(words))
    return State.PICKED_UP if is_gone else State.RECEIVED
