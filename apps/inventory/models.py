"""The ledger's tables.

Nouns. A **product** is what one SKU names. A **location** is a place that holds stock: a shop, a warehouse. A
**balance** is the one true number of a product at a location: `on_hand` units are there, `reserved` of them are
promised, `available = on_hand - reserved` may still be promised. A **movement** is one change of a balance, written
once and never altered. A **reservation** is a promise: PENDING until it is confirmed, released or expires.

Sign convention. A movement carries the change of both numbers (`on_hand_delta`, `reserved_delta`, negative when units
leave) and both numbers after it.

Invariants, each held by the database itself:
* a balance is the sum of its movements, and its version counts them (`ledger.py` writes both in one statement);
* `reserved` is the sum of the open reservations and never negative;
* less on hand than reserved is possible only as a recorded fact, and then `oversold_since` says since when;
* a movement is never changed or removed (triggers), only answered by another one.

Only `ledger.py` writes balances, movements and reservations. `prove.py` checks all of this on live data.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.tenants.models import Tenant


class Product(models.Model):
    """What one SKU of a tenant names."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"))
    sku = models.CharField("SKU", max_length=100)
    gtin = models.CharField("GTIN", max_length=14, blank=True)
    name = models.CharField(_("name"), max_length=300)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_products"
        verbose_name = _("product")
        verbose_name_plural = _("products")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "sku"], name="product_sku_once_per_tenant"),
            # what the composite foreign keys of balances and listings point at
            models.UniqueConstraint(fields=["tenant", "id"], name="product_of_tenant"),
            models.CheckConstraint(condition=~Q(sku=""), name="product_has_a_sku"),
        ]

    def __str__(self) -> str:
        return f"{self.sku} · {self.name}"


class Location(models.Model):
    """A place that holds stock."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"))
    code = models.CharField(_("code"), max_length=50)
    name = models.CharField(_("name"), max_length=200)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_locations"
        verbose_name = _("location")
        verbose_name_plural = _("locations")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "code"], name="location_code_once_per_tenant"),
            models.UniqueConstraint(fields=["tenant", "id"], name="location_of_tenant"),
            models.CheckConstraint(condition=~Q(code=""), name="location_has_a_code"),
        ]

    def __str__(self) -> str:
        return self.code


class Balance(models.Model):
    """The one true number of a product at a location."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"))
    product = models.ForeignKey(Product, models.PROTECT, related_name="balances", verbose_name=_("product"))
    location = models.ForeignKey(Location, models.PROTECT, related_name="balances", verbose_name=_("location"))
    on_hand = models.IntegerField(_("on hand"), db_column="quantity_on_hand", default=0)
    reserved = models.IntegerField(_("reserved"), db_column="quantity_reserved", default=0)
    available = models.GeneratedField(
        expression=F("on_hand") - F("reserved"),
        output_field=models.IntegerField(),
        db_persist=True,
        db_column="quantity_available",
        verbose_name=_("available"),
    )
    version = models.BigIntegerField(_("version"), default=0)
    oversold_since = models.DateTimeField(_("oversold since"), null=True)
    # Since when the number on hand is known: the first receipt or correction. Before that a sale may already have been
    # booked here, and saying "zero" to a channel would be a guess.
    counted_at = models.DateTimeField(_("counted since"), null=True)
    last_updated = models.DateTimeField(_("last updated"), db_default=Now())

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_balances"
        verbose_name = _("balance")
        verbose_name_plural = _("balances")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "product", "location"], name="balance_once_per_place"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="balance_reserved_not_negative"),
            models.CheckConstraint(
                condition=Q(on_hand__gte=F("reserved"), oversold_since__isnull=True)
                | Q(on_hand__lt=F("reserved"), oversold_since__isnull=False),
                name="balance_short_only_as_a_recorded_oversell",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.product_id}@{self.location_id}: {self.on_hand} - {self.reserved}"


