"""What other systems tell of stock: who tells it, what they told, and what came of it.

Nouns. A **source** is one teller of a tenant: a till, a warehouse system, an ERP; known by the name it gives itself.
An **event** is one thing it told, under an id of its own: a sale, a receipt, a count. A source numbers its events; an
**epoch** is one run of that counter (a till that was reinstalled begins another), and a **gap** is a stretch of numbers
of which a later one arrived first. A **claim** says which event is the one that a fact of the world came in by: the
same sale told by the till and by the ERP is one fact. **Authority** says whose word counts for a kind of movement.

Invariants, the first three held by the database:
* an event id is taken once per source; another payload under it is a conflict, kept and never applied;
* a fact is claimed once per tenant, and an event is reversed once;
* an event's row and its movements commit together (`ingest.py`), so there is never one without the other;
* everything up to an epoch's `ack_seq` is stored: the sender may forget it.

Only `ingest.py` and `retry.py` write these tables, except authority, which people set.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.inventory.models import Location
from apps.tenants.models import Tenant

NAME_MAX = 64
"""A source's name stands in the ledger's `source` column, which is this long."""


class MovementType(models.TextChoices):
    """What a source may tell; `taxonomy.py` says what each does to stock."""

    RECEIPT = "RECEIPT", _("Receipt")
    RECEIPT_REVERSAL = "RECEIPT_REVERSAL", _("Receipt taken back")
    RETURN_TO_SUPPLIER = "RETURN_TO_SUPPLIER", _("Return to supplier")
    SALE = "SALE", _("Sale")
    RETURN = "RETURN", _("Return")
    TRANSFER = "TRANSFER", _("Transfer, both ends")
    TRANSFER_OUT = "TRANSFER_OUT", _("Transfer out")
    TRANSFER_IN = "TRANSFER_IN", _("Transfer in")
    ADJUSTMENT = "ADJUSTMENT", _("Adjustment")
    COUNT = "COUNT", _("Count")
    DAMAGE = "DAMAGE", _("Damage")
    LOSS = "LOSS", _("Loss")
    THEFT = "THEFT", _("Theft")
    PRODUCTION = "PRODUCTION", _("Production")
    CONSUMPTION = "CONSUMPTION", _("Consumption")
    OPENING = "OPENING", _("Opening stock")


class Source(models.Model):
    """One teller of movements."""

    class Kind(models.TextChoices):
        POS = "POS", _("Till (POS)")
        ERP = "ERP", "ERP"
        WMS = "WMS", "WMS"
        OTHER = "OTHER", _("Other")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"))
    name = models.CharField(_("name"), max_length=NAME_MAX)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind, default=Kind.OTHER)
    epoch = models.PositiveIntegerField(_("epoch"), default=0)  # the newest
    clock_offset_ms = models.IntegerField(_("clock ahead by (ms)"), default=0)
    last_seen_at = models.DateTimeField(_("last seen"), null=True)
    last_event_at = models.DateTimeField(_("last event"), null=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "source"
        verbose_name = _("source")
        verbose_name_plural = _("sources")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "name"], name="source_name_once_per_tenant"),
            # what the composite foreign keys of events point at
            models.UniqueConstraint(fields=["tenant", "id"], name="source_of_tenant"),
            models.CheckConstraint(condition=~Q(name=""), name="source_has_a_name"),
        ]

    def __str__(self) -> str:
        return self.name


class SourceEpoch(models.Model):
    """One run of a source's counter, and how much of it is stored (`gaps.py`)."""

    source = models.ForeignKey(Source, models.PROTECT, related_name="epochs", verbose_name=_("source"))
    epoch = models.PositiveIntegerField(_("epoch"))
    start_seq = models.BigIntegerField(_("first number"))
    end_seq = models.BigIntegerField(_("highest number"))
    ack_seq = models.BigIntegerField(_("complete up to"))
    gaps = models.JSONField(_("gaps"), default=list)  # [[first, last, "opened at"], …] in order
    gap_since = models.DateTimeField(_("gap since"), null=True)  # of the oldest open gap
    gap_alerted_at = models.DateTimeField(null=True)
    given_up = models.JSONField(_("given up"), default=list)  # [[first, last, who, why, when], …]

    TENANT_PATH: ClassVar[str] = "source__tenant"

    class Meta:
        db_table = "source_epoch"
        verbose_name = _("counter of a source")
        verbose_name_plural = _("counters of sources")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["source", "epoch"], name="epoch_once_per_source"),
            models.CheckConstraint(
                condition=Q(ack_seq__gte=F("start_seq") - 1, ack_seq__lte=F("end_seq")), name="epoch_ack_in_range"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # open gaps; the one reader is ingest.alert_old_gaps
            models.Index(fields=["gap_since"], condition=Q(gap_since__isnull=False), name="epoch_with_gap"),
        ]

    def __str__(self) -> str:
        return f"{self.source_id}/{self.epoch}: {self.ack_seq}"


class SourceAuthority(models.Model):
    """Whose word counts for a kind of movement at a place; who is not named is only compared.

    The most particular rules that fit rule: type and place, then place, then type, then neither. Where none fits, every
    source counts. Several rules of one kind and place name several sources.
    """

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"))
    movement_type = models.CharField(_("movement type"), max_length=24, blank=True, choices=MovementType)
    location = models.ForeignKey(
        Location, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("location")
    )
    source_name = models.CharField(
        _("source"), max_length=NAME_MAX, help_text=_("A source's name, or how names begin when it ends in “/”.")
    )

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "source_authority"
        verbose_name = _("authority")
        verbose_name_plural = _("authorities")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["tenant", "movement_type", "location", "source_name"],
                name="authority_once",
                nulls_distinct=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.movement_type or '*'} @ {self.location or '*'}: {self.source_name}"

    def names(self, source_name: str) -> bool:
        """Tell whether the rule names that source."""
        is_prefix = self.source_name.endswith("/")
        return source_name.startswith(self.source_name) if is_prefix else source_name == self.source_name


