"""How commands name a tenant (by its short name or its id), an API key (by its prefix) and a webhook secret (by id)."""

import uuid

from django.core.management.base import CommandError

from apps.tenants.models import ApiKey, Tenant, WebhookSecret


def tenant_named(name: str) -> Tenant:
    """Return the tenant with this short name or id. Raises CommandError listing the ones there are."""
    tenant = Tenant.objects.filter(slug=name).first()
    if tenant is None and name.isascii() and name.isdigit() and len(name) < 19:
        tenant = Tenant.objects.filter(pk=int(name)).first()
    if tenant is None:
        known = ", ".join(Tenant.objects.order_by("slug").values_list("slug", flat=True)[:20]) or "none yet"
        raise CommandError(f"There is no tenant {name!r}. Known: {known}. Make one with create_tenant.")
    return tenant


def api_key_named(prefix: str) -> ApiKey:
    """Return the API key with this prefix, the whole key being too much. Raises CommandError."""
    key = ApiKey.objects.select_related("tenant").filter(prefix=prefix).first()
    if key is None:
        raise CommandError("There is no API key with this prefix. Nothing was changed; list_api_keys shows them.")
    return key


def webhook_secret_named(text: str) -> WebhookSecret:
    """Return the webhook secret with this id. Raises CommandError."""
    try:
        found = WebhookSecret.objects.select_related("tenant").filter(pk=uuid.UUID(text)).first()
    except ValueError:
        found = None
    if found is None:
        raise CommandError(
            "There is no webhook secret with this id. Nothing was changed; list_webhook_secrets shows them."
        )
    return found
