"""What work would change, row by row, in a person's words: from the changes of a plan (`events/changes.py`) to a page.

Nothing personal stands in a plan; what a channel wrote is masked here once more. Columns that say nothing to a person
(hashes, keys, versions) are left to the technical detail.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import DateTimeField, DecimalField, Field, Model
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.common.error_codes import Advice
from apps.connectors.models import Listing
from apps.console import masking, moments
from apps.console.errors import explain
from apps.console.flags import FLAGS
from apps.console.templatetags.console import reason
from apps.events.changes import Change
from apps.events.models import IntegrationEvent
from apps.inventory.models import Balance, Batch, BatchHold, Location, Movement, Oversell, Product, Reservation
from apps.orders.models import Order, OrderItem, Package, Recipient
from apps.tenants.access import of_tenant
from apps.tenants.models import Tenant

ROWS_MAX = 200
"""Rows of one table that a page shows; the others are counted, and all stand in the technical detail."""

TABLES: dict[type[Model], tuple[str | Promise, tuple[str, ...]]] = {
    Order: (
        gettext_lazy("Orders"),
        ("status", "channel_status", "flags", "total_amount", "ordered_at", "ready_at", "picked_up_at"),
    ),
    Package: (
        gettext_lazy("Parcels"),
        ("status", "channel_status", "channel_substatus", "tracking_number", "weight_g", "dimensions", "label_enc"),
    ),
    Movement: (
        gettext_lazy("Stock movements"),
        ("kind", "on_hand_delta", "reserved_delta", "on_hand_after", "reserved_after", "reason"),
    ),
    Balance: (
        gettext_lazy("Stock"),
        ("on_hand", "reserved", "blocked", "available", "oversold_since"),
    ),
    Oversell: (gettext_lazy("Oversells"), ("units_short", "opened_at", "closed_at")),
    Reservation: (gettext_lazy("Stock held"), ("status", "quantity", "confirmed_quantity", "expires_at")),
    Batch: (gettext_lazy("Batches"), ("quantity", "reserved", "status")),
    BatchHold: (gettext_lazy("Units held of batches"), ("quantity",)),
    OrderItem: (gettext_lazy("Order items"), ("quantity", "unit_price", "is_own_stock")),
    Recipient: (gettext_lazy("Recipients"), ("name_enc", "document_enc", "phone_enc")),
    IntegrationEvent: (gettext_lazy("Events"), ("status", "error_code", "waiting_for")),
}
"""The tables that work on events changes, in the order shown, with the columns that a person is shown of each."""

LABELS: dict[str, str | Promise] = {
    "label_enc": gettext_lazy("Label"),
    "name_enc": gettext_lazy("Name"),
    "document_enc": gettext_lazy("CPF or CNPJ"),
    "phone_enc": gettext_lazy("Telephone"),
    "waiting_for": gettext_lazy("Waits for"),
}

NEW = re.compile(r"new (\d+)")


@dataclass(frozen=True, slots=True)
class Cell:
    """One column of a row that changes."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row that changes. change: insert, update or delete."""

    name: str
    url: str
    change: str
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of one table, the first ROWS_MAX of `count`."""

    title: str
    rows: list[Row]
    count: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What a page shows of a plan.

    held_back: the orders whose recipient is told once it is applied, not before. troubles: what could not be read, with
    what that means. technical: every column of every row, as it is stored.
    """

    groups: list[Group]
    held_back: list[str]
    troubles: list[tuple[str, Advice | None]]
    unused: int
    technical: str

    @property
    def count(self) -> int:
        """Return how many rows would change."""
        return sum(group.count for group in self.groups)


def describe(tenant: Tenant, plan: dict[str, Any]) -> Planned:
    """Return a stored plan (`events.plans.document`) in a person's words."""
    changes: list[Change] = plan["changes"]
    words = _Words(tenant, changes)
    groups = []
    for model, (title, columns) in TABLES.items():
        own = [change for change in changes if change["table"] == model._meta.db_table]
        if own:
            rows = [words.row(model, columns, change) for change in sorted(own, key=_in_turn)[:ROWS_MAX]]
            groups.append(Group(str(title), rows, len(own)))
    known = {model._meta.db_table for model in TABLES}
    for table in sorted({change["table"] for change in changes} - known):
        own = [change for change in changes if change["table"] == table]
        groups.append(Group(table, [Row(change["row"], "", change["change"], []) for change in own], len(own)))
    return Planned(
        groups=groups,
        held_back=[words.order(name) for name in plan.get("notifications_held_back", ())],
        troubles=[(_of_trouble(name), explain(code)) for name, code in plan.get("troubles", {}).items()],
        unused=len(plan.get("unused_events", ())),
        technical=_technical(changes),
    )


def _in_turn(change: Change) -> tuple[int, str]:
    made = NEW.fullmatch(change["row"])
    return (int(made[1]) if made else 0), change["row"]


def _of_trouble(name: str) -> str:
    kind, _space, number = name.partition(" ")
    words = {"order": _("Order %(number)s"), "event": _("Event %(number)s")}
    return words[kind] % {"number": number} if kind in words else name


