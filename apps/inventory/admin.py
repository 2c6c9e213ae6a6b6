"""The ledger, to be looked at. Products and locations are kept here; numbers change only through the ledger's verb."""

from typing import ClassVar

from django.contrib import admin

from apps.inventory.models import (
    Balance,
    Batch,
    Count,
    FeedCursor,
    Location,
    Movement,
    Oversell,
    Product,
    Reservation,
    Transfer,
)
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


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    """Batches and their dates."""

    list_display: ClassVar = ["batch_number", "product", "location", "quantity", "reserved", "expires_at", "status"]
    list_filter: ClassVar = ["status", "tenant"]
    list_select_related: ClassVar = ["product", "location"]
    search_fields: ClassVar = ["=batch_number", "product__sku"]
    ordering: ClassVar = ["-id"]


@admin.register(Count)
class CountAdmin(ReadOnlyAdmin):
    """What was counted, and what that changed."""

    list_display: ClassVar = ["as_of", "product", "location", "counted", "variance", "actor", "recorded_at"]
    list_filter: ClassVar = ["tenant"]
    list_select_related: ClassVar = ["product", "location"]
    search_fields: ClassVar = ["product__sku", "=source_key"]
    ordering: ClassVar = ["-id"]


@admin.register(Transfer)
class TransferAdmin(ReadOnlyAdmin):
    """What is on its way between two places."""

    list_display: ClassVar = ["code", "product", "origin", "destination", "sent", "received", "updated_at"]
    list_filter: ClassVar = ["tenant"]
    list_select_related: ClassVar = ["product", "origin", "destination"]
    search_fields: ClassVar = ["=code", "product__sku"]
    ordering: ClassVar = ["-id"]


@admin.register(Oversell)
class OversellAdmin(ReadOnlyAdmin):
    """Balances that had fewer units than were promised."""

    list_display: ClassVar = ["product", "location", "units_short", "opened_at", "closed_at"]
    list_filter: ClassVar = [("closed_at", admin.EmptyFieldListFilter), "tenant"]
    list_select_related: ClassVar = ["product", "location"]
    search_fields: ClassVar = ["product__sku"]
    ordering: ClassVar = ["-id"]


@admin.register(FeedCursor)
class FeedCursorAdmin(PlatformAdmin):
    """How far each reader of the ledger has come."""

    list_display: ClassVar = ["consumer", "transaction_id", "movement_id", "updated_at"]
