"""Which rows a piece of work changed: the rows in its reach before it and after it, compared column by column.

Used within one transaction, so that the work can be rolled back and what it would have done is still known. Two runs of
the same work on the same rows give equal changes, whatever ids and moments the database drew: rows that were made are
called `new 1`, `new 2` … of their table, moments of the run are `now`. What is sealed is never shown.
"""

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Max, Model, Q, QuerySet
from django.utils import timezone

from apps.connectors.models import Listing
from apps.events.models import IntegrationEvent
from apps.inventory.models import Balance, Batch, BatchHold, Movement, Oversell, Reservation
from apps.orders.intake import REFERENCE_TYPE
from apps.orders.models import Order, OrderItem, Package

Key = tuple[str, ...]  # a row's primary key, as text
Rows = dict[Key, dict[str, Any]]
Change = dict[str, Any]
"""table, row (its key), change (insert, update or delete), before and after: the columns that differ, by their name."""

OF_EVENTS = ("status", "error_code", "waiting_for")
"""Columns of an event that matter here; the others are its tries and times."""

PARCEL_COLUMN = Order._meta.get_field("package").column
"""Names a row that may have been made in the same run."""

NOT_COMPARED = ("transaction_id", "reprocess_count", "reprocess_id")


@dataclass(frozen=True)
class Reach:
    """What the work may touch: named orders, their parcels, and the stock of what they sell."""

    tenant_id: int
    channel: str
    order_numbers: frozenset[str]
    shipment_ids: frozenset[str]
    listings: frozenset[tuple[int, str]]  # connector and item id of what the orders sell
    event_ids: frozenset[int]

    def orders(self) -> QuerySet[Order]:
        """Return the orders."""
        return Order.objects.filter(
            tenant_id=self.tenant_id, channel=self.channel, external_id__in=self.order_numbers
        ).order_by("pk")

    def product_ids(self) -> set[int]:
        """Return the products that the orders sell, or would."""
        items = {item_id for _connector, item_id in self.listings}
        mapped = Listing.objects.filter(tenant_id=self.tenant_id, item_id__in=items, product__isnull=False)
        sold = OrderItem.objects.filter(order__in=self.orders())
        return {*mapped.values_list("product_id", flat=True), *sold.values_list("product_id", flat=True)}

    def lock(self) -> None:
        """Hold still what the work reads before it decides, in the order in which everybody locks."""
        list(self.orders().select_for_update(of=["self"]))
        balances = Balance.objects.filter(tenant_id=self.tenant_id, product_id__in=self.product_ids())
        list(balances.order_by("product_id", "location_id").select_for_update(no_key=True))


@dataclass
class Before:
    """The rows as they were, and when."""

    reach: Reach
    began_at: datetime
    last_movement_id: int
    rows: dict[type[Model], Rows] = field(default_factory=dict)


def look(reach: Reach) -> Before:
    """Remember the rows in reach. Call it in the transaction that does the work, before the work."""
    began_at = min(timezone.now(), _database_now("now()"))
    last = Movement.objects.filter(tenant_id=reach.tenant_id).aggregate(last=Max("id"))["last"] or 0
    before = Before(reach, began_at, last)
    before.rows = {model: _rows(model, found) for model, found in _within(before).items()}
    return before


def changes_since(before: Before) -> list[Change]:
    """Return what differs from `before`, in one fixed order."""
    after = {}
    for model, rows_now in _within(before).items():
        after[model] = _rows(model, rows_now)
        gone = [key for key in before.rows[model] if key not in after[model]]  # perhaps only out of the query's sight
        if gone and model._meta.pk is not None and not hasattr(model._meta.pk, "field_names"):
            after[model] |= _rows(model, model._default_manager.filter(pk__in=[key[0] for key in gone]))
    names = _Names(before, after)
    found: list[Change] = []
    for model, rows in after.items():
        table = model._meta.db_table
        old = before.rows[model]
        for key in old.keys() | rows.keys():
            columns = names.differing(old.get(key), rows.get(key))
            if columns is not None:
                found.append({"table": table, "row": names.of_row(model, key), **columns})
    return sorted(found, key=lambda change: json.dumps(change, sort_keys=True, default=str))


def _within(before: Before) -> dict[type[Model], QuerySet[Any]]:
    """Return the rows in reach, a query for each table: every table that names an order is among them."""
    reach = before.reach
    order_ids = list(reach.orders().values_list("pk", flat=True))
    products = reach.product_ids()
    of_orders = Q(reference_type=REFERENCE_TYPE, reference_id__in=[str(pk) for pk in order_ids])
    of_tenant = {"tenant_id": reach.tenant_id}
    reservations = Reservation.objects.filter(
        of_orders | Q(product_id__in=products, status=Reservation.Status.PENDING, expires_at__isnull=False), **of_tenant
    )
    parcels = Q(orders__in=order_ids) | Q(channel=reach.channel, external_id__in=reach.shipment_ids)
    found: dict[type[Model], QuerySet[Any]] = {
        Order: reach.orders(),
        Package: Package.objects.filter(parcels, **of_tenant).distinct(),
        Reservation: reservations,
        BatchHold: BatchHold.objects.filter(reservation__in=reservations),
        Movement: Movement.objects.filter(product_id__in=products, pk__gt=before.last_movement_id, **of_tenant),
        Balance: Balance.objects.filter(product_id__in=products, **of_tenant),
        Batch: Batch.objects.filter(product_id__in=products, **of_tenant),
        Oversell: Oversell.objects.filter(product_id__in=products, **of_tenant),
        IntegrationEvent: IntegrationEvent.objects.filter(pk__in=reach.event_ids, **of_tenant),
    }
    for relation in Order._meta.related_objects:
        model: Any = relation.related_model
        found.setdefault(model, model._default_manager.filter(**{f"{relation.field.name}__in": order_ids}))
    return found


