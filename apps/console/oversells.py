"""The pages of oversells: where more units are promised than are there, whom that hits, and what to do.

Whom it hits: units go to promises in the order in which they were made, so the newest ones are left without.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from apps.console.documents import orders_named
from apps.console.keyset import page_of
from apps.console.movements import shown_with
from apps.console.shelf import places_of
from apps.console.shelf_filters import OversellFilters
from apps.inventory.models import Balance, Movement, Oversell, Reservation
from apps.tenants import access

CASES_A_PAGE = 20
HOLDS_A_CASE_MAX = 20
"""The newest holds of a case that the list looks at; its page has all there is room for."""

HOLDS_MAX = 200
MOVEMENTS_MAX = 30

Place = tuple[int, int]
"""A balance: product's id, location's id."""


@dataclass(frozen=True, slots=True)
class Left:
    """A promise that cannot be kept whole: `missing` of its units are not there."""

    hold: Reservation
    missing: int


@dataclass(frozen=True, slots=True)
class Case:
    """An oversell with what is known of it now."""

    row: Oversell
    balance: Balance | None
    left: tuple[Left, ...]  # the newest first
    elsewhere: tuple[Balance, ...]  # places with units that could be sent

    @property
    def units_short(self) -> int:
        """Return how many promised units are not there: now while it is open, at worst when it is over."""
        if self.row.closed_at or self.balance is None:
            return self.row.units_short
        return max(0, self.balance.reserved - self.balance.on_hand)


@login_required
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Cases of oversell, the newest first: the open ones unless others are asked for."""
    rows = access.owned(request, Oversell.objects.select_related("product", "location"))
    filters = OversellFilters(request.GET, rows, request=request, locations=places_of(request))
    page = page_of(request, filters.qs, "id", size=CASES_A_PAGE)
    cases = _cases(request, page.rows)
    holds = [left.hold for case in cases for left in case.left]
    context = {"filters": filters, "page": page, "cases": cases, "orders": orders_named(request, holds)}
    return render(request, "console/oversells.html", context)


@login_required
@require_safe
def page(request: HttpRequest, pk: int) -> HttpResponse:
    """One case: who holds the units, what happened since, what to do."""
    row = access.owned_or_404(request, Oversell.objects.select_related("product", "location"), pk=pk)
    here = Q(product=row.product_id, location=row.location_id)
    holds = list(
        access.owned(request, Reservation.objects.filter(here, status=Reservation.Status.PENDING)).order_by("id")[
            :HOLDS_MAX
        ]
    )
    moved = Movement.objects.filter(here, version__gte=row.opened_version, recorded_at__gte=row.opened_at)
    if row.closed_version:
        moved = moved.filter(version__lte=row.closed_version)
    movements = list(
        access.owned(request, moved.select_related("product", "location")).order_by("recorded_at", "version")[
            :MOVEMENTS_MAX
        ]
    )
    case = _cases(request, [row])[0]
    left = _left(reversed(holds), case.units_short) if not row.closed_at else ()
    context: dict[str, Any] = {
        "case": case,
        "row": row,
        "holds": holds,
        "missing": {one.hold.pk: one.missing for one in left},
        "hold_orders": orders_named(request, holds),
        "may_handle": access.membership_of(request).may("stock:adjust"),
        "page": {"rows": movements},
        **shown_with(request, movements),
    }
    return render(request, "console/oversell.html", context)


def _cases(request: HttpRequest, rows: Sequence[Oversell]) -> list[Case]:
    """Return the cases with their balances, whom they hit and where units are; two queries for all of them."""
    if not rows:
        return []
    products = {row.product_id for row in rows}
    balances = access.owned(request, Balance.objects.filter(product__in=products).select_related("location"))
    by_product: dict[int, list[Balance]] = {}
    for balance in balances.order_by("-available", "location__code"):
        by_product.setdefault(balance.product_id, []).append(balance)
    newest = _newest_holds(request, [row for row in rows if row.closed_at is None])
    cases = []
    for row in rows:
        mine = by_product.get(row.product_id, [])
        here = next((one for one in mine if one.location_id == row.location_id), None)
        elsewhere = tuple(one for one in mine if one.location_id != row.location_id and one.available > 0)
        short = max(0, here.reserved - here.on_hand) if here else 0
        left = _left(newest.get((row.product_id, row.location_id), ()), short) if row.closed_at is None else ()
        cases.append(Case(row, here, left, elsewhere))
    return cases


def _newest_holds(request: HttpRequest, rows: Sequence[Oversell]) -> dict[Place, list[Reservation]]:
    """Return the newest open holds of each case, newest first; one query."""
    if not rows:
        return {}
    places = Q()
    for row in rows:
        places |= Q(product=row.product_id, location=row.location_id)
    number = Window(RowNumber(), partition_by=[F("product_id"), F("location_id")], order_by=F("id").desc())
    holds = Reservation.objects.filter(places, status=Reservation.Status.PENDING).annotate(newness=number)
    found: dict[Place, list[Reservation]] = {}
    for hold in access.owned(request, holds.filter(newness__lte=HOLDS_A_CASE_MAX)).order_by("-id"):
        found.setdefault((hold.product_id, hold.location_id), []).append(hold)
    return found


def _left(newest_first: Iterable[Reservation], units_short: int) -> tuple[Left, ...]:
    """Return who is left without, the newest promise first, until the missing units are all accounted for."""
    found: list[Left] = []
    for hold in newest_first:
        if units_short <= 0:
            break
        found.append(Left(hold, min(hold.quantity, units_short)))
        units_short -= hold.quantity
    return tuple(found)
