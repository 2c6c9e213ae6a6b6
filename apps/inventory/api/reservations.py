"""Reservations: a basket made at once, one by its id, and the list of them.

What is shown is as of now: a reservation whose deadline has passed shows EXPIRED, whether the sweeper came by or not.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from django.db import connection
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.common import sql_pages
from apps.common.problems import Problem
from apps.common.sql_pages import Page
from apps.inventory.api.calls import (
    EXAMPLE_ID,
    KEY_PROBLEMS,
    Name,
    TtlSeconds,
    Units,
    key_of,
    problems,
    refused,
    replayed,
    reserve_together,
)
from apps.inventory.api.lists import NAMES, NewestFirst, PlaceQuery, Where
from apps.inventory.ledger import Line, Reserved
from apps.inventory.models import Location, Product
from apps.inventory.refusals import LedgerError
from apps.tenants.endpoint import Reply, endpoint
from apps.tenants.identity import Caller

LINES_MAX = 100

STATUS_NOW = (
    "CASE WHEN {0}.status = 'PENDING' AND {0}.expires_at <= clock_timestamp() THEN 'EXPIRED' ELSE {0}.status END"
)
COLUMNS = f"""
page.id, p.sku, l.code, page.quantity, page.confirmed_quantity, page.requester_id, {STATUS_NOW.format("page")},
page.created_at, page.expires_at,
CASE WHEN page.status <> 'PENDING' THEN page.updated_at WHEN page.expires_at <= clock_timestamp() THEN page.expires_at
     END, page.reference_type, page.reference_id
"""
ONE = f"SELECT {COLUMNS} FROM inventory_reservations AS page {NAMES} WHERE page.id = %s AND page.tenant_id = %s"  # noqa: S608
BATCHES = """
SELECT b.id, b.batch_number, b.expiry_date, h.quantity
  FROM inventory_batch_holds AS h JOIN inventory_batches AS b ON b.id = h.batch_id
 WHERE h.reservation_id = %s AND h.tenant_id = %s ORDER BY b.expiry_date, b.id
