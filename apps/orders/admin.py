"""Orders, to be looked at: they are what the channels say."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import TabularInline

from apps.orders.models import Order, OrderItem, Package
from apps.tenants.admin import ReadOnlyAdmin


class ItemsInline(TabularInline):  # type: ignore[misc]  # unfold ships no types
    """The units sold."""

    model = OrderItem
    extra = 0
    fields: ClassVar = ["product", "listing", "title", "quantity", "unit_price"]
    readonly_fields: ClassVar = fields

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: an order is what the channel says."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """Sales, newest first."""

    list_display: ClassVar = ["external_id", "connector", "status", "channel_status", "total_amount", "ordered_at"]
    list_filter: ClassVar = ["status", "channel", "tenant"]
    list_select_related: ClassVar = ["connector"]
    search_fields: ClassVar = ["=external_id", "=pack_id", "=shipment_id"]
    exclude: ClassVar = ["content_hash"]
    ordering: ClassVar = ["-id"]
    inlines: ClassVar = [ItemsInline]


@admin.register(Package)
class PackageAdmin(ReadOnlyAdmin):
    """Parcels, newest first. The label holds an address, so it is not shown here."""

    list_display: ClassVar = ["external_id", "connector", "status", "channel_status", "channel_substatus", "updated_at"]
    list_filter: ClassVar = ["status", "channel", "tenant"]
    list_select_related: ClassVar = ["connector"]
    search_fields: ClassVar = ["=external_id", "=tracking_number"]
    ordering: ClassVar = ["-id"]