class Movement(models.Model):
    """One change of a balance: written once, never altered. The row is also the event that readers follow (feed.py)."""

    class Kind(models.TextChoices):
        RECEIPT = "RECEIPT", _("Receipt")
        ADJUSTMENT = "ADJUSTMENT", _("Adjustment")
        RESERVE = "RESERVE", _("Reservation")
        CONFIRM = "CONFIRM", _("Confirmation")
        RELEASE = "RELEASE", _("Release")

    #: Each kind belongs to one of the requirement's four transaction types (requirement 003, `inventory_ledger`).
    TRANSACTION_TYPES: ClassVar[dict[str, str]] = {
        Kind.RECEIPT: "IN",
        Kind.ADJUSTMENT: "ADJUSTMENT",
        Kind.RESERVE: "OUT",
        Kind.CONFIRM: "OUT",
        Kind.RELEASE: "IN",
    }

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey(
        Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("tenant")
    )
    product = models.ForeignKey(
        Product, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("product")
    )
    location = models.ForeignKey(
        Location, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("location")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    transaction_type = models.CharField(_("transaction type"), max_length=16)
    on_hand_delta = models.IntegerField(_("change on hand"))
    reserved_delta = models.IntegerField(_("change reserved"))
    on_hand_after = models.IntegerField(_("on hand after"))
    reserved_after = models.IntegerField(_("reserved after"))
    version = models.BigIntegerField(_("version"))
    reservation_id = models.UUIDField(_("reservation"), null=True)
    unit_cost = models.DecimalField(_("unit cost"), max_digits=15, decimal_places=4, null=True)
    reason = models.CharField(_("reason"), max_length=200)
    reference_type = models.CharField(_("reference type"), max_length=50)
    reference_id = models.CharField(_("reference"), max_length=128)
    actor = models.CharField(_("actor"), max_length=128)
    source = models.CharField(_("source"), max_length=64)
    source_key = models.CharField(_("source key"), max_length=200)
    trace_id = models.UUIDField(_("trace id"))
    occurred_at = models.DateTimeField(_("occurred at"))
    recorded_at = models.DateTimeField(_("recorded at"))
    transaction_id = models.BigIntegerField(_("transaction id"))

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_ledger"  # partitioned by month of recorded_at: see migration 0002
        verbose_name = _("movement")
        verbose_name_plural = _("movements")

    def __str__(self) -> str:
        return f"{self.kind} {self.on_hand_delta:+}/{self.reserved_delta:+} v{self.version}"


class Reservation(models.Model):
    """A promise of units of a product at a location. Ends exactly once."""

    class Status(models.TextChoices):
        PENDING = "PENDING", _("Pending")
        CONFIRMED = "CONFIRMED", _("Confirmed")
        RELEASED = "RELEASED", _("Released")
        EXPIRED = "EXPIRED", _("Expired")

    id = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey(
        Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("tenant")
    )
    product = models.ForeignKey(
        Product, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("product")
    )
    location = models.ForeignKey(
        Location, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("location")
    )
    quantity = models.PositiveIntegerField(_("quantity"))
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.PENDING)
    idempotency_key = models.CharField(_("idempotency key"), max_length=200)
    reference_type = models.CharField(_("reference type"), max_length=50)
    reference_id = models.CharField(_("reference"), max_length=128)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_reservations"
        verbose_name = _("reservation")
        verbose_name_plural = _("reservations")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["tenant", "idempotency_key", "product", "location"], name="reservation_once_per_key_and_place"
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="reservation_of_something"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # open promises of a product at a place: what `prove` sums
            models.Index(
                fields=["tenant", "product", "location"], condition=Q(status="PENDING"), name="reservation_open"
            ),
            models.Index(fields=["tenant", "reference_type", "reference_id"], name="reservation_by_reference"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_id}@{self.location_id} {self.status}"


class LedgerKey(models.Model):
    """A key a caller gave with a verb: the verb happens once per key, and a repeat gets the first answer again."""

    pk = models.CompositePrimaryKey("tenant", "key")
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)  # of the request: the same key with another body is a mistake
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_keys"
        verbose_name = _("ledger key")
        verbose_name_plural = _("ledger keys")


class FeedCursor(models.Model):
    """How far one reader of the feed has come: everything up to (transaction_id, movement_id) is done."""

    consumer = models.CharField(_("consumer"), max_length=64, primary_key=True)
    transaction_id = models.BigIntegerField(_("transaction id"), default=0)
    movement_id = models.BigIntegerField(_("movement"), default=0)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        db_table = "inventory_feed_cursors"
        verbose_name = _("feed cursor")
        verbose_name_plural = _("feed cursors")

    def __str__(self) -> str:
        return f"{self.consumer} @ {self.transaction_id}:{self.movement_id}"
