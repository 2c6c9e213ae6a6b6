"""The filters of the pages about stock: the grid, movements, reservations, batches, oversells."""

from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar
from uuid import UUID

import django_filters
from django import forms
from django.db.models import F, Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import Connector, Listing
from apps.console.badges import EXPIRES_SOON
from apps.console.filters import MATCHES_MAX, PERIOD_LENGTHS, PERIODS, Filters
from apps.console.typed_numbers import WholeNumber
from apps.inventory import feed
from apps.inventory.models import Balance, Batch, Movement, Oversell, Product, Reservation
from apps.orders.intake import REFERENCE_TYPE
from apps.orders.models import Order
from apps.sync.models import Divergence
from apps.tenants import access

Choices = list[tuple[int, str]]

SERVED_BY_NOTHING = ("kind", "who", "source", "trace")
"""Filters of movements that have no index: each would be written with every sale."""

MOVEMENTS_SOON_READ = 20_000
"""So many movements of a product are read one by one in a moment."""


def _typed(placeholder: Any = "") -> forms.TextInput:
    return forms.TextInput({"placeholder": placeholder, "autocomplete": "off", "spellcheck": "false"})


def _text(label: Any, placeholder: Any, method: str) -> Any:
    return django_filters.CharFilter(method=method, label=label, widget=_typed(placeholder), max_length=100)


def _choice(label: Any, empty: Any = None, **kwargs: Any) -> Any:
    return django_filters.ChoiceFilter(label=label, empty_label=_("All") if empty is None else empty, **kwargs)