def _rows(model: type[Model], found: QuerySet[Any]) -> Rows:
    fields = [one for one in model._meta.concrete_fields if one.column and one.column not in NOT_COMPARED]
    if model is IntegrationEvent:
        fields = [one for one in fields if one.attname in OF_EVENTS]
    names = [str(one.column) for one in fields]
    rows: Rows = {}
    for key, *values in found.values_list("pk", *(one.attname for one in fields)):
        parts = key if isinstance(key, tuple) else (key,)
        rows[tuple(str(part) for part in parts)] = dict(zip(names, values, strict=True))
    return rows


class _Names:
    """Calls rows and moments of a run what they are called in every run of the same work."""

    def __init__(self, before: Before, after: dict[type[Model], Rows]) -> None:
        self.began_at = before.began_at
        self.ended_at = max(timezone.now(), _database_now("clock_timestamp()"))
        self.orders: dict[str, str] = {}
        self.ids: dict[str, str] = {}  # uuids name the same row in every table
        self.keys: dict[tuple[type[Model], Key], str] = {}
        for model, rows in after.items():
            made = [key for key in rows if key not in before.rows[model]]
            for number, key in enumerate(sorted(made, key=lambda key: self._rank(rows, key)), 1):
                self._call(model, key, f"new {number}")

    def _rank(self, rows: Rows, key: Key) -> tuple[int, str]:
        """Rows that were made stand in the order they were made in; those with a random id in that of their content."""
        if len(key) == 1 and key[0].isdecimal():
            return int(key[0]), ""
        content = {column: value for column, value in rows[key].items() if not isinstance(value, uuid.UUID)}
        return 0, json.dumps({column: self.value(column, one) for column, one in content.items()}, default=str)

    def _call(self, model: type[Model], key: Key, name: str) -> None:
        self.keys[model, key] = name
        if model is Order:
            self.orders[key[0]] = name
        elif len(key) == 1 and not key[0].isdecimal():
            self.ids[key[0]] = f"{model._meta.db_table} {name}"

    def of_row(self, model: type[Model], key: Key) -> str:
        """Return what a row is called: its key, or its number among those that were made."""
        return self.keys.get((model, key)) or "/".join(self.ids.get(part, part) for part in key)

    def differing(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return what became of a row and the columns that differ; None when none does."""
        if old is None and new is not None:
            return {"change": "insert", "before": {}, "after": self._columns(new, new)}
        if new is None and old is not None:
            return {"change": "delete", "before": self._columns(old, old), "after": {}}
        if old is None or new is None or old == new:
            return None
        changed = {column: old[column] for column in old if old[column] != new[column]}
        after = self._columns({column: new[column] for column in changed}, new)
        return {"change": "update", "before": self._columns(changed, old), "after": after}

    def _columns(self, columns: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        is_of_order = row.get("reference_type") == REFERENCE_TYPE
        shown = {}
        for column, value in columns.items():
            if column == "id":
                continue  # it is the row's name
            if column == "order_id" or (column == "reference_id" and is_of_order):
                shown[column] = self.orders.get(str(value), str(value))
            else:
                shown[column] = self.value(column, value)
        return shown

    def value(self, column: str, value: Any) -> Any:
        """Return a value as it is kept and compared: plain, without secrets, the same in every run."""
        if column.endswith(("_enc", "_digest", "etiqueta_externa")):
            return "(sealed)" if value else ""
        if isinstance(value, datetime):
            return "now" if self.began_at <= value <= self.ended_at else value.isoformat()
        if isinstance(value, uuid.UUID):
            return self.ids.get(str(value), str(value))
        if isinstance(value, str) and ":" in value:
            return ":".join(self._part(part, before) for before, part in _pairs(value.split(":")))
        if column == PARCEL_COLUMN:
            return self.keys.get((Package, (str(value),)), value)
        return value if isinstance(value, int | bool | list | dict | str) or value is None else str(value)

    def _part(self, part: str, before: str) -> str:
        """Keys of the ledger are made of names and ids: `order:17:reserve:0`."""
        return self.orders.get(part, part) if before == REFERENCE_TYPE else self.ids.get(part, part)


def _pairs(parts: list[str]) -> Iterable[tuple[str, str]]:
    return zip(["", *parts], parts, strict=False)


def _database_now(function: str) -> datetime:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}")
        moment: datetime = cursor.fetchone()[0]
        return moment
