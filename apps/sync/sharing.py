"""Listings that share one stock at the channel: the items of one user product (contract §5.5).

One of them, the **speaker**, is told the number; the channel shows it on all. So a change costs one write however many
listings there are, and two workers never tell one stock two numbers at a time: the speaker's lease covers them all.
They have one rule of publication: whoever changes it changes it for all, and one that is imported later takes it over.

Variations of one item have a stock each and share one write: it names all of them, the others with the numbers just
read (contract §5.4). Two writes at a time would each set the other's number back, so there is one (`item_alone`).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.common import slots
from apps.connectors.channel import ChannelError
from apps.connectors.models import SHARING, WRITABLE, Listing, lock


def is_shared(listing: Listing) -> bool:
    """Tell whether others may show the stock of this one."""
    return bool(listing.user_product_id) and listing.capability in SHARING


def sisters(listing: Listing) -> QuerySet[Listing]:
    """Return the listings that show the same stock and may be told it, `listing` among them."""
    if not is_shared(listing):
        return Listing.objects.filter(pk=listing.pk)
    same = Q(connector_id=listing.connector_id, user_product_id=listing.user_product_id, capability__in=SHARING)
    return Listing.objects.filter(same, WRITABLE, product__isnull=False)


def speaker_of(listing: Listing) -> Listing:
    """Return which of the listings is told the number: the first without an error of its own.

    Raises ChannelError when they are mapped to different products: each would overwrite the other's number for ever.
    """
    if not is_shared(listing):
        return listing
    rows = list(sisters(listing).order_by("pk").only("item_id", "product_id", "last_error_code", "accepted_quantity"))
    if len({row.product_id for row in rows}) > 1:
        names = ", ".join(str(row) for row in rows[:5])
        raise ChannelError(
            f"{names} share the stock of user product {listing.user_product_id} but sell different products here;"
            " none of them is told a number until all of them have one product",
            code="user_product_shared",
            permanent=True,
        )
    return min(rows, key=lambda row: (row.last_error_code != "", row.pk), default=listing)


@contextmanager
def item_alone(listing: Listing, wait_seconds: float) -> Iterator[bool]:
    """Let nobody else write this variation's item while the block runs; yields False when others did for so long.

    Yields True at once for what is not written together with others.
    """
    if not listing.variation_id or listing.capability == Listing.Capability.MULTI_ORIGIN:
        yield True
        return
    with slots.alone(f"sync.item/{listing.connector_id}/{listing.item_id}", wait_seconds) as is_alone:
        yield is_alone


def lock_sisters(listing: Listing) -> None:
    """Lock all that share the stock before one of them is settled; nothing for a listing that shares none."""
    if is_shared(listing):
        lock(sisters(listing))


def settle_sisters(listing: Listing, **values: object) -> None:
    """Write down for the others what the speaker was told: their number is the same."""
    if not is_shared(listing):
        return
    others = sisters(listing).exclude(pk=listing.pk)
    others.update(
        due_at=None,
        sync_state=Listing.SyncState.SUCCESS,
        attempts=0,
        last_error="",
        last_error_code="",
        updated_at=timezone.now(),
        **values,
    )


def ids_sharing(listing: Listing) -> list[int]:
    """Return the listings whose sales lower the number of this one, itself among them, told or not."""
    if not listing.user_product_id or listing.variation_id:
        return [listing.pk]
    same = Listing.objects.filter(connector_id=listing.connector_id, user_product_id=listing.user_product_id)
    return list(same.values_list("pk", flat=True))
