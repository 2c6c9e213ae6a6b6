"""What the channels were told, to be looked at."""

from typing import ClassVar

from django.contrib import admin

from apps.sync.models import SalesRate, SyncLog
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


@admin.register(SalesRate)
class SalesRateAdmin(ReadOnlyAdmin):
    """How fast each product sells, which decides what is told first."""

    list_display: ClassVar = ["product", "units_per_hour", "as_of", "tenant"]
    list_filter: ClassVar = ["tenant"]
    list_select_related: ClassVar = ["product", "tenant"]
    search_fields: ClassVar = ["=product__sku"]
    ordering: ClassVar = ["-units_per_hour"]
