"""The ledger's own upkeep."""

from celery import shared_task
from django.db import connection, transaction

from apps.common import partitions
from apps.inventory import history, keys, ledger
from apps.inventory.models import Movement

PARTITION_MONTHS_AHEAD = 3


@shared_task
def make_partitions() -> None:
    """Make the ledger partitions of the coming months, well before the first row needs them."""
    with transaction.atomic(), connection.cursor() as cursor:  # no partition without its guard
        for name in partitions.make(Movement._meta.db_table, PARTITION_MONTHS_AHEAD):
            cursor.execute("SELECT inventory_guard_partition(%s)", [name])


@shared_task
def expire_due() -> None:
    """Give back what expired holds kept, and take expired batches off sale.

    A hold that is due counts no longer the moment somebody needs its units; this keeps the numbers that people and
    channels see from waiting for that.
    """
    ledger.expire_due()


@shared_task
def follow_history() -> None:
    """Bring the checkpoints up to date, so that past balances are quick to add up."""
    history.follow()


@shared_task
def forget_old_keys() -> None:
    """Forget idempotency keys that are past their days."""
    keys.forget_old()
