"""What a balance was, in both times: as known now (`balance_at`) and as the hub said then (`known_at`).

A movement *occurred* at one time and was *recorded* at another, never earlier. A sale that a shop tells two days late
changes what the balance was two days ago as known now, and changes nothing about what the hub said that day.

**Checkpoints** are a balance's sums at the end of each day (UTC) on which something occurred, so that a balance with
a million movements adds up one day's. `follow` keeps them from the ledger's feed; each balance's **head** says up to
which movement. Invariant: a checkpoint is the plain sum of the balance's movements up to its head that occurred by the
end of its day (`prove` checks it). Whatever came after the head is added when one asks: no answer waits for the
follower. Reading a movement twice adds it once: the head moves in the same transaction (`sql/history.sql`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.db import connection

from apps.inventory import feed

CONSUMER = "checkpoints"

BATCHES_MAX = 500
"""A run of the follower ends after so many batches of the feed; the next one goes on."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A balance at some moment. version: of the last movement that counts, where there is one."""

    on_hand: int
    reserved: int
    blocked: int
    version: int | None = None

    @property
    def available(self) -> int:
        """Return what could still be promised."""
        return self.on_hand - self.reserved - self.blocked


def balance_at(tenant_id: int, product_id: int, location_id: int, moment: datetime) -> Numbers:
    """Return the sum of everything that had occurred by `moment`, as known now.

    What was told late counts at the time it happened, so `reserved` of a past moment may be odd where a channel told
    the end of a sale with an earlier time than its beginning.
    """
    return _numbers("inventory_balance_at", tenant_id, product_id, location_id, moment)


def known_at(tenant_id: int, product_id: int, location_id: int, moment: datetime) -> Numbers:
    """Return what the hub said at `moment`: the numbers after the last movement it had recorded by then."""
    return _numbers("inventory_known_at", tenant_id, product_id, location_id, moment)


@dataclass(frozen=True, slots=True)
class PlaceAt:
    """A product at a place at some moment: as known now, and as the hub said then (None: it knew of nothing)."""

    location_id: int
    code: str
    name: str
    as_known_now: Numbers
    as_said_then: Numbers | None


def product_at(tenant_id: int, product_id: int, moment: datetime) -> list[PlaceAt]:
    """Return both answers for every place that ever had the product, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT l.id, l.code, l.name, now_known.on_hand, now_known.reserved, now_known.blocked,
                      said.on_hand, said.reserved, said.blocked, said.version
                 FROM inventory_balances b
                 JOIN inventory_locations l ON l.id = b.location_id
                CROSS JOIN LATERAL inventory_balance_at(b.tenant_id, b.product_id, b.location_id, %(moment)s) now_known
                 LEFT JOIN LATERAL inventory_known_at(b.tenant_id, b.product_id, b.location_id, %(moment)s) said ON true
                WHERE b.tenant_id = %(tenant)s AND b.product_id = %(product)s ORDER BY l.code""",
            {"tenant": tenant_id, "product": product_id, "moment": moment},
        )
        found = cursor.fetchall()
    return [
        PlaceAt(row[0], row[1], row[2], Numbers(*row[3:6]), None if row[9] is None else Numbers(*row[6:]))
        for row in found
    ]


def _numbers(function: str, tenant_id: int, product_id: int, location_id: int, moment: datetime) -> Numbers:
    with connection.cursor() as cursor:
        cursor.callproc(function, [tenant_id, product_id, location_id, moment])
        row = cursor.fetchone()
    return Numbers(*row) if row else Numbers(0, 0, 0, 0)


def follow(batches_max: int = BATCHES_MAX) -> int:
    """Bring the checkpoints up to what the feed has. Returns how many movements were added to them."""
    added = 0
    for _number in range(batches_max):
        with feed.batch(CONSUMER) as movements:
            added += _keep({(move.tenant_id, move.product_id, move.location_id) for move in movements})
        if not movements:
            break
    return added


def _keep(balances: Iterable[tuple[int, int, int]]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inventory_keep_checkpoints(%s)", [msgspec.json.encode(sorted(balances)).decode()])
        return int(cursor.fetchone()[0])
