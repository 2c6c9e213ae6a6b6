"""Send an order's notification again because somebody asks for it. Every request is a row that says who."""

import structlog
from django.db import connection, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from apps.notifications import following
from apps.notifications.models import Notification, PickupCounter
from apps.orders.models import Order

log = structlog.get_logger(__name__)


class CannotResend(Exception):
    """There is nothing to send. code: `order_not_ready` or `no_pickup_counter`; the text says what to do."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


RESEND = """
INSERT INTO notificacao (tenant_id, pedido_id, meio, reenvio, requested_by, status, attempts, due_at, error_code)
SELECT %(tenant)s, %(order)s, medium, %(round)s, %(actor)s, 'PENDENTE', 0, now(), ''
  FROM (SELECT DISTINCT unnest(%(media)s::text[])) AS chosen (medium)
"""


def resend(order: Order, *, actor: str) -> list[Notification]:
    """Queue a notification of an order again, by every medium of its counter; return the new rows.

    What was still waiting is cancelled: the recipient is told once by this request, not a second time by an old retry.

    actor: who asks, such as `user:7` or `key:saldo_ab12cd34`; kept with each row.
    Raises CannotResend when the order is not ready, or its connector has no counter or tells nobody.
    """
    following.queue_ready()  # so that its own first notification is among those cancelled, and does not follow later
    with transaction.atomic():
        # whoever asks at the same time waits here, and so gets a round of their own
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        if locked.status != Order.Status.READY:
            text = _("The order is not ready for pick-up, so nobody was told. Its recipient is told once it is ready.")
            raise CannotResend("order_not_ready", text)
        counter = PickupCounter.objects.filter(connector_id=locked.connector_id).first()
        if counter is None or not counter.media:
            text = _("The connector has no pick-up counter that tells anybody: set one up in the administration.")
            raise CannotResend("no_pickup_counter", text)
        earlier = Notification.objects.filter(order=locked)
        new_round = (earlier.aggregate(last=Max("round"))["last"] or 0) + 1
        earlier.filter(status=Notification.Status.PENDING).update(
            status=Notification.Status.CANCELLED, due_at=None, error_code="asked_again"
        )
        values = {"tenant": locked.tenant_id, "order": locked.pk, "round": new_round, "media": counter.media}
        with connection.cursor() as cursor:
            cursor.execute(RESEND, values | {"actor": actor[:128]})
        rows = list(Notification.objects.filter(order=locked, round=new_round).order_by("medium"))
    log.info("notification.asked_again", order_id=locked.pk, tenant=locked.tenant_id, round=new_round, actor=actor)
    return rows
