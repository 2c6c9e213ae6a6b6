"""What the hub told the channels: one row a try, written before the call and finished after it (law 7).

A try keeps what its number was made of, so that "why is this number 7?" has an answer for every number that was ever
told. The table has a partition a month; those older than SYNC_LOG_MONTHS are dropped.
"""

from decimal import Decimal
from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import Connector, Listing
from apps.inventory.models import Product
from apps.tenants.models import Tenant


class UnitsOrMoney(models.DecimalField):  # type: ignore[type-arg]  # not subscriptable when it runs
    """Units (a whole number, read back as one) or an amount of money: one column for both kinds of synchronisation."""

    def from_db_value(
        self, value: Decimal | None, _expression: Expression, _connection: BaseDatabaseWrapper
    ) -> Decimal | int | None:
        """Return units as a whole number, as they were written."""
        return int(value) if value is not None and value == value.to_integral_value() else value


class SyncLog(models.Model):
    """One try to tell a channel one number (requirement 000, AC4)."""

    class SyncType(models.TextChoices):
        STOCK = "STOCK", _("Stock")
        PRICE = "PRICE", _("Price")

    class Status(models.TextChoices):
        PENDING = "PENDING", _("Sending")
        SUCCESS = "SUCCESS", _("Synchronised")
        ERROR = "ERROR", _("Error")
        UNKNOWN = "UNKNOWN", _("Result unknown")  # the worker died between the call and the answer

    # no foreign keys: a month is dropped whole, which would otherwise lock what it names (migration 0002)
    tenant = models.ForeignKey(
        Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False, db_constraint=False
    )
    product = models.ForeignKey(
        Product, models.PROTECT, related_name="+", verbose_name=_("product"), db_index=False, db_constraint=False
    )
    connector = models.ForeignKey(
        Connector, models.PROTECT, related_name="+", verbose_name=_("connector"), db_index=False, db_constraint=False
    )
    listing = models.ForeignKey(
        Listing, models.PROTECT, related_name="+", verbose_name=_("listing"), db_index=False, db_constraint=False
    )
    marketplace = models.CharField(_("channel"), max_length=32)
    sync_type = models.CharField(_("type"), max_length=16, choices=SyncType, default=SyncType.STOCK)
    # units, or R$ of a price; null: what the channel showed was not known
    old_value = UnitsOrMoney(_("from"), max_digits=14, decimal_places=2, null=True)
    new_value = UnitsOrMoney(_("to"), max_digits=14, decimal_places=2)
    # what the channel's answer showed; null: it did not say, or there was no answer
    shown_value = models.IntegerField(_("shown by the channel"), null=True)
    # what `new_value` was computed from (inputs.py); null of a price, and in rows older than the column
    inputs = models.JSONField(_("made of"), null=True)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.PENDING)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error_message = models.CharField(_("error"), max_length=500, blank=True)
    attempt = models.PositiveIntegerField(_("try"))
    http_status = models.PositiveSmallIntegerField("HTTP", null=True)
    duration_ms = models.PositiveIntegerField(_("duration (ms)"), null=True)
    trigger = models.CharField(_("trigger"), max_length=16, blank=True, choices=Listing.Trigger, default="")
    movement_id = models.BigIntegerField(_("movement"), null=True)  # that made the number wrong; null: none did
    trace_id = models.UUIDField(_("trace id"), null=True)
    due_at = models.DateTimeField(_("due since"), null=True)  # the mark; of a retry, the end of its pause
    timestamp = models.DateTimeField(_("time"), auto_now_add=True)  # before the call; the partitions go by it
    finished_at = models.DateTimeField(_("finished at"), null=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "marketplace_sync_logs"
        verbose_name = _("synchronisation")
        verbose_name_plural = _("synchronisations")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "-timestamp", "-id"], name="sync_log_newest"),
            models.Index(fields=["tenant", "product", "-timestamp"], name="sync_log_of_product"),
            models.Index(fields=["listing", "-timestamp"], name="sync_log_of_listing"),
            # calls whose end was not written down; the one reader is push.close_interrupted
            models.Index(fields=["listing"], condition=models.Q(status="PENDING"), name="sync_log_unfinished"),
            # the last minutes of everybody (freshness.py)
            BrinIndex(fields=["timestamp"], name="sync_log_of_a_moment", pages_per_range=16, autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id}: {self.old_value} -> {self.new_value} {self.status}"


class SalesRate(models.Model):
    """How fast a product sells, over all channels and tills: what the queue's order goes by. Kept by sync.queue.follow.

    An average that forgets: each unit counts 1/`queue.RATE_MEMORY_HOURS` at first and fades with that time constant.
    """

    product = models.OneToOneField(
        Product, models.CASCADE, primary_key=True, related_name="+", verbose_name=_("product")
    )
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    units_per_hour = models.FloatField(_("units an hour"))
    as_of = models.DateTimeField(_("as of"))

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "sync_sales_rates"
        verbose_name = _("sales rate")
        verbose_name_plural = _("sales rates")

    def __str__(self) -> str:
        return f"{self.product_id}: {self.units_per_hour:.3f}/h"