def _day(label: Any, method: str) -> Any:
    return django_filters.DateFilter(method=method, label=label, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"))


def start_of(day: date) -> datetime:
    """Return the beginning of a day as the reader's calendar has it."""
    return timezone.make_aware(datetime.combine(day, time.min))


def end_of(day: date) -> datetime:
    """Return the last moment of a day as the reader's calendar has it; the calendar's very last day has one, too."""
    return timezone.make_aware(datetime.combine(day, time.max))


class WholeNumberFilter(django_filters.NumberFilter):  # type: ignore[misc]  # the package ships no types
    """A filter by a number of units, typed as people write it."""

    field_class = WholeNumber


class OfPlaces(Filters):
    """Filters of rows that name a product and a place."""

    def __init__(self, *args: Any, locations: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.filters["location"].extra["choices"] = locations

    def of_product(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Keep rows of products whose SKU or name holds the text."""
        found = self.products(value)
        self.is_served = self.is_served or isinstance(found, list)
        return rows.filter(product__in=found)

    def since_day(self, rows: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        """Keep rows from the beginning of a day on."""
        return rows.filter(**{f"{self.MOMENT}__gte": start_of(value)})

    def until_day(self, rows: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        """Keep rows up to the end of a day."""
        return rows.filter(**{f"{self.MOMENT}__lte": end_of(value)})


class StockFilters(Filters):
    """The grid: by product or listing, place, account, and what is wrong or runs low."""

    product = _text(_("Product or listing"), _("SKU, name, GTIN or MLB…"), "of_text")
    location = _choice(_("Location"), method="at_location")
    connector = _choice(_("Connector"), method="of_connector")
    state = _choice(
        _("Situation"),
        choices=[
            ("difference", _("Channel differs or waits")),
            ("oversold", _("Oversold")),
            ("none", _("Nothing available")),
        ],
        method="in_state",
    )
    at_most = WholeNumberFilter(
        method="low", label=_("Available, at most"), min_value=-1_000_000, max_value=1_000_000_000
    )

    class Meta:
        model = Product
        fields: ClassVar[list[str]] = []

    def __init__(self, *args: Any, locations: Choices, connectors: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.filters["location"].extra["choices"] = locations
        self.filters["connector"].extra["choices"] = connectors

    @property
    def place(self) -> int | None:
        """Return the place that was chosen, whose rows alone are shown."""
        chosen = self.form.cleaned_data.get("location") if self.form.is_valid() else None
        return int(chosen) if chosen else None

    def of_text(self, rows: QuerySet[Product], name: str, value: str) -> QuerySet[Product]:
        """Keep products whose SKU or name holds the text, with that GTIN, or which that listing sells."""
        wanted = value.upper()  # as the channels write their ids
        accounts = list(access.owned(self.request, Connector.objects.all()).values_list("pk", flat=True))
        sold_as = Q(item_id=wanted) | Q(connector__in=accounts, user_product_id=wanted)
        listings = access.owned(self.request, Listing.objects.filter(sold_as, product__isnull=False))
        sold = list(listings.values_list("product_id", flat=True)[:MATCHES_MAX])
        found = Q(sku__icontains=value) | Q(name__icontains=value) | Q(gtin=value)
        return rows.filter(found | Q(pk__in=sold) if sold else found)

    def at_location(self, rows: QuerySet[Product], name: str, value: str) -> QuerySet[Product]:
        """Keep products that were ever at a place."""
        balances = access.owned(self.request, Balance.objects.filter(location_id=int(value)))
        return rows.filter(pk__in=balances.values("product_id"))

    def of_connector(self, rows: QuerySet[Product], name: str, value: str) -> QuerySet[Product]:
        """Keep products that an account sells."""
        listings = access.owned(self.request, Listing.objects.filter(connector_id=int(value), product__isnull=False))
        return rows.filter(pk__in=listings.values("product_id"))

    def in_state(self, rows: QuerySet[Product], name: str, value: str) -> QuerySet[Product]:
        """Keep what a channel shows wrongly, what is promised beyond what is there, or what nobody can buy."""
        if value == "difference":
            return rows.filter(pk__in=self._differing())
        if value == "oversold":
            short = access.owned(self.request, Oversell.objects.filter(closed_at__isnull=True))
            return rows.filter(pk__in=short.values("product_id"))
        return self.low(rows, name, 0)

    def low(self, rows: QuerySet[Product], name: str, value: Any) -> QuerySet[Product]:
        """Keep products of which so few are available: at the chosen place, else over all places."""
        balances = access.owned(self.request, Balance.objects.order_by())
        if self.place:
            balances = balances.filter(location_id=self.place)
        # All balances once, and not those of one product after the other: few that are looked for are far apart.
        few = balances.values("product").annotate(units=Sum("available")).filter(units__lte=int(value))
        return rows.filter(pk__in=few.values("product"))

    def _differing(self) -> QuerySet[Any, Any]:
        """Return products with a listing whose number is on its way, held back, kept to itself, or found wrong.

        The comparison of every minute makes any other difference one of these (sync.queue.sweep).
        """
        wrong = access.owned(self.request, Divergence.objects.filter(resolved_at__isnull=True, ignored_at__isnull=True))
        is_open = (
            Q(due_at__isnull=False)
            | Q(lease_expires_at__isnull=False)
            | Q(held_at__isnull=False)
            | Q(connector__shadow_since__isnull=False) & ~Q(shadow_quantity=F("accepted_quantity"))
            | Q(pk__in=wrong.filter(listing__isnull=False).values("listing_id"))
        )
        return access.owned(self.request, Listing.objects.filter(is_open, product__isnull=False)).values("product_id")


class MovementFilters(OfPlaces):
    """Movements: by product, place, kind, who, document, source and period."""

    MOMENT: ClassVar[str] = "recorded_at"

    product = _text(_("Product"), _("SKU or name"), "of_product")
    document = _text(_("Document"), _("order, note, transfer"), "of_document")
    location = _choice(_("Location"), field_name="location_id")
    kind = _choice(_("Movement"), choices=Movement.Kind.choices)
    who = _choice(_("Who"), empty=_("Anybody"), method="by")
    source = _text(_("Source"), _("ML, console, pdv…"), "from_source")
    period = _choice(_("Period"), empty=_("Any time"), choices=PERIODS, method="in_period")
    since = _day(_("From"), method="since_day")
    until = _day(_("Until"), method="until_day")
    batch = django_filters.UUIDFilter(method="of_batch", widget=forms.HiddenInput())
    reservation = django_filters.UUIDFilter(method="of_reservation", widget=forms.HiddenInput())
    trace = django_filters.UUIDFilter(field_name="trace_id", widget=forms.HiddenInput())

    class Meta:
        model = Movement
        fields: ClassVar[list[str]] = []

    def __init__(self, *args: Any, people: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = [("people", _("A person")), ("saldo", _("Saldo, by itself")), ("programs", _("A program"))]
        self.filters["who"].extra["choices"] = [*kinds, *people]

    def of_product(self, rows: QuerySet[Movement], name: str, value: str) -> QuerySet[Movement]:
        """Keep movements of products whose SKU or name holds the text."""
        found = self.products(value)
        if isinstance(found, list):
            is_all_of_them = not any(self.form.cleaned_data.get(name) for name in SERVED_BY_NOTHING)
            self.is_served = self.is_served or is_all_of_them or self._movements_of(found) <= MOVEMENTS_SOON_READ
        return rows.filter(product__in=found)

    def _movements_of(self, products: list[int]) -> int:
        """Return how many movements products have: a balance's version counts its own."""
        balances = access.owned(self.request, Balance.objects.filter(product__in=products))
        return int(balances.aggregate(movements=Sum("version"))["movements"] or 0)

    def in_period(self, rows: QuerySet[Movement], name: str, value: str) -> QuerySet[Movement]:
        """Keep movements of the last hour, day, week or month."""
        return self._since(rows, timezone.now() - PERIOD_LENGTHS[value])

    def since_day(self, rows: QuerySet[Movement], name: str, value: date) -> QuerySet[Movement]:
        """Keep movements from the beginning of a day on."""
        return self._since(rows, start_of(value))

    def until_day(self, rows: QuerySet[Movement], name: str, value: date) -> QuerySet[Movement]:
        """Keep movements up to the end of a day."""
        ends = timezone.make_aware(datetime.combine(value, time.max))
        rows = rows.filter(recorded_at__lte=ends)
        beyond = self._transaction_at(ends, feed.LONGEST_TRANSACTION)
        return rows if beyond is None else rows.filter(transaction_id__lte=beyond)

    def _since(self, rows: QuerySet[Movement], moment: datetime) -> QuerySet[Movement]:
        # the list goes by transactions: without the first one, what is rare would be looked for to its very end
        rows = rows.filter(recorded_at__gte=moment)
        first = self._transaction_at(moment, -feed.LONGEST_TRANSACTION)
        return rows if first is None else rows.filter(transaction_id__gte=first)

    def _transaction_at(self, moment: datetime, further: timedelta) -> int | None:
        try:
            return feed.transaction_at(access.tenant_of(self.request).pk, moment + further)
        except OverflowError:  # the calendar ends there, so there is nothing to leave out
            return None

    def of_batch(self, rows: QuerySet[Movement], name: str, value: UUID) -> QuerySet[Movement]:
        """Keep what moved a batch: of its product at its place, which an index finds."""
        return self._of_balance(rows.filter(batch_id=value), Batch.objects.filter(pk=value))

    def of_reservation(self, rows: QuerySet[Movement], name: str, value: UUID) -> QuerySet[Movement]:
        """Keep what a reservation did: to its product at its place, which an index finds."""
        return self._of_balance(rows.filter(reservation_id=value), Reservation.objects.filter(pk=value))

    def _of_balance(self, rows: QuerySet[Movement], owners: QuerySet[Any]) -> QuerySet[Movement]:
        owner = access.owned(self.request, owners).only("product_id", "location_id", "created_at", "updated_at").first()
        if owner is None:  # forgotten meanwhile: its movements never are
            return rows
        self.is_served = True
        first, last = owner.created_at - feed.LONGEST_TRANSACTION, owner.updated_at + feed.LONGEST_TRANSACTION
        return rows.filter(
            product=owner.product_id, location=owner.location_id, recorded_at__gte=first, recorded_at__lte=last
        )

    def by(self, rows: QuerySet[Movement], name: str, value: str) -> QuerySet[Movement]:
        """Keep what one person, any person, the hub itself or a program did."""
        prefixes = {"people": ["user:"], "saldo": ["worker:", "ledger"], "programs": ["key:", "token:"]}.get(value)
        if prefixes is None:
            return rows.filter(actor=value)
        condition = Q()
        for prefix in prefixes:
            condition |= Q(actor__startswith=prefix)
        return rows.filter(condition)

    def of_document(self, rows: QuerySet[Movement], name: str, value: str) -> QuerySet[Movement]:
        """Keep movements for a document, by its id; an order is named by its number at the channel."""
        orders = access.owned(self.request, Order.objects.filter(Q(external_id=value) | Q(pack_id=value)))
        numbers = [str(pk) for pk in orders.values_list("pk", flat=True)[:50]]
        is_order = Q(reference_type=REFERENCE_TYPE, reference_id__in=numbers)
        self.is_served = True
        return rows.filter(is_order | (Q(reference_id=value) & ~Q(reference_type__in=["", REFERENCE_TYPE])))

    def from_source(self, rows: QuerySet[Movement], name: str, value: str) -> QuerySet[Movement]:
        """Keep what a source told, by its code: as it is typed, in capitals or in small letters."""
        return rows.filter(source__in={value, value.upper(), value.lower()})


class ReservationFilters(OfPlaces):
    """Reservations: by product, place, state, document, who asked, and when."""

    product = _text(_("Product"), _("SKU or name"), "of_product")
    document = _text(_("Order or customer"), _("number or id"), "of_document")
    location = _choice(_("Location"), field_name="location_id")
    state = _choice(
        _("Status"),
        choices=[
            ("open", _("Open")),
            ("due", _("Open, ends within an hour")),
            *((state.value, state.label) for state in Reservation.Status if state != Reservation.Status.PENDING),
        ],
        method="in_state",
    )
    period = _choice(_("Period"), empty=_("Any time"), choices=PERIODS, method="in_period")

    class Meta:
        model = Reservation
        fields: ClassVar[list[str]] = []

    def of_document(self, rows: QuerySet[Reservation], name: str, value: str) -> QuerySet[Reservation]:
        """Keep reservations for an order (its number), another document, of whoever asked, or the one of that id."""
        orders = access.owned(self.request, Order.objects.filter(Q(external_id=value) | Q(pack_id=value)))
        numbers = [str(pk) for pk in orders.values_list("pk", flat=True)[:50]]
        is_order = Q(reference_type=REFERENCE_TYPE, reference_id__in=numbers)
        is_document = Q(reference_id=value) & ~Q(reference_type__in=["", REFERENCE_TYPE])
        try:
            is_itself = Q(pk=UUID(value))
        except ValueError:
            is_itself = Q()
        return rows.filter(is_order | is_document | Q(requester_id=value) | is_itself)

    def in_state(self, rows: QuerySet[Reservation], name: str, value: str) -> QuerySet[Reservation]:
        """Keep reservations in a state. One whose time is over is expired, whether or not it was swept already."""
        now = timezone.now()
        pending = rows.filter(status=Reservation.Status.PENDING)
        if value == "open":
            return pending.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now))
        if value == "due":
            return pending.filter(expires_at__gt=now, expires_at__lte=now + timedelta(hours=1))
        if value == Reservation.Status.EXPIRED:
            return rows.filter(Q(status=value) | Q(status=Reservation.Status.PENDING, expires_at__lte=now))
        return rows.filter(status=value)


class BatchFilters(OfPlaces):
    """Batches: by product or number, place, and how near their date is."""

    product = _text(_("Product or batch"), _("SKU, name or number"), "of_text")
    location = _choice(_("Location"), field_name="location_id")
    state = _choice(
        _("Situation"),
        empty=_("With units"),
        choices=[
            ("expired", _("Expired, units still there")),
            ("soon", _("Expires within 30 days")),
            ("blocked", _("Blocked")),
            ("all", _("All, also the empty ones")),
        ],
        method="in_state",
    )

    class Meta:
        model = Batch
        fields: ClassVar[list[str]] = []

    def filter_queryset(self, queryset: QuerySet[Batch]) -> QuerySet[Batch]:
        """Leave empty batches out unless all were asked for."""
        rows: QuerySet[Batch] = super().filter_queryset(queryset)
        is_all = self.form.cleaned_data.get("state") == "all"
        return rows if is_all else rows.exclude(quantity=0, reserved=0)

    def of_text(self, rows: QuerySet[Batch], name: str, value: str) -> QuerySet[Batch]:
        """Keep batches with that number, or of products whose SKU or name holds the text."""
        return rows.filter(Q(batch_number__istartswith=value) | Q(product__in=self.products(value)))

    def in_state(self, rows: QuerySet[Batch], name: str, value: str) -> QuerySet[Batch]:
        """Keep batches whose date has passed, is near, or which somebody took off sale."""
        now = timezone.now()
        if value == "expired":
            return rows.filter(expires_at__lte=now)
        if value == "soon":
            return rows.filter(expires_at__gt=now, expires_at__lte=now + EXPIRES_SOON)
        return rows.filter(status=Batch.Status.BLOCKED) if value == "blocked" else rows


class OversellFilters(OfPlaces):
    """Oversells: the open ones unless others are asked for."""

    MOMENT: ClassVar[str] = "opened_at"

    product = _text(_("Product"), _("SKU or name"), "of_product")
    location = _choice(_("Location"), field_name="location_id")
    state = _choice(
        _("Status"), empty=_("Open"), choices=[("closed", _("Settled")), ("all", _("All"))], method="in_state"
    )
    period = _choice(_("Period"), empty=_("Any time"), choices=PERIODS, method="in_period")

    class Meta:
        model = Oversell
        fields: ClassVar[list[str]] = []

    def filter_queryset(self, queryset: QuerySet[Oversell]) -> QuerySet[Oversell]:
        """Show what is open when no state was chosen."""
        rows: QuerySet[Oversell] = super().filter_queryset(queryset)
        return rows if self.form.cleaned_data.get("state") else rows.filter(closed_at__isnull=True)

    def in_state(self, rows: QuerySet[Oversell], name: str, value: str) -> QuerySet[Oversell]:
        """Keep those that are settled, or all."""
        return rows.filter(closed_at__isnull=False) if value == "closed" else rows
