"""Accounts on the channels and their listings. Secrets are in no form, no list and no search here."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import ManyToManyField, Model, QuerySet
from django.forms import ModelMultipleChoiceField
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import (
    Authorization,
    Connector,
    Depot,
    Errand,
    Listing,
    ListingPrice,
    MappingJob,
    SkuMapping,
    StatusMapping,
)
from apps.inventory.models import Location
from apps.tenants.access import visible_to
from apps.tenants.admin import ReadOnlyAdmin, TenantAdmin

SECRET_COLUMNS = ("client_secret_enc", "refresh_token_enc", "access_token_enc")


@admin.register(Connector)
class ConnectorAdmin(TenantAdmin):
    """Accounts. The console or `manage.py create_connector` makes them, with their secrets; here they are tuned."""

    list_display: ClassVar = ["name", "kind", "tenant", "user_id", "status", "last_sync_at"]
    list_filter: ClassVar = ["status", "kind", "tenant"]
    list_select_related: ClassVar = ["tenant"]
    search_fields: ClassVar = ["name", "=user_id"]
    fields: ClassVar = [
        "tenant",
        "kind",
        "name",
        "client_id",
        "user_id",
        "status",
        "status_reason",
        "margin_percent",
        "locations",
        "notification_address",
        "access_token_expires_at",
        "last_sync_at",
        "created_at",
        "updated_at",
    ]
    readonly_fields: ClassVar = [
        "tenant",
        "kind",
        "client_id",
        "user_id",
        "notification_address",
        "access_token_expires_at",
        "last_sync_at",
        "created_at",
        "updated_at",
    ]

    @admin.display(description=_("Notification address"))
    def notification_address(self, connector: Connector) -> str:
        """Return what is to be entered at the channel."""
        return connector.notification_url

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connector]:
        """Leave the sealed secrets in the database."""
        return super().get_queryset(request).defer(*SECRET_COLUMNS)

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> "ModelMultipleChoiceField[Any] | None":
        """Offer only locations of the connector's own tenant: another's stock must never be published here."""
        shown = request.resolver_match.kwargs.get("object_id", "") if request.resolver_match else ""
        tenants = Connector.objects.filter(pk=shown if shown.isdecimal() else 0).values("tenant_id")
        own = visible_to(request.user, Location.objects.filter(tenant_id__in=tenants))
        return super().formfield_for_manytomany(db_field, request, queryset=own, **kwargs)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: an account needs its secrets, and those are entered where they are sealed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: an account is paused, never removed; its history names it."""
        return False


@admin.register(Listing)
class ListingAdmin(ReadOnlyAdmin):
    """Listings and the duty to tell each its number. Products are chosen on the console's page of the listing."""

    list_display: ClassVar = [
        "item_id",
        "variation_id",
        "title",
        "product",
        "accepted_quantity",
        "sync_state",
        "last_error_code",
        "due_at",
    ]
    list_filter: ClassVar = ["sync_state", ("product", admin.EmptyFieldListFilter), "tenant"]
    list_select_related: ClassVar = ["product"]
    search_fields: ClassVar = ["=item_id", "title", "seller_sku", "product__sku"]
    ordering: ClassVar = ["-id"]


@admin.register(Depot)
class DepotAdmin(ReadOnlyAdmin):
    """Depots of accounts; which places they are is chosen on the console's page of the connector."""

    list_display: ClassVar = ["store_id", "name", "connector", "location", "network_node_id", "tenant"]
    list_filter: ClassVar = [("location", admin.EmptyFieldListFilter), "tenant"]
    list_select_related: ClassVar = ["connector", "location", "tenant"]
    search_fields: ClassVar = ["=store_id", "name"]
    ordering: ClassVar = ["-id"]


@admin.register(ListingPrice)
class ListingPriceAdmin(ReadOnlyAdmin):
    """Prices that people gave; given on the console's page of the listing."""

    list_display: ClassVar = ["listing", "price", "accepted_price", "error_code", "due_at", "asked_by", "asked_at"]
    list_filter: ClassVar = ["error_code", "listing__tenant"]
    list_select_related: ClassVar = ["listing"]
    search_fields: ClassVar = ["=listing__item_id", "listing__seller_sku"]
    ordering: ClassVar = ["-asked_at"]


@admin.register(Authorization)
class AuthorizationAdmin(ReadOnlyAdmin):
    """Who went to the channel's consent page, for which account, and whether they came back."""

    list_display: ClassVar = ["connector", "user", "created_at", "expires_at", "used_at", "tenant"]
    list_filter: ClassVar = ["tenant"]
    list_select_related: ClassVar = ["connector", "user", "tenant"]
    search_fields: ClassVar = ["connector__name"]
    ordering: ClassVar = ["-id"]


@admin.register(Errand)
class ErrandAdmin(ReadOnlyAdmin):
    """Tests and imports that people asked for, newest first."""

    list_display: ClassVar = ["kind", "connector", "status", "error_code", "asked_by", "created_at", "finished_at"]
    list_filter: ClassVar = ["kind", "status", "tenant"]
    list_select_related: ClassVar = ["connector"]
    search_fields: ClassVar = ["connector__name"]
    ordering: ClassVar = ["-id"]


@admin.register(SkuMapping)
class SkuMappingAdmin(ReadOnlyAdmin):
    """Every version of what a channel's SKU means, newest first; made on the console's page of mappings."""

    list_display: ClassVar = ["external_sku", "product", "version", "made_by", "made_at", "replaced_at", "tenant"]
    list_filter: ClassVar = ["channel", "tenant"]
    list_select_related: ClassVar = ["product", "tenant"]
    search_fields: ClassVar = ["=external_sku", "=product__sku"]
    ordering: ClassVar = ["-id"]


@admin.register(StatusMapping)
class StatusMappingAdmin(ReadOnlyAdmin):
    """Every version of what a channel's status means, newest first."""

    list_display: ClassVar = [
        "external_status",
        "meaning",
        "is_terminal",
        "version",
        "made_by",
        "made_at",
        "replaced_at",
    ]
    list_filter: ClassVar = ["channel", "tenant"]
    search_fields: ClassVar = ["=external_status"]
    ordering: ClassVar = ["-id"]


@admin.register(MappingJob)
class MappingJobAdmin(ReadOnlyAdmin):
    """Mappings of many listings at once; the console shows them line by line."""

    list_display: ClassVar = ["made_at", "source", "status", "made_by", "confirmed_by", "tenant"]
    list_filter: ClassVar = ["status", "source", "tenant"]
    list_select_related: ClassVar = ["tenant"]
    ordering: ClassVar = ["-made_at"]