def _technical(changes: list[Change]) -> str:
    text = masking.masked_json(json.loads(json.dumps(changes, default=str)))
    return text if len(text) <= masking.SHOWN_MAX else text[: masking.SHOWN_MAX] + "\n…"


class _Words:
    """Names for rows and values: whatever a plan names by an id is looked up once, among the tenant's own."""

    def __init__(self, tenant: Tenant, changes: list[Change]) -> None:
        self.tenant = tenant
        self.rows = {
            model: self._in_bulk(model, [one["row"] for one in changes if one["table"] == model._meta.db_table])
            for model in TABLES
            if model not in (BatchHold, Movement)
        }
        self.made = {(change["table"], change["row"]): change["after"] for change in changes}
        self.products = self._in_bulk(Product, self._all(changes, "product_id", Reservation, Balance, Batch, Oversell))
        self.locations = self._in_bulk(
            Location, self._all(changes, "location_id", Reservation, Balance, Batch, Oversell)
        )
        self.listings = self._in_bulk(Listing, self._all(changes, "listing_id"))
        self.orders = self._in_bulk(Order, [*self._all(changes, "order_id"), *self._all(changes, "reference_id")])

    def _in_bulk(self, model: type[Model], keys: Iterable[object]) -> dict[str, Any]:
        pk: Any = model._meta.pk
        usable = {str(key) for key in keys if key is not None and not NEW.search(str(key))}
        if pk.get_internal_type() != "UUIDField":
            usable = {key for key in usable if key.isdecimal()}
        if not usable:
            return {}
        found = of_tenant(self.tenant, model._default_manager.filter(pk__in=usable))
        return {str(row.pk): row for row in found}

    def _all(self, changes: list[Change], column: str, *models: type[Model]) -> list[object]:
        said = [side[column] for change in changes for side in (change["before"], change["after"]) if column in side]
        kept = [getattr(row, column) for model in models for row in self.rows.get(model, {}).values()]
        return said + kept

    def row(self, model: type[Model], columns: tuple[str, ...], change: Change) -> Row:
        before, after = change["before"], change["after"]
        cells = []
        for name in columns:
            field: Any = model._meta.get_field(name)
            column = field.column
            if column not in before and column not in after:
                continue
            old = self.value(field, before[column]) if column in before else ""
            new = self.value(field, after[column]) if column in after else ""
            if change["change"] == "update" or (new or old) not in ("", "—"):
                cells.append(Cell(str(LABELS.get(name) or capfirst(field.verbose_name)), old, new))
        name, url = self._name(model, change)
        return Row(name, url, change["change"], cells)

    def order(self, name: str) -> str:
        """Return the channel's number of an order that a plan names by its id, or as one that would be made."""
        made = self.made.get((Order._meta.db_table, name), {})
        known = self.orders.get(name) or self.rows[Order].get(name)
        return str(made.get("external_id") or (known.external_id if known else name))

    def _name(self, model: type[Model], change: Change) -> tuple[str, str]:
        kept = self.rows.get(model, {}).get(change["row"])
        said = change["after"] or change["before"]
        if model is Order:
            return self.order(change["row"]), reverse("console:order", args=[kept.pk]) if kept else ""
        if model is IntegrationEvent and kept:
            return str(kept), reverse("console:event", args=[kept.pk])
        if model in (OrderItem, Recipient):
            order_id = str(kept.order_id) if kept else str(said.get("order_id", change["row"]))
            sku = self.products.get(str(said.get("product_id", "")))
            return " · ".join(part for part in (self.order(order_id), sku.sku if sku else "") if part), ""
        product = self.products.get(str(said.get("product_id") or getattr(kept, "product_id", "")))
        if product is not None:
            location = self.locations.get(str(said.get("location_id") or getattr(kept, "location_id", "")))
            parts = [product.sku, location.code if location else ""]
            if said.get("reference_type") == "order":
                parts.append(self.order(str(said.get("reference_id", ""))))
            return " · ".join(part for part in parts if part), reverse("console:movements", args=[product.pk])
        if kept is not None:
            return str(kept), ""
        return str(said.get("external_id") or change["row"]), ""

    def value(self, field: "Field[Any, Any]", value: Any) -> str:
        if value is None or value in ("", []):
            return "—"
        if value == "(sealed)":
            return masking.MASK
        if isinstance(value, bool):
            return _("yes") if value else _("no")
        if isinstance(value, list):
            return ", ".join(str(FLAGS[one].title) if one in FLAGS else self._plain(one) for one in value)
        if field.choices:
            return str(dict(field.flatchoices).get(value, value))
        if isinstance(field, DateTimeField):
            return _("when it is applied") if value == "now" else moments.in_full(datetime.fromisoformat(value))
        if field.name == "error_code":
            advice = explain(value)
            return str(advice.meaning) if advice else value
        if isinstance(field, DecimalField):
            return number_format(Decimal(value), field.decimal_places, force_grouping=True)
        if field.name == "reason":
            return self._plain(reason(value))
        if isinstance(value, int):
            return f"{value:+d}".replace("-", "−") if field.name.endswith("_delta") and value else str(value)
        return self._plain(value)

    def _plain(self, value: object) -> str:
        return masking.masked_line(str(value))
