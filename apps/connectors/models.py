"""Accounts on marketplaces, and what they sell.

A **connector** is one tenant's account on one channel: its credentials (sealed), its state and how its stock is
published. A **listing** is one sellable number on the channel, an item or one variation of it, mapped to a product; it
also carries the duty to tell the channel a number (`sync`): when it is next due, who is telling it right now, how the
last try went. A **depot** is a place of the seller's at the channel, where stock is kept apart. A **mapping** is what a
person decided a channel's word means: a SKU of theirs, or a status that the hub does not know. A changed mapping is a
new version; the old one stays, with its end. A **mapping job** is many listings that a person wants mapped at once, its
**items** what becomes of each. An **authorisation** is a person on the way to the channel's consent page
and back. An **errand** is what a person asked the hub to do for a connector that takes longer than a page may.
"""

import secrets
import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import IsNull
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from apps.inventory.models import Location, Product
from apps.tenants.models import Tenant


def new_notification_token() -> str:
    """Return an unguessable path part (192 bits) for a connector's notification address."""
    return secrets.token_urlsafe(24)


class Connector(models.Model):
    """One tenant's account on one channel."""

    class Kind(models.TextChoices):
        MERCADO_LIVRE = "ML", "Mercado Livre"

    class Status(models.TextChoices):
        ACTIVE = "ATIVO", _("Active")
        REAUTHORIZE = "REAUTORIZAR", _("Needs authorisation")
        ERROR = "ERROR", _("Error")
        PAUSED = "PAUSADO", _("Paused")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"))
    kind = models.CharField(_("channel"), max_length=32, choices=Kind, db_column="canal")
    name = models.CharField(_("name"), max_length=100)
    client_id = models.CharField("client_id", max_length=128)
    client_secret_enc = models.TextField(editable=False, blank=True)
    refresh_token_enc = models.TextField(editable=False, blank=True)
    access_token_enc = models.TextField(editable=False, blank=True)
    access_token_expires_at = models.DateTimeField(_("token valid until"), null=True, editable=False)
    # "" until a person authorised: only the channel knows whose account it is
    user_id = models.CharField(_("account"), max_length=64, blank=True, db_column="external_user_id")
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.ACTIVE)
    status_reason = models.CharField(_("reason"), max_length=300, blank=True)
    notification_token = models.CharField(max_length=64, unique=True, default=new_notification_token, editable=False)
    margin_percent = models.PositiveSmallIntegerField(
        _("margin (%)"), default=100, help_text=_("Share of the available units that is published.")
    )
    buffer_units = models.PositiveIntegerField(
        _("held back (units)"), default=0, help_text=_("Taken off what the margin leaves, for sales not heard of yet.")
    )
    end_when_units = models.PositiveIntegerField(
        _("end at (units)"), default=0, help_text=_("At this number or below it, zero is published.")
    )
    cap_units = models.PositiveIntegerField(
        _("at most (units)"), null=True, blank=True, help_text=_("Never more than this is published; empty: no limit.")
    )
    locations = models.ManyToManyField(
        Location,
        blank=True,
        related_name="connectors",
        verbose_name=_("locations"),
        help_text=_("Places whose stock this account sells; none chosen means all of them."),
    )
    calls_per_minute = models.PositiveIntegerField(
        _("calls a minute"),
        null=True,
        blank=True,
        help_text=_("How often Saldo may call for this account; empty: CHANNEL_CALLS_PER_MINUTE, 0: no limit."),
    )
    zero_limit_percent = models.PositiveSmallIntegerField(
        _("zeros held above (%)"),
        default=20,
        help_text=_("When more listings than this would go to zero within an hour, they wait for a person."),
    )
    zeros_released_at = models.DateTimeField(_("zeros let through at"), null=True, editable=False)
    has_depots = models.BooleanField(_("sells from depots of its own at the channel"), default=False, editable=False)
    # who stopped it and when, while it is PAUSADO; why is `status_reason`
    paused_by = models.CharField(_("paused by"), max_length=100, blank=True, editable=False)
    paused_at = models.DateTimeField(_("paused at"), null=True, editable=False)
    # in shadow mode since: numbers are computed and logged, none is told (sync/pausing.py)
    shadow_since = models.DateTimeField(_("in shadow mode since"), null=True, editable=False)
    shadow_by = models.CharField(_("shadow mode by"), max_length=100, blank=True, editable=False)
    last_sync_at = models.DateTimeField(_("last synchronisation"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "integracao_conector"
        verbose_name = _("connector")
        verbose_name_plural = _("connectors")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # an account sold through two connectors, of whatever tenants, would be told two numbers
            models.UniqueConstraint(
                fields=["kind", "user_id"], condition=~Q(user_id=""), name="connector_account_once"
            ),
            models.UniqueConstraint(fields=["tenant", "id"], name="connector_of_tenant"),
            models.CheckConstraint(condition=Q(margin_percent__lte=100), name="connector_margin_at_most_100"),
            models.CheckConstraint(condition=Q(zero_limit_percent__lte=100), name="connector_zero_limit_at_most_100"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def notification_url(self) -> str:
        """Return the address to enter at the channel as the application's callback."""
        return settings.SALDO_PUBLIC_URL + reverse("ml-notification", args=[self.notification_token])

    @property
    def is_running(self) -> bool:
        """Tell whether the hub may call the channel for this account."""
        return self.status == self.Status.ACTIVE

    @property
    def is_paused(self) -> bool:
        """Tell whether a person stopped it."""
        return self.status == self.Status.PAUSED

    @property
    def is_shadow(self) -> bool:
        """Tell whether numbers are only computed and logged."""
        return self.shadow_since is not None


class Listing(models.Model):
    """One sellable number on a channel, and the duty to keep it right."""

    class SyncState(models.TextChoices):
        """How the last try ended; that a number waits to be told is `due_at`, so the two can never disagree."""

        NEVER = "PENDING", _("Never told")
        SUCCESS = "SUCCESS", _("Synchronised")
        RETRY = "RETRY", _("Will try again")
        ERROR = "ERROR", _("Error")

    class Capability(models.TextChoices):
        """What kind of number it is at the channel, which decides whether and how it may be told."""

        UNKNOWN = "", _("Not read yet")
        PLAIN = "SIMPLES", _("Plain listing")
        VARIATION = "VARIACAO", _("Variation of a listing")
        USER_PRODUCT = "USER_PRODUCT", _("User product")
        MULTI_ORIGIN = "MULTI_ORIGEM", _("User product in several depots")
        FULL = "FULL", _("Full: the channel's own warehouse (read only)")
        KIT = "KIT", _("Kit: counted from its parts by the channel (read only)")
        MOVED = "MIGRADO", _("Replaced by listings of user products (read only)")

    class Trigger(models.TextChoices):
        """Why it must be told a number; the try that tells it keeps the word (`SyncLog.trigger`)."""

        AUTO = "auto", _("Stock moved")
        MANUAL = "manual", _("Asked for")
        SWEEP = "sweep", _("Comparison")
        RECONCILE = "reconcile", _("Channel read back")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"))
    connector = models.ForeignKey(
        Connector, models.PROTECT, related_name="listings", verbose_name=_("connector"), db_index=False
    )
    product = models.ForeignKey(
        Product, models.PROTECT, null=True, blank=True, related_name="listings", verbose_name=_("product")
    )
    item_id = models.CharField(_("item"), max_length=64)
    variation_id = models.CharField(_("variation"), max_length=64, blank=True)
    user_product_id = models.CharField(_("user product"), max_length=64, blank=True)
    seller_sku = models.CharField(_("seller's SKU"), max_length=100, blank=True)
    gtin = models.CharField("GTIN", max_length=14, blank=True, default="", db_default="")
    title = models.CharField(_("title"), max_length=300, blank=True)
    channel_status = models.CharField(_("status on the channel"), max_length=32, blank=True)
    logistic_type = models.CharField(_("logistics"), max_length=32, blank=True)
    capability = models.CharField(
        _("kind of listing"),
        max_length=16,
        blank=True,
        choices=Capability,
        default=Capability.UNKNOWN,
        db_column="capacidade",
    )
    # where this listing departs from its connector's rule (sync/allocation.py); null: it does not
    margin_percent = models.PositiveSmallIntegerField(_("margin (%)"), null=True, blank=True)
    buffer_units = models.PositiveIntegerField(_("held back (units)"), null=True, blank=True)
    end_when_units = models.PositiveIntegerField(_("end at (units)"), null=True, blank=True)
    cap_units = models.PositiveIntegerField(_("at most (units)"), null=True, blank=True)

    # What the channel last accepted, and the duty to tell it the next number. See sync/queue.py and sync/push.py.
    accepted_quantity = models.IntegerField(_("accepted by the channel"), null=True)
    accepted_at = models.DateTimeField(_("accepted at"), null=True)
    shadow_quantity = models.IntegerField(
        _("would be told"), null=True
    )  # the last number of the connector's shadow mode
    # told although its account is in shadow mode: one of the first that a new account is activated with (sync/pausing)
    live_since = models.DateTimeField(_("told since"), null=True)
    # sold there since then, as far as the hub has heard: the channel has counted these units off already
    sold_there = models.PositiveIntegerField(_("sold there since"), default=0)
    zeroing_since = models.DateTimeField(null=True)  # its number is to become zero; see sync/waves.py
    held_at = models.DateTimeField(_("held at"), null=True)  # one zero of too many: waits for a person
    sync_state = models.CharField(_("last try"), max_length=16, choices=SyncState, default=SyncState.NEVER)
    due_at = models.DateTimeField(_("due at"), null=True)  # null: nothing to tell
    due_trigger = models.CharField(_("made due by"), max_length=16, blank=True, choices=Trigger, default="")
    lease_id = models.UUIDField(null=True)  # the worker that is telling it now …
    lease_expires_at = models.DateTimeField(_("lease until"), null=True)  # … and until when it may
    attempts = models.PositiveIntegerField(_("tries"), default=0)  # since the last success; counted before the call
    last_error_code = models.CharField(_("error code"), max_length=64, blank=True)
    last_error = models.CharField(_("last error"), max_length=500, blank=True)
    # Where the channel's own sales are counted from since the number was last told. See sync/in_flight.py.
    sales_baseline = models.IntegerField(null=True)
    sales_since = models.DateTimeField(null=True)
    in_flight_units = models.IntegerField(default=0)  # sales it was lowered by; negative: units that came back
    in_flight_since = models.DateTimeField(null=True)
    # The movement that made the number wrong, for the log and for measuring freshness.
    cause_movement_id = models.BigIntegerField(null=True)
    cause_trace_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "integracao_anuncio"
        verbose_name = _("listing")
        verbose_name_plural = _("listings")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["connector", "item_id", "variation_id"], name="listing_once_per_connector"),
            models.CheckConstraint(
                condition=Q(due_at__isnull=True) | Q(product__isnull=False), name="listing_due_only_if_mapped"
            ),
            models.CheckConstraint(condition=Q(margin_percent__lte=100), name="listing_margin_at_most_100"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the listings that share one stock at the channel; the readers are sync.sharing and the inbox
            models.Index(
                fields=["connector", "user_product_id"], condition=~Q(user_product_id=""), name="listing_user_product"
            ),
            # work not done yet; the readers are sync.queue's
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="listing_due"),
            models.Index(
                fields=["lease_expires_at"], condition=Q(lease_expires_at__isnull=False), name="listing_leased"
            ),
            # the console's list: what needs a product comes first; what failed; by its id
            models.Index(F("tenant"), IsNull(F("product"), True).desc(), F("id").desc(), name="listing_unmapped_first"),
            models.Index(
                fields=["tenant", "-id"],
                condition=Q(product__isnull=False, sync_state__in=["ERROR", "RETRY"]),
                name="listing_failing",
            ),
            models.Index(fields=["tenant", "item_id"], name="listing_by_item"),
            # No index of texts: the sync writes these rows three times a push, and each time anew into every index.
            # the one reader is sync.waves
            models.Index(
                fields=["connector", "zeroing_since"],
                condition=Q(zeroing_since__isnull=False),
                name="listing_zeroing",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item_id}/{self.variation_id}" if self.variation_id else self.item_id

    @property
    def is_writable(self) -> bool:
        """Tell whether the seller may set this number: not when the channel keeps or counts the stock itself."""
        return self.logistic_type != "fulfillment" and self.capability not in READ_ONLY

    @property
    def is_shadowed(self) -> bool:
        """Tell whether its number is only computed and logged."""
        return self.connector.is_shadow and self.live_since is None

    @property
    def has_own_rule(self) -> bool:
        """Tell whether it departs from its connector's rule of publication."""
        parts = (self.margin_percent, self.buffer_units, self.end_when_units, self.cap_units)
        return any(part is not None for part in parts)


READ_ONLY = (Listing.Capability.FULL, Listing.Capability.KIT, Listing.Capability.MOVED)
"""Kinds of listings whose number is never told; `sync.queue` says the same in SQL."""

SHARING = (Listing.Capability.USER_PRODUCT, Listing.Capability.MULTI_ORIGIN)
"""Kinds of listings that may share one stock at the channel, by their user product; see sync/sharing.py."""

RULE_PARTS = ("margin_percent", "buffer_units", "end_when_units", "cap_units")
"""A rule of publication (sync/allocation.py): of a connector, and where a listing departs from it."""

WRITABLE = ~Q(logistic_type="fulfillment") & ~Q(capability__in=READ_ONLY)
"""The same as `Listing.is_writable`, for queries."""


def lock(listings: models.QuerySet[Listing]) -> list[int]:
    """Lock listings in the order of their ids and return these; call it in a transaction.

    Whoever changes several does so first, so that no two wait for each other's rows for ever.
    """
    rows = listings.order_by("pk").select_for_update(no_key=True, of=("self",))
    return list(rows.values_list("pk", flat=True))


class Depot(models.Model):
    """A depot that an account sells from, as the channel names it, and which of the hub's places it is."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    connector = models.ForeignKey(Connector, models.PROTECT, related_name="depots", verbose_name=_("connector"))
    store_id = models.CharField(_("depot"), max_length=64)
    network_node_id = models.CharField(_("network node"), max_length=64, blank=True)
    name = models.CharField(_("name"), max_length=100, blank=True)
    # null: its stock is left as the channel shows it; the only depot of an account needs none
    location = models.ForeignKey(
        Location, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("location"), db_index=False
    )

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "integracao_deposito"
        verbose_name = _("depot")
        verbose_name_plural = _("depots")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["connector", "store_id"], name="depot_once_per_connector"),
            # the units of one place offered twice would be sold twice
            models.UniqueConstraint(
                fields=["connector", "location"], condition=Q(location__isnull=False), name="depot_place_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.store_id


class ListingPrice(models.Model):
    """The price that the hub says an item has, and the duty to tell it. No row: the hub says nothing of its price.

    All variations of an item share its price (contract §5.4), so there is one row an item, on its first listing. The
    duty is `due_at`; a worker that takes it pushes it past its lease, so a dead one's falls due by itself.
    """

    listing = models.OneToOneField(
        Listing, models.CASCADE, related_name="asked_price", verbose_name=_("listing"), primary_key=True
    )
    price = models.DecimalField(_("price"), max_digits=12, decimal_places=2)
    accepted_price = models.DecimalField(_("accepted by the channel"), max_digits=12, decimal_places=2, null=True)
    due_at = models.DateTimeField(_("due at"), null=True)
    lease_id = models.UUIDField(null=True)  # the worker that is telling it now; `due_at` is then until when it may
    attempts = models.PositiveIntegerField(_("tries"), default=0)  # since it was asked for; counted before the call
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error = models.CharField(_("error"), max_length=500, blank=True)
    asked_by = models.CharField(_("who"), max_length=100)
    asked_at = models.DateTimeField(_("when"))

    TENANT_PATH: ClassVar[str] = "listing__tenant"

    class Meta:
        db_table = "integracao_anuncio_preco"
        verbose_name = _("price of a listing")
        verbose_name_plural = _("prices of listings")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(price__gt=0), name="listing_price_of_something"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the one reader is sync.pricing
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="listing_price_due"),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id}: {self.price}"


class SkuMapping(models.Model):
    """A SKU as a channel's listings carry it, and the product it is. The newest version counts."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    channel = models.CharField(_("channel"), max_length=32, db_column="canal")
    external_sku = models.CharField(_("SKU at the channel"), max_length=100, db_column="sku_externo")
    product = models.ForeignKey(Product, models.PROTECT, related_name="+", verbose_name=_("product"))
    version = models.PositiveIntegerField(_("version"), default=1)
    made_by = models.CharField(_("who"), max_length=100)
    made_at = models.DateTimeField(_("when"), auto_now_add=True)
    replaced_at = models.DateTimeField(_("replaced at"), null=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "mapeamento_sku"
        verbose_name = _("SKU mapping")
        verbose_name_plural = _("SKU mappings")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["tenant", "channel", "external_sku", "version"], name="sku_mapping_version"
            ),
            models.UniqueConstraint(
                fields=["tenant", "channel", "external_sku"],
                condition=Q(replaced_at__isnull=True),
                name="sku_mapping_that_counts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.external_sku} v{self.version}"


class StatusMapping(models.Model):
    """What an order's status that the hub does not know means. The newest version counts."""

    class Meaning(models.TextChoices):
        OPEN = "AGUARDANDO", _("Not paid yet: nothing is held")
        RECEIVED = "RECEBIDO", _("Sold: its units are held")
        CANCELLED = "CANCELADO", _("Ended: its units are free")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    channel = models.CharField(_("channel"), max_length=32, db_column="canal")
    external_status = models.CharField(_("status on the channel"), max_length=64, db_column="status_externo")
    meaning = models.CharField(_("meaning"), max_length=16, choices=Meaning, db_column="status_interno")
    is_terminal = models.BooleanField(_("nothing comes after it"), default=False, db_column="terminal")
    version = models.PositiveIntegerField(_("version"), default=1)
    made_by = models.CharField(_("who"), max_length=100)
    made_at = models.DateTimeField(_("when"), auto_now_add=True)
    replaced_at = models.DateTimeField(_("replaced at"), null=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "mapeamento_status"
        verbose_name = _("status mapping")
        verbose_name_plural = _("status mappings")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["tenant", "channel", "external_status", "version"], name="status_mapping_version"
            ),
            models.UniqueConstraint(
                fields=["tenant", "channel", "external_status"],
                condition=Q(replaced_at__isnull=True),
                name="status_mapping_that_counts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.external_status} v{self.version}"


class MappingJob(models.Model):
    """Many listings to be mapped at once: chosen from suggestions, or sent as a CSV (console/mapping_jobs.py)."""

    class Source(models.TextChoices):
        SUGGESTIONS = "SUGESTOES", _("Suggestions")
        FILE = "ARQUIVO", _("CSV file")

    class Status(models.TextChoices):
        PROPOSED = "PROPOSTO", _("Planned")
        RUNNING = "EM_ANDAMENTO", _("Under way")
        PAUSED = "PAUSADO", _("Paused")
        DONE = "CONCLUIDO", _("Done")
        CANCELLED = "CANCELADO", _("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    source = models.CharField(_("source"), max_length=16, choices=Source)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.PROPOSED)
    file_name = models.CharField(_("file"), max_length=200, blank=True)
    file_hash = models.CharField(max_length=64, blank=True, editable=False)  # sha256 of the file's text
    made_by = models.CharField(_("who"), max_length=100)
    made_at = models.DateTimeField(_("when"), auto_now_add=True)
    confirmed_by = models.CharField(_("confirmed by"), max_length=100, blank=True)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "mapeamento_lote"
        verbose_name = _("mapping of many")
        verbose_name_plural = _("mappings of many")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(status__in=["CONCLUIDO", "CANCELADO"], finished_at__isnull=False)
                | Q(status__in=["PROPOSTO", "EM_ANDAMENTO", "PAUSADO"], finished_at__isnull=True),
                name="mapping_job_ended_with_its_end",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "-made_at", "-id"], name="mapping_job_newest"),
            models.Index(fields=["tenant", "file_hash"], condition=~Q(file_hash=""), name="mapping_job_file"),
            models.Index(fields=["made_at"], condition=Q(status="EM_ANDAMENTO"), name="mapping_job_under_way"),
        ]

    def __str__(self) -> str:
        return f"{self.get_source_display()} {self.made_at:%Y-%m-%d %H:%M}"


class MappingItem(models.Model):
    """One line of a mapping job: which listing is to sell which product, and what became of that."""

    class State(models.TextChoices):
        WAITING = "AGUARDA", _("To do")
        DONE = "FEITO", _("Mapped")
        FAILED = "FALHOU", _("Refused")
        SKIPPED = "PULADO", _("Left as it is")

    job = models.ForeignKey(MappingJob, models.CASCADE, related_name="items", db_index=False)
    line = models.PositiveIntegerField(_("line"))  # of the file, or of the list that was chosen from
    named = models.CharField(_("listing"), max_length=130, blank=True)  # as the file names it
    sku = models.CharField("SKU", max_length=100, blank=True)
    listing = models.ForeignKey(Listing, models.CASCADE, null=True, related_name="+")
    product = models.ForeignKey(Product, models.PROTECT, null=True, related_name="+", db_index=False)
    reason = models.CharField(_("why"), max_length=16, blank=True)  # console/suggestions.py
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.WAITING)
    code = models.CharField(_("reason"), max_length=32, blank=True)  # why it was refused or left
    finished_at = models.DateTimeField(_("finished at"), null=True)

    TENANT_PATH: ClassVar[str] = "job__tenant"

    class Meta:
        db_table = "mapeamento_lote_item"
        verbose_name = _("line of a mapping of many")
        verbose_name_plural = _("lines of a mapping of many")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # one listing never gets two products out of one job
            models.UniqueConstraint(
                fields=["job", "listing"], condition=Q(state__in=["AGUARDA", "FEITO"]), name="mapping_item_listing_once"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["FALHOU", "PULADO"]) | Q(listing__isnull=False, product__isnull=False),
                name="mapping_item_of_something",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the next to be done, and the counts
            models.Index(fields=["job", "state", "line"], name="mapping_item_state"),
        ]

    def __str__(self) -> str:
        return f"{self.named}: {self.sku}"


