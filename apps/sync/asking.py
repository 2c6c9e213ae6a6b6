"""Somebody asks for a product's number to be told now: it jumps the queue, and an address shows what comes of it."""

from dataclasses import dataclass

import structlog
from django.db import transaction

from apps.connectors.models import Listing
from apps.inventory.models import Product
from apps.sync import explain, inputs, queue
from apps.sync.explain import Hindrance, State
from apps.sync.models import SyncLog

log = structlog.get_logger(__name__)

LISTINGS_MAX = 100
"""Listings of one product on one channel that one request marks; a seller has a handful."""


class CannotSync(Exception):
    """There is no number to tell. `code`: `product_not_mapped`, `stock_kept_by_channel` or `stock_unknown`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Asked:
    """A listing that is told its number next, or that is not (`state` says why)."""

    listing: Listing
    state: State
    hindrance: Hindrance | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked for. after: the newest try of before; what comes of the request has a greater id."""

    listings: tuple[Asked, ...]
    after: int


def ask(product: Product, channel: str, *, actor: str) -> Answer:
    """Have the number of every listing of the product on a channel ("ML") told now, before all others.

    The tries' rows are opened by whoever tells the number, so a row never says that something is being sent which is
    not. Raises CannotSync when no listing has a number to tell.
    """
    with transaction.atomic():
        mine = Listing.objects.filter(tenant_id=product.tenant_id, product=product, connector__kind=channel)
        found = list(mine.select_related("connector", "tenant").order_by("id")[:LISTINGS_MAX])
        _refuse_if_none_can(found)
        newest = SyncLog.objects.filter(tenant_id=product.tenant_id, product=product).order_by("-timestamp", "-id")
        after = newest.values_list("id", flat=True).first() or 0
        queue.mark_now(Listing.objects.filter(pk__in=[row.pk for row in found]))
    log.info("stock_sync_asked", product_id=product.pk, listings=len(found), actor=actor)
    return Answer(standing(product, channel), after)


def standing(product: Product, channel: str) -> tuple[Asked, ...]:
    """Return where telling the number of each listing of the product stands."""
    mine = Listing.objects.filter(tenant_id=product.tenant_id, product=product, connector__kind=channel)
    found = mine.select_related("connector", "tenant").order_by("id")[:LISTINGS_MAX]
    hindrances: dict[int, Hindrance | None] = {}
    shown = []
    for row in found:
        if row.connector_id not in hindrances:
            hindrances[row.connector_id] = explain.hindrance_of(row)
        state = explain.state_of(row, inputs.read(row.pk))
        shown.append(Asked(row, state, hindrances[row.connector_id]))
    return tuple(shown)


def _refuse_if_none_can(found: list[Listing]) -> None:
    if not found:
        raise CannotSync("product_not_mapped")
    writable = [row for row in found if row.is_writable]
    if not writable:
        raise CannotSync("stock_kept_by_channel")
    if all(inputs.read(row.pk) is None for row in writable):
        raise CannotSync("stock_unknown")
