"""The front door for machines."""

import structlog
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.common.api_shell import read_body
from apps.connectors.models import Connector
from apps.events import inbox

log = structlog.get_logger(__name__)

BODY_MAX_BYTES = 256 * 1024
"""A notification is a pointer of some hundred bytes; more than this is not one."""


@csrf_exempt
@require_POST
def ml_notification(request: HttpRequest, token: str) -> HttpResponse:
    """Mercado Livre's own notifications: stored raw and answered 200 with an empty body (contract §2.1).

    No Redis, no broker, no call out on this path: one SELECT, one INSERT. The address itself is the secret, because
    these notifications carry no signature (contract §2.4).
    """
    try:
        connector = Connector.objects.only(*inbox.ADDRESS_FIELDS).get(
            notification_token=token, kind=Connector.Kind.MERCADO_LIVRE
        )
    except Connector.DoesNotExist:
        return HttpResponse(status=404)
    try:
        body = read_body(request, BODY_MAX_BYTES)
    except UnreadablePostError:
        body = b""  # the sender hung up: what was not sent cannot be kept, and the sender will try again
    if body is None:
        return HttpResponse(status=413)
    event = inbox.store(connector, body)
    named = {"trace_id": str(event.trace_id), "event_id": event.pk, "tenant": event.tenant_id}
    log.info("notification_stored", topic=event.topic, **named)
    return HttpResponse(status=200)