class Authorization(models.Model):
    """A person on the way to the channel's consent page and back. Works once, in the session it began in.

    Only a hash of `state` is kept: what comes back must have been sent from here, and this row cannot tell it.
    """

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    connector = models.ForeignKey(Connector, models.PROTECT, related_name="+", verbose_name=_("connector"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user"))
    state_hash = models.CharField(max_length=64, unique=True, editable=False)
    session_hash = models.CharField(max_length=64, editable=False)
    expires_at = models.DateTimeField(_("expires at"))
    used_at = models.DateTimeField(_("used at"), null=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "integracao_autorizacao"
        verbose_name = _("authorisation")
        verbose_name_plural = _("authorisations")

    def __str__(self) -> str:
        return f"{self.connector} {self.created_at:%Y-%m-%d %H:%M}"


class Errand(models.Model):
    """What a person asked the hub to do for a connector, how far it is, and how it ended."""

    class Kind(models.TextChoices):
        TEST = "TESTE", _("Test")
        IMPORT = "IMPORTACAO", _("Import of listings")
        RECONCILE = "CONFERENCIA", _("Comparison with the channel")

    class Status(models.TextChoices):
        WAITING = "PENDENTE", _("Waiting for a worker")
        RUNNING = "EM_ANDAMENTO", _("Under way")
        DONE = "CONCLUIDO", _("Done")
        FAILED = "ERRO", _("Failed")
        CANCELLED = "CANCELADO", _("Cancelled")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    connector = models.ForeignKey(
        Connector, models.PROTECT, related_name="errands", verbose_name=_("connector"), db_index=False
    )
    kind = models.CharField(_("errand"), max_length=16, choices=Kind, db_column="tipo")
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.WAITING)
    makes_products = models.BooleanField(_("make missing products"), default=False)
    report = models.JSONField(_("report"), default=dict)  # an import's counts; a test's steps, see console/checkup.py
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error_msg = models.CharField(_("error"), max_length=500, blank=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    asked_by = models.CharField(_("asked by"), max_length=100)
    cancel_asked_at = models.DateTimeField(_("cancellation asked for at"), null=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "integracao_tarefa"
        verbose_name = _("errand")
        verbose_name_plural = _("errands")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["connector", "kind"], condition=Q(finished_at__isnull=True), name="errand_one_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True, status__in=["PENDENTE", "EM_ANDAMENTO"])
                | Q(finished_at__isnull=False, status__in=["CONCLUIDO", "ERRO", "CANCELADO"]),
                name="errand_ended_with_its_end",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["connector", "kind", "-id"], name="errand_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.connector}"

    @property
    def is_open(self) -> bool:
        """Tell whether it still waits or is under way."""
        return self.finished_at is None
