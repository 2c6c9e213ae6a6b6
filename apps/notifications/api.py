"""Notifications over HTTP: send one again."""

from datetime import datetime

import msgspec
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.common.problems import Problem
from apps.notifications.models import Notification
from apps.notifications.resending import CannotResend, resend
from apps.orders.models import Order
from apps.tenants.access import of_tenant
from apps.tenants.endpoint import endpoint
from apps.tenants.identity import Caller


class NotificationAnswer(msgspec.Struct):
    """One notification that was queued. `medium`: `EMAIL`, `SMS` or `WHATSAPP`."""

    id: int
    medium: str
    status: str
    due_at: datetime | None


class ResentAnswer(msgspec.Struct):
    """What was queued. `round` counts how often this order's notification was asked for."""

    order_id: int
    order_number: str
    round: int
    requested_by: str
    notifications: list[NotificationAnswer]


@endpoint(
    method="POST",
    scope="notifications:send",
    answer=ResentAnswer,
    status=202,
    problems=(("unknown_order", 404), ("order_not_ready", 409), ("no_pickup_counter", 409)),
    tags=("Notifications",),
)
def notify_order_ready(request: HttpRequest, caller: Caller, order_id: int) -> ResentAnswer:
    """Tell an order's recipient again that it is ready for pick-up.

    The first time the hub tells by itself. What was still waiting to be sent is replaced; each request is kept with who
    made it, and is sent within seconds.
    """
    order = of_tenant(caller.tenant, Order.objects.filter(pk=order_id)).first()
    if order is None:
        raise Problem(404, "unknown_order", _("There is no such order. Nobody was told."))
    try:
        rows = resend(order, actor=caller.actor)
    except CannotResend as refusal:
        raise Problem(409, refusal.code, str(refusal), order_status=order.status) from None
    return ResentAnswer(order.pk, order.external_id, rows[0].round, rows[0].requested_by, [_shown(row) for row in rows])


def _shown(row: Notification) -> NotificationAnswer:
    return NotificationAnswer(row.pk, row.medium, row.status, row.due_at)
