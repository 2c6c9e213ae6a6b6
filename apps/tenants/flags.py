"""What is switched on for a tenant. Without a row a flag is on, so that a new tenant works and none must be filled in.

`integracao.<channel>.enabled` off means: what the channel tells is stored and waits, and the channel is told nothing.
The hot paths that must obey (`events.inbox`, `sync.queue`) ask within their own query, by `IS_OFF`.
"""

import structlog
from django.db import transaction

from apps.tenants import audit
from apps.tenants.models import FeatureFlag, Tenant

log = structlog.get_logger(__name__)

IS_OFF = """EXISTS (SELECT FROM feature_flag off WHERE NOT off.is_enabled AND off.tenant_id = c.tenant_id
                       AND off.name = 'integracao.' || lower(c.canal) || '.enabled')"""
"""SQL: the integration of connector `c` is switched off."""


def integration(channel: str) -> str:
    """Return the flag's name for a channel's kind: "ML" has `integracao.ml.enabled`."""
    return f"integracao.{channel.lower()}.enabled"


def is_on(tenant: Tenant, name: str) -> bool:
    """Tell whether a flag is on for a tenant; one that was never switched is."""
    return not FeatureFlag.objects.filter(tenant=tenant, name=name, is_enabled=False).exists()


def switched_off(tenant: Tenant) -> set[str]:
    """Return the names of what is off for a tenant."""
    return set(FeatureFlag.objects.filter(tenant=tenant, is_enabled=False).values_list("name", flat=True))


def switch(tenant: Tenant, name: str, *, is_enabled: bool, actor: str) -> FeatureFlag:
    """Switch a flag on or off for a tenant. It works from the next claim on: what is being worked on is finished.

    actor: who did it, `user:7` or `command:feature_flag`.
    """
    with transaction.atomic():
        flag, _is_new = FeatureFlag.objects.update_or_create(
            tenant=tenant, name=name, defaults={"is_enabled": is_enabled, "changed_by": actor[:100]}
        )
        audit.record(tenant, actor, "flag.switched", f"flag:{name}", is_enabled=is_enabled)
    log.info("feature_flag_switched", tenant=tenant.slug, flag=name, is_enabled=is_enabled, actor=actor)
    return flag
