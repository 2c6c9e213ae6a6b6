"""What the hub told the channels: one row a try, written before the call and finished after it (law 7).

A try keeps what its number was made of, so that "why is this number 7?" has an answer for every number that was ever
told. The table has a partition a month; those older than SYNC_LOG_MONTHS are dropped.

And whether it is true: a **run** compares what a channel shows with what it should show, item by item; a **divergence**
is one difference that was found, of one kind, on one listing, until it is gone (`reconcile.py`, `drift.py`).
"""

from decimal import Decimal
from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
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
        SHADOW = "SHADOW", _("Shadow: computed, not sent")

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
            models.Index(
                fields=["tenant", "status", "-timestamp", "-id"], name="sync_log_status"
            ),  # the console's list
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


class ReconcileRun(models.Model):
    """One comparison of all of a connector's listings with the channel, how far it is, and what it found."""

    class Trigger(models.TextChoices):
        HOURLY = "HORARIA", _("By itself")
        MANUAL = "MANUAL", _("By hand")
        COMMAND = "COMANDO", _("From the shell")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    connector = models.ForeignKey(
        Connector, models.PROTECT, related_name="reconcile_runs", verbose_name=_("connector"), db_index=False
    )
    trigger = models.CharField(_("trigger"), max_length=16, choices=Trigger)
    is_read_only = models.BooleanField(_("repairs nothing"), default=False)
    cursor = models.CharField(max_length=64, blank=True)  # the last item that was compared: items go by their id
    has_compared = models.BooleanField(default=False)  # what is left to do is to look for listings unknown here
    report = models.JSONField(_("report"), default=dict)  # see reconcile.Report
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error_msg = models.CharField(_("error"), max_length=500, blank=True)
    started_at = models.DateTimeField(_("started at"), auto_now_add=True)
    worked_at = models.DateTimeField(_("last worked at"), auto_now=True)
    scanned_at = models.DateTimeField(_("looked for unknown listings at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "conferencia"
        verbose_name = _("comparison")
        verbose_name_plural = _("comparisons")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["connector", "trigger", "is_read_only"],
                condition=Q(finished_at__isnull=True),
                name="reconcile_one_at_a_time",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["connector", "-started_at"], name="reconcile_newest"),
            models.Index(fields=["tenant", "-started_at", "-id"], name="reconcile_of_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.connector_id} {self.started_at:%Y-%m-%d %H:%M}"


class Divergence(models.Model):
    """One difference between the hub and a channel, of one kind, on one listing, until it is gone."""

    class Kind(models.TextChoices):
        # the number
        PUSH_LOST = "ENVIO_PERDIDO", _("The number sent never arrived")
        NOT_KEPT = "NAO_GUARDADO", _("The channel said yes and kept the old number")
        IGNORED = "IGNORADO_PELO_CANAL", _("The channel keeps showing another number")
        REFUSED = "RECUSADO", _("The channel refuses the number")
        OVERDUE = "FILA_PARADA", _("Waits in the queue for too long")
        NOT_QUEUED = "FORA_DA_FILA", _("The number changed here and was not sent")
        RAISED = "AUMENTADO_NO_CANAL", _("Raised at the channel by hand")
        LOWERED = "REDUZIDO_NO_CANAL", _("Lowered at the channel, and no sale explains it")
        SALE_UNHEARD = "VENDA_NAO_AVISADA", _("A sale that no notification told of")
        SALE_WAITING = "VENDA_PARADA", _("A sale that waits for somebody")
        CANCELLATION_UNHEARD = "CANCELAMENTO_NAO_AVISADO", _("A cancellation Saldo has not taken in")
        UNCOUNTED = "SEM_CONTAGEM", _("For sale, but its stock was never counted here")
        SHADOWED = "EM_SOMBRA", _("Would be sent, were it not for shadow mode")
        HELD = "ZERO_RETIDO", _("Zero held back: too many at once")
        # whose number it is
        WRONG_SKU = "SKU_DE_OUTRO_PRODUTO", _("The SKU at the channel is another product's")
        WRONG_GTIN = "GTIN_DE_OUTRO_PRODUTO", _("The GTIN at the channel is another product's")
        SHARED_STOCK = "ESTOQUE_COMPARTILHADO", _("One stock at the channel, two products here")
        FOREIGN = "DE_OUTRA_CONTA", _("The listing belongs to another account")
        # what the listing is
        MISSING = "INEXISTENTE", _("No longer exists at the channel")
        VARIATION_GONE = "VARIACAO_REMOVIDA", _("The variation no longer exists")
        CLOSED = "ENCERRADO", _("Closed at the channel")
        PAUSED_BY_SELLER = "PAUSADO_PELO_VENDEDOR", _("Paused at the channel by hand")
        BLOCKED = "BLOQUEADO", _("Held back by the channel")
        REACTIVATED = "REATIVADO", _("For sale again at the channel")
        BECAME_FULL = "VIROU_FULL", _("Went to the channel's own warehouse (Full)")
        LEFT_FULL = "SAIU_DO_FULL", _("Left the channel's own warehouse (Full)")
        BECAME_KIT = "VIROU_KIT", _("Became a kit")
        MOVED = "MIGRADO", _("Replaced by listings of user products")
        KIND_CHANGED = "TIPO_MUDOU", _("Became another kind of listing")
        UNKNOWN_LISTING = "DESCONHECIDO", _("For sale at the channel, unknown here")

    class Ending(models.TextChoices):
        REPAIRED = "CORRIGIDA", _("Repaired by Saldo")
        GONE = "SUMIU", _("Gone by itself")
        BY_PERSON = "POR_PESSOA", _("Settled by a person")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    connector = models.ForeignKey(
        Connector, models.PROTECT, related_name="+", verbose_name=_("connector"), db_index=False
    )
    listing = models.ForeignKey(  # null: the hub has no such listing
        Listing, models.PROTECT, null=True, related_name="+", verbose_name=_("listing")
    )
    item_id = models.CharField(_("item"), max_length=64)
    variation_id = models.CharField(_("variation"), max_length=64, blank=True)
    kind = models.CharField(_("kind"), max_length=32, choices=Kind, db_column="tipo")
    hub_quantity = models.IntegerField(_("here"), null=True)  # null: the hub has nothing to say
    channel_quantity = models.IntegerField(_("at the channel"), null=True)  # null: it shows none
    detail = models.CharField(_("detail"), max_length=300, blank=True)  # an order, a SKU, an error code
    sightings = models.PositiveIntegerField(_("times seen"), default=1)
    repairs = models.PositiveSmallIntegerField(_("repairs"), default=0)
    repaired_at = models.DateTimeField(_("repaired at"), null=True)
    first_seen_at = models.DateTimeField(_("first seen at"), auto_now_add=True)
    last_seen_at = models.DateTimeField(_("last seen at"))
    ignored_at = models.DateTimeField(_("ignored at"), null=True)
    ignored_by = models.CharField(_("ignored by"), max_length=100, blank=True)
    resolved_at = models.DateTimeField(_("resolved at"), null=True)
    ending = models.CharField(_("how"), max_length=16, blank=True, choices=Ending)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "divergencia"
        verbose_name = _("divergence")
        verbose_name_plural = _("divergences")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["connector", "item_id", "variation_id", "kind"],
                condition=Q(resolved_at__isnull=True),
                name="divergence_open_once",
            ),
            models.CheckConstraint(
                condition=Q(resolved_at__isnull=True, ending="") | Q(resolved_at__isnull=False) & ~Q(ending=""),
                name="divergence_resolved_somehow",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "-first_seen_at", "-id"], name="divergence_newest"),
            models.Index(
                fields=["tenant", "-first_seen_at", "-id"],
                condition=Q(resolved_at__isnull=True),
                name="divergence_open",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item_id}/{self.variation_id}" if self.variation_id else self.item_id
