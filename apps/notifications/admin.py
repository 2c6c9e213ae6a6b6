"""Pick-up counters, which people keep, and what recipients were told, to be looked at."""

from typing import ClassVar

from django.contrib import admin

from apps.notifications.models import Notification, NotificationTry, PickupCounter, Trouble
from apps.tenants.admin import ReadOnlyAdmin, TenantAdmin


@admin.register(PickupCounter)
class PickupCounterAdmin(TenantAdmin):
    """Where parcels are handed over; a connector that has one tells that its orders are ready."""

    list_display: ClassVar = ["name", "connector", "email", "media", "updated_at"]
    list_select_related: ClassVar = ["connector"]
    search_fields: ClassVar = ["name"]
    readonly_fields: ClassVar = ["created_at", "updated_at"]
    ordering: ClassVar = ["name"]


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """What recipients were told, newest first."""

    list_display: ClassVar = [
        *("created_at", "order", "medium", "round", "requested_by", "status", "attempts", "error_code", "due_at"),
        "sent_at",
    ]
    list_filter: ClassVar = ["status", "medium", "tenant"]
    list_select_related: ClassVar = ["order"]
    search_fields: ClassVar = ["=order__external_id"]
    ordering: ClassVar = ["-id"]


@admin.register(NotificationTry)
class NotificationTryAdmin(ReadOnlyAdmin):
    """Every try, newest first."""

    list_display: ClassVar = ["started_at", "notification", "number", "driver", "outcome", "detail", "duration_ms"]
    list_filter: ClassVar = ["outcome"]
    list_select_related: ClassVar = ["notification"]
    ordering: ClassVar = ["-id"]


@admin.register(Trouble)
class TroubleAdmin(ReadOnlyAdmin):
    """What keeps numbers from the channels, newest first, and whether people were written to."""

    list_display: ClassVar = [
        *("opened_at", "connector", "kind", "cause", "count", "closed_at", "emailed_at", "email_error"),
    ]
    list_filter: ClassVar = ["kind", "tenant"]
    list_select_related: ClassVar = ["connector"]
    ordering: ClassVar = ["-opened_at", "-id"]
