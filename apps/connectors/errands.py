"""What a person asked the hub to do for a connector, and how it gets done.

An errand is a row; a worker finds it there. Whoever works on it holds a lock that dies with the database session, so an
errand whose worker was killed is taken up by the next one, from its beginning: everything an errand does is safe to
repeat. One of a kind at a time per connector: a constraint says so.
"""

from collections.abc import Callable
from typing import Any

import structlog
from django.db import IntegrityError, InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from apps.common.slots import slot
from apps.connectors import credentials
from apps.connectors.channel import ChannelError
from apps.connectors.models import Connector, Errand
from apps.tenants import audit

log = structlog.get_logger(__name__)

TRIES_MAX = 3
"""An errand whose worker died so often kills its workers: it is given up."""

OPEN_SEEN_MAX = 100
"""Open errands that one look considers; those under way are among them."""


class Cancelled(Exception):
    """The person who asked, or a colleague, wants it no more."""


def ask(connector: Connector, kind: Errand.Kind, *, actor: str, makes_products: bool = False) -> bool:
    """Ask for an errand. Returns False when one of its kind is open for this connector already."""
    try:
        with transaction.atomic():
            errand = Errand.objects.create(
                tenant_id=connector.tenant_id,
                connector=connector,
                kind=kind,
                makes_products=makes_products,
                asked_by=actor[:100],
            )
            audit.record(errand.tenant, actor, f"errand.{kind.name.lower()}", f"connector:{connector.pk}")
    except IntegrityError:
        return False
    return True


def cancel(errand: Errand) -> bool:
    """Ask for an errand to stop; one that no worker took yet ends at once. Returns False when it has ended."""
    open_ones = Errand.objects.filter(pk=errand.pk, finished_at__isnull=True)
    asked = open_ones.update(cancel_asked_at=Coalesce("cancel_asked_at", Now()))
    open_ones.filter(started_at__isnull=True).update(status=Errand.Status.CANCELLED, finished_at=Now())
    return bool(asked)


def note(errand: Errand, report: dict[str, Any]) -> None:
    """Write down how far it is. Raises Cancelled when somebody asked for it to stop."""
    errand.report = report
    Errand.objects.filter(pk=errand.pk).update(report=report)
    if Errand.objects.filter(pk=errand.pk, cancel_asked_at__isnull=False).exists():
        raise Cancelled


def work_next(kind: Errand.Kind, work: Callable[[Errand], None]) -> bool:
    """Do the oldest open errand of a kind that nobody is at. Returns False when there is none.

    work: does it, calling `note` now and then; it may raise Cancelled or ChannelError. Raises only when the database is
    away: the errand is taken up again then.
    """
    open_ones = Errand.objects.filter(kind=kind, finished_at__isnull=True).order_by("pk")
    for pk in list(open_ones.values_list("pk", flat=True)[:OPEN_SEEN_MAX]):
        with slot(f"errand:{pk}") as is_mine:
            errand = _started(pk) if is_mine else None
            if errand:
                _do(errand, work)
                return True
    return False


FORGET_ENDED = """
DELETE FROM integracao_tarefa t
 WHERE t.finished_at < now() - make_interval(days => %s)
   AND EXISTS (SELECT FROM integracao_tarefa newer
                WHERE newer.connector_id = t.connector_id AND newer.tipo = t.tipo AND newer.id > t.id)
"""


def forget_ended(days: int) -> int:
    """Remove errands that ended longer ago than `days`; the newest of a kind stays on its page. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET_ENDED, [days])
        return int(cursor.rowcount)


def _started(pk: int) -> Errand | None:
    """Mark an errand as under way and return it; None when it ended before its lock was held."""
    begun = Errand.objects.filter(pk=pk, finished_at__isnull=True).update(
        status=Errand.Status.RUNNING, started_at=Coalesce("started_at", Now()), tries=F("tries") + 1
    )
    return Errand.objects.select_related("connector").get(pk=pk) if begun else None


def _do(errand: Errand, work: Callable[[Errand], None]) -> None:
    if errand.tries > TRIES_MAX:
        _end(errand, Errand.Status.FAILED, error_code="worker_died", error_msg="every worker stopped in the middle")
        return
    try:
        work(errand)
    except Cancelled:
        _end(errand, Errand.Status.CANCELLED)
    except ChannelError as refusal:
        _end(errand, Errand.Status.FAILED, error_code=refusal.code, error_msg=str(refusal)[:500])
        if refusal.account:
            credentials.stop(errand.connector_id, refusal)
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # a defect of ours: show it, go on with the others
        log.exception("errand_broke", errand_id=errand.pk, kind=errand.kind)
        _end(errand, Errand.Status.FAILED, error_code="internal_error", error_msg="the hub failed; the log says why")
    else:
        _end(errand, Errand.Status.DONE)


def _end(errand: Errand, status: Errand.Status, **outcome: str) -> None:
    Errand.objects.filter(pk=errand.pk, finished_at__isnull=True).update(status=status, finished_at=Now(), **outcome)
    log.info("errand_ended", errand_id=errand.pk, kind=errand.kind, status=status.value)
