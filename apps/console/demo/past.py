"""Let this process's ledger write as if it were another moment, so that the demo has two weeks behind it.

The ledger is append-only and its times are the database's clock: nothing may be written into its past, and nothing is.
What changes is the clock, for this one session: a schema before `pg_catalog` holds a `clock_timestamp()` and a `now()`
that return a setting, and the ledger's own functions, called as anybody calls them, find those first. Rows then say
what they would have said, one after another, and `prove` finds them in order.

A balance is never recorded earlier than its last change, and its row is made with the table's own clock: so the empty
rows of new balances are made here first (`begin_balances`), as the ledger would make them.

Invariant: moments only go forward. A balance that was moved later than the moment must be left alone.
For the demo only: it needs the right to make a schema, and it fools whoever trusts `recorded_at`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import product as product_of

from django.db import connection

from apps.inventory.models import Balance
from apps.tenants.models import Tenant

BEGIN = """
CREATE SCHEMA IF NOT EXISTS demo_clock;
CREATE OR REPLACE FUNCTION demo_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT current_setting('demo.moment')::timestamptz $$;
CREATE OR REPLACE FUNCTION demo_clock.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT current_setting('demo.moment')::timestamptz $$;
"""
START = "SELECT set_config('demo.moment', clock_timestamp()::text, false)"
ENTER = "SELECT set_config('search_path', 'demo_clock, public, pg_catalog', false)"
LEAVE = "SELECT pg_catalog.set_config('search_path', 'public', false)"
END = "DROP SCHEMA IF EXISTS demo_clock CASCADE"

MoveTo = Callable[[datetime], None]


@contextmanager
def past() -> Iterator[MoveTo]:
    """Yield the function that sets the clock, which stands still until then. The clock is the machine's afterwards."""
    with connection.cursor() as cursor:
        cursor.execute(BEGIN)
        cursor.execute(START)
        cursor.execute(ENTER)
    try:
        yield _move_to
    finally:
        with connection.cursor() as cursor:
            cursor.execute(LEAVE)
            cursor.execute(END)


def begin_balances(tenant: Tenant, products: Iterable[int], places: Iterable[int], moment: datetime) -> None:
    """Make the empty balances that are missing, last changed at the moment: nothing on hand, nothing counted yet."""
    rows = [
        Balance(tenant=tenant, product_id=product, location_id=place, last_updated=moment)
        for product, place in product_of(products, list(places))
    ]
    Balance.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)


def _move_to(moment: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('demo.moment', %s, false)", [moment.isoformat()])
