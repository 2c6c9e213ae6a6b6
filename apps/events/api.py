"""Events over HTTP: the signed door for our own envelope, and what a company's programs and people ask of the inbox.

Mercado Livre's own notifications come in by views.py: they are unsigned, and answered with a bare status.
"""

import re
import uuid
from datetime import date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import structlog
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.common import sql_pages
from apps.common.api_shell import trace_id_of
from apps.common.error_codes import ADVICE, UNKNOWN
from apps.common.pages import PageQuery
from apps.common.problems import Problem, validation_failed
from apps.connectors.models import Connector
from apps.events import messages
from apps.events.errors import Open, open_errors
from apps.events.messages import Message
from apps.events.models import IntegrationEvent
from apps.events.reprocess import reprocess
from apps.tenants import flags
from apps.tenants.endpoint import endpoint
from apps.tenants.identity import Caller
from apps.tenants.models import Tenant

log = structlog.get_logger(__name__)

TAGS = ("Integrations",)

MESSAGE_EXAMPLE = {
    "canal": "ML",
    "tipo": "ORDER_CREATED",
    "externalId": "2000003508419013",
    "versao": 1,
    "payload": {"userId": 1001},
    "traceId": "a8a4b8e0-5d5e-4c55-9d0a-3f6f1e1b7f10",
}
REFUSALS = (
    ("event_type_mismatch", 422),
    ("tenant_mismatch", 422),
    ("no_connector", 422),
    ("unknown_connector", 422),
    ("ambiguous_connector", 422),
)


class Stored(msgspec.Struct, rename="camel"):
    """An event that is kept and waits for its turn. `traceId` finds its road in logs and console."""

    event_id: int
    status: str
    trace_id: uuid.UUID


STORED_EXAMPLE = Stored(4711, "RECEBIDO", uuid.UUID("a8a4b8e0-5d5e-4c55-9d0a-3f6f1e1b7f10"))


@endpoint(
    method="POST",
    is_signed=True,
    body=Message,
    answer=Stored,
    status=202,
    problems=REFUSALS,
    tags=TAGS,
    request_headers=("X-Tenant", "X-Event-Type"),
    example=STORED_EXAMPLE,
    body_example=MESSAGE_EXAMPLE,
)
def ml_webhook(request: HttpRequest, caller: Caller, body: bytes) -> Stored:
    """Take an event in from a signed sender.

    The body is signed with one of the company's webhook secrets (`X-ML-Signature`). 202 means that the event is stored;
    the order is then read from Mercado Livre, so sending an event twice does no harm. A bad signature, an unknown
    company and an old timestamp are one same 401. Mercado Livre's own notifications go to the connector's notification
    address instead and are never signed.
    """
    message = messages.read(body, event_type=request.META.get("HTTP_X_EVENT_TYPE", ""))
    return _store(request, caller, message, body)


@endpoint(
    method="POST",
    scope="integrations:write",
    body=Message,
    is_raw=True,
    answer=Stored,
    status=202,
    problems=REFUSALS,
    tags=TAGS,
    example=STORED_EXAMPLE,
    body_example=MESSAGE_EXAMPLE,
)
def enqueue(request: HttpRequest, caller: Caller, body: bytes) -> Stored:
    """Queue an event about an order.

    The same message as the signed webhook takes, from a program or person of the company. The order is read from the
    channel before anything happens.
    """
    return _store(request, caller, messages.read(body), body)


def _store(request: HttpRequest, caller: Caller, message: Message, body: bytes) -> Stored:
    event = messages.store(caller.tenant, message, body, trace_id=trace_id_of(request))
    log.info(
        "message_stored", event_id=event.pk, topic=event.topic, event_trace_id=str(event.trace_id), actor=caller.actor
    )
    return Stored(event.pk, event.status, event.trace_id)


class Reprocessed(msgspec.Struct, rename="camel"):
    """An event that takes the road again; `reprocessId` finds this reprocessing in log and audit."""

    reprocess_id: uuid.UUID
    event_id: int
    status: str
    reprocess_count: int


