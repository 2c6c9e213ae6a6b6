"""The blast radius: when too many of an account's listings would go to zero at once, they wait for a person.

An empty file from an ERP, a wrong place chosen: the hub would be right to tell zero, and the shop would be closed in a
minute. A **wave** is more than `Connector.zero_limit_percent` of an account's listings, and more than `ALWAYS_LET`,
going to zero within an hour. Then all of them that were not told yet are held (`Listing.held_at`), also those that
show more than there is; everything else flows. A person lets them through with one click, or stock comes back and each
that has some is let go by itself.
"""

from collections.abc import Iterable, Sequence

import structlog
from django.db import connection, transaction
from django.utils import timezone

from apps.connectors.models import Connector, Listing, lock

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 3600

ALWAYS_LET = 10
"""So many zeros an hour are everyday business, of however small a shop."""

NOTE = """
UPDATE integracao_anuncio l SET zeroing_since = now()
  FROM (SELECT id FROM integracao_anuncio
         WHERE id = ANY(%s)
           AND (zeroing_since IS NULL OR zeroing_since < now() - make_interval(secs => %s))
         ORDER BY id FOR NO KEY UPDATE) fresh
 WHERE l.id = fresh.id
"""

WAVES = """
SELECT c.id, wave.zeros, (
           SELECT count(*) FROM integracao_anuncio l WHERE l.connector_id = c.id AND l.product_id IS NOT NULL
       ) * c.zero_limit_percent / 100
  FROM integracao_conector c
  JOIN LATERAL (
      SELECT count(*) AS zeros FROM integracao_anuncio l
       WHERE l.connector_id = c.id AND l.zeroing_since IS NOT NULL
         AND (l.held_at IS NOT NULL
              OR l.zeroing_since > greatest(now() - make_interval(secs => %s), c.zeros_released_at))
  ) wave ON wave.zeros > %s
 WHERE c.id = ANY(%s) AND c.zero_limit_percent < 100
"""

HOLD = """
UPDATE integracao_anuncio l SET held_at = now()
  FROM (SELECT l.id FROM integracao_anuncio l JOIN integracao_conector c ON c.id = l.connector_id
         WHERE c.id = ANY(%s) AND l.due_at IS NOT NULL AND l.held_at IS NULL
           AND l.zeroing_since > greatest(now() - make_interval(secs => %s), c.zeros_released_at)
         ORDER BY l.id FOR NO KEY UPDATE OF l) wave
 WHERE l.id = wave.id
RETURNING l.id
"""


def held_back(zeroing: Sequence[tuple[int, int]]) -> set[int]:
    """Return the listings that must wait for a person, out of those that are about to be told zero, and hold them.

    zeroing: (connector, listing) of every listing that is due to go to zero. Listings of the same wave that were lined
    up before are among the answer.
    """
    if not zeroing:
        return set()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(NOTE, [sorted(listing_id for _connector, listing_id in zeroing), WINDOW_SECONDS])
        cursor.execute(WAVES, [WINDOW_SECONDS, ALWAYS_LET, sorted({connector_id for connector_id, _ in zeroing})])
        too_large = [(connector_id, zeros) for connector_id, zeros, limit in cursor.fetchall() if zeros > limit]
        if not too_large:
            return set()
        cursor.execute(HOLD, [[connector_id for connector_id, _ in too_large], WINDOW_SECONDS])
        held = {listing_id for (listing_id,) in cursor.fetchall()}
    for connector_id, zeros in too_large:
        log.warning("zeros_held", connector_id=connector_id, zeros=zeros)
    return held


def let_go(listing_ids: Iterable[int]) -> None:
    """Hold these no longer: they have stock again, or there is no wave any more."""
    ids = list(listing_ids)
    if ids:
        with transaction.atomic():
            held = lock(Listing.objects.filter(pk__in=ids))
            Listing.objects.filter(pk__in=held).update(held_at=None, zeroing_since=None)


def release(connector: Connector) -> list[int]:
    """Let an account's held zeros through, and begin to count anew. Returns the listings; they still wait in line."""
    with transaction.atomic():
        Connector.objects.filter(pk=connector.pk).update(zeros_released_at=timezone.now())
        ids = lock(Listing.objects.filter(connector=connector, held_at__isnull=False))
        Listing.objects.filter(pk__in=ids).update(held_at=None)
    log.info("zeros_released", connector_id=connector.pk, zeros=len(ids))
    return ids
