"""What the sync asks of orders before it tells a number; see `sync/in_flight.py`, which says why.

The sync lies to the left and cannot import this room, so this is handed to it when the apps are ready (ADR 0013).
"""

import time
from collections.abc import Collection
from datetime import datetime

from django.db import connection
from django.utils import timezone

from apps.events import inbox
from apps.events.models import Watch

UNREAD = """
SELECT EXISTS (SELECT FROM integracao_evento e
                WHERE e.connector_id = %s AND e.resource_kind = 'orders' AND e.next_attempt_at IS NOT NULL)
"""

SOLD = """
SELECT i.listing_id,
       sum(CASE WHEN o.created_at >= %(since)s THEN CASE WHEN o.status = 'CANCELADO' THEN 0 ELSE i.quantity END
                WHEN o.status = 'CANCELADO' AND o.updated_at >= %(since)s THEN -i.quantity
                ELSE 0 END)
  FROM pedido_item i JOIN pedido o ON o.id = i.order_id
 WHERE i.listing_id = ANY (%(listings)s) AND i.is_own_stock AND o.updated_at >= %(since)s
 GROUP BY i.listing_id
"""


class UnreadOrders:
    """The inbox and the orders, as far as the sync needs them (`in_flight.Orders`)."""

    def take_in(self, connector_id: int, *, at_most: int, seconds: float) -> bool:
        """Take unread notices of the account's orders in. Returns whether none is left.

        Those that another worker has, or that wait for another try, are left and count as unread.
        """
        ends_at = time.monotonic() + seconds
        for _taken in range(at_most):
            if not _is_any_unread(connector_id):
                return True
            if time.monotonic() >= ends_at or not inbox.process_next(orders_of=connector_id):
                break
        return not _is_any_unread(connector_id)

    def units_sold(self, listing_ids: Collection[int], since: datetime) -> dict[int, int]:
        """Return, by listing, the units in orders taken in since then, less those of older ones given up since."""
        with connection.cursor() as cursor:
            cursor.execute(SOLD, {"since": since, "listings": list(listing_ids)})
            return {listing_id: int(units) for listing_id, units in cursor}

    def search_soon(self, connector_id: int) -> None:
        """Ask the channel at the next tick for orders that no notice told of."""
        now = timezone.now()
        Watch.objects.filter(connector_id=connector_id, search_at__gt=now).update(search_at=now)


def _is_any_unread(connector_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(UNREAD, [connector_id])
        return bool(cursor.fetchone()[0])
