"""The ledger's own upkeep."""

from celery import shared_task
from django.db import connection

PARTITION_MONTHS_AHEAD = 3


@shared_task
def make_partitions() -> None:
    """Make the ledger partitions of the coming months, well before the first row needs them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT inventory_make_partitions(%s)", [PARTITION_MONTHS_AHEAD])
