"""Subscribers over HTTP, and the schemas of what they are sent."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import Model, Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.common.pages import PageQuery, page
from apps.common.problems import Problem, validation_failed
from apps.subscribers import event_types, signing, subscribing
from apps.subscribers.models import Attempt, Delivery, Replay, Subscriber
from apps.tenants.endpoint import Reply, by_method, endpoint
from apps.tenants.identity import Caller

M = TypeVar("M", bound=Model)

READ, WRITE = "subscribers:read", "subscribers:write"
TAGS = ("Subscribers",)
UNKNOWN = ("unknown_subscriber", 404)
INVALID_CURSOR = ("invalid_cursor", 400)
EXAMPLE_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"

Url = Annotated[str, msgspec.Meta(max_length=500, description="Where events are posted to: https, a public address")]
Text = Annotated[str, msgspec.Meta(max_length=200)]
Patterns = Annotated[
    list[Annotated[str, msgspec.Meta(max_length=64)]],
    msgspec.Meta(max_length=50, description="Types, or beginnings such as `inventory.reserve.*`; none: every type"),
]


# --- What goes in -----------------------------------------------------------------------------------------------


class SubscriberBody(msgspec.Struct):
    """A subscriber to make."""

    url: Url
    description: Text = ""
    event_types: Patterns = []


class SubscriberChange(msgspec.Struct, omit_defaults=True):
    """What to change; what is left out stays."""

    url: Url | msgspec.UnsetType = msgspec.UNSET
    description: Text | msgspec.UnsetType = msgspec.UNSET
    event_types: Patterns | msgspec.UnsetType = msgspec.UNSET


class RotationBody(msgspec.Struct):
    """For how long the secret before signs along; 0 cuts it off at once."""

    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=signing.OVERLAP_SECONDS_MAX)] = signing.OVERLAP_SECONDS_MAX


class ReplayBody(msgspec.Struct):
    """From when on."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]


class DeliveryQuery(PageQuery):
    """Which deliveries."""

    status: Literal["PENDING", "DELIVERED", ""] = ""


# --- What comes out ---------------------------------------------------------------------------------------------


class SubscriberAnswer(msgspec.Struct, kw_only=True):
    """A subscriber. Its secret is not here: it was shown when it was made."""

    id: str
    url: str
    description: str
    event_types: list[str]
    status: str
    status_code: str | None
    status_reason: str | None
    failures: int
    failing_since: datetime | None
    secret_last4: str
    previous_secret_until: datetime | None
    created_at: datetime
    updated_at: datetime


class SecretAnswer(SubscriberAnswer, kw_only=True):
    """A subscriber and its new secret, for the only time."""

    secret: str


class SubscriberPage(msgspec.Struct):
    """Subscribers, newest first. `next`: the address of the next page."""

    results: list[SubscriberAnswer]
    next: str | None


class AttemptAnswer(msgspec.Struct):
    """One try. `outcome`: `delivered`, `http_error`, `timeout`, `gone` … or `under_way`."""

    number: int
    outcome: str
    http_status: int | None
    detail: str | None
    started_at: datetime
    duration_ms: int | None


class DeliveryAnswer(msgspec.Struct):
    """One event owed to the subscriber, or taken by it. `event_id` is its webhook-id."""

    id: int
    event_id: str
    event_type: str
    status: str
    replay_id: str | None
    created_at: datetime
    delivered_at: datetime | None
    attempts: list[AttemptAnswer]


class DeliveryPage(msgspec.Struct):
    """Deliveries, newest first. `next`: the address of the next page."""

    results: list[DeliveryAnswer]
    next: str | None


class ReplayAnswer(msgspec.Struct):
    """A replay and how far it has come."""

    id: str
    since: datetime
    status: str
    queued: int
    created_at: datetime
    finished_at: datetime | None


class ReplayPage(msgspec.Struct):
    """Replays, newest first. `next`: the address of the next page."""

    results: list[ReplayAnswer]
    next: str | None


def _facts(row: Subscriber) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "url": row.url,
        "description": row.description,
        "event_types": row.event_types,
        "status": row.status,
        "status_code": row.status_code or None,
        "status_reason": row.status_reason or None,
        "failures": row.failures,
        "failing_since": row.failing_since,
        "secret_last4": row.secret_last4,
        "previous_secret_until": row.previous_secret_until,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


