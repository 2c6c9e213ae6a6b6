"""Subscribers and what they were told, to be looked at. Secrets are in no form, no list and no search here."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.subscribers.models import Alert, Attempt, Delivery, Lane, Replay, Subscriber
from apps.tenants.admin import ReadOnlyAdmin

SECRET_COLUMNS = ("secret_enc", "previous_secret_enc")


@admin.register(Subscriber)
class SubscriberAdmin(ReadOnlyAdmin):
    """Addresses. The API makes and changes them: a secret is shown to whoever asked for it, and to nobody else."""

    list_display: ClassVar = ["url", "description", "tenant", "status", "status_reason", "failing_since", "created_at"]
    list_filter: ClassVar = ["status", "tenant"]
    list_select_related: ClassVar = ["tenant"]
    search_fields: ClassVar = ["url", "description"]
    exclude: ClassVar = SECRET_COLUMNS
    ordering: ClassVar = ["-created_at", "-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscriber]:
        """Leave the sealed secrets in the database, and the deleted ones out."""
        rows: QuerySet[Subscriber] = super().get_queryset(request).filter(deleted_at=None)
        return rows.defer(*SECRET_COLUMNS)


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """What a person should look at."""

    list_display: ClassVar = ["subscriber", "code", "message", "times", "opened_at", "last_seen_at", "closed_at"]
    list_filter: ClassVar = [("closed_at", admin.EmptyFieldListFilter), "code"]
    list_select_related: ClassVar = ["subscriber"]
    ordering: ClassVar = ["-id"]


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """Events owed and taken, newest first."""

    list_display: ClassVar = ["created_at", "event_type", "subscriber", "status", "attempts", "delivered_at"]
    list_filter: ClassVar = ["status", "event_type"]
    list_select_related: ClassVar = ["subscriber"]
    search_fields: ClassVar = ["event_id__startswith"]
    ordering: ClassVar = ["-id"]


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    """Every try, newest first."""

    list_display: ClassVar = ["started_at", "delivery", "number", "outcome", "http_status", "duration_ms", "detail"]
    list_filter: ClassVar = ["outcome", "http_status"]
    list_select_related: ClassVar = ["delivery"]
    ordering: ClassVar = ["-id"]


@admin.register(Replay)
class ReplayAdmin(ReadOnlyAdmin):
    """Replays and how far they came."""

    list_display: ClassVar = ["created_at", "subscriber", "since", "status", "queued", "finished_at"]
    list_filter: ClassVar = ["status"]
    list_select_related: ClassVar = ["subscriber"]
    ordering: ClassVar = ["-created_at"]


@admin.register(Lane)
class LaneAdmin(ReadOnlyAdmin):
    """Products of subscribers, those that wait first."""

    list_display: ClassVar = ["subscriber", "product", "due_at", "lease_id"]
    list_filter: ClassVar = [("due_at", admin.EmptyFieldListFilter)]
    list_select_related: ClassVar = ["subscriber", "product"]
    ordering: ClassVar = ["-id"]
