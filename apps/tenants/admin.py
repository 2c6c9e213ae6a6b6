"""The admin of tenants, and what every room's admin is built on.

`TenantAdmin` shows a person only rows of their own tenants (the platform's superusers: all), fifty a page and without
COUNT on the big tables. `ReadOnlyAdmin` is for what only the hub itself writes: rows are looked at, never touched.
"""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import ForeignKey, ManyToManyField, Model, QuerySet
from django.forms import ModelChoiceField, ModelMultipleChoiceField
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.paginator import InfinitePaginator

from apps.tenants import flags
from apps.tenants.access import visible_to
from apps.tenants.models import (
    ApiKey,
    AuditEntry,
    FeatureFlag,
    LoginTry,
    Membership,
    SecondFactor,
    Tenant,
    WebhookSecret,
)


class TenantAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Rows of the person's own tenants; a stranger's row is not found, in lists, forms and choices alike."""

    list_per_page = 50
    show_full_result_count = False
    list_filter_submit = True
    empty_value_display = "—"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return what the signed-in person may see."""
        return visible_to(request.user, super().get_queryset(request))

    def formfield_for_foreignkey(
        self, db_field: "ForeignKey[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> "ModelChoiceField[Any] | None":
        """Offer only rows of the person's tenants."""
        own = {"queryset": _choices(db_field.remote_field.model, request)} if _has_tenant(db_field) else {}
        field: ModelChoiceField[Any] | None = super().formfield_for_foreignkey(db_field, request, **own | kwargs)
        return field

    def formfield_for_manytomany(
        self, db_field: "ManyToManyField[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> "ModelMultipleChoiceField[Any] | None":
        """Offer only rows of the person's tenants."""
        own = {"queryset": _choices(db_field.remote_field.model, request)} if _has_tenant(db_field) else {}
        field: ModelMultipleChoiceField[Any] | None
        field = super().formfield_for_manytomany(db_field, request, **own | kwargs)
        return field

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Fix a row's tenant once the row exists: moving rows between tenants would tear their history apart."""
        fields = tuple(super().get_readonly_fields(request, obj))
        has_tenant = any(field.name == "tenant" for field in self.model._meta.fields)
        return (*fields, "tenant") if obj is not None and has_tenant and "tenant" not in fields else fields


class ReadOnlyAdmin(TenantAdmin):
    """Rows that only the hub writes: shown in full, never added, changed or deleted by hand."""

    paginator = InfinitePaginator

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: a row here is the record of something that happened."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse; looking needs only the permission to view."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False


class PlatformAdmin(ReadOnlyAdmin):
    """Rows of the hub's own machinery, which belong to no tenant: for the platform's superusers."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return all rows; only superusers come here."""
        rows: QuerySet[Any] = self.model._default_manager.all()
        return rows

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the table to superusers."""
        return bool(request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let superusers look."""
        return bool(request.user.is_superuser)


def _has_tenant(relation: "ForeignKey[Any, Any] | ManyToManyField[Any, Any]") -> bool:
    """Tell whether the rows that a relation points at belong to tenants; people, for one, do not."""
    return hasattr(relation.remote_field.model, "TENANT_PATH")


def _choices(model: type[Model], request: HttpRequest) -> QuerySet[Any]:
    """Return the rows of a model that the person may choose from."""
    return visible_to(request.user, model._default_manager.all())


@admin.register(Tenant)
class TenantsAdmin(TenantAdmin):
    """Businesses."""

    list_display: ClassVar = ["name", "slug", "time_zone", "created_at"]
    search_fields: ClassVar = ["name", "slug"]
    readonly_fields: ClassVar = ["created_at"]


@admin.register(Membership)
class MembershipAdmin(TenantAdmin):
    """Who works in which tenant, and with which role."""

    list_display: ClassVar = ["user", "tenant", "role", "created_at"]
    list_filter: ClassVar = ["role", "tenant"]
    list_select_related: ClassVar = ["user", "tenant"]
    search_fields: ClassVar = ["user__username", "user__email"]
    autocomplete_fields: ClassVar = ["user"]
    readonly_fields: ClassVar = ["created_at"]


@admin.register(ApiKey)
class ApiKeyAdmin(TenantAdmin):
    """API keys. Here they are limited and ended; the shell makes and replaces them, since it can show a secret once."""

    list_display: ClassVar = ["name", "prefix", "tenant", "last_used_at", "expires_at", "revoked_at"]
    list_filter: ClassVar = ["tenant"]
    list_select_related: ClassVar = ["tenant"]
    search_fields: ClassVar = ["name", "prefix"]
    fields: ClassVar = ["tenant", "name", "prefix", "scopes", "expires_at", "revoked_at", "last_used_at", "created_at"]
    readonly_fields: ClassVar = ["prefix", "last_used_at", "created_at"]
    actions: ClassVar = ["revoke"]

    @admin.action(description=_("Revoke"), permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        """End the chosen keys now."""
        for key in keys:
            key.revoke()

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: the admin could not show the secret, so nobody could use the key."""
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what, newest first."""

    list_display: ClassVar = ["recorded_at", "actor", "action", "subject", "tenant"]
    list_filter: ClassVar = ["action", "tenant"]
    list_select_related: ClassVar = ["tenant"]
    search_fields: ClassVar = ["=actor", "=subject"]
    ordering: ClassVar = ["-id"]


@admin.register(WebhookSecret)
class WebhookSecretAdmin(ReadOnlyAdmin):
    """What the signed doors believe. The shell makes, replaces and ends them: it can show a secret once."""

    list_display: ClassVar = ["name", "tenant", "secret_last4", "last_used_at", "expires_at", "revoked_at"]
    list_filter: ClassVar = ["tenant"]
    list_select_related: ClassVar = ["tenant"]
    search_fields: ClassVar = ["name", "=secret_last4"]
    exclude: ClassVar = ["secret_enc"]
    ordering: ClassVar = ["-created_at", "-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookSecret]:
        """Leave the sealed secrets in the database."""
        rows: QuerySet[WebhookSecret] = super().get_queryset(request)
        return rows.defer("secret_enc")


@admin.register(SecondFactor)
class SecondFactorAdmin(PlatformAdmin):
    """Who has a second factor. To delete one lets its owner in with the password alone: for staff who lost theirs."""

    list_display: ClassVar = ["user", "created_at"]
    search_fields: ClassVar = ["user__username"]
    exclude: ClassVar = ["secret_enc", "last_step"]
    ordering: ClassVar = ["-created_at", "-user_id"]

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Let superusers delete; the admin's own log has it."""
        return bool(request.user.is_superuser)


@admin.register(LoginTry)
class LoginTryAdmin(PlatformAdmin):
    """Wrong sign-ins of the last minutes."""

    list_display: ClassVar = ["address", "tried_at"]
    search_fields: ClassVar = ["=address"]
    exclude: ClassVar = ["name_hash"]
    ordering: ClassVar = ["-tried_at", "-id"]


@admin.register(FeatureFlag)
class FeatureFlagAdmin(TenantAdmin):
    """What is switched for which tenant. A flag without a row is on."""

    list_display: ClassVar = ["name", "tenant", "is_enabled", "changed_by", "updated_at"]
    list_filter: ClassVar = ["name", "is_enabled", "tenant"]
    list_select_related: ClassVar = ["tenant"]
    search_fields: ClassVar = ["name", "tenant__slug"]
    fields: ClassVar = ["tenant", "name", "is_enabled", "changed_by", "updated_at"]
    readonly_fields: ClassVar = ["changed_by", "updated_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Fix which flag a row is about once the row exists."""
        return (*super().get_readonly_fields(request, obj), *(["name"] if obj is not None else []))

    def save_model(self, request: HttpRequest, obj: FeatureFlag, form: Any, change: bool) -> None:
        """Switch it as everybody does, with the person's name."""
        flag = flags.switch(obj.tenant, obj.name, is_enabled=obj.is_enabled, actor=f"user:{request.user.pk}")
        obj.pk = flag.pk