def _subscriber(row: Subscriber) -> SubscriberAnswer:
    return SubscriberAnswer(**_facts(row))


def _replay(row: Replay) -> ReplayAnswer:
    return ReplayAnswer(str(row.pk), row.since, row.status, row.queued, row.created_at, row.finished_at)


def _delivery(row: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer(
        row.pk,
        str(row.event_id),
        row.event_type,
        row.status,
        str(row.replay_id) if row.replay_id else None,
        row.created_at,
        row.delivered_at,
        [
            AttemptAnswer(
                attempt.number,
                attempt.outcome or "under_way",
                attempt.http_status,
                attempt.detail or None,
                attempt.started_at,
                attempt.duration_ms,
            )
            for attempt in row.tries.all()
        ],
    )


# --- What the doors share ---------------------------------------------------------------------------------------


def _mine(caller: Caller, subscriber_id: UUID) -> Subscriber:
    """Return the caller's subscriber; another tenant's is the same 404 as none."""
    rows = subscribing.of_tenant(caller.tenant).filter(pk=subscriber_id)
    return _or_404(rows, Problem(404, "unknown_subscriber", _("There is no such subscriber.")))


def _or_404(rows: QuerySet[M], problem: Problem) -> M:
    row = rows.first()
    if row is None:
        raise problem
    return row


def _deliveries(subscriber: Subscriber) -> QuerySet[Delivery]:
    tries = Prefetch("tries", Attempt.objects.order_by("id"))
    return Delivery.objects.filter(subscriber=subscriber).prefetch_related(tries)


def _check_patterns(patterns: list[str] | msgspec.UnsetType) -> None:
    """Refuse a pattern that chooses nothing: most likely it is misspelt."""
    for number, pattern in enumerate(patterns or ()):
        if not event_types.is_pattern(pattern):
            detail = _("There is no event type like this; GET /v1/events/schemas lists them.")
            raise validation_failed(
                [{"pointer": f"/event_types/{number}", "detail": detail, "code": "unknown_event_type"}]
            )


def _refused(refusal: ValidationError) -> Problem:
    """Return the problem of an address that must not be posted to."""
    detail = " ".join(refusal.messages)
    return validation_failed([{"pointer": "/url", "detail": detail, "code": str(refusal.code)}])


def _conflict(refusal: subscribing.LifeError) -> Problem:
    return Problem(409, refusal.code, str(refusal))


# --- Subscribers ------------------------------------------------------------------------------------------------


@endpoint(method="GET", scope=READ, query=PageQuery, answer=SubscriberPage, problems=(INVALID_CURSOR,), tags=TAGS)
def list_subscribers(request: HttpRequest, caller: Caller, query: PageQuery) -> SubscriberPage:
    """Subscribers, newest first."""
    rows, following = page(request, subscribing.of_tenant(caller.tenant), query, by=("created_at", "id"))
    return SubscriberPage([_subscriber(row) for row in rows], following)


@endpoint(
    method="POST",
    scope=WRITE,
    body=SubscriberBody,
    body_example=SubscriberBody("https://erp.example.com/hooks/saldo", "ERP", ["inventory.reserve.*"]),
    answer=SecretAnswer,
    status=201,
    problems=(("too_many_subscribers", 409),),
    answer_headers=("Location",),
    tags=TAGS,
)
def create_subscriber(request: HttpRequest, caller: Caller, body: SubscriberBody) -> Reply:
    """Tell an address of every movement from now on.

    The answer shows the signing secret (Standard Webhooks), for the only time.
    """
    _check_patterns(body.event_types)
    try:
        row, secret = subscribing.create(
            caller.tenant, body.url, event_types=body.event_types, description=body.description
        )
    except ValidationError as refusal:
        raise _refused(refusal) from None
    except subscribing.LifeError as refusal:
        raise _conflict(refusal) from None
    row.refresh_from_db()
    headers = {"Location": reverse("subscriber", args=[row.pk])}
    return Reply(SecretAnswer(**_facts(row), secret=secret), headers=headers)


@endpoint(method="GET", scope=READ, answer=SubscriberAnswer, problems=(UNKNOWN,), tags=TAGS)
def get_subscriber(request: HttpRequest, caller: Caller, subscriber_id: UUID) -> SubscriberAnswer:
    """One subscriber: whether it is told, and since when it fails."""
    return _subscriber(_mine(caller, subscriber_id))


@endpoint(method="PATCH", scope=WRITE, body=SubscriberChange, answer=SubscriberAnswer, problems=(UNKNOWN,), tags=TAGS)
def change_subscriber(
    request: HttpRequest, caller: Caller, body: SubscriberChange, subscriber_id: UUID
) -> SubscriberAnswer:
    """Change its address, description or choice of types."""
    row = _mine(caller, subscriber_id)
    _check_patterns(body.event_types)
    try:
        return _subscriber(subscribing.change(row, **msgspec.to_builtins(body)))
    except ValidationError as refusal:
        raise _refused(refusal) from None


@endpoint(method="DELETE", scope=WRITE, status=204, problems=(UNKNOWN,), tags=TAGS)
def delete_subscriber(request: HttpRequest, caller: Caller, subscriber_id: UUID) -> None:
    """Forget it and its secrets; what was still pending is told to nobody."""
    subscribing.delete(_mine(caller, subscriber_id))


@endpoint(method="POST", scope=WRITE, body=RotationBody, answer=SecretAnswer, problems=(UNKNOWN,), tags=TAGS)
def rotate_secret(request: HttpRequest, caller: Caller, body: RotationBody, subscriber_id: UUID) -> SecretAnswer:
    """A new secret. The one before signs along for 24 hours, or for `overlap_seconds`."""
    row = _mine(caller, subscriber_id)
    secret = signing.rotate(row, body.overlap_seconds)
    row.refresh_from_db()
    return SecretAnswer(**_facts(row), secret=secret)


@endpoint(method="POST", scope=WRITE, answer=SubscriberAnswer, problems=(UNKNOWN,), tags=TAGS)
def pause(request: HttpRequest, caller: Caller, subscriber_id: UUID) -> SubscriberAnswer:
    """Stop telling it, and keep its place: nothing is lost."""
    return _subscriber(subscribing.pause(_mine(caller, subscriber_id)))


@endpoint(method="POST", scope=WRITE, answer=SubscriberAnswer, problems=(UNKNOWN,), tags=TAGS)
def resume(request: HttpRequest, caller: Caller, subscriber_id: UUID) -> SubscriberAnswer:
    """Go on from where it stood, whether it was paused or disabled."""
    return _subscriber(subscribing.resume(_mine(caller, subscriber_id)))


@endpoint(
    method="POST",
    scope=WRITE,
    answer=DeliveryAnswer,
    status=202,
    problems=(UNKNOWN, ("subscriber_not_active", 409)),
    answer_headers=("Location",),
    tags=TAGS,
)
def send_test(request: HttpRequest, caller: Caller, subscriber_id: UUID) -> Reply:
    """Send a test event. Its delivery says what became of it."""
    row = _mine(caller, subscriber_id)
    try:
        delivery = subscribing.send_test(row)
    except subscribing.LifeError as refusal:
        raise _conflict(refusal) from None
    headers = {"Location": reverse("subscriber-delivery", args=[row.pk, delivery.pk])}
    return Reply(_delivery(delivery), headers=headers)


# --- Deliveries -------------------------------------------------------------------------------------------------


@endpoint(
    method="GET",
    scope=READ,
    query=DeliveryQuery,
    answer=DeliveryPage,
    problems=(UNKNOWN, INVALID_CURSOR),
    tags=TAGS,
)
def list_deliveries(request: HttpRequest, caller: Caller, subscriber_id: UUID, query: DeliveryQuery) -> DeliveryPage:
    """Its deliveries with their tries, newest first."""
    rows = _deliveries(_mine(caller, subscriber_id))
    chosen = rows.filter(status=query.status) if query.status else rows
    shown, following = page(request, chosen, query, by=("id",))
    return DeliveryPage([_delivery(row) for row in shown], following)


@endpoint(method="GET", scope=READ, answer=DeliveryAnswer, problems=(UNKNOWN, ("unknown_delivery", 404)), tags=TAGS)
def get_delivery(request: HttpRequest, caller: Caller, subscriber_id: UUID, delivery_id: int) -> DeliveryAnswer:
    """One delivery with its tries."""
    rows = _deliveries(_mine(caller, subscriber_id)).filter(pk=delivery_id)
    return _delivery(_or_404(rows, Problem(404, "unknown_delivery", _("There is no such delivery."))))


# --- Replays ----------------------------------------------------------------------------------------------------


@endpoint(method="GET", scope=READ, query=PageQuery, answer=ReplayPage, problems=(UNKNOWN, INVALID_CURSOR), tags=TAGS)
def list_replays(request: HttpRequest, caller: Caller, subscriber_id: UUID, query: PageQuery) -> ReplayPage:
    """Its replays, newest first."""
    rows = Replay.objects.filter(subscriber=_mine(caller, subscriber_id))
    shown, following = page(request, rows, query, by=("created_at", "id"))
    return ReplayPage([_replay(row) for row in shown], following)


@endpoint(
    method="POST",
    scope=WRITE,
    body=ReplayBody,
    answer=ReplayAnswer,
    status=202,
    problems=(UNKNOWN, ("replay_running", 409)),
    answer_headers=("Location",),
    tags=TAGS,
)
def start_replay(request: HttpRequest, caller: Caller, body: ReplayBody, subscriber_id: UUID) -> Reply:
    """Tell it again everything recorded since a moment.

    Under the same ids and in order, in the background; what happens meanwhile waits behind it.
    """
    row = _mine(caller, subscriber_id)
    try:
        replay = subscribing.start_replay(row, body.since)
    except subscribing.LifeError as refusal:
        raise _conflict(refusal) from None
    headers = {"Location": reverse("subscriber-replay", args=[row.pk, replay.pk])}
    return Reply(_replay(replay), headers=headers)


def _one_replay(caller: Caller, subscriber_id: UUID, replay_id: UUID) -> Replay:
    rows = Replay.objects.filter(subscriber=_mine(caller, subscriber_id), pk=replay_id)
    return _or_404(rows, Problem(404, "unknown_replay", _("There is no such replay.")))


@endpoint(method="GET", scope=READ, answer=ReplayAnswer, problems=(UNKNOWN, ("unknown_replay", 404)), tags=TAGS)
def get_replay(request: HttpRequest, caller: Caller, subscriber_id: UUID, replay_id: UUID) -> ReplayAnswer:
    """How far a replay has come."""
    return _replay(_one_replay(caller, subscriber_id, replay_id))


@endpoint(method="DELETE", scope=WRITE, answer=ReplayAnswer, problems=(UNKNOWN, ("unknown_replay", 404)), tags=TAGS)
def cancel_replay(request: HttpRequest, caller: Caller, subscriber_id: UUID, replay_id: UUID) -> ReplayAnswer:
    """Cancel a replay. What is queued already is still told."""
    return _replay(subscribing.cancel_replay(_one_replay(caller, subscriber_id, replay_id)))


subscribers = by_method(list_subscribers, create_subscriber)
subscriber = by_method(get_subscriber, change_subscriber, delete_subscriber)
replays = by_method(list_replays, start_replay)
replay = by_method(get_replay, cancel_replay)


# --- Schemas: documents for everybody, nobody's data --------------------------------------------------------------


@require_safe
def schemas(request: HttpRequest) -> HttpResponse:
    """Answer every type of event, and the schema of the envelope around them."""
    types = [
        {
            "type": event_type.type,
            "description": event_type.description,
            "schema": reverse("event-schema", args=[event_type.type]),
        }
        for event_type in event_types.TYPES
    ]
    return JsonResponse({"envelope": event_types.envelope_schema(), "types": types})


@require_safe
def schema(request: HttpRequest, name: str) -> HttpResponse:
    """Answer the JSON Schema of a type's `data`."""
    event_type = event_types.BY_NAME.get(name)
    if event_type is None:
        raise Problem(404, "unknown_event_type", _("There is no event type “%s”.") % name)
    return JsonResponse(event_types.data_schema(event_type), content_type="application/schema+json")
