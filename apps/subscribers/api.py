"""Subscribers over HTTP, and the schemas of what they are sent."""

import uuid
from typing import Any

from django.db.models import Model, Prefetch, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.common.pages import CursorPages
from apps.common.problems import Problem
from apps.subscribers import event_types, signing, subscribing, targets
from apps.subscribers.models import Attempt, Delivery, Replay, Subscriber
from apps.tenants.authentication import tenant_of_key

PATTERN_RULE = gettext_lazy("There is no event type like this; GET /v1/events/schemas lists them.")


# --- What goes in -----------------------------------------------------------------------------------------------


class SubscriberIn(serializers.Serializer[Any]):
    """The fields a caller may set."""

    url = serializers.CharField(max_length=500, validators=[targets.check])
    description = serializers.CharField(max_length=200, allow_blank=True, required=False)
    event_types = serializers.ListField(child=serializers.CharField(max_length=64), max_length=50, required=False)

    def validate_event_types(self, patterns: list[str]) -> list[str]:
        """Refuse a pattern that chooses nothing: most likely it is misspelt."""
        if not all(event_types.is_pattern(pattern) for pattern in patterns):
            raise serializers.ValidationError(PATTERN_RULE, code="unknown_event_type")
        return sorted(set(patterns))


class RotationIn(serializers.Serializer[Any]):
    """How long the secret before goes on signing."""

    overlap_seconds = serializers.IntegerField(
        min_value=0, max_value=signing.OVERLAP_SECONDS_MAX, default=signing.OVERLAP_SECONDS_MAX
    )


class ReplayIn(serializers.Serializer[Any]):
    """From when on."""

    since = serializers.DateTimeField()


def _checked(kind: type[serializers.Serializer[Any]], request: Request, *, partial: bool = False) -> dict[str, Any]:
    serializer = kind(data=request.data, partial=partial)
    serializer.is_valid(raise_exception=True)
    values: dict[str, Any] = serializer.validated_data
    return values


# --- What comes out ---------------------------------------------------------------------------------------------


def _subscriber(row: Subscriber) -> dict[str, Any]:
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


def _replay(row: Replay) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "since": row.since,
        "status": row.status,
        "queued": row.queued,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }


def _delivery(row: Delivery) -> dict[str, Any]:
    return {
        "id": row.pk,
        "event_id": str(row.event_id),
        "event_type": row.event_type,
        "status": row.status,
        "replay_id": str(row.replay_id) if row.replay_id else None,
        "created_at": row.created_at,
        "delivered_at": row.delivered_at,
        "attempts": [_attempt(attempt) for attempt in row.tries.all()],
    }


def _attempt(row: Attempt) -> dict[str, Any]:
    return {
        "number": row.number,
        "outcome": row.outcome or "under_way",
        "http_status": row.http_status,
        "detail": row.detail or None,
        "started_at": row.started_at,
        "duration_ms": row.duration_ms,
    }


class ByCreation(CursorPages):
    """Newest first."""

    ordering = ("-created_at", "-id")


class ById(CursorPages):
    """Newest first, by number."""

    ordering = "-id"


# --- The doors --------------------------------------------------------------------------------------------------


class SubscribersApi(APIView):
    """What every door here shares: reading asks for one scope, writing for another."""

    @property
    def required_scope(self) -> str:
        """Return the scope that the method asks for."""
        return "subscribers:read" if self.request.method in ("GET", "HEAD", "OPTIONS") else "subscribers:write"

    def _mine(self, subscriber_id: uuid.UUID) -> Subscriber:
        """Return the caller's subscriber; another tenant's is the same 404 as none."""
        row = subscribing.of_tenant(tenant_of_key(self.request)).filter(pk=subscriber_id).first()
        if row is None:
            raise Problem(404, "unknown_subscriber", _("There is no such subscriber."))
        return row

    def _page(self, pages: type[CursorPages], rows: QuerySet[Any], show: Any) -> Response:
        paginator = pages()
        page = paginator.paginate_queryset(rows, self.request, self) or []
        return paginator.get_paginated_response([show(row) for row in page])

    def handle_exception(self, exc: Exception) -> Response:
        """Answer a refusal of the domain as 409 with its code."""
        if isinstance(exc, subscribing.LifeError):
            exc = Problem(409, exc.code, str(exc))
        return super().handle_exception(exc)


class SubscriberListApi(SubscribersApi):
    """`/v1/subscribers`."""

    def get(self, request: Request) -> Response:
        """Answer the tenant's subscribers, newest first."""
        return self._page(ByCreation, subscribing.of_tenant(tenant_of_key(request)), _subscriber)

    def post(self, request: Request) -> Response:
        """Make one that is told of every movement from now on. The answer shows its secret, for the only time."""
        values = _checked(SubscriberIn, request)
        row, secret = subscribing.create(
            tenant_of_key(request),
            values["url"],
            event_types=values.get("event_types", ()),
            description=values.get("description", ""),
        )
        row.refresh_from_db()
        address = reverse("subscriber", args=[row.pk])
        return Response(_subscriber(row) | {"secret": secret}, status=201, headers={"Location": address})


class SubscriberApi(SubscribersApi):
    """`/v1/subscribers/{id}`."""

    def get(self, request: Request, subscriber_id: uuid.UUID) -> Response:
        """Answer one."""
        return Response(_subscriber(self._mine(subscriber_id)))

    def patch(self, request: Request, subscriber_id: uuid.UUID) -> Response:
        """Change its address, description or choice of types."""
        row = self._mine(subscriber_id)
        return Response(_subscriber(subscribing.change(row, **_checked(SubscriberIn, request, partial=True))))

    def delete(self, request: Request, subscriber_id: uuid.UUID) -> Response:
        """Forget it; what was still pending is told to nobody."""
        subscribing.delete(self._mine(subscriber_id))
        return Response(status=204)


