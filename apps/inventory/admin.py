"""The ledger, to be looked at. Products and locations are kept here; numbers change only through the ledger's verb."""

from typing import ClassVar

from django.contrib import admin

from apps.inventory.models import Balance, FeedCursor, Location, Movement, Product, Reservation
from apps.tenants.admin import PlatformAdmin, ReadOnlyAdmin, TenantAdmin


@admin.register(Product)
class ProductAdmin(TenantAdmin):
    """What the tenants sell."""

    list_display: ClassVar = ["sku", "name", "gtin", "tenant", "created_at"]
    list_filter: ClassVar = ["tenant"]
    list_select_related: ClassVar = ["tenant"]
    search_fields: ClassVar = ["sku", "name", "gtin"]
    readonly_fields: ClassVar = ["created_at"]
    ordering: ClassVar = ["sku"]


@admin.register(Location)
class LocationAdmin(TenantAdmin):
    """Places that hold stock."""

    list_display: ClassVar = ["code", "name", "tenant", "created_at"]
    list_filter: ClassVar = ["tenant"]
    list_select_related: ClassVar = ["tenant"]
    search_fields: ClassVar = ["code", "name"]
    readonly_fields: ClassVar = ["created_at"]
    ordering: ClassVar = ["code"]


@admin.register(Balance)
class BalanceAdmin(ReadOnlyAdmin):
    """The one true numbers."""

    list_display: ClassVar = [
        "product",
        "location",
        "on_hand",
        "reserved",
        "available",
        "oversold_since",
        "version",
        "last_updated",
    ]
    list_filter: ClassVar = [("oversold_since", admin.EmptyFieldListFilter), "tenant"]
    list_select_related: ClassVar = ["product", "location"]
    search_fields: ClassVar = ["product__sku", "product__name"]
    ordering: ClassVar = ["-id"]


@admin.register(Movement)
class MovementAdmin(ReadOnlyAdmin):
    """Every change of a balance, newest first."""

    list_display: ClassVar = [
        "recorded_at",
        "kind",
        "product",
        "location",
        "on_hand_delta",
        "reserved_delta",
        "on_hand_after",
        "reserved_after",
        "reason",
        "actor",
    ]
    list_filter: ClassVar = ["kind", "tenant"]
    list_select_related: ClassVar = ["product", "location"]
    search_fields: ClassVar = ["=reference_id", "product__sku"]
    ordering: ClassVar = ["-id"]


@admin.register(Reservation)
class ReservationAdmin(ReadOnlyAdmin):
    """Promises of stock."""

    list_display: ClassVar = ["product", "location", "quantity", "status", "reference_id", "created_at"]
    list_filter: ClassVar = ["status", "tenant"]
    list_select_related: ClassVar = ["product", "location"]
    search_fields: ClassVar = ["=reference_id", "product__sku"]
    ordering: ClassVar = ["-created_at"]


@admin.register(FeedCursor)
class FeedCursorAdmin(PlatformAdmin):
    """How far each reader of the ledger has come."""

    list_display: ClassVar = ["consumer", "transaction_id", "movement_id", "updated_at"]
