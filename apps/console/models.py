"""What the console remembers about the installation itself, so that its pages stay quick and its words true.

A **pulse** is the last sign of life of a program or of a check that runs by itself: one row each, written at most every
`pulse.EVERY_SECONDS` by whoever it is about. **Answer times** are how long notifications took to be answered, counted
by minute and length. **Figures of an hour** are what a tenant's hour added up to; the charts of the start page read
them and never the logs.

Invariant: nothing here decides about stock; all of it may be deleted, and comes back by itself.

What people keep for themselves is theirs, and does not come back: a **saved view** is a list's filters under a name,
its owner's alone or the whole company's. An **export** is a list's rows as a file that somebody asked for: a worker
writes it part by part, each **part** in one transaction with how far it has come, so a killed worker's export goes on
where it stood. The parts are in the database, because the web server and the worker need not share a disk; after a day
they are deleted.
"""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.tenants.models import Tenant


class Pulse(models.Model):
    """The last sign of life of one program or check. Written by pulse.py."""

    name = models.CharField(_("name"), max_length=150, primary_key=True)  # worker:celery@host, beat, prove …
    seen_at = models.DateTimeField(_("last seen"))
    detail = models.JSONField(_("detail"), default=dict)

    class Meta:
        db_table = "painel_sinal"
        verbose_name = _("sign of life")
        verbose_name_plural = _("signs of life")

    def __str__(self) -> str:
        return self.name


class AnswerTimes(models.Model):
    """How many notifications of a minute were answered within `up_to_ms`, and not within the next shorter bound."""

    pk = models.CompositePrimaryKey("minute", "up_to_ms")
    minute = models.DateTimeField(_("minute"))
    up_to_ms = models.PositiveIntegerField(_("up to (ms)"))
    answers = models.PositiveIntegerField(_("answers"))

    class Meta:
        db_table = "painel_resposta"
        verbose_name = _("answer times")
        verbose_name_plural = _("answer times")


class HourFigures(models.Model):
    """What one hour of a tenant added up to. Written by hours.py; an hour in which nothing happened has no row."""

    pk = models.CompositePrimaryKey("tenant", "hour")
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="+", verbose_name=_("tenant"), db_index=False)
    hour = models.DateTimeField(_("hour"))  # its beginning
    tries = models.PositiveIntegerField(_("tries"), default=0)  # to tell a channel a number; shadow mode's left out
    errors = models.PositiveIntegerField(_("errors"), default=0)
    throttled = models.PositiveIntegerField(_("answered 429"), default=0)
    # from a movement to the number that its channel accepted in this hour; null: none was accepted
    p50_seconds = models.FloatField(null=True)
    p95_seconds = models.FloatField(null=True)
    movements = models.PositiveIntegerField(_("movements"), default=0)
    sold_units = models.PositiveIntegerField(_("units sold"), default=0)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "painel_hora"
        verbose_name = _("figures of an hour")
        verbose_name_plural = _("figures of an hour")


class SavedView(models.Model):
    """A list's filters under a name. `query` never holds a place in the list: a view opens on the first page."""

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("owner"))
    page = models.CharField(_("list"), max_length=50)  # a name of lists.LISTS
    name = models.CharField(_("name"), max_length=60)
    query = models.CharField(_("filters"), max_length=1000)
    is_shared = models.BooleanField(_("shared with the company"), default=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "visao_salva"
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["tenant", "page", "owner", "name"], name="saved_view_once_per_name"),
        ]

    def __str__(self) -> str:
        return self.name


class Export(models.Model):
    """A list's rows as a file: who asked, of which list with which filters, how far it is, how it ended."""

    class Profile(models.TextChoices):
        SHEET = "PLANILHA", _("For spreadsheets")  # ; and decimal comma, dd/mm/yyyy, BOM
        MACHINE = "SISTEMA", _("For systems")  # comma and decimal point, ISO dates

    class Status(models.TextChoices):
        WAITING = "PENDENTE", _("Waiting for a worker")
        RUNNING = "EM_ANDAMENTO", _("Under way")
        DONE = "CONCLUIDO", _("Ready")
        FAILED = "ERRO", _("Failed")
        CANCELLED = "CANCELADO", _("Cancelled")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("asked by"), db_index=False
    )
    page = models.CharField(_("list"), max_length=50)  # a name of lists.LISTS
    query = models.CharField(_("filters"), max_length=1000, blank=True)
    profile = models.CharField(_("for"), max_length=16, choices=Profile, default=Profile.SHEET)
    language = models.CharField(max_length=10)  # of the headings and of states
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.WAITING)
    rows_estimated = models.BigIntegerField(_("rows, about"), default=0)  # the database's own guess
    rows_done = models.BigIntegerField(_("rows written"), default=0)
    bytes_done = models.BigIntegerField(_("size (bytes)"), default=0)
    is_cut = models.BooleanField(_("cut at the most rows a file holds"), default=False)
    cursor = models.JSONField(null=True)  # the order values of the last row written
    tries = models.PositiveSmallIntegerField(default=0)  # turns since a part was last written
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    cancel_asked_at = models.DateTimeField(_("cancellation asked for at"), null=True)
    created_at = models.DateTimeField(_("asked for at"), auto_now_add=True)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    expires_at = models.DateTimeField(_("deleted at"))

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "exportacao"
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True, status__in=["PENDENTE", "EM_ANDAMENTO"])
                | Q(finished_at__isnull=False, status__in=["CONCLUIDO", "ERRO", "CANCELADO"]),
                name="export_ended_with_its_end",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "asked_by", "-id"], name="export_newest"),
            # work not done yet; the one reader is exporting.work_on
            models.Index(fields=["id"], condition=Q(finished_at__isnull=True), name="export_open"),
            models.Index(fields=["expires_at"], name="export_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.page} {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def is_open(self) -> bool:
        """Tell whether it still waits or is under way."""
        return self.finished_at is None


class ExportPart(models.Model):
    """Some lines of an export, compressed (zlib)."""

    export = models.ForeignKey(Export, models.CASCADE, related_name="parts", verbose_name=_("export"), db_index=False)
    number = models.PositiveIntegerField(_("number"))
    content = models.BinaryField()

    TENANT_PATH: ClassVar[str] = "export__tenant"

    class Meta:
        db_table = "exportacao_parte"
        verbose_name = _("part of an export")
        verbose_name_plural = _("parts of exports")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["export", "number"], name="export_part_once"),
        ]

    def __str__(self) -> str:
        return f"{self.export_id}/{self.number}"
