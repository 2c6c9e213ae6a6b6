"""What the channels were told, to be looked at."""

from typing import ClassVar

from django.contrib import admin

from apps.sync.models import SyncLog
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
        "status",
        "error_code",
        "attempt",
        "duration_ms",
    ]
    list_filter: ClassVar = ["status", "error_code", "tenant"]
    list_select_related: ClassVar = ["product", "listing"]
    search_fields: ClassVar = ["=listing__item_id", "product__sku"]
    ordering: ClassVar = ["-id"]
