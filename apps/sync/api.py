"""The sync over HTTP: why a listing shows its number, have a number told now, and what came of it."""

import re
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.common.pages import PageQuery, page
from apps.common.problems import Problem
from apps.connectors.models import Connector, Listing
from apps.inventory.models import Product
from apps.sync import asking, explain
from apps.sync.asking import Asked, CannotSync
from apps.sync.explain import Why
from apps.sync.models import SyncLog
from apps.tenants.access import of_tenant
from apps.tenants.endpoint import Reply, endpoint
from apps.tenants.identity import Caller

TAGS = ("Synchronisation",)
UUID_FORM = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
UNKNOWN_PRODUCT = ("unknown_product", 404)

EXAMPLE_PRODUCT = UUID("0199f7b2-5c1e-7a90-b8f4-3f2a6d1c9e55")
EXAMPLE_RESERVATION = UUID("0199f7b2-6d2f-7a90-b8f4-3f2a6d1c9e55")
EXAMPLE_TIME = datetime(2026, 11, 22, 14, 32, 10, tzinfo=UTC)


# --- What goes out --------------------------------------------------------------------------------------------------


class Try(msgspec.Struct, rename="camel"):
    """One try to tell a channel a number. `shownValue` is what the channel's answer showed; null when it did not say.

    `status`: `PENDING` while the call is under way, then `SUCCESS`, `ERROR`, or `UNKNOWN` when the end was never seen.
    """

    log_id: int
    listing_id: int
    sync_type: str
    old_value: int | None
    new_value: int
    shown_value: int | None
    status: str
    http_status: int | None
    error_code: str
    error_message: str
    attempt: int
    trigger: str
    timestamp: datetime
    finished_at: datetime | None
    duration_ms: int | None
    trace_id: UUID | None


class PlaceStock(msgspec.Struct, rename="camel"):
    """The stock of one place that counts. `counted` of it are in the number: an oversold place counts as zero."""

    store_id: str
    on_hand: int
    reserved: int
    blocked: int
    available: int
    counted: int


class HoldAnswer(msgspec.Struct, rename="camel"):
    """An open reservation of units of this product, with the document that it is for."""

    reservation_id: UUID
    store_id: str
    quantity: int
    reference_type: str
    reference_id: str
    expires_at: datetime | None
    created_at: datetime


class StepAnswer(msgspec.Struct, rename="camel"):
    """One step of the arithmetic; `units` are left after it.

    `pool`, `margin`, `buffer`, `end`, `cap`, `in_flight` (sold there, not heard of yet) or `depots` (what lies at no
    depot's place is not offered).
    """

    step: str
    rule: int | None
    units: int


class ChangeAnswer(msgspec.Struct, rename="camel"):
    """One way to a higher number. `isEnough` is false where it takes this together with the others."""

    way: str
    value: int
    is_enough: bool


class WantedAnswer(msgspec.Struct, rename="camel"):
    """The next higher number there can be, and what would lead to it."""

    number: int
    ways: list[ChangeAnswer]


class WhyAnswer(msgspec.Struct, rename="camel"):
    """Why a listing shows its number.

    `number` is what it should show now (null while the hub was told of no stock), `shown` what the channel last said.
    `state`: `not_mapped`, `kept_by_channel`, `stock_unknown`, `being_told`, `in_queue`, `retry`, `held` (one zero of
    too many at once waits for a person), `right`, `shadowed` (computed, not sent), or `differs`, which the comparison
    finds within a minute. `heldUpBy`: `connector_stopped`, `switched_off`, `shadow_mode`, `circuit_open` or null.
    """

    listing_id: int
    channel: str
    item_id: str
    variation_id: str
    sku: str | None
    product: UUID | None
    number: int | None
    shown: int | None
    shown_at: datetime | None
    state: str
    held_up_by: str | None
    next_try_at: datetime | None
    steps: list[StepAnswer]
    places: list[PlaceStock]
    elsewhere: dict[str, int]
    holds: list[HoldAnswer]
    held_besides: int
    told: Try | None
    next_number: WantedAnswer | None


class ListingState(msgspec.Struct, rename="camel"):
    """Where telling one listing its number stands; the words are those of `GET /v1/listings/{listingId}/why`."""

    listing_id: int
    item_id: str
    variation_id: str
    state: str
    held_up_by: str | None


