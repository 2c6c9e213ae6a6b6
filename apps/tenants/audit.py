"""What must be answerable later: who looked at a person's data, who erased it, who changed what was decided."""

from typing import Any

from apps.tenants.models import AuditEntry, Tenant


def record(tenant: Tenant, actor: str, action: str, subject: str, **details: Any) -> AuditEntry:
    """Write down that `actor` did `action` to `subject`, in the caller's transaction. Details name no person."""
    return AuditEntry.objects.create(
        tenant=tenant, actor=actor[:100], action=action, subject=subject[:100], details=details
    )
