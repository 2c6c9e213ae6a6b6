"""Who owns things.

A **tenant** is one business; every other row of the hub belongs to exactly one. A **membership** lets a person into a
tenant with a role; an **API key** lets a program in with scopes; a **webhook secret** signs what a program sends to the
signed doors (`signatures.py`). A **feature flag** switches one thing on or off for one tenant; without a row it is on.
No row is ever found by an id alone: `access.py`.
"""

import hashlib
import secrets
import uuid
import zoneinfo
from datetime import datetime, timedelta
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.tenants import permissions, scopes


def known_time_zone(name: str) -> None:
    """Refuse a zone that the clock would not know. Raises ValidationError."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(
            _("%(name)s is not a time zone; use one such as America/Sao_Paulo."), params={"name": name}
        )


class Tenant(models.Model):
    """One business whose stock the hub keeps."""

    slug = models.SlugField(_("short name"), max_length=50, unique=True)
    name = models.CharField(_("name"), max_length=200)
    time_zone = models.CharField(
        _("time zone"), max_length=50, default=settings.DISPLAY_TIME_ZONE, validators=[known_time_zone]
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "id"

    class Meta:
        db_table = "tenant"
        ordering: ClassVar[list[str]] = ["slug"]
        verbose_name = _("tenant")
        verbose_name_plural = _("tenants")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's place in a tenant."""

    class Role(models.TextChoices):
        ANALYST = permissions.ANALYST, _("Analyst (reads)")
        OPERATOR = permissions.OPERATOR, _("Operator")
        MANAGER = permissions.MANAGER, _("Manager")
        ADMIN = permissions.ADMIN, _("Tenant administrator")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="memberships", verbose_name=_("tenant"))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships", verbose_name=_("user")
    )
    role = models.CharField(_("role"), max_length=16, choices=Role, default=Role.OPERATOR)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "tenant_membership"
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "user"], name="membership_once_per_person")
        ]

    def __str__(self) -> str:
        return f"{self.user} @ {self.tenant}"

    def may(self, permission: str) -> bool:
        """Tell whether the role holds a permission. Raises KeyError for one that permissions.py does not know."""
        return self.role in permissions.HOLDERS[permission]

    @property
    def scopes(self) -> frozenset[str]:
        """Return what the role may do through the API."""
        return permissions.held_by(self.role) & frozenset(scopes.SCOPES)


SCOPE = RegexValidator(r"^[a-z_]+:[a-z_]+$", _("A scope has the form resource:action, such as stock:read."))


class ApiKey(models.Model):
    """A program's way in. Only a hash of the key is kept: the key itself is shown once, when it is made."""

    KEY_PREFIX: ClassVar[str] = "saldo_"

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="api_keys", verbose_name=_("tenant"))
    name = models.CharField(_("name"), max_length=100)
    prefix = models.CharField(_("prefix"), max_length=16, unique=True)
    key_hash = models.CharField(_("hash"), max_length=64, editable=False)
    scopes = ArrayField(models.CharField(max_length=50, validators=[SCOPE]), verbose_name=_("scopes"))
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "api_key"
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @classmethod
    def issue(
        cls, tenant: Tenant, *, name: str, scopes: list[str], expires_at: datetime | None = None
    ) -> tuple["ApiKey", str]:
        """Make a key and return its row and the secret text, which exists nowhere else from then on.

        Raises ValidationError when a scope is not one that tenants/scopes.py knows.
        """
        prefix = cls.KEY_PREFIX + secrets.token_hex(4)
        text = f"{prefix}_{secrets.token_urlsafe(32)}"
        key = cls(
            tenant=tenant, name=name, prefix=prefix, key_hash=hash_key(text), scopes=scopes, expires_at=expires_at
        )
        key.full_clean()
        key.save()
        return key, text

    def clean(self) -> None:
        """Refuse scopes that nothing asks for: a misspelt one would open nothing. Raises ValidationError."""
        unknown = [scope for scope in self.scopes or [] if scope not in scopes.SCOPES]
        if unknown:
            facts = {"unknown": ", ".join(unknown), "known": ", ".join(scopes.SCOPES)}
            raise ValidationError({"scopes": _("There is no scope %(unknown)s. Known: %(known)s.") % facts})

    def rotate(self, *, overlap: timedelta) -> tuple["ApiKey", str]:
        """Make a key with the same name, scopes and lifetime, and let this one expire after `overlap`.

        Both open the door meanwhile, so that the program's configuration can be changed without a gap. Returns the new
        row and its secret text. Raises ValidationError when this key opens nothing any more.
        """
        now = timezone.now()
        with transaction.atomic():
            old = ApiKey.objects.select_for_update().select_related("tenant").get(pk=self.pk)
            if not old.is_usable:
                raise ValidationError(_("This key is revoked or expired, so there is nothing to hand over."))
            lifetime = old.expires_at - old.created_at if old.expires_at else None
            expires_at = now + lifetime if lifetime else None
            new, text = ApiKey.issue(old.tenant, name=old.name, scopes=old.scopes, expires_at=expires_at)
            old.expires_at = min(old.expires_at or now + overlap, now + overlap)
            old.save(update_fields=["expires_at"])
        return new, text

    def revoke(self) -> None:
        """End the key, for good. An earlier end stays."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])

    @property
    def is_usable(self) -> bool:
        """Tell whether the key opens anything at this moment."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())


