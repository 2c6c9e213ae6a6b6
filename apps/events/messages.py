"""Events in our own envelope, the requirement's queued message: from a signed sender, or from the company itself.

    {"canal": "ML", "tipo": "ORDER_CREATED", "externalId": "ML-ORD-987654", "versao": 1, "payload": {…}, "traceId": "…"}

A message is a hint like a channel's own notification (law 5): it says that something about an order may be new. It is
kept as it came and takes the inbox's usual road, where the order is read from the channel before anything happens; what
the payload says of it is believed in nothing. So a message that comes twice, too late or invented has no effect of its
own: it ends as DUPLICADO, or as an error that says what the channel answered.
"""

import uuid
from typing import Annotated, Any, Literal

import msgspec
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.common.problems import Problem, validation_failed
from apps.common.typed_json import decode
from apps.connectors.models import Connector
from apps.events.models import IntegrationEvent
from apps.tenants.models import Tenant

ORDER_PREFIX = "ML-ORD-"
"""How the requirement writes an order's number; the channel knows it without."""

DEPTH_MAX = 32
"""Levels of nesting in a payload; no order has ten, and thousands exhaust whatever reads them."""

TYPES = ("ORDER_CREATED", "ORDER_UPDATED", "LABEL_AVAILABLE", "STATUS")


class Message(msgspec.Struct):
    """One event about an order, as the requirement queues it."""

    channel: Literal["ML"] = msgspec.field(name="canal")
    external_id: Annotated[
        str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The order's number, with or without ML-ORD-")
    ] = msgspec.field(name="externalId")
    type: Annotated[
        str,
        msgspec.Meta(
            description="What happened; in the signed webhook X-Event-Type may say it instead",
            extra_json_schema={"enum": list(TYPES)},
        ),
    ] = msgspec.field(name="tipo", default="")
    version: Annotated[int, msgspec.Meta(ge=0, lt=10**15)] = msgspec.field(name="versao", default=1)
    tenant_id: Annotated[
        int | str | None, msgspec.Meta(description="The company's id or short name: it must be the caller's own")
    ] = msgspec.field(name="tenantId", default=None)
    payload: Annotated[
        dict[str, Any], msgspec.Meta(description="Kept as it comes. `userId` says whose account it is about")
    ] = msgspec.field(default_factory=dict)
    trace_id: Annotated[str, msgspec.Meta(max_length=200, description="A UUID joins the event to your trace")] = (
        msgspec.field(name="traceId", default="")
    )


_DECODER = msgspec.json.Decoder(Message)


def read(body: bytes, *, event_type: str = "") -> Message:
    """Return the message that a body holds.

    event_type: the type that a header names; it and the body's may each be missing, and must not differ.
    Raises Problem: 400 `malformed_json`, 422 `validation_failed` or `event_type_mismatch`.
    """
    message = decode(body, _DECODER)
    if _is_deeper(message.payload, DEPTH_MAX):
        detail = _("The payload is nested deeper than %(limit)s levels.") % {"limit": DEPTH_MAX}
        raise validation_failed([{"pointer": "/payload", "detail": detail, "code": "too_deep"}])
    if event_type and message.type and event_type != message.type:
        raise Problem(422, "event_type_mismatch", _("X-Event-Type and tipo name different types. Nothing was stored."))
    message.type = message.type or event_type
    if message.type not in TYPES:
        detail = _("This must be one of %(known)s.") % {"known": ", ".join(TYPES)}
        raise validation_failed([{"pointer": "/tipo", "detail": detail, "code": "unknown_value"}])
    if not _order_number(message):
        detail = _("No order's number follows %(prefix)s.") % {"prefix": ORDER_PREFIX}
        raise validation_failed([{"pointer": "/externalId", "detail": detail, "code": "wrong_form"}])
    return message


def store(tenant: Tenant, message: Message, body: bytes, *, trace_id: uuid.UUID) -> IntegrationEvent:
    """Keep a message as an event of the tenant's account, due at once. Returns the event.

    body: the message as it came. trace_id: of the request; the message's own is taken instead when it is a UUID.
    Raises Problem 422: `tenant_mismatch`, `no_connector`, `unknown_connector`, `ambiguous_connector`.
    """
    if message.tenant_id is not None and str(message.tenant_id) not in (str(tenant.pk), tenant.slug):
        raise Problem(422, "tenant_mismatch", _("The message is not for this company. Nothing was stored."))
    event = IntegrationEvent(
        tenant=tenant,
        connector=_connector_of(tenant, message),
        channel=message.channel,
        topic=message.type,
        resource_kind="orders",
        external_id=_order_number(message),
        delivery_key=delivery_key(tenant, message),
        body=body,
        payload=msgspec.to_builtins(message),
        status=IntegrationEvent.Status.RECEIVED,
        next_attempt_at=timezone.now(),
        trace_id=_uuid(message.trace_id) or trace_id,
    )
    event.save(force_insert=True)
    return event


def delivery_key(tenant: Tenant, message: Message) -> str:
    """Return the requirement's key of a message, `ML|123|ORDER_CREATED|ML-ORD-987654|v1`.

    Two messages with one key are the same one sent twice. Both are kept; whether the second has an effect is not up to
    the sender's version but to what the channel shows (`inbox.effect_key`).
    """
    return f"{message.channel}|{tenant.pk}|{message.type}|{message.external_id}|v{message.version}"


def _connector_of(tenant: Tenant, message: Message) -> Connector:
    """Return the account that a message is about: the one the payload names, else the tenant's only one."""
    authorised = Connector.objects.filter(tenant=tenant, kind=message.channel).exclude(user_id="")
    own = authorised.only("id", "tenant_id", "kind")
    user_id = message.payload.get("userId", message.payload.get("user_id"))
    if user_id is not None:
        connector = own.filter(user_id=str(user_id)[:64]).first()
        if connector is None:
            raise Problem(422, "unknown_connector", _("No account of yours has this userId. Nothing was stored."))
        return connector
    connectors = list(own[:2])
    if not connectors:
        raise Problem(422, "no_connector", _("You have no account on this channel. Nothing was stored."))
    if len(connectors) > 1:
        detail = _("You have several accounts on this channel; name one in payload.userId. Nothing was stored.")
        raise Problem(422, "ambiguous_connector", detail)
    return connectors[0]


def _order_number(message: Message) -> str:
    return message.external_id.removeprefix(ORDER_PREFIX)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _is_deeper(value: Any, levels: int) -> bool:
    """Tell whether a value is nested deeper than `levels`; level by level, for recursion is what nesting exhausts."""
    reached = [value]
    for _level in range(levels):
        reached = [
            inner
            for outer in reached
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return any(isinstance(value, dict | list) for value in reached)
