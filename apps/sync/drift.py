"""How a channel can differ from the hub, and what of it the hub may put right by itself. Pure.

A **reading** is everything that is known of one listing at one moment: the hub's row, the number it should show, how
telling it went last, what the channel shows, and the sales the hub has not taken in yet. `judge` gives each difference
its kind.

What may be repaired follows from one thought: *lowering a number to the hub's is always safe, raising it only when
nobody can have bought what is missing*. A channel that shows more than there is oversells; one that shows less may be
showing a sale the hub has not heard of, and raising it would sell those units twice. Whatever says that the listing is
not what the hub takes it for (another product, another account, gone) forbids to touch its number at all.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from apps.connectors.channel import ListingSnapshot
from apps.connectors.models import READ_ONLY, Listing
from apps.sync.models import Divergence, SyncLog

Kind = Divergence.Kind
Capability = Listing.Capability

SETTLE = timedelta(seconds=30)
"""A number that was told, or a stock that moved, so recently is still on its way: Mercado Livre copies it to the other
listings of a user product at leisure (contract §5.3)."""

OVERDUE = timedelta(minutes=10)
"""A number that waits to be told for longer than this is not in flight any more, it is stuck."""

PATIENCE = timedelta(minutes=20)
"""A number that was lowered without a sale to explain it is raised again only when it was seen so for this long: an
order may take a while to show up in the channel's search."""

REPAIRS_MAX = 3
"""A repair that did not hold so often is a person's matter."""


@dataclass(frozen=True, slots=True)
class LastTry:
    """How telling a number went: the newest finished try of a listing, or the newest that succeeded."""

    status: str
    error_code: str
    old: int | None
    new: int


@dataclass(frozen=True, slots=True)
class Hub:
    """The hub's side of one listing."""

    listing_id: int
    item_id: str
    variation_id: str
    product_id: int
    product_gtin: str
    capability: str
    logistic_type: str
    channel_status: str
    user_product_id: str
    accepted: int | None
    sold_there: int  # units the channel sold since then, as far as the hub has heard
    is_held: bool  # its zero is one of too many: a person must let it through
    accepted_at: datetime | None
    due_at: datetime | None
    lease_id: object
    lease_expires_at: datetime | None
    sync_state: str
    last_error_code: str
    moved_at: datetime | None  # when the product's stock moved last
    target: int | None  # None: the hub has nothing to say
    newest: LastTry | None
    succeeded: LastTry | None
    is_live: bool = False  # told although its account is in shadow mode

    @property
    def believed(self) -> int | None:
        """Return what the channel should be showing, by what it accepted and has sold since."""
        return None if self.accepted is None else self.accepted - self.sold_there

    @property
    def is_writable(self) -> bool:
        """Tell whether the hub tells this listing its number."""
        return self.logistic_type != "fulfillment" and self.capability not in READ_ONLY

    def is_as(self, other: "Hub") -> bool:
        """Tell whether nothing was told, queued or moved between two looks."""
        names = ("product_id", "target", "accepted", "sold_there", "accepted_at", "due_at", "lease_id", "is_held")
        return all(getattr(self, name) == getattr(other, name) for name in names)


class Heard(Enum):
    """What the hub knows of a sale that it has not taken in."""

    NO = "no"  # nothing told of it: it was found by asking
    STUCK = "stuck"  # it waits for a person, or was given up
    ON_ITS_WAY = "on its way"  # a worker is about to take it in


@dataclass(frozen=True, slots=True)
class Sales:
    """What the channel sold or took back of one listing, and the hub has not taken in."""

    sold: int = 0
    returned: int = 0
    heard: Heard = Heard.ON_ITS_WAY
    orders: tuple[str, ...] = ()

    def __add__(self, other: "Sales") -> "Sales":
        """Return both together, as the one that is worse heard of."""
        heard = min(self.heard, other.heard, key=list(Heard).index)
        return Sales(self.sold + other.sold, self.returned + other.returned, heard, (*self.orders, *other.orders))


@dataclass(frozen=True, slots=True)
class Owner:
    """Which product the listing's own marks name, when it is another one than the listing is mapped to."""

    by_sku: str = ""
    by_gtin: str = ""
    shared_with: str = ""  # the SKU of another product that sells from the same user product


class Repair(Enum):
    """What the hub does about a difference by itself."""

    NONE = "none"  # a person decides
    SEND = "send"  # tell our number (again)
    LEARN = "learn"  # keep what the channel says the listing is
    FOLLOW = "follow"  # read the listings that replaced it
    TAKE_IN = "take_in"  # the order is read; the unread order itself is the repair


