"""The ledger's tables.

Nouns. A **product** is what one SKU names. A **location** is a place that holds stock: a shop, a warehouse. A
**balance** is the one true number of a product at a location: `on_hand` units are there, `reserved` of them are
promised, `blocked` of them may not be sold (free units of expired or blocked batches), and
`available = on_hand - reserved - blocked` may still be promised. A **movement** is one change of a balance, written
once and never altered. A **reservation** is a promise: PENDING until it is confirmed, released or expires. A **batch**
is the part of a balance that was made together and expires together; a **hold** ties a reservation to its batches. A
**count** says what was there as of a moment. A **transfer** is what left one place for another. An **oversell** is the
case of a balance with fewer units than are promised, from the movement that began it to the one that ended it. A
**checkpoint** is what a balance was at the end of a day.

Sign convention. A movement carries the change of each number (`on_hand_delta`, `reserved_delta`, `blocked_delta`,
negative when units leave) and the numbers after it. `occurred_at` is when it happened in the world, `recorded_at` when
the hub wrote it; the first is never after the second, and the second rises with a balance's versions.

Invariants, each held by the database itself:
* a balance is the sum of its movements, and its version counts them (`ledger.py` writes both in one statement);
* `reserved` is the sum of the open reservations and never negative;
* less on hand than reserved is possible only as a recorded fact, and then `oversold_since` says since when, and an
  open oversell which movement did it;
* where a balance has batches, their quantities add up to what is on hand and their holds to what is reserved;
* a movement is never changed or removed (triggers), only answered by another one.

Only `ledger.py` writes any of these but products and locations, through the functions in `sql/`. `prove.py` checks all
of this on live data.
"""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now, Upper
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.tenants.models import Tenant


class NewId(Func):
    """A version-7 UUID from the database: unique, and in the order of making."""

    function = "uuidv7"
    output_field = models.UUIDField()


class Product(models.Model):
    """What one SKU of a tenant names."""

    class Picking(models.TextChoices):
        FEFO = "FEFO", _("First expired, first out")
        FIFO = "FIFO", _("First in, first out")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"))
    sku = models.CharField("SKU", max_length=100)
    gtin = models.CharField("GTIN", max_length=14, blank=True)
    name = models.CharField(_("name"), max_length=300)
    picking = models.CharField(_("picking of batches"), max_length=4, choices=Picking, default=Picking.FEFO)
    public_id = models.UUIDField(_("id for programs"), unique=True, db_default=NewId(), editable=False)
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
        indexes: ClassVar[list[models.Index]] = [
            # what people look for: a part of the SKU or of the name, whatever its case; and a GTIN
            GinIndex(
                OpClass(Upper("sku"), "gin_trgm_ops"), OpClass(Upper("name"), "gin_trgm_ops"), name="product_text"
            ),
            models.Index(fields=["tenant", "gtin"], condition=~Q(gtin=""), name="product_by_gtin"),
        ]

    def __str__(self) -> str:
        return f"{self.sku} · {self.name}"