class WebhookSecret(models.Model):
    """What a program signs its posts with. It must be read back to check a signature, so it is sealed, not hashed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)  # known before the sealing, bound by it
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="webhook_secrets", verbose_name=_("tenant"))
    name = models.CharField(_("name"), max_length=100)
    secret_enc = models.TextField(editable=False)
    secret_last4 = models.CharField(_("secret ends with"), max_length=4)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "webhook_secret"
        verbose_name = _("webhook secret")
        verbose_name_plural = _("webhook secrets")

    def __str__(self) -> str:
        return f"{self.name} (…{self.secret_last4})"

    @property
    def is_usable(self) -> bool:
        """Tell whether what it signs is believed at this moment."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())


class FeatureFlag(models.Model):
    """One thing that is switched for one tenant. No row means on: see `flags.py`, which every reader goes through."""

    class Name(models.TextChoices):
        MERCADO_LIVRE = "integracao.ml.enabled", _("Mercado Livre: take events in and tell numbers")

    tenant = models.ForeignKey(
        Tenant, models.PROTECT, related_name="feature_flags", verbose_name=_("tenant"), db_index=False
    )
    name = models.CharField(_("flag"), max_length=64, choices=Name)
    is_enabled = models.BooleanField(_("on"), default=True)
    changed_by = models.CharField(_("changed by"), max_length=100, blank=True, editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "feature_flag"
        verbose_name = _("feature flag")
        verbose_name_plural = _("feature flags")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "name"], name="feature_flag_once_per_tenant"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # what is switched off, which is next to nothing; the readers are flags.IS_OFF and inbox.obey_flags
            models.Index(fields=["name", "tenant"], condition=models.Q(is_enabled=False), name="feature_flag_off"),
        ]

    def __str__(self) -> str:
        return f"{self.name} @ {self.tenant}"


def hash_key(text: str) -> str:
    """Return what is stored of an API key. The key has 256 random bits, so a plain SHA-256 cannot be guessed back."""
    return hashlib.sha256(text.encode()).hexdigest()


class AuditEntry(models.Model):
    """Somebody did or looked at something that must be answerable later: who, what, of which thing, when."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    actor = models.CharField(_("who"), max_length=100)  # as in the ledger: user:7, key:saldo_1a2b3c4d, command:…
    action = models.CharField(_("what"), max_length=64)
    subject = models.CharField(_("of which"), max_length=100)  # order:17, tenant:3 …; never a person's own data
    details = models.JSONField(_("details"), default=dict)
    recorded_at = models.DateTimeField(_("when"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "auditoria"
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["tenant", "-id"], name="audit_newest")]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject}"


class SecondFactor(models.Model):
    """What a person has besides the password: a secret that their authenticator computes codes of (RFC 6238)."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="second_factor", verbose_name=_("user")
    )
    secret_enc = models.TextField(editable=False)
    last_step = models.BigIntegerField(default=-1, editable=False)  # the newest code taken; it and older ones are spent
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        db_table = "second_factor"
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")

    def __str__(self) -> str:
        return str(self.user)


class RecoveryCode(models.Model):
    """A code that stands in once for an authenticator that was lost. Only its hash is kept, until it is used."""

    factor = models.ForeignKey(SecondFactor, models.CASCADE, related_name="recovery_codes")
    code_hash = models.CharField(max_length=64)

    class Meta:
        db_table = "recovery_code"
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["factor", "code_hash"], name="recovery_code_once"),
        ]

    def __str__(self) -> str:
        return f"{self.factor}"


class LoginTry(models.Model):
    """A try to prove who one is that has not succeeded (`tries.py`). The name is kept as a hash: people mistype
    passwords into it."""

    name_hash = models.CharField(max_length=64)
    address = models.GenericIPAddressField()
    tried_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "login_try"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["name_hash", "tried_at"], name="login_try_name"),
            models.Index(fields=["address", "tried_at"], name="login_try_address"),
            models.Index(fields=["tried_at"], name="login_try_age"),
        ]

    def __str__(self) -> str:
        return f"{self.address} {self.tried_at}"