class SecretApi(SubscribersApi):
    """`POST /v1/subscribers/{id}/rotate-secret`."""

    def post(self, request: Request, subscriber_id: uuid.UUID) -> Response:
        """Answer a new secret; the one before signs along for 24 hours, or for `overlap_seconds`."""
        row = self._mine(subscriber_id)
        secret = signing.rotate(row, _checked(RotationIn, request)["overlap_seconds"])
        row.refresh_from_db()
        return Response(_subscriber(row) | {"secret": secret})


class PauseApi(SubscribersApi):
    """`POST /v1/subscribers/{id}/pause`."""

    def post(self, request: Request, subscriber_id: uuid.UUID) -> Response:
        """Stop telling it and keep its place."""
        return Response(_subscriber(subscribing.pause(self._mine(subscriber_id))))


class ResumeApi(SubscribersApi):
    """`POST /v1/subscribers/{id}/resume`."""

    def post(self, request: Request, subscriber_id: uuid.UUID) -> Response:
        """Go on from where it stood, whether it was paused or disabled."""
        return Response(_subscriber(subscribing.resume(self._mine(subscriber_id))))


class TestApi(SubscribersApi):
    """`POST /v1/subscribers/{id}/test`."""

    def post(self, request: Request, subscriber_id: uuid.UUID) -> Response:
        """Queue a test event; its delivery says what became of it."""
        row = self._mine(subscriber_id)
        delivery = subscribing.send_test(row)
        address = reverse("subscriber-delivery", args=[row.pk, delivery.pk])
        return Response(_delivery(delivery), status=202, headers={"Location": address})


class DeliveryListApi(SubscribersApi):
    """`GET /v1/subscribers/{id}/deliveries`, narrowed by `?status=`."""

    def get(self, request: Request, subscriber_id: uuid.UUID) -> Response:
        """Answer its deliveries with their tries, newest first."""
        rows = _deliveries(self._mine(subscriber_id))
        status = request.query_params.get("status", "")
        if status and status not in Delivery.Status.values:
            choices = ", ".join(Delivery.Status.values)
            raise Problem(400, "invalid_status", _("There is no such status; use one of: %s.") % choices)
        return self._page(ById, rows.filter(status=status) if status else rows, _delivery)


class DeliveryApi(SubscribersApi):
    """`GET /v1/subscribers/{id}/deliveries/{delivery}`."""

    def get(self, request: Request, subscriber_id: uuid.UUID, delivery_id: int) -> Response:
        """Answer one delivery with its tries."""
        row = self._mine(subscriber_id)
        return Response(_delivery(_or_404(_deliveries(row).filter(pk=delivery_id), _("There is no such delivery."))))


class ReplayListApi(SubscribersApi):
    """`/v1/subscribers/{id}/replays`."""

    def get(self, request: Request, subscriber_id: uuid.UUID) -> Response:
        """Answer its replays, newest first."""
        return self._page(ByCreation, Replay.objects.filter(subscriber=self._mine(subscriber_id)), _replay)

    def post(self, request: Request, subscriber_id: uuid.UUID) -> Response:
        """Tell it again everything recorded since a moment; the work is done in the background."""
        row = self._mine(subscriber_id)
        replay = subscribing.start_replay(row, _checked(ReplayIn, request)["since"])
        address = reverse("subscriber-replay", args=[row.pk, replay.pk])
        return Response(_replay(replay), status=202, headers={"Location": address})


class ReplayApi(SubscribersApi):
    """`/v1/subscribers/{id}/replays/{replay}`."""

    def get(self, request: Request, subscriber_id: uuid.UUID, replay_id: uuid.UUID) -> Response:
        """Answer how far it has come."""
        return Response(_replay(self._one(subscriber_id, replay_id)))

    def delete(self, request: Request, subscriber_id: uuid.UUID, replay_id: uuid.UUID) -> Response:
        """Cancel it. What is queued already is still told."""
        return Response(_replay(subscribing.cancel_replay(self._one(subscriber_id, replay_id))))

    def _one(self, subscriber_id: uuid.UUID, replay_id: uuid.UUID) -> Replay:
        rows = Replay.objects.filter(subscriber=self._mine(subscriber_id), pk=replay_id)
        row: Replay = _or_404(rows, _("There is no such replay."))
        return row


def _deliveries(subscriber: Subscriber) -> QuerySet[Delivery]:
    tries = Prefetch("tries", Attempt.objects.order_by("id"))
    return Delivery.objects.filter(subscriber=subscriber).prefetch_related(tries)


def _or_404(rows: QuerySet[Any], sentence: str) -> Any:
    row: Model | None = rows.first()
    if row is None:
        raise Problem(404, "not_found", sentence)
    return row


class Open(APIView):
    """For everybody: nothing here is anybody's."""

    authentication_classes = ()
    permission_classes = ()


class SchemaListApi(Open):
    """`GET /v1/events/schemas`."""

    def get(self, request: Request) -> Response:
        """Answer every type of event, and the schema of the envelope around them."""
        types = [
            {
                "type": event_type.type,
                "description": event_type.description,
                "schema": reverse("event-schema", args=[event_type.type]),
            }
            for event_type in event_types.TYPES
        ]
        return Response({"envelope": event_types.envelope_schema(), "types": types})


class SchemaApi(Open):
    """`GET /v1/events/schemas/{type}`."""

    def get(self, request: Request, name: str) -> Response:
        """Answer the JSON Schema of a type's `data`."""
        event_type = event_types.BY_NAME.get(name)
        if event_type is None:
            raise Problem(404, "unknown_event_type", _("There is no event type “%s”.") % name)
        return Response(event_types.data_schema(event_type), content_type="application/schema+json")