@dataclass(frozen=True, slots=True)
class Drift:
    """One difference, and what may be done about it."""

    kind: Kind
    repair: Repair = Repair.NONE
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with one listing. `is_in_flight`: its number cannot be judged now."""

    drifts: tuple[Drift, ...] = ()
    is_in_flight: bool = False
    is_number_judged: bool = True


def judge(
    hub: Hub,
    shown: ListingSnapshot | None,
    *,
    item_exists: bool,
    now: datetime,
    account_id: str,
    capability: str,
    owner: Owner,
    sales: Sales | None,
    units: int | None = None,
    is_steady: bool = True,
    is_shadow: bool = False,
) -> Verdict:
    """Return every difference between the hub and the channel on one listing.

    shown: what the channel shows; None when the item (`item_exists` False) or its variation is gone.
    capability: what kind of listing it is by what the channel shows now.
    sales: what was sold and not taken in; None when that could not be found out, so that nothing may be raised.
    units: the number to compare when it is not simply `shown.quantity`: without what lies in the channel's warehouse.
    is_steady: False when the hub's side changed while the channel was read.
    """
    if shown is None:
        return Verdict((Drift(Kind.VARIATION_GONE if item_exists else Kind.MISSING),), is_number_judged=False)
    if shown.seller_id and account_id and shown.seller_id != account_id:
        return Verdict((Drift(Kind.FOREIGN),), is_number_judged=False)
    drifts = [*_kind(hub, capability), *_status(hub, shown), *_ownership(owner)]
    if not hub.is_writable or capability in READ_ONLY or any(drift.kind in NO_NUMBER for drift in drifts):
        return Verdict(tuple(drifts), is_number_judged=False)
    quantity = shown.quantity if units is None else units
    number = _number(hub, quantity, now=now, sales=sales, is_steady=is_steady, is_shadow=is_shadow)
    if number is None:
        return Verdict(tuple(drifts), is_in_flight=True)
    return Verdict((*drifts, *number))


NO_NUMBER = frozenset(
    {Kind.WRONG_SKU, Kind.WRONG_GTIN, Kind.SHARED_STOCK, Kind.BECAME_FULL, Kind.BECAME_KIT, Kind.MOVED, Kind.CLOSED}
)
"""Kinds beside which the number is not judged, and so never repaired."""


# --- What the listing is --------------------------------------------------------------------------------------------

BECAME = {
    Capability.MOVED: (Kind.MOVED, Repair.FOLLOW),
    Capability.FULL: (Kind.BECAME_FULL, Repair.LEARN),
    Capability.KIT: (Kind.BECAME_KIT, Repair.LEARN),
}


def _kind(hub: Hub, capability: str) -> list[Drift]:
    if not hub.capability or hub.capability == capability:
        return []
    if capability in BECAME:
        return [Drift(*BECAME[Capability(capability)], detail=f"{hub.capability} -> {capability}")]
    kind = Kind.LEFT_FULL if hub.capability == Capability.FULL else Kind.KIND_CHANGED
    return [Drift(kind, Repair.LEARN, detail=f"{hub.capability} -> {capability}")]


SEES_BUYERS = frozenset({"active", "paused"})


def _status(hub: Hub, shown: ListingSnapshot) -> list[Drift]:
    """Say what the hub does not know yet of the listing's state; what it knows already is on the listing's page."""
    known = hub.channel_status
    if shown.status == "paused" and "paused_by_seller" in shown.sub_status:
        return [Drift(Kind.PAUSED_BY_SELLER)] if known == "active" else []
    if known in ("", shown.status) or shown.has_moved:
        return []
    if shown.status == "closed":
        return [Drift(Kind.CLOSED, detail=", ".join(shown.sub_status))]
    if shown.status not in SEES_BUYERS:
        return [Drift(Kind.BLOCKED, detail=", ".join((shown.status, *shown.sub_status)))]
    return [] if known in SEES_BUYERS else [Drift(Kind.REACTIVATED, Repair.LEARN, detail=f"{known} -> {shown.status}")]


def _ownership(owner: Owner) -> list[Drift]:
    if owner.by_sku:
        return [Drift(Kind.WRONG_SKU, detail=owner.by_sku)]
    if owner.by_gtin:
        return [Drift(Kind.WRONG_GTIN, detail=owner.by_gtin)]
    return [Drift(Kind.SHARED_STOCK, detail=owner.shared_with)] if owner.shared_with else []


# --- Its number -----------------------------------------------------------------------------------------------------


def _number(
    hub: Hub, shown: int, *, now: datetime, sales: Sales | None, is_steady: bool, is_shadow: bool
) -> list[Drift] | None:
    """Return what is wrong with the number; None while it is on its way."""
    if hub.target is None:
        return [Drift(Kind.UNCOUNTED)] if shown else []
    if shown == hub.target:
        return []
    if hub.is_held and is_steady:
        return [Drift(Kind.HELD)]
    if not is_steady or is_moving(hub, now):
        return None
    if sales and (sales.sold or sales.returned):
        return _sale(sales)
    if is_shadow:
        return [Drift(Kind.SHADOWED)]
    kind, detail = _cause(hub, shown)
    may_send = kind in SENDABLE and (hub.target < shown or sales is not None)
    return [Drift(kind, Repair.SEND if may_send else Repair.NONE, detail)]


def _sale(sales: Sales) -> list[Drift] | None:
    """Return the difference that a sale or a cancellation explains. It is repaired by taking the order in."""
    if sales.heard is Heard.ON_ITS_WAY:
        return None
    detail = ", ".join(sales.orders)[:300]
    if sales.heard is Heard.STUCK:
        return [Drift(Kind.SALE_WAITING, detail=detail)]
    return [Drift(Kind.SALE_UNHEARD if sales.sold else Kind.CANCELLATION_UNHEARD, Repair.TAKE_IN, detail)]


SENDABLE = frozenset({Kind.PUSH_LOST, Kind.NOT_KEPT, Kind.NOT_QUEUED, Kind.RAISED, Kind.LOWERED})


def is_moving(hub: Hub, now: datetime) -> bool:
    """Tell whether the number is being told, about to be, or was just told or changed."""
    if hub.lease_expires_at and hub.lease_expires_at > now - OVERDUE:
        return True
    if hub.due_at and hub.sync_state != Listing.SyncState.ERROR and hub.due_at > now - OVERDUE:
        return True
    return any(moment and moment > now - SETTLE for moment in (hub.accepted_at, hub.moved_at))


def _cause(hub: Hub, shown: int) -> tuple[Kind, str]:
    """Return why the channel shows another number, when no sale explains it, with what tells so."""
    newest, succeeded = hub.newest, hub.succeeded
    if hub.sync_state == Listing.SyncState.ERROR and hub.last_error_code:
        is_ignored = hub.last_error_code == "ignored_by_channel"
        return (Kind.IGNORED if is_ignored else Kind.REFUSED), hub.last_error_code
    if hub.due_at or hub.lease_expires_at:
        return Kind.OVERDUE, ""
    if newest and newest.status == SyncLog.Status.UNKNOWN and newest.old == shown:
        return Kind.PUSH_LOST, f"{newest.old} -> {newest.new}"
    if hub.believed is None or shown == hub.believed:
        return Kind.NOT_QUEUED, ""
    if succeeded and succeeded.new == hub.accepted:
        if succeeded.old == shown:
            return Kind.NOT_KEPT, f"{succeeded.old} -> {succeeded.new}"
    elif shown in {known for known in (newest and newest.old, succeeded and succeeded.new) if known is not None}:
        return Kind.PUSH_LOST, ""
    return (Kind.RAISED if shown > hub.believed else Kind.LOWERED), ""


def may_repair(drift: Drift, *, hub: Hub, shown: int | None, seen_since: datetime, repairs: int, now: datetime) -> bool:
    """Tell whether a repair is due now, given since when this difference was seen and how often it was repaired."""
    if drift.repair is Repair.NONE or repairs >= REPAIRS_MAX:
        return False
    is_raise = drift.repair is Repair.SEND and shown is not None and hub.target is not None and hub.target > shown
    return not (is_raise and drift.kind in UNEXPLAINED and seen_since > now - PATIENCE)


NUMBER = frozenset(
    {
        *(Kind.PUSH_LOST, Kind.NOT_KEPT, Kind.IGNORED, Kind.REFUSED, Kind.OVERDUE, Kind.NOT_QUEUED, Kind.RAISED),
        *(Kind.LOWERED, Kind.SALE_UNHEARD, Kind.SALE_WAITING, Kind.CANCELLATION_UNHEARD, Kind.UNCOUNTED),
        *(Kind.SHADOWED, Kind.HELD),
    }
)
"""Kinds that are about the number; the others are about whose it is and what the listing is."""

UNEXPLAINED = frozenset({Kind.RAISED, Kind.LOWERED})
"""Nothing the hub has written down tells where this number comes from."""
