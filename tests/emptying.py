"""Emptying the database after a test that committed: what has rows is deleted, what has none is not touched.

Django's way, TRUNCATE of every table, writes some hundred new files and takes 0.3 s, most of which nearly every such
test spent on tables it had never heard of. It then writes content types and permissions again, which no test changes.
"""

from functools import cache

from django.db import connection, transaction
from django.test import TransactionTestCase

KEPT = {"django_content_type", "auth_permission"}
SIZE_MAX_BYTES = 16_000_000
"""Above it the files hold what some large test left, which would slow the others: TRUNCATE. Empty, they hold 2 MB."""


def install() -> None:
    """Empty the database this way after every transactional test of this run."""
    TransactionTestCase._fixture_teardown = _empty


def _empty(case: TransactionTestCase) -> None:
    """Delete every row. Waits for transactions that still write, as TRUNCATE would: their rows go, too."""
    tables = ", ".join(_tables())
    with connection.cursor() as cursor, transaction.atomic():
        # So the ledger's triggers let it pass, and foreign keys ask for no order. Only tests may do so.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"LOCK TABLE {tables} IN EXCLUSIVE MODE")
        cursor.execute(SIZE)
        if cursor.fetchone()[0] > SIZE_MAX_BYTES:
            truncate()
            return
        questions = (f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in _tables())  # noqa: S608
        cursor.execute(" UNION ALL ".join(questions))
        for (name,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {name}")  # noqa: S608


def truncate() -> None:
    """Make all files as small as they were at first, for a test about plans: the planner looks at their size."""
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"TRUNCATE {', '.join(_tables())}")


SIZE = """SELECT sum(pg_total_relation_size(oid)) FROM pg_class
           WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"""


@cache
def _tables() -> list[str]:
    """Return the tables of all models, quoted; a partitioned one stands for its parts."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    return [connection.ops.quote_name(name) for name in sorted(set(names) - KEPT)]
