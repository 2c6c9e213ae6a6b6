"""How long idempotency keys are kept: a key that is older than its days is forgotten, and may be used anew.

Keys are written at the rate of requests, so they carry no index for this. The table is walked once from its first page
to its last, some pages at a time, each step a short transaction that locks only rows nobody asks for any more.
"""

from django.conf import settings
from django.db import connection

PAGES_A_STEP = 1000
"""8 MB of the table at once: tens of milliseconds, and no lock for longer."""

PAGES = "SELECT pg_relation_size('inventory_keys') / current_setting('block_size')::bigint"
FORGET = """
DELETE FROM inventory_keys
 WHERE ctid >= format('(%%s,0)', %s::bigint)::tid AND ctid < format('(%%s,0)', %s::bigint)::tid
   AND created_at < now() - make_interval(days => %s)
"""


def forget_old() -> int:
    """Forget the keys that are older than IDEMPOTENCY_KEY_DAYS, by the database's clock. Returns how many."""
    forgotten = 0
    with connection.cursor() as cursor:
        cursor.execute(PAGES)
        [pages] = cursor.fetchone()
        for page in range(0, pages, PAGES_A_STEP):
            cursor.execute(FORGET, [page, page + PAGES_A_STEP, settings.IDEMPOTENCY_KEY_DAYS])
            forgotten += cursor.rowcount
    return forgotten