class SourceEvent(models.Model):
    """One thing that a source told, and what came of it."""

    class Status(models.TextChoices):
        APPLIED = "APPLIED", _("Applied")
        DUPLICATE = "DUPLICATE", _("Told before by another source")
        RECORDED = "RECORDED", _("Recorded without effect")
        PENDING = "PENDING", _("Waits for something to be mended")
        QUARANTINED = "QUARANTINED", _("Waits for approval")
        REJECTED = "REJECTED", _("Cannot be read")

    tenant = models.ForeignKey(
        Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("tenant")
    )
    source = models.ForeignKey(
        Source, models.PROTECT, related_name="+", db_constraint=False, db_index=False, verbose_name=_("source")
    )
    event_id = models.CharField(_("event"), max_length=200)
    epoch = models.PositiveIntegerField(_("epoch"), default=0)
    sequence = models.BigIntegerField(_("number"), null=True)
    payload_hash = models.BinaryField(max_length=32)
    payload = models.JSONField(_("content"), null=True)  # what was read of it; null when it could not be read
    movement_type = models.CharField(_("movement type"), max_length=24, blank=True)
    business_key = models.CharField(_("business key"), max_length=200, blank=True)
    status = models.CharField(_("status"), max_length=12, choices=Status)
    code = models.CharField(_("code"), max_length=64, blank=True)
    detail = models.CharField(_("explanation"), max_length=500, blank=True)
    clock_note = models.CharField(_("clock"), max_length=16, blank=True)  # timing.Note
    product_id = models.BigIntegerField(_("product"), null=True)
    location_id = models.BigIntegerField(_("location"), null=True)
    quantity = models.IntegerField(_("quantity"), null=True)  # the change on hand; of a count, what was counted
    movement_ids = ArrayField(models.BigIntegerField(), verbose_name=_("movements"), default=list)
    same_as = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False
    )  # of a duplicate: the event that told the fact first
    reverses = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False
    )
    batch_id = models.CharField(_("batch"), max_length=100, blank=True)
    occurred_at = models.DateTimeField(_("occurred at"), null=True)  # by the hub's clock
    clock_offset_ms = models.IntegerField(_("clock ahead by (ms)"), null=True)  # as it arrived
    received_at = models.DateTimeField(_("received at"), db_default=Now())  # these contents
    applied_at = models.DateTimeField(_("applied at"), null=True)
    approved_by = models.CharField(_("approved by"), max_length=128, blank=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "source_event"
        verbose_name = _("movement told")
        verbose_name_plural = _("movements told")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # event_id before source: reversals find an event of any of the tenant's sources by its id
            models.UniqueConstraint(fields=["tenant", "event_id", "source"], name="event_once_per_source"),
            models.UniqueConstraint(
                fields=["reverses"], condition=Q(status="APPLIED", reverses__isnull=False), name="event_reversed_once"
            ),
            models.CheckConstraint(
                condition=Q(status="APPLIED", applied_at__isnull=False)
                | (~Q(status="APPLIED") & Q(applied_at__isnull=True, movement_ids=[])),
                name="event_moves_only_when_applied",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # what waits for somebody; the readers are retry.py and api.sources
            models.Index(
                fields=["source", "status", "id"],
                condition=Q(status__in=["PENDING", "QUARANTINED", "REJECTED"]),
                name="event_waiting",
            ),
            # the counts that a person may have to look at; the one reader is doubts.py
            models.Index(
                fields=["tenant", "occurred_at"],
                condition=Q(status="APPLIED", movement_type="COUNT"),
                name="event_counted",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.movement_type} {self.event_id}".strip()


class SourceConflict(models.Model):
    """Another payload under an event id that was taken: kept for a person to compare, never applied."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_index=False, verbose_name=_("tenant"))
    event = models.ForeignKey(SourceEvent, models.PROTECT, related_name="conflicts", verbose_name=_("event"))
    epoch = models.PositiveIntegerField(_("epoch"), default=0)
    sequence = models.BigIntegerField(_("number"), null=True)
    payload_hash = models.BinaryField(max_length=32)
    payload = models.JSONField(_("content"), null=True)
    received_at = models.DateTimeField(_("received at"), db_default=Now())

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "source_conflict"
        verbose_name = _("conflict")
        verbose_name_plural = _("conflicts")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["event", "payload_hash"], name="conflict_once_per_payload"),
        ]

    def __str__(self) -> str:
        return f"{self.event_id} ≠ {bytes(self.payload_hash).hex()[:8]}"


class SourceClaim(models.Model):
    """The one event that a fact came in by: `(movement type, business key)` is taken once per tenant."""

    pk = models.CompositePrimaryKey("tenant", "business_key", "movement_type")
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    business_key = models.CharField(max_length=200)
    movement_type = models.CharField(max_length=24)
    source = models.ForeignKey(Source, models.PROTECT, related_name="+", db_constraint=False, db_index=False)
    event_id = models.CharField(max_length=200)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "source_claim"
        verbose_name = _("claim")
        verbose_name_plural = _("claims")