@endpoint(
    method="POST",
    scope="integrations:write",
    answer=Reprocessed,
    status=202,
    problems=(("unknown_event", 404), ("nothing_to_reprocess", 409)),
    tags=TAGS,
    example=Reprocessed(uuid.UUID("019aa0c2-7d1e-7c3a-9f55-2f1c0d9b8a11"), 4711, "RECEBIDO", 1),
)
def reprocess_event(request: HttpRequest, caller: Caller, event_id: int) -> Reprocessed:
    """Send one event through the road again.

    Safe at any time: no effect happens twice. An event that was quarantined or not used is read anew first.
    """
    own = IntegrationEvent.objects.filter(tenant=caller.tenant_id, channel=Connector.Kind.MERCADO_LIVRE, pk=event_id)
    if not own.exists():
        raise Problem(404, "unknown_event", _("You have no event of this number. Nothing was changed."))
    reprocess_id = uuid.uuid4()
    with structlog.contextvars.bound_contextvars(reprocess_id=str(reprocess_id), event_id=event_id):
        count = reprocess(own, actor=caller.actor, reprocess_id=reprocess_id)
    if not count:
        detail = _("The event was read again, and there is still nothing Saldo could do with it.")
        raise Problem(409, "nothing_to_reprocess", detail)
    event = own.only("status", "reprocess_count").get()
    return Reprocessed(reprocess_id, event_id, event.status, event.reprocess_count)


# --- The list -------------------------------------------------------------------------------------------------------

DAYS = re.compile(r"(\d{4}-\d\d-\d\d)(?:/(\d{4}-\d\d-\d\d))?")


class EventQuery(PageQuery):
    """Which events; an empty parameter is one that was left out."""

    canal: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["", *Connector.Kind.values]})] = ""
    status: Annotated[str, msgspec.Meta(extra_json_schema={"enum": ["", *IntegrationEvent.Status.values]})] = ""
    data: Annotated[
        str,
        msgspec.Meta(
            max_length=21,
            description="The day it was received, in the company's time zone: 2026-11-22; or from one day to another, "
            "both included: 2026-11-20/2026-11-22",
        ),
    ] = ""


class Event(msgspec.Struct, rename="camel"):
    """One event and how far the hub has come with it. What arrived in it is shown by the console alone."""

    id: int
    canal: str
    tipo: str
    external_id: str
    connector_id: int
    status: str
    error_code: str
    attempts: int
    reprocess_count: int
    trace_id: uuid.UUID
    received_at: datetime
    processed_at: datetime | None
    next_attempt_at: datetime | None


class Events(msgspec.Struct, rename="camel"):
    """A page of events, newest first; `switchedOff` names what is off, so that its events wait as AGUARDANDO."""

    items: list[Event]
    next: str | None
    prev: str | None
    switched_off: list[str]


EVENT_EXAMPLE = Event(
    id=4711,
    canal="ML",
    tipo="orders_v2",
    external_id="2000003508419013",
    connector_id=1,
    status="PROCESSADO",
    error_code="",
    attempts=1,
    reprocess_count=0,
    trace_id=uuid.UUID("a8a4b8e0-5d5e-4c55-9d0a-3f6f1e1b7f10"),
    received_at=datetime.fromisoformat("2026-11-22T14:58:43.210+00:00"),
    processed_at=datetime.fromisoformat("2026-11-22T14:58:44.020+00:00"),
    next_attempt_at=None,
)


@endpoint(
    method="GET",
    scope="integrations:read",
    query=EventQuery,
    answer=Events,
    problems=(("invalid_cursor", 400),),
    tags=TAGS,
    example=Events([EVENT_EXAMPLE], "/api/integracoes/eventos?canal=ML&cursor=WyJhZnRlciJd", None, []),
)
def list_events(request: HttpRequest, caller: Caller, query: EventQuery) -> Events:
    """List what the channels told, newest first.

    Without contents: no payload and nothing personal. A page may hold fewer events than asked, even none, and still
    have a `next`; only a `next` of null is the end.
    """
    first, beyond = _period(query.data, caller.tenant)
    _require_known("canal", query.canal, Connector.Kind.values)
    _require_known("status", query.status, IntegrationEvent.Status.values)
    conditions = {
        "tenant_id = %(tenant)s": caller.tenant_id,
        "canal = %(channel)s": query.canal,
        "received_at >= %(first)s": first,
        "received_at < %(beyond)s": beyond,
    }
    rows = sql_pages.Rows(
        columns="page.id, page.canal, page.tipo, page.external_id, page.connector_id, page.status, page.error_code, "
        "page.attempts, page.reprocess_count, page.trace_id, page.received_at, page.processed_at, page.next_attempt_at",
        table="integracao_evento",
        keys=("received_at", "id"),
        key_types=tuple[datetime, int],
        params={
            "tenant": caller.tenant_id,
            "channel": query.canal,
            "first": first,
            "beyond": beyond,
            "status": query.status,
        },
        scope=" AND ".join(condition for condition, value in conditions.items() if value),
        filters=["status = %(status)s"] if query.status else [],
    )
    page = sql_pages.read(request, query, rows, Event)
    return Events(page.items, page.next, page.prev, sorted(flags.switched_off(caller.tenant)))