"""

Status = Literal["PENDING", "CONFIRMED", "RELEASED", "EXPIRED"]


class BasketLine(msgspec.Struct, rename="camel"):
    """Units of a SKU at a store."""

    sku: Name
    store_id: Name
    qty: Units


class Basket(msgspec.Struct, rename="camel"):
    """What a client wants kept together. Without `ttlSeconds` for 15 minutes."""

    lines: Annotated[list[BasketLine], msgspec.Meta(min_length=1, max_length=LINES_MAX)]
    client_id: Annotated[str, msgspec.Meta(max_length=128)] = ""
    ttl_seconds: TtlSeconds = 900


class Made(msgspec.Struct, rename="camel"):
    """A reservation as it was made, and what is available after it."""

    reservation_id: str
    sku: str
    store_id: str
    qty: int
    available: int
    version: int


class BasketAnswer(msgspec.Struct, rename="camel"):
    """The reservations of a basket: one for each SKU and store, in the order asked."""

    client_id: str
    status: str
    created_at: str
    expires_at: str | None
    reservations: list[Made]


class Reservation(msgspec.Struct, rename="camel"):
    """A promise of units. `confirmed` of them left; `endedAt` says since when it counts no longer."""

    reservation_id: UUID
    sku: str
    store_id: str
    qty: int
    confirmed: int
    client_id: str
    status: Status
    created_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    reference_type: str
    reference_id: str


class HeldBatch(msgspec.Struct, rename="camel"):
    """How many units of a batch the reservation was given."""

    batch_id: UUID
    batch_number: str
    expires_at: datetime | None
    qty: int


class ReservationDetail(Reservation):
    """A reservation with the batches it holds, or held; none where the product is kept without batches."""

    batches: list[HeldBatch]


class ReservationsQuery(PlaceQuery, kw_only=True):
    """Which reservations."""

    status: Annotated[Status, msgspec.Meta(description="Only those that are so now.")] | None = None
    client_id: (
        Annotated[str, msgspec.Meta(min_length=1, max_length=128, description="Only those of this client.")] | None
    ) = None


EXAMPLE = Reservation(
    *(UUID(EXAMPLE_ID), "SKU-001", "S1", 2, 0, "C1", "PENDING"),
    *(datetime(2026, 11, 22, 14, 32, 10, tzinfo=UTC), datetime(2026, 11, 22, 14, 47, 10, tzinfo=UTC), None),
    *("", ""),
)


@endpoint(
    method="POST",
    scope="stock:reserve",
    body=Basket,
    answer=BasketAnswer,
    status=201,
    problems=(*problems("insufficient_stock", "unknown_sku", "unknown_store", "invalid_quantity"), *KEY_PROBLEMS),
    tags=("Reservations",),
    body_example=Basket([BasketLine("SKU-001", "S1", 2), BasketLine("SKU-001", "S1", 1)], "C1", 900),
    example=BasketAnswer(
        *("C1", "PENDING", "2026-11-22T14:32:10+00:00", "2026-11-22T14:47:10+00:00"),
        [Made(EXAMPLE_ID, "SKU-001", "S1", 3, 7, 2)],
    ),
    request_headers=("Idempotency-Key",),
    answer_headers=("Idempotency-Replayed",),
)
def reserve_basket(request: HttpRequest, caller: Caller, body: Basket) -> Reply:
    """Reserve a basket: all of its lines or none.

    Lines of one SKU and store are one reservation. When something is short, the answer names the `sku` and `storeId`
    and how many there are, and nothing is reserved.
    """
    lines = [Line(None, line.qty, sku=line.sku, store=line.store_id) for line in body.lines]
    verdict = reserve_together(request, caller, lines, key_of(request), body.ttl_seconds, body.client_id)
    if isinstance(verdict, LedgerError):
        raise _explained(caller, body, verdict)
    first = verdict[0]
    made = _in_order(caller, body, verdict)
    answer = BasketAnswer(body.client_id, "PENDING", first.created_at, first.expires_at, made)
    return Reply(answer, headers=replayed(first.replayed))


def _in_order(caller: Caller, body: Basket, reserved: list[Reserved]) -> list[Made]:
    """Return the reservations with the names their things have now, in the order in which the basket names each.

    The first answer may be given again after a product was renamed: then its name of now comes last.
    """
    skus = _skus(caller, {one.product_id for one in reserved})
    codes = _codes(caller, {one.location_id for one in reserved})
    named = list(dict.fromkeys((line.sku, line.store_id) for line in body.lines))
    made = [
        Made(one.reservation_id, skus[one.product_id], codes[one.location_id], one.quantity, one.available, one.version)
        for one in reserved
    ]
    place = {pair: number for number, pair in enumerate(named)}
    return sorted(made, key=lambda one: place.get((one.sku, one.store_id), len(named)))


def _explained(caller: Caller, body: Basket, refusal: LedgerError) -> Problem:
    """Return the refusal with the SKU and store it is about."""
    problem = refused(refusal)
    if refusal.code == "insufficient_stock":
        product, location = refusal.facts["product_id"], refusal.facts["location_id"]
        problem.facts["sku"] = _skus(caller, {product})[product]
        problem.facts["storeId"] = _codes(caller, {location})[location]
    if refusal.code == "unknown_sku":
        asked = [line.sku for line in body.lines]
        known = set(Product.objects.filter(tenant_id=caller.tenant_id, sku__in=asked).values_list("sku", flat=True))
        problem.facts["sku"] = next((sku for sku in asked if sku not in known), None)
    if refusal.code == "unknown_store":
        asked = [line.store_id for line in body.lines]
        known = set(Location.objects.filter(tenant_id=caller.tenant_id, code__in=asked).values_list("code", flat=True))
        problem.facts["storeId"] = next((code for code in asked if code not in known), None)
    return problem


def _skus(caller: Caller, ids: set[int]) -> dict[int, str]:
    return dict(Product.objects.filter(tenant_id=caller.tenant_id, pk__in=ids).values_list("pk", "sku"))


def _codes(caller: Caller, ids: set[int]) -> dict[int, str]:
    return dict(Location.objects.filter(tenant_id=caller.tenant_id, pk__in=ids).values_list("pk", "code"))


@endpoint(
    method="GET",
    scope="stock:read",
    answer=ReservationDetail,
    problems=problems("unknown_reservation"),
    tags=("Reservations",),
)
def get_reservation(request: HttpRequest, caller: Caller, reservation_id: UUID) -> ReservationDetail:
    """One reservation, as it is now, with the batches it holds."""
    with connection.cursor() as cursor:
        cursor.execute(ONE, [reservation_id, caller.tenant_id])
        row = cursor.fetchone()
        if row is None:
            raise Problem(404, "unknown_reservation", _("You have no such reservation."))
        cursor.execute(BATCHES, [reservation_id, caller.tenant_id])
        return ReservationDetail(*(*row, [HeldBatch(*held) for held in cursor.fetchall()]))


@endpoint(
    method="GET",
    scope="stock:read",
    query=ReservationsQuery,
    answer=Page[Reservation],
    problems=(("invalid_cursor", 400), *problems("unknown_sku", "unknown_store")),
    tags=("Reservations",),
    example=Page([EXAMPLE], None, None),
)
def list_reservations(request: HttpRequest, caller: Caller, query: ReservationsQuery) -> Page[Reservation]:
    """Reservations, the newest first.

    Filter by what they are now (`status`), SKU, store and client. A page may hold fewer than `limit`, even none: only
    `next` of null is the end.
    """
    where = Where.of(caller)
    where.add_place(caller, query)
    where.add("requester_id = %(client)s", client=query.client_id)
    scope = "tenant_id = %(tenant)s"
    if query.status == "PENDING":  # what is open is little, and has an index of its own
        scope += " AND status = 'PENDING'"
        where.add("(expires_at IS NULL OR expires_at > clock_timestamp())")
        return sql_pages.read(
            request, query, _rows(" AND ".join([scope, *where.conditions]), [], where.params, True), Reservation
        )
    if query.status is not None:
        where.add(f"{STATUS_NOW.format('examined')} = %(status)s", status=query.status)
    return sql_pages.read(request, query, _rows(scope, where.conditions, where.params, False), Reservation)


def _rows(scope: str, filters: list[str], params: dict[str, Any], is_small: bool) -> sql_pages.Rows:
    return sql_pages.Rows(
        columns=COLUMNS,
        table="inventory_reservations",
        keys=("id",),
        key_types=NewestFirst,
        scope=scope,
        filters=filters,
        params=params,
        joins=NAMES,
        is_small=is_small,
    )