class Location(models.Model):
    """A place that holds stock."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"))
    code = models.CharField(_("code"), max_length=50)
    name = models.CharField(_("name"), max_length=200)
    public_id = models.UUIDField(_("id for programs"), unique=True, db_default=NewId(), editable=False)
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

    # found by the unique key alone: an index a foreign key would be written at every movement
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_index=False, verbose_name=_("tenant"))
    product = models.ForeignKey(
        Product, models.PROTECT, related_name="balances", db_index=False, verbose_name=_("product")
    )
    location = models.ForeignKey(
        Location, models.PROTECT, related_name="balances", db_index=False, verbose_name=_("location")
    )
    on_hand = models.IntegerField(_("on hand"), db_column="quantity_on_hand", default=0)
    reserved = models.IntegerField(_("reserved"), db_column="quantity_reserved", default=0)
    blocked = models.IntegerField(_("blocked"), db_column="quantity_blocked", default=0, db_default=0)
    available = models.GeneratedField(
        expression=F("on_hand") - F("reserved") - F("blocked"),
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
    # The newest count's moment, and its place among counts of the same moment: changes before it are in it already.
    count_as_of = models.DateTimeField(_("counted as of"), null=True)
    count_order = models.CharField(max_length=64, default="", db_default="")
    has_batches = models.BooleanField(_("has batches"), default=False, db_default=False)
    unit_cost = models.DecimalField(_("average unit cost"), max_digits=15, decimal_places=4, null=True)
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
        indexes: ClassVar[list[models.Index]] = [
            models.Index(  # next to nothing; the console's list of them
                fields=["tenant", "product"], condition=Q(oversold_since__isnull=False), name="balance_oversold"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.product_id}@{self.location_id}: {self.on_hand} - {self.reserved}"


class Movement(models.Model):
    """One change of a balance: written once, never altered. The row is also the event that readers follow (feed.py)."""

    class Kind(models.TextChoices):
        RECEIPT = "RECEIPT", _("Receipt")
        SALE = "SALE", _("Sale")
        RETURN = "RETURN", _("Return")
        LOSS = "LOSS", _("Loss")
        ADJUSTMENT = "ADJUSTMENT", _("Adjustment")
        COUNT = "COUNT", _("Count")
        # what happened before a count but was told after it: the count had seen it
        COUNT_ABSORB = "COUNT_ABSORB", _("Seen by the count")
        TRANSFER_OUT = "TRANSFER_OUT", _("Transfer out")
        TRANSFER_IN = "TRANSFER_IN", _("Transfer in")
        RESERVE = "RESERVE", _("Reservation")
        CONFIRM = "CONFIRM", _("Confirmation")
        RELEASE = "RELEASE", _("Release")
        EXPIRE = "EXPIRE", _("Expiry")
        BLOCK = "BLOCK", _("Batch blocked")
        UNBLOCK = "UNBLOCK", _("Batch released for sale")

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
    batch_id = models.UUIDField(_("batch"), null=True)
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    # one of requirement 003's IN, OUT, ADJUSTMENT, TRANSFER; follows from the kind (sql/apply.sql)
    transaction_type = models.CharField(_("transaction type"), max_length=16)
    on_hand_delta = models.IntegerField(_("change on hand"))
    reserved_delta = models.IntegerField(_("change reserved"))
    blocked_delta = models.IntegerField(_("change blocked"), db_default=0)
    on_hand_after = models.IntegerField(_("on hand after"))
    reserved_after = models.IntegerField(_("reserved after"))
    blocked_after = models.IntegerField(_("blocked after"), db_default=0)
    version = models.BigIntegerField(_("version"))
    reservation_id = models.UUIDField(_("reservation"), null=True)
    reverses_id = models.BigIntegerField(_("movement that this one reverses"), null=True)
    unit_cost = models.DecimalField(_("unit cost"), max_digits=15, decimal_places=4, null=True)
    reason = models.CharField(_("reason"), max_length=200)
    reference_type = models.CharField(_("reference type"), max_length=50)
    reference_id = models.CharField(_("reference"), max_length=128)
    reference_line = models.CharField(_("reference line"), max_length=64, db_default="")
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
    confirmed_quantity = models.PositiveIntegerField(_("confirmed quantity"), default=0, db_default=0)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.PENDING)
    idempotency_key = models.CharField(_("idempotency key"), max_length=200)
    requester_id = models.CharField(_("requester"), max_length=128, default="", db_default="")
    ttl_seconds = models.PositiveIntegerField(_("time to live (s)"), null=True)
    expires_at = models.DateTimeField(_("expires at"), null=True)  # the database's clock; empty: never
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
            models.CheckConstraint(condition=Q(quantity__gt=0), name="reservation_of_something"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # open promises of a product at a place, those that are due first
            models.Index(
                fields=["tenant", "product", "location", "expires_at"],
                condition=Q(status="PENDING"),
                name="reservation_open",
            ),
            models.Index(
                fields=["expires_at"], condition=Q(status="PENDING", expires_at__isnull=False), name="reservation_due"
            ),
            models.Index(
                fields=["tenant", "reference_type", "reference_id"],
                condition=~Q(reference_type=""),
                name="reservation_by_reference",
            ),
            models.Index(fields=["tenant", "id"], name="reservation_by_age"),  # lists: ids are in the order of making
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_id}@{self.location_id} {self.status}"


class Batch(models.Model):
    """Units of a product at a location that were made together. The one without a number holds all that has none."""

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", _("Active")
        BLOCKED = "BLOCKED", _("Blocked")
        EXPIRED = "EXPIRED", pgettext_lazy("batch", "Expired")

    id = models.UUIDField(primary_key=True, db_default=NewId())
    tenant = models.ForeignKey(
        Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("tenant")
    )
    product = models.ForeignKey(
        Product, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("product")
    )
    location = models.ForeignKey(
        Location, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("location")
    )
    batch_number = models.CharField(_("batch number"), max_length=100, blank=True)
    quantity = models.IntegerField(_("quantity"))
    reserved = models.IntegerField(_("reserved"))
    expires_at = models.DateTimeField(_("expires at"), db_column="expiry_date", null=True)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.ACTIVE)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_batches"
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["tenant", "product", "location", "batch_number"], name="batch_once_per_place"
            ),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="batch_reserved_not_negative"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["expires_at"], condition=Q(status="ACTIVE", expires_at__isnull=False), name="batch_due"
            ),
        ]

    def __str__(self) -> str:
        return self.batch_number or "-"


class BatchHold(models.Model):
    """How many units of a batch a reservation was given. Kept after the reservation ended: who got what."""

    pk = models.CompositePrimaryKey("reservation_id", "batch_id")
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    reservation = models.ForeignKey(Reservation, models.PROTECT, related_name="batch_holds", db_index=False)
    batch = models.ForeignKey(Batch, models.PROTECT, related_name="holds", db_index=False)
    quantity = models.PositiveIntegerField(_("quantity"))

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_batch_holds"
        verbose_name = _("batch hold")
        verbose_name_plural = _("batch holds")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["batch", "reservation"], name="hold_by_batch"),  # a recall: who has it
        ]


class Count(models.Model):
    """What somebody counted, as of a moment. Without a variance it was older than another count and changed nothing."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_index=False, verbose_name=_("tenant"))
    product = models.ForeignKey(Product, models.PROTECT, related_name="+", db_index=False, verbose_name=_("product"))
    location = models.ForeignKey(Location, models.PROTECT, related_name="+", db_index=False, verbose_name=_("location"))
    as_of = models.DateTimeField(_("counted as of"))
    count_order = models.CharField(max_length=64)
    counted = models.IntegerField(_("counted"))
    variance = models.IntegerField(_("variance"), null=True)
    actor = models.CharField(_("actor"), max_length=128)
    source = models.CharField(_("source"), max_length=64)
    source_key = models.CharField(_("source key"), max_length=200)
    recorded_at = models.DateTimeField(_("recorded at"), db_default=Now())

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_counts"
        verbose_name = _("count")
        verbose_name_plural = _("counts")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "product", "location", "-as_of"], name="count_of_balance"),
        ]