def _period(text: str, tenant: Tenant) -> tuple[datetime | None, datetime | None]:
    """Return when the asked days begin and end, by the tenant's clock. Raises Problem 422."""
    if not text:
        return None, None
    zone = ZoneInfo(tenant.time_zone)
    try:
        match = DAYS.fullmatch(text)
        first, last = (date.fromisoformat(day) for day in (match[1], match[2] or match[1])) if match else (None, None)
        if first is None or last is None or last < first:
            raise ValueError
        return (
            datetime.combine(first, time.min, zone),
            datetime.combine(last + timedelta(days=1), time.min, zone),
        )
    except (ValueError, OverflowError):
        detail = _("This must be a day such as 2026-11-22, or two of them: 2026-11-20/2026-11-22.")
        raise validation_failed([{"parameter": "data", "detail": detail, "code": "wrong_form"}]) from None


def _require_known(name: str, value: str, known: list[str]) -> None:
    if value and value not in known:
        detail = _("This must be one of %(known)s.") % {"known": ", ".join(known)}
        raise validation_failed([{"parameter": name, "detail": detail, "code": "unknown_value"}])


# --- What is wrong --------------------------------------------------------------------------------------------------


class ErrorQuery(msgspec.Struct):
    """Which codes."""

    abertos: Annotated[bool, msgspec.Meta(description="true: only codes of which something is open now.")] = False


class CatalogueError(msgspec.Struct, rename="camel"):
    """One error code: what is open with it now, what it means, what it means for stock, what to do.

    `passes`: the hub tries again by itself, and that may be enough. `oldestAt`: since when the oldest is open (an
    event's arrival, a listing's last accepted number); null when nothing is. `known` is false for a code that the hub
    met and has no words for yet.
    """

    code: str
    events: int
    listings: int
    oldest_at: datetime | None
    meaning: str
    stock: str
    action: str
    passes: bool
    known: bool


class Errors(msgspec.Struct, rename="camel"):
    """The error catalogue; codes with something open come first, the most frequent one on top."""

    items: list[CatalogueError]


ERROR_EXAMPLE = CatalogueError(
    code="mapping_needed",
    events=3,
    listings=0,
    oldest_at=datetime.fromisoformat("2026-11-22T14:58:43.210+00:00"),
    meaning="The order has a listing that is mapped to no product; no stock was reserved.",
    stock="The sold units are not reserved yet, so they are still offered elsewhere.",
    action="Map the listing to a product: the order then comes in by itself within a second.",
    passes=False,
    known=True,
)


@endpoint(
    method="GET",
    scope="integrations:read",
    query=ErrorQuery,
    answer=Errors,
    tags=TAGS,
    example=Errors([ERROR_EXAMPLE]),
)
def list_errors(request: HttpRequest, caller: Caller, query: ErrorQuery) -> Errors:
    """List the error codes, what is open with each, and what to do.

    The whole catalogue in one answer: a few dozen codes, in the language of `Accept-Language`. Only the company's own
    events and listings are counted; `GET /api/integracoes/eventos?status=ERRO` names the events.
    """
    found = open_errors(caller.tenant)
    items = [_explained(one.code, one) for one in found]
    if not query.abertos:
        met = {one.code for one in found}
        items += [_explained(code, None) for code in sorted(ADVICE) if code not in met]
    return Errors(items)


def _explained(code: str, found: Open | None) -> CatalogueError:
    advice = ADVICE.get(code, UNKNOWN)
    return CatalogueError(
        code=code,
        events=found.events if found else 0,
        listings=found.listings if found else 0,
        oldest_at=found.oldest_at if found else None,
        meaning=str(advice.meaning),
        stock=str(advice.stock),
        action=str(advice.action),
        passes=advice.passes,
        known=code in ADVICE,
    )
