"""What the console remembers about the installation itself, so that its pages stay quick and its words true.

A **pulse** is the last sign of life of a program or of a check that runs by itself: one row each, written at most every
`pulse.EVERY_SECONDS` by whoever it is about. **Answer times** are how long notifications took to be answered, counted
by minute and length. **Figures of an hour** are what a tenant's hour added up to; the charts of the start page read
them and never the logs.

Invariant: nothing here decides about stock; all of it may be deleted, and comes back by itself.
"""

from typing import ClassVar

from django.db import models
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
