"""What a person's decision would set free: the events that wait for it, and what they would change, before it is taken.

The decision is taken for real in a transaction that is rolled back, once to see which events it frees and once, after
their orders were read, to see what they do. No lock is held while the channel is asked or while a person thinks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from apps.events import inbox, plans
from apps.events.models import IntegrationEvent
from apps.orders.models import Order
from apps.tenants.models import Tenant

SHOWN_MAX = 20
"""Orders that are read and walked through; of the others only the number is said."""

READ_SECONDS = 5.0
"""No further order is read after so long: a person waits."""


@dataclass(frozen=True, slots=True)
class Freed:
    """What a decision would set free.

    count: events that wait for it and for nothing else. events: the first of them, as they would be taken in.
    order_count, orders: the same of orders that the hub has already and would read again.
    plan: what those do, as `plans.document` says it, of as many as could be read in time (`unread` could not).
    """

    count: int
    events: list[IntegrationEvent]
    order_count: int
    orders: list[Order]
    plan: dict[str, Any]
    unread: list[str]

    @property
    def is_anything(self) -> bool:
        """Tell whether anything waits for the decision."""
        return bool(self.count or self.order_count)

    @property
    def shown(self) -> int:
        """Return how many of them were looked at."""
        return len(self.events) + len(self.orders)

    @property
    def total(self) -> int:
        """Return how many events and orders the decision is about."""
        return self.count + self.order_count


def preview(tenant: Tenant, decide: Callable[[], object], *, word: tuple[str, str] | None = None) -> Freed:
    """Return what would follow from a decision of `tenant`. Nothing is changed.

    decide: takes the decision, in a transaction that is rolled back; it is called twice.
    word: the channel and its status, when that is what is decided: orders in that state are read again.
    Raises OperationalError when somebody else was changing the same rows.
    """
    ids, count = _freed(tenant, decide)
    events = IntegrationEvent.objects.filter(tenant=tenant).select_related("connector__tenant", "tenant").in_bulk(ids)
    rows = [events[pk] for pk in ids if pk in events]
    again = inbox.orders_saying(tenant.pk, *word) if word else Order.objects.none()
    orders = list(again.select_related("connector__tenant")[: SHOWN_MAX - len(rows)])
    if not rows and not orders:
        return Freed(0, [], 0, [], {"changes": []}, [])
    gathered = plans.gather(
        rows,
        read_label=plans.assume_label,
        more=[(order.connector, order.external_id) for order in orders],
        seconds=READ_SECONDS,
    )
    unread = {event.pk for sale in gathered.unread for event in sale.events}
    known = [row for row in rows if row.pk not in unread]

    def decided() -> None:
        decide()
        inbox.forget_content(Order.objects.filter(pk__in=[order.pk for order in orders]))

    found = plans.rehearse(known, gathered, before=decided)
    left = [sale.external_id for sale in gathered.unread]
    return Freed(count, rows, again.count(), orders, plans.document(gathered, found), left)


class _Undo(Exception):
    """Ends a rehearsal."""


def _freed(tenant: Tenant, decide: Callable[[], object]) -> tuple[list[int], int]:
    freed: tuple[list[int], int] = [], 0
    try:
        with transaction.atomic():
            decide()
            freed = inbox.mapped_events(tenant, SHOWN_MAX)
            raise _Undo
    except _Undo:
        return freed
