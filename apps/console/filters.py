"""The lists' filters. They live in the URL, so that a filtered list can be sent to a colleague as a link."""

from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar

import django_filters
from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import Connector, Listing
from apps.events.models import IntegrationEvent
from apps.inventory.models import Product
from apps.orders.models import Order, OrderItem
from apps.sync.models import Divergence, SyncLog
from apps.tenants import access

PERIODS = [("1h", _("Last hour")), ("24h", _("Last 24 hours")), ("7d", _("Last 7 days")), ("30d", _("Last 30 days"))]
PERIOD_LENGTHS = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}

TOPICS = ["orders_v2", "orders_search", "items", "shipments", "payments", "questions", "messages", "stock-locations"]
"""Kinds of notifications that Mercado Livre sends, and what the hub finds by asking; a suggestion, not a limit."""


def _day(label: Any, *, method: str) -> Any:
    """Return a filter by a day, as the reader's calendar has it."""
    return django_filters.DateFilter(method=method, label=label, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"))


def _text(label: Any, placeholder: Any = "", *, choices: str = "") -> dict[str, Any]:
    attributes = {"placeholder": placeholder, "autocomplete": "off", "spellcheck": "false"}
    if choices:
        attributes["list"] = choices
    return {"label": label, "widget": forms.TextInput(attributes)}


def _at(text: str) -> tuple[datetime, datetime] | None:
    """Return beginning and end of the hour (`2026-11-22T14`) or day (`2026-11-22`) named, in the reader's zone."""
    form, length = ("%Y-%m-%dT%H", timedelta(hours=1)) if "T" in text else ("%Y-%m-%d", timedelta(days=1))
    try:
        begins = timezone.make_aware(datetime.strptime(text, form))  # noqa: DTZ007  the zone is the reader's
        return begins, begins + length
    except (ValueError, OverflowError):
        return None


def _of_a_chart() -> Any:
    """Return the filter that a point of a chart links to: one hour, or one day."""
    return django_filters.CharFilter(method="in_slot", widget=forms.HiddenInput(), max_length=13)


TIMES = {"period", "since", "until", "at"}
"""Filters by when: they bound how far a list goes."""

MATCHES_MAX = 200

Matches = list[int] | QuerySet[Any, Any]


class Filters(django_filters.FilterSet):  # type: ignore[misc]  # the package ships no types
    """What all filters have in common: a period on the field `MOMENT`, and a list of what is set."""

    MOMENT: ClassVar[str] = "created_at"

    is_served = False
    """Whether a filter that is set leads to its rows by an index; set by that filter."""

    def along(self) -> tuple[QuerySet[Any], str] | None:
        """Return the rows of the chosen time, where the other filters are served by no index; for keyset.page_of."""
        found = self.qs
        if not self.form.is_valid() or self.is_served or found.query.is_empty():
            return None
        said = {name: value for name, value in self.form.cleaned_data.items() if value not in (None, "")}
        if not set(said) - TIMES:
            return None
        rows: QuerySet[Any] = self.queryset
        for name in set(said) & TIMES:
            rows = self.filters[name].filter(rows, said[name])
        return rows.select_related(None), self.MOMENT

    def in_period(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Keep rows of the last hour, day, week or month."""
        return rows.filter(**{f"{self.MOMENT}__gte": timezone.now() - PERIOD_LENGTHS[value]})

    def in_slot(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Keep rows of one hour or day; a bound on the time itself, so that its index serves."""
        slot = _at(value)
        if slot is None:
            return rows.none()
        return rows.filter(**{f"{self.MOMENT}__gte": slot[0], f"{self.MOMENT}__lt": slot[1]})

    @property
    def slot(self) -> tuple[datetime, datetime] | None:
        """Return the hour or day that a link from a chart narrows the list to."""
        return _at(str(self.form.cleaned_data.get("at") or "")) if self.form.is_valid() else None

    def products(self, text: str) -> "Matches":
        """Return the ids of the tenant's products whose SKU or name holds the text, for an `in`."""
        return self.few_of(Product.objects.filter(Q(sku__icontains=text) | Q(name__icontains=text)))

    def few_of(self, rows: QuerySet[Any]) -> "Matches":
        """Return the ids of the tenant's rows, for an `in`.

        Up to MATCHES_MAX as numbers: PostgreSQL then knows how common each is and takes the right index. More as a
        query: what matches so much is found soon along the list itself.
        """
        ids = access.owned(self.request, rows).values_list("pk", flat=True)
        found = list(ids[: MATCHES_MAX + 1])
        return found if len(found) <= MATCHES_MAX else ids

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Show nothing when a filter cannot be read: every row would be the answer to another question.

        It matters where a list is acted on as a whole: to reprocess or export "these" is never more than was meant.
        """
        if self.form.errors:
            return queryset.none()
        rows: QuerySet[Any] = super().filter_queryset(queryset)
        return rows

    @property
    def is_set(self) -> bool:
        """Tell whether any filter narrows the list."""
        return not self.form.is_valid() or any(value not in (None, "") for value in self.form.cleaned_data.values())


class SyncFilters(Filters):
    """Sync history: by product, status and period; `listing` is set by links from a listing."""

    MOMENT: ClassVar[str] = "timestamp"

    product = django_filters.CharFilter(
        method="of_product", **_text(_("Product or listing"), _("SKU, name or MLB…")), max_length=100
    )
    status = django_filters.ChoiceFilter(choices=SyncLog.Status.choices, label=_("Status"), empty_label=_("All"))
    period = django_filters.ChoiceFilter(
        choices=PERIODS, method="in_period", label=_("Period"), empty_label=_("Any time")
    )
    since = _day(_("From"), method="since_day")
    until = _day(_("Until"), method="until_day")
    listing = django_filters.NumberFilter(field_name="listing_id", widget=forms.HiddenInput(), min_value=1)
    at = _of_a_chart()

    class Meta:
        model = SyncLog
        fields: ClassVar[list[str]] = []

    def of_product(self, rows: QuerySet[SyncLog], name: str, value: str) -> QuerySet[SyncLog]:
        """Keep tries of products whose SKU or name holds the text, or of the listing with that id."""
        listings = self.few_of(Listing.objects.filter(item_id=value.upper()))  # as the channels write them
        of_products = Q(product__in=self.products(value))
        # one condition where one will do: an index then gives the rows in their order
        return rows.filter(Q(listing__in=listings) | of_products if listings else of_products)

    def since_day(self, rows: QuerySet[SyncLog], name: str, value: date) -> QuerySet[SyncLog]:
        """Keep tries from the beginning of a day on; a bound on the time itself, so that its index serves."""
        return rows.filter(timestamp__gte=timezone.make_aware(datetime.combine(value, time.min)))

    def until_day(self, rows: QuerySet[SyncLog], name: str, value: date) -> QuerySet[SyncLog]:
        """Keep tries up to the end of a day."""
        return rows.filter(timestamp__lte=timezone.make_aware(datetime.combine(value, time.max)))


class EventFilters(Filters):
    """Events: by state, topic, period and resource."""

    MOMENT: ClassVar[str] = "received_at"

    resource = django_filters.CharFilter(
        method="of_resource", **_text(_("Order or resource"), "2000003508419013"), max_length=200
    )
    status = django_filters.ChoiceFilter(
        choices=[
            ("attention", _("Needs attention")),
            ("used", _("All but the ignored")),
            *IntegrationEvent.Status.choices,
        ],
        method="in_status",
        label=_("Status"),
        empty_label=_("All"),
    )
    topic = django_filters.CharFilter(
        method="of_topic", **_text(_("Topic"), "orders_v2", choices="topics"), max_length=64
    )
    period = django_filters.ChoiceFilter(
        choices=PERIODS, method="in_period", label=_("Period"), empty_label=_("Any time")
    )

    code = django_filters.CharFilter(field_name="error_code", label=_("Error code"), widget=forms.HiddenInput())
    connector = django_filters.NumberFilter(
        field_name="connector_id", label=_("Connector"), widget=forms.HiddenInput(), min_value=1
    )

    class Meta:
        model = IntegrationEvent
        fields: ClassVar[list[str]] = []

    def in_status(self, rows: QuerySet[IntegrationEvent], name: str, value: str) -> QuerySet[IntegrationEvent]:
        """Keep events in a state, or in one of two groups of states."""
        state = IntegrationEvent.Status
        if value == "attention":
            return rows.filter(status__in=[state.RETRY, state.MAPPING, state.QUARANTINED, state.ERROR])
        return rows.exclude(status=state.IGNORED) if value == "used" else rows.filter(status=value)

    def of_topic(self, rows: QuerySet[IntegrationEvent], name: str, value: str) -> QuerySet[IntegrationEvent]:
        """Keep events of a topic, as it is spelt or in small letters: a topic hardly used is found by its account."""
        accounts = list(access.owned(self.request, Connector.objects.all()).values_list("pk", flat=True))
        return rows.filter(connector__in=accounts, topic__in={value, value.lower()})

    def of_resource(self, rows: QuerySet[IntegrationEvent], name: str, value: str) -> QuerySet[IntegrationEvent]:
        """Keep events about a resource, given as its id or as the path a notification carries (`/orders/200…`)."""
        return rows.filter(external_id__startswith=value.strip().rstrip("/").rpartition("/")[2])


class OrderFilters(Filters):
    """Orders: by number, product, status and period."""

    text = django_filters.CharFilter(
        method="of_text", **_text(_("Order or product"), _("number, SKU or name")), max_length=100
    )
    status = django_filters.ChoiceFilter(
        choices=Order.Status.choices, method="in_status", label=_("Status"), empty_label=_("All")
    )
    period = django_filters.ChoiceFilter(
        choices=PERIODS, method="in_period", label=_("Period"), empty_label=_("Any time")
    )
    at = _of_a_chart()

    class Meta:
        model = Order
        fields: ClassVar[list[str]] = []

    def of_text(self, rows: QuerySet[Order], name: str, value: str) -> QuerySet[Order]:
        """Keep orders with this number (or pack), and those with a product whose SKU or name holds the text."""
        numbered = Q(external_id__startswith=value) | Q(pack_id=value)
        numbers = self.few_of(Order.objects.filter(numbered))
        if not isinstance(numbers, list):  # hundreds: the list itself soon comes across them
            return rows.filter(numbered)
        products = self.products(value)
        if not products:
            return rows.filter(pk__in=numbers)
        with_product = Exists(OrderItem.objects.filter(order=OuterRef("pk"), product__in=products))
        return rows.filter(Q(pk__in=numbers) | with_product if numbers else with_product)

    def in_status(self, rows: QuerySet[Order], name: str, value: str) -> QuerySet[Order]:
        """Keep orders in a state. All channels are named because the index that serves goes by them first."""
        return rows.filter(channel__in=Connector.Kind.values, status=value)


def named_listings(text: str) -> Q:
    """Return the condition "the listing's id or its SKU at the channel begins with the text".

    The title is looked at only where no product gives the listing a name: it has no index, because the sync writes
    these rows anew with every number it tells.
    """
    codes = (
        Q(item_id__startswith=text.upper()) | Q(seller_sku__startswith=text) | Q(seller_sku__startswith=text.upper())
    )
    return codes | Q(product__isnull=True, title__icontains=text)


class ListingFilters(Filters):
    """Listings: by text and by what must be done about them."""

    text = django_filters.CharFilter(
        method="of_text", **_text(_("Listing or product"), _("MLB…, SKU or product’s name")), max_length=100
    )
    state = django_filters.ChoiceFilter(
        choices=[
            ("unmapped", _("Mapping needed")),
            ("error", _("Error")),
            ("waiting", _("In the queue")),
            ("done", _("Synchronised")),
        ],
        method="in_state",
        label=_("Status"),
        empty_label=_("All"),
    )

    code = django_filters.CharFilter(field_name="last_error_code", label=_("Error code"), widget=forms.HiddenInput())
    connector = django_filters.NumberFilter(
        field_name="connector_id", label=_("Connector"), widget=forms.HiddenInput(), min_value=1
    )

    class Meta:
        model = Listing
        fields: ClassVar[list[str]] = []

    def of_text(self, rows: QuerySet[Listing], name: str, value: str) -> QuerySet[Listing]:
        """Keep listings whose id or SKU begins with the text, or whose product's SKU or name holds it.

        Where there is no product yet, the title.
        """
        return rows.filter(named_listings(value) | Q(product__in=self.products(value)))

    def in_state(self, rows: QuerySet[Listing], name: str, value: str) -> QuerySet[Listing]:
        """Keep listings that wait for a mapping, failed, wait for their turn, or are right."""
        state = Listing.SyncState
        return {
            "unmapped": rows.filter(product__isnull=True),
            "error": rows.filter(product__isnull=False, sync_state__in=[state.ERROR, state.RETRY]),
            "waiting": rows.filter(due_at__isnull=False),
            "done": rows.filter(product__isnull=False, sync_state=state.SUCCESS, due_at__isnull=True),
        }[value]


class DivergenceFilters(Filters):
    """Divergences: by listing or product, kind, connector, and whether they still stand."""

    MOMENT: ClassVar[str] = "first_seen_at"

    text = django_filters.CharFilter(
        method="of_text", **_text(_("Listing or product"), _("MLB…, SKU or product’s name")), max_length=100
    )
    kind = django_filters.ChoiceFilter(choices=Divergence.Kind.choices, label=_("What"), empty_label=_("All"))
    connector = django_filters.ChoiceFilter(field_name="connector_id", label=_("Connector"), empty_label=_("All"))
    state = django_filters.ChoiceFilter(
        choices=[
            ("ignored", _("Ignored")),
            ("resolved", _("Settled")),
            ("all", _("All")),
        ],
        method="in_state",
        label=_("Status"),
        empty_label=_("Open"),
    )
    period = django_filters.ChoiceFilter(
        choices=PERIODS, method="in_period", label=_("First seen"), empty_label=_("Any time")
    )

    class Meta:
        model = Divergence
        fields: ClassVar[list[str]] = []

    def __init__(self, *args: Any, connectors: list[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.filters["connector"].extra["choices"] = connectors

    def filter_queryset(self, queryset: QuerySet[Divergence]) -> QuerySet[Divergence]:
        """Show what is open when no state was chosen."""
        rows: QuerySet[Divergence] = super().filter_queryset(queryset)
        if self.form.cleaned_data.get("state"):
            return rows
        return rows.filter(resolved_at__isnull=True, ignored_at__isnull=True)

    def of_text(self, rows: QuerySet[Divergence], name: str, value: str) -> QuerySet[Divergence]:
        """Keep divergences of listings whose id or SKU begins with the text, or whose product holds it.

        What there is no listing of here is described by the detail.
        """
        known = self.few_of(Listing.objects.filter(named_listings(value) | Q(product__in=self.products(value))))
        if isinstance(known, list):
            of_listing = Q(listing__in=known)
        else:  # very many: the list itself soon comes across them
            product = Q(listing__product__sku__icontains=value) | Q(listing__product__name__icontains=value)
            unmapped = Q(listing__product__isnull=True, listing__title__icontains=value)
            of_listing = product | unmapped | Q(listing__seller_sku__istartswith=value)
        unknown = Q(listing__isnull=True, detail__icontains=value)
        return rows.filter(Q(item_id__startswith=value.upper()) | unknown | of_listing)

    def in_state(self, rows: QuerySet[Divergence], name: str, value: str) -> QuerySet[Divergence]:
        """Keep what a person has ignored, what is gone, or everything."""
        if value == "ignored":
            return rows.filter(resolved_at__isnull=True, ignored_at__isnull=False)
        return rows.filter(resolved_at__isnull=False) if value == "resolved" else rows