class SyncAsked(msgspec.Struct, rename="camel"):
    """What was put at the head of the queue. `statusUrl` shows the tries that come of it, as soon as there are any."""

    product: UUID
    sku: str
    listings: list[ListingState]
    status_url: str


class Syncs(msgspec.Struct, rename="camel"):
    """Where each listing stands, and the tries, newest first."""

    listings: list[ListingState]
    items: list[Try]
    next: str | None


class SyncsQuery(PageQuery, kw_only=True):
    """Which tries."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**62, description="Only tries with a greater logId")] = 0


EXAMPLE_TRY = Try(
    *(812, 31, "STOCK", 9, 7, 7, "SUCCESS", 200, "", "", 1, "auto"),
    *(EXAMPLE_TIME, EXAMPLE_TIME, 180, UUID("a8a4b8e0-5d5e-4c55-9d0a-3f6f1e1b7f10")),
)
EXAMPLE_STATE = ListingState(31, "MLB3000000001", "", "in_queue", None)
EXAMPLE_URL = f"/v1/products/{EXAMPLE_PRODUCT}/syncs?after=811"


# --- Doors ----------------------------------------------------------------------------------------------------------


@endpoint(
    method="GET",
    scope="integrations:read",
    answer=WhyAnswer,
    problems=(("unknown_listing", 404),),
    tags=TAGS,
    example=WhyAnswer(
        *(31, "ML", "MLB3000000001", "", "SKU-001", EXAMPLE_PRODUCT, 7, 7, EXAMPLE_TIME, "right", None, None),
        [StepAnswer("pool", None, 8), StepAnswer("buffer", 1, 7)],
        [PlaceStock("S1", 10, 2, 0, 8, 8)],
        {"CD1": 40},
        [HoldAnswer(EXAMPLE_RESERVATION, "S1", 2, "order", "17", None, EXAMPLE_TIME)],
        0,
        EXAMPLE_TRY,
        WantedAnswer(8, [ChangeAnswer("more_units", 1, True), ChangeAnswer("lower_buffer", 0, True)]),
    ),
)
def explain_listing(request: HttpRequest, caller: Caller, listing_id: int) -> WhyAnswer:
    """Why a listing shows its number.

    What it is made of, place by place and step by step; who holds what; what the channel answered last; what is still
    to be told; and what would make the number higher.
    """
    rows = Listing.objects.filter(pk=listing_id).select_related("connector", "tenant", "product")
    listing = of_tenant(caller.tenant, rows).first()
    if listing is None:
        raise Problem(404, "unknown_listing", _("There is no such listing."))
    return _why(explain.explain(listing))


@endpoint(
    method="POST",
    scope="integrations:write",
    answer=SyncAsked,
    status=202,
    problems=(UNKNOWN_PRODUCT, ("product_not_mapped", 409), ("stock_unknown", 409), ("stock_kept_by_channel", 422)),
    tags=TAGS,
    answer_headers=("Location",),
    example=SyncAsked(EXAMPLE_PRODUCT, "SKU-001", [EXAMPLE_STATE], EXAMPLE_URL),
)
def sync_stock(request: HttpRequest, caller: Caller, product_id: str) -> Reply:
    """Tell Mercado Livre a product's number now.

    `productId` is the product's id or its SKU. Its listings jump the queue; `Location` shows the tries that come of it.
    The number is computed when it is sent. An account that is stopped is told once it works again (`heldUpBy`).
    """
    product = _product(caller, product_id)
    try:
        asked = asking.ask(product, Connector.Kind.MERCADO_LIVRE, actor=caller.actor)
    except CannotSync as refusal:
        raise _refusal(refusal, product) from None
    url = f"/v1/products/{product.public_id}/syncs?after={asked.after}"
    answer = SyncAsked(product.public_id, product.sku, [_state(row) for row in asked.listings], url)
    return Reply(answer, headers={"Location": url})


@endpoint(
    method="GET",
    scope="integrations:read",
    query=SyncsQuery,
    answer=Syncs,
    problems=(UNKNOWN_PRODUCT, ("invalid_cursor", 400)),
    tags=TAGS,
    example=Syncs([EXAMPLE_STATE], [EXAMPLE_TRY], None),
)
def list_product_syncs(request: HttpRequest, caller: Caller, product_id: UUID, query: SyncsQuery) -> Syncs:
    """The numbers of a product that Mercado Livre was told, newest first.

    `after` narrows it to what came of one request; `listings` says whether something is still to be told.
    """
    product = _product(caller, str(product_id))
    rows = SyncLog.objects.filter(tenant_id=caller.tenant_id, product=product)
    found, following = page(request, rows.filter(pk__gt=query.after), query, by=("timestamp", "id"))
    standing = asking.standing(product, Connector.Kind.MERCADO_LIVRE)
    return Syncs([_state(row) for row in standing], [_try(row) for row in found], following)


# --- Parts ----------------------------------------------------------------------------------------------------------


def _product(caller: Caller, name: str) -> Product:
    """Return the product with this id for programs, else with this SKU. Raises Problem 404."""
    products = of_tenant(caller.tenant, Product.objects.all())
    found = products.filter(public_id=name).first() if UUID_FORM.fullmatch(name) else None
    found = found or products.filter(sku=name).first()
    if found is None:
        raise Problem(404, "unknown_product", _("There is no such product. Nothing was sent."))
    return found


def _refusal(refusal: CannotSync, product: Product) -> Problem:
    status = {"product_not_mapped": 409, "stock_unknown": 409, "stock_kept_by_channel": 422}[refusal.code]
    details = {
        "product_not_mapped": _("No listing on this channel sells %(sku)s, so there is no number to tell."),
        "stock_unknown": _("Saldo was never told what there is of %(sku)s, so it tells the channel nothing."),
        "stock_kept_by_channel": _("The channel itself keeps the stock of every listing of %(sku)s. Nothing was sent."),
    }
    return Problem(status, refusal.code, details[refusal.code] % {"sku": product.sku}, sku=product.sku)


def _why(why: Why) -> WhyAnswer:
    listing, made_of, wanted = why.listing, why.made_of, why.wanted
    ways = (
        [ChangeAnswer(change.way.value, change.value, change.is_enough) for change in wanted.changes] if wanted else []
    )
    return WhyAnswer(
        listing_id=listing.pk,
        channel=listing.connector.kind,
        item_id=listing.item_id,
        variation_id=listing.variation_id,
        sku=listing.product.sku if listing.product else None,
        product=listing.product.public_id if listing.product else None,
        number=why.number,
        shown=listing.accepted_quantity,
        shown_at=listing.accepted_at,
        state=why.state.value,
        held_up_by=why.hindrance.value if why.hindrance else None,
        next_try_at=listing.due_at,
        steps=[StepAnswer(step.name, step.rule, step.units) for step in why.steps],
        places=[
            PlaceStock(place.code, place.on_hand, place.reserved, place.blocked, place.available, place.counted)
            for place in (made_of.places if made_of else ())
        ],
        elsewhere=why.elsewhere,
        holds=[
            HoldAnswer(
                *(hold.reservation_id, hold.code, hold.quantity, hold.reference_type, hold.reference_id),
                *(hold.expires_at, hold.created_at),
            )
            for hold in why.holds
        ],
        held_besides=why.held_besides,
        told=_try(why.told) if why.told else None,
        next_number=WantedAnswer(wanted.goal, ways) if wanted else None,
    )


def _state(row: Asked) -> ListingState:
    held_up_by = row.hindrance.value if row.hindrance else None
    return ListingState(row.listing.pk, row.listing.item_id, row.listing.variation_id, row.state.value, held_up_by)


def _try(row: SyncLog) -> Try:
    return Try(
        log_id=row.pk,
        listing_id=row.listing_id,
        sync_type=row.sync_type,
        old_value=row.old_value,
        new_value=row.new_value,
        shown_value=row.shown_value,
        status=row.status,
        http_status=row.http_status,
        error_code=row.error_code,
        error_message=row.error_message,
        attempt=row.attempt,
        trigger=row.trigger,
        timestamp=row.timestamp,
        finished_at=row.finished_at,
        duration_ms=row.duration_ms,
        trace_id=row.trace_id,
    )
