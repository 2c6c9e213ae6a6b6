"""What looks after the sources every minute. The work stands in PostgreSQL: a lost or doubled message is harmless."""

from celery import shared_task

from apps.common.slots import slot
from apps.sources import ingest, retry


@shared_task
def look_after_sources() -> None:
    """Apply what waited for something that is there now, and say which gaps stay open."""
    with slot("sources.look_after", 1) as is_mine:
        if is_mine:
            retry.again_what_is_mended()
            ingest.alert_old_gaps()
