"""The ledger's own upkeep."""

from celery import shared_task
from django.db import connection

from apps.inventory import history, keys, ledger

PARTITION_MONTHS_AHEAD = 3


@shared_task
def make_partitions() -> None:
    """Make the ledger partitions of the coming months, well before the first row needs them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT inventory_make_partitions(%s)", [PARTITION_MONTHS_AHEAD])


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
