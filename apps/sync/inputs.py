"""What a published number is made of: the stock of each place that counts, and the rule.

The log keeps these with every number that was told, so each can be computed again, whatever has moved since.
"""

from collections.abc import Collection
from typing import Any

import msgspec
from django.db import connection

from apps.sync.allocation import Rule, publishable, split


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """The stock of one place, in units. An oversold place counts as zero: its debt takes nothing from another one."""

    location_id: int
    code: str
    on_hand: int
    reserved: int = 0
    blocked: int = 0

    @property
    def available(self) -> int:
        """Return what may be promised, negative when more is promised than is there."""
        return self.on_hand - self.reserved - self.blocked

    @property
    def counted(self) -> int:
        """Return what it adds to the pool."""
        return max(0, self.available)


class Inputs(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that makes a listing's number; who holds what is looked up when somebody asks (explain.py).

    sold_there: units that the channel had counted off by itself since it last accepted a number. No part of the
    number: it says how many units too many the channel showed until it took this one.
    in_flight: units sold there that the hub had not heard of (in_flight.py); the number is lowered by them.
    depots: (depot, place) of the channel's depots that the number was shared out over, when there are several.
    """

    places: tuple[Place, ...]
    margin_percent: int
    buffer_units: int
    end_when_units: int
    cap_units: int | None
    sold_there: int = 0
    in_flight: int = 0
    depots: tuple[tuple[str, int], ...] = ()

    @property
    def pool(self) -> int:
        """Return the units that may be sold, over all places that count."""
        return sum(place.counted for place in self.places)

    @property
    def rule(self) -> Rule:
        """Return how much of the pool is published."""
        return Rule(self.margin_percent, self.buffer_units, self.end_when_units, self.cap_units)

    @property
    def number(self) -> int:
        """Return the number to publish."""
        return sum(self.shares.values()) if self.depots else self.whole

    @property
    def whole(self) -> int:
        """Return the number before it is shared out."""
        return max(0, publishable(self.pool, self.rule) - max(0, self.in_flight))

    @property
    def shares(self) -> dict[str, int]:
        """Return the number of each depot, as its place has stock; what lies at no depot's place is not offered."""
        at = {place.location_id: place.counted for place in self.places}
        return split(self.whole, {depot: at.get(place, 0) for depot, place in self.depots}, out_of=self.pool)

    def stored(self) -> dict[str, Any]:
        """Return it as the log keeps it."""
        kept: dict[str, Any] = msgspec.to_builtins(self)
        return kept


def restored(kept: object) -> Inputs:
    """Return what a row of the log keeps. Raises msgspec.ValidationError for what `stored` never made."""
    return msgspec.convert(kept, Inputs)


# The places and the rule of `queue.TARGETS`, place by place; tests/sync/test_inputs.py compares the two.
READ = """
SELECT l.id, stock.places, coalesce(l.margin_percent, c.margin_percent), coalesce(l.buffer_units, c.buffer_units),
       coalesce(l.end_when_units, c.end_when_units), coalesce(l.cap_units, c.cap_units), l.sold_there
  FROM integracao_anuncio l
  JOIN integracao_conector c ON c.id = l.connector_id
  JOIN LATERAL (
      SELECT jsonb_agg(jsonb_build_object('location_id', b.location_id, 'code', p.code, 'on_hand', b.quantity_on_hand,
                                          'reserved', b.quantity_reserved, 'blocked', b.quantity_blocked)
                       ORDER BY p.code)::text AS places,
             bool_or(b.counted_at IS NOT NULL) AS is_known
        FROM inventory_balances b JOIN inventory_locations p ON p.id = b.location_id
       WHERE b.tenant_id = l.tenant_id AND b.product_id = l.product_id
         AND (NOT EXISTS (SELECT FROM integracao_conector_locations chosen WHERE chosen.connector_id = c.id)
              OR b.location_id IN (SELECT chosen.location_id FROM integracao_conector_locations chosen
                                    WHERE chosen.connector_id = c.id))
  ) stock ON stock.is_known
 WHERE l.id = ANY(%s)
"""


def read(listing_id: int) -> Inputs | None:
    """Return what the listing's number is made of now; None when the hub was never told of the product's stock.

    One statement, so the places are of one moment.
    """
    return read_many([listing_id]).get(listing_id)


def read_many(listing_ids: Collection[int]) -> dict[int, Inputs]:
    """Return the same of many listings at once; without those of which the hub was never told the stock."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [list(listing_ids)])
        return {row[0]: Inputs(msgspec.json.decode(row[1], type=tuple[Place, ...]), *row[2:]) for row in cursor}
