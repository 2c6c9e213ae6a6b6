"""What the channels told us, to be looked at. Contents are shown by the console alone, which hides what is personal."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps.events.models import IdempotencyKey, IntegrationEvent, Reprocess, SilentTopic, Watch
from apps.tenants.admin import PlatformAdmin, ReadOnlyAdmin

CONTENTS = ("body", "payload")


@admin.register(IntegrationEvent)
class IntegrationEventAdmin(ReadOnlyAdmin):
    """Deliveries, newest first."""

    list_display: ClassVar = [
        "received_at",
        "topic",
        "external_id",
        "connector",
        "status",
        "error_code",
        "attempts",
        "next_attempt_at",
    ]
    list_filter: ClassVar = ["status", "topic", "error_code", "tenant"]
    list_select_related: ClassVar = ["connector"]
    search_fields: ClassVar = ["=external_id"]
    exclude: ClassVar = CONTENTS
    ordering: ClassVar = ["-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[IntegrationEvent]:
        """Leave the contents in the database: they are large, and may be about people."""
        return super().get_queryset(request).defer(*CONTENTS)


@admin.register(Reprocess)
class ReprocessAdmin(ReadOnlyAdmin):
    """Who sent events through the road again, why and when; and the plans of it."""

    list_display: ClassVar = ["created_at", "actor", "reason", "status", "count", "applied_at", "tenant"]
    list_filter: ClassVar = ["status", "tenant"]
    exclude: ClassVar = ["plan_hash"]
    ordering: ClassVar = ["-created_at"]


@admin.register(IdempotencyKey)
class IdempotencyKeyAdmin(PlatformAdmin):
    """Effects that happened."""

    list_display: ClassVar = ["key", "created_at"]
    search_fields: ClassVar = ["key__startswith"]
    ordering: ClassVar = ["-created_at"]


@admin.register(Watch)
class WatchAdmin(ReadOnlyAdmin):
    """How far the search for orders has come, account by account."""

    list_display: ClassVar = ["connector", "searched_until", "search_at", "reads_missed_feeds", "error_code"]
    list_filter: ClassVar = ["error_code"]
    list_select_related: ClassVar = ["connector"]
    ordering: ClassVar = ["searched_until"]


@admin.register(SilentTopic)
class SilentTopicAdmin(ReadOnlyAdmin):
    """Kinds of notifications that stopped coming."""

    list_display: ClassVar = ["connector", "topic", "last_heard_at", "noticed_at"]
    list_filter: ClassVar = ["topic"]
    list_select_related: ClassVar = ["connector"]
    ordering: ClassVar = ["-noticed_at"]
