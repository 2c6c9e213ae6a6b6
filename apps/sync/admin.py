"""What the channels were told, and how they were found to differ, to be looked at."""

from typing import ClassVar

from django.contrib import admin

from apps.sync.models import Divergence, ReconcileRun, SalesRate, SyncLog
from apps.tenants.admin import ReadOnlyAdmin


@admin.register(SyncLog)
class SyncLogAdmin(ReadOnlyAdmin):
    """Every try, newest first."""

    list_display: ClassVar = [
        "timestamp",
        "product",
        "listing",
        "old_value",
        "new_value",
        "shown_value",
        "status",
        "error_code",
        "trigger",
        "attempt",
        "duration_ms",
    ]
    list_filter: ClassVar = ["status", "trigger", "error_code", "tenant"]
    list_select_related: ClassVar = ["product", "listing"]
    search_fields: ClassVar = ["=listing__item_id", "product__sku"]
    ordering: ClassVar = ["-id"]


@admin.register(ReconcileRun)
class ReconcileRunAdmin(ReadOnlyAdmin):
    """Every comparison with a channel, newest first."""

    list_display: ClassVar = ["started_at", "connector", "trigger", "is_read_only", "finished_at", "error_code"]
    list_filter: ClassVar = ["trigger", "error_code", "tenant"]
    list_select_related: ClassVar = ["connector"]
    ordering: ClassVar = ["-id"]


@admin.register(Divergence)
class DivergenceAdmin(ReadOnlyAdmin):
    """Every divergence, newest first; a person acts on them on the console's page."""

    list_display: ClassVar = [
        "first_seen_at",
        "connector",
        "item_id",
        "variation_id",
        "kind",
        "hub_quantity",
        "channel_quantity",
        "repairs",
        "resolved_at",
        "ending",
    ]
    list_filter: ClassVar = ["kind", "ending", "tenant"]
    list_select_related: ClassVar = ["connector"]
    search_fields: ClassVar = ["=item_id", "=listing__seller_sku"]
    ordering: ClassVar = ["-id"]


@admin.register(SalesRate)
class SalesRateAdmin(ReadOnlyAdmin):
    """How fast each product sells, which decides what is told first."""

    list_display: ClassVar = ["product", "units_per_hour", "as_of", "tenant"]
    list_filter: ClassVar = ["tenant"]
    list_select_related: ClassVar = ["product", "tenant"]
    search_fields: ClassVar = ["=product__sku"]
    ordering: ClassVar = ["-units_per_hour"]