class Transfer(models.Model):
    """Units of a product on their way from one place to another. What was lost is received and lost on paper."""

    id = models.UUIDField(primary_key=True, db_default=NewId())
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"))
    code = models.CharField(_("code"), max_length=128)
    product = models.ForeignKey(Product, models.PROTECT, related_name="+", verbose_name=_("product"))
    origin = models.ForeignKey(Location, models.PROTECT, related_name="+", null=True, verbose_name=_("from"))
    destination = models.ForeignKey(Location, models.PROTECT, related_name="+", null=True, verbose_name=_("to"))
    sent = models.IntegerField(_("sent"))
    received = models.IntegerField(_("received"))
    unit_cost = models.DecimalField(_("unit cost"), max_digits=15, decimal_places=4, null=True)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), db_default=Now())

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_transfers"
        verbose_name = _("transfer")
        verbose_name_plural = _("transfers")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "code", "product"], name="transfer_once_per_code_and_product"),
            models.CheckConstraint(condition=Q(sent__gte=0, received__gte=0), name="transfer_counts_not_negative"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "id"], name="transfer_by_age"),
            models.Index(fields=["tenant", "id"], condition=Q(sent__gt=F("received")), name="transfer_in_transit"),
        ]

    @property
    def in_transit(self) -> int:
        """Return how many units are still on their way; what arrived before it was sent is not owed."""
        return max(self.sent - self.received, 0)


class Oversell(models.Model):
    """A balance that had fewer units than were promised: what began it, how many were short, what ended it."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_index=False, verbose_name=_("tenant"))
    product = models.ForeignKey(Product, models.PROTECT, related_name="+", db_index=False, verbose_name=_("product"))
    location = models.ForeignKey(Location, models.PROTECT, related_name="+", db_index=False, verbose_name=_("location"))
    opened_at = models.DateTimeField(_("since"))
    opened_version = models.BigIntegerField(_("version of the balance that began it"))
    units_short = models.PositiveIntegerField(_("units short"))  # at worst
    closed_at = models.DateTimeField(_("until"), null=True)
    closed_version = models.BigIntegerField(_("version of the balance that ended it"), null=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_oversells"
        verbose_name = _("oversell")
        verbose_name_plural = _("oversells")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["tenant", "product", "location"],
                condition=Q(closed_at__isnull=True),
                name="oversell_open_once_per_balance",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "id"], name="oversell_by_age"),
        ]


class Checkpoint(models.Model):
    """A balance as of the end of a day (UTC): the sum of what had occurred by then. Kept by history.py, for speed.

    Only days on which something occurred have one. The numbers are wider than a balance's: what is told late may put
    more units into a past moment than there ever were.
    """

    pk = models.CompositePrimaryKey("tenant", "product", "location", "day")
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    product = models.ForeignKey(Product, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    location = models.ForeignKey(Location, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    day = models.DateField(_("day"))
    on_hand = models.BigIntegerField(_("on hand"))
    reserved = models.BigIntegerField(_("reserved"))
    blocked = models.BigIntegerField(_("blocked"))

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_checkpoints"
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")


class CheckpointHead(models.Model):
    """Up to which movement the checkpoints of a balance are summed; the movements after it are added when one asks."""

    pk = models.CompositePrimaryKey("tenant", "product", "location")
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    product = models.ForeignKey(Product, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    location = models.ForeignKey(Location, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    version = models.BigIntegerField(_("version"))
    recorded_at = models.DateTimeField(_("recorded at"))

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "inventory_checkpoint_heads"
        verbose_name = _("checkpoint head")
        verbose_name_plural = _("checkpoint heads")


class LedgerKey(models.Model):
    """A key a caller gave with a verb: the verb happens once per key, and a repeat gets the first answer again.

    Kept for IDEMPOTENCY_KEY_DAYS, then forgotten (keys.py). Work of our own that repeats later than that must not rely
    on its key.
    """

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
