"""Who is told that an order is ready, what came of telling them, and what the people of the house must look at.

Nouns. A **pick-up counter** is where a connector's parcels are handed over: address, hours, and the media by which it
tells that an order is ready. A connector without a counter tells nobody. A **notification** is the duty to tell one
order's recipient by one medium: PENDENTE until it was sent, failed for good, or became needless. Its **round** is 0 for
the one that the hub sends by itself, 1, 2 … for those that a person or program asked for. A **try** is one attempt to
send it, written before the call and finished after it (law 7). A **trouble** is one cause for which numbers of one
connector do not reach the channel, with how many listings it concerns: open while it lasts, however many fail.

Invariants (`prove.py` checks them on live data):
* an order is told of by itself at most once per medium, whatever dies or repeats: (order, medium, round) is unique;
* a notification is pending exactly when it has a `due_at`; a claim is a lease, it pushes `due_at` past its own end.

Nothing here holds a phone number, an address of a person or a name: contacts are opened at the moment of sending.
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import Connector
from apps.orders.models import Order
from apps.tenants.models import Tenant


class Medium(models.TextChoices):
    """How somebody is told; settings.NOTIFICATION_DRIVERS has a driver for each."""

    EMAIL = "EMAIL", _("E-mail")
    SMS = "SMS", _("SMS")
    WHATSAPP = "WHATSAPP", _("WhatsApp")


def default_media() -> list[str]:
    """Return the media of a new counter."""
    return [Medium.EMAIL.value]


class PickupCounter(models.Model):
    """Where a connector's parcels are handed over, and how it is told that one is ready."""

    connector = models.OneToOneField(
        Connector, models.PROTECT, related_name="pickup_counter", verbose_name=_("connector")
    )
    name = models.CharField(_("name"), max_length=100)
    address = models.TextField(_("address"), max_length=500)
    hours = models.TextField(
        _("pick-up hours"), max_length=300, help_text=_("As the recipient reads it: Monday to Friday, 9 a.m. to 6 p.m.")
    )
    media = ArrayField(
        models.CharField(max_length=16, choices=Medium),
        default=default_media,
        blank=True,
        verbose_name=_("told by"),
        help_text=_("EMAIL, SMS, WHATSAPP, separated by commas; none: nobody is told."),
    )
    email = models.EmailField(
        _("e-mail of the counter"),
        blank=True,
        help_text=_("Channels do not give the buyers' addresses: the e-mail goes to the counter's own."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    TENANT_PATH: ClassVar[str] = "connector__tenant"

    class Meta:
        db_table = "balcao_retirada"
        verbose_name = _("pick-up counter")
        verbose_name_plural = _("pick-up counters")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=~Q(media__contains=["EMAIL"]) | ~Q(email=""), name="counter_has_the_address_it_is_told_at"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse e-mail without an address to send it to. Raises ValidationError."""
        if Medium.EMAIL in (self.media or []) and not self.email:
            raise ValidationError({"email": _("E-mail is chosen: say to which address it goes.")})


class Notification(models.Model):
    """The duty to tell, by one medium, that one order is ready."""

    class Status(models.TextChoices):
        PENDING = "PENDENTE", _("Pending")
        SENT = "ENVIADA", _("Sent")
        FAILED = "FALHOU", _("Failed")
        CANCELLED = "CANCELADA", _("Cancelled")  # the order was not ready any more, or it was asked for again

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    order = models.ForeignKey(
        Order,
        models.PROTECT,
        related_name="notifications",
        verbose_name=_("order"),
        db_column="pedido_id",
        db_index=False,
    )
    medium = models.CharField(_("medium"), max_length=16, choices=Medium, db_column="meio")
    round = models.PositiveIntegerField(_("resending"), default=0, db_column="reenvio")
    requested_by = models.CharField(_("asked for by"), max_length=128, blank=True)  # user:7, key:…; "": the hub itself
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.PENDING)
    attempts = models.PositiveIntegerField(_("tries"), default=0)  # counted before the call
    due_at = models.DateTimeField(_("next try"), null=True)  # null: ended
    lease_id = models.UUIDField(null=True)  # whoever sends it now; a late worker's id is no longer this one
    error_code = models.CharField(_("error code"), max_length=32, blank=True)  # of the last try
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    sent_at = models.DateTimeField(_("sent at"), null=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "notificacao"
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["order", "medium", "round"], name="ux_notificacao_once"),
            models.CheckConstraint(
                condition=Q(status="PENDENTE", due_at__isnull=False) | (~Q(status="PENDENTE") & Q(due_at__isnull=True)),
                name="notificacao_pending_has_its_time",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # work not done yet; the one reader is sending.claim_due
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="ix_notificacao_due"),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} {self.medium} {self.round}"


class NotificationTry(models.Model):
    """One attempt to send a notification. Neither the contact nor what was said is kept."""

    notification = models.ForeignKey(
        Notification, models.PROTECT, related_name="tries", verbose_name=_("notification"), db_column="notificacao_id"
    )
    number = models.PositiveIntegerField(_("try"))
    driver = models.CharField(_("driver"), max_length=200, blank=True)
    outcome = models.CharField(_("outcome"), max_length=32, blank=True)  # "": under way
    detail = models.CharField(_("detail"), max_length=100, blank=True)
    started_at = models.DateTimeField(_("started at"), db_default=Now())
    duration_ms = models.PositiveIntegerField(_("duration (ms)"), null=True)

    TENANT_PATH: ClassVar[str] = "notification__tenant"

    class Meta:
        db_table = "notificacao_tentativa"
        verbose_name = _("notification try")
        verbose_name_plural = _("notification tries")

    def __str__(self) -> str:
        return f"{self.number}: {self.outcome}"


class Trouble(models.Model):
    """One cause for which stock or numbers of one account may be wrong. One row a cause, opened again and again.

    `opened_at` is when it was last found, `closed_at` when it was gone again; both move as often as it comes and goes.
    An **episode** (`since_at` to `resolved_at`) does not: it ends only when the cause stayed away for a while
    (`troubles.QUIET_SECONDS`), and what people said of it holds until then.
    """

    class Kind(models.TextChoices):
        LISTINGS = "ANUNCIOS", _("Listings in error")
        CONNECTOR = "CONECTOR", _("Connector stopped")
        EVENTS = "EVENTOS", _("Events in error")
        MAPPING = "MAPEAMENTO", _("Mapping needed")
        QUARANTINE = "QUARENTENA", _("Quarantine")
        DIVERGENCE = "DIVERGENCIA", _("Divergences")
        BACKLOG = "FILA", _("Queue standing still")
        OVERSELL = "OVERSELL", _("Oversold")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    connector = models.ForeignKey(  # null: it is about the company's stock, whatever the account
        Connector, models.CASCADE, related_name="troubles", verbose_name=_("connector"), null=True
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind, db_column="tipo")
    cause = models.CharField(_("cause"), max_length=64, db_column="causa")  # a code of common/error_codes.py
    count = models.PositiveIntegerField(_("how many"), db_column="quantidade")
    opened_at = models.DateTimeField(_("last found"), db_default=Now())
    closed_at = models.DateTimeField(_("gone since"), null=True)
    since_at = models.DateTimeField(_("since"), db_default=Now())
    resolved_at = models.DateTimeField(_("solved at"), null=True)
    acknowledged_at = models.DateTimeField(_("seen at"), null=True)
    acknowledged_by = models.CharField(_("seen by"), max_length=100, blank=True, default="", db_default="")
    note = models.CharField(_("note"), max_length=300, blank=True, default="", db_default="")
    email_due_at = models.DateTimeField(_("e-mail due"), null=True)  # null: none is owed
    email_attempts = models.PositiveIntegerField(_("tries"), default=0, db_default=0)
    email_error = models.CharField(_("error code"), max_length=32, blank=True, default="", db_default="")
    # who was written to already, while others are still owed the e-mail: ids of people
    emailed_to = ArrayField(models.BigIntegerField(), default=list, db_default=[])
    emailed_at = models.DateTimeField(_("e-mail sent at"), null=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "pendencia"
        verbose_name = _("pending matter")
        verbose_name_plural = _("pending matters")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["tenant", "connector", "kind", "cause"], name="ux_pendencia_one_a_cause", nulls_distinct=False
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # what is open: the count on every page
            models.Index(fields=["tenant"], condition=Q(closed_at__isnull=True), name="ix_pendencia_open"),
            # e-mails that are owed; the one reader is warning.claim_due
            models.Index(fields=["email_due_at"], condition=Q(email_due_at__isnull=False), name="ix_pendencia_due"),
            # the page's list
            models.Index(fields=["tenant", "-since_at", "-id"], name="ix_pendencia_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.connector_id} {self.kind} {self.cause}"

    @property
    def where(self) -> str:
        """Return whose it is, for people: the account, or the company when it is about its stock."""
        return self.connector.name if self.connector else self.tenant.name


class TroubleNote(models.Model):
    """One thing that happened to a trouble: an episode began or ended, or somebody saw it. Only ever added."""

    class What(models.TextChoices):
        OPENED = "ABERTA", _("Opened")
        SEEN = "VISTA", _("Seen")
        UNSEEN = "NAO_VISTA", _("Marked as not seen")
        RESOLVED = "RESOLVIDA", _("Solved: it stayed away")

    trouble = models.ForeignKey(Trouble, models.CASCADE, related_name="notes", db_column="pendencia_id")
    what = models.CharField(_("what happened"), max_length=16, choices=What)
    actor = models.CharField(_("who"), max_length=100, blank=True, default="", db_default="")
    note = models.CharField(_("note"), max_length=300, blank=True, default="", db_default="")
    count = models.PositiveIntegerField(_("how many"), db_column="quantidade")
    happened_at = models.DateTimeField(_("when"), db_default=Now())

    TENANT_PATH: ClassVar[str] = "trouble__tenant"

    class Meta:
        db_table = "pendencia_historico"
        verbose_name = _("history of a pending matter")
        verbose_name_plural = _("history of pending matters")

    def __str__(self) -> str:
        return f"{self.trouble_id} {self.what}"
