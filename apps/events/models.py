"""What the channels told us, as they told it.

An **integration event** is one delivery: its raw bytes, what could be read from them, and how far the hub has come with
it. `next_attempt_at` is the duty: null when nothing is left to do, else when a worker may (again) take it; a claim
pushes it past the lease, so an event of a dead worker falls due by itself. An **idempotency key** is one effect that
happened: written in the same transaction as the effect, so there is never one without the other.
"""

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.connectors.models import Connector, Listing
from apps.tenants.models import Tenant


class Reprocess(models.Model):
    """What was sent through the road again: who, why, when, how many; or the plan of it (`plans.py`).

    With a `verb` it is a **job** over many (`bulk.py`): its members are frozen in `ReprocessItem` when it is planned,
    somebody confirms it, and workers take it on batch by batch until every member ended exactly once.
    """

    class Verb(models.TextChoices):
        EVENTS = "EVENTOS", _("Reprocess events")
        LISTINGS = "ANUNCIOS", _("Send numbers again")

    class Status(models.TextChoices):
        QUEUED = "ENFILEIRADO", _("In the queue")
        PLANNED = "PLANEJADO", _("Planned")
        APPLIED = "APLICADO", _("Applied")
        EXPIRED = "VENCIDO", _("Expired: nobody applied it")
        REFUSED = "RECUSADO", _("Refused: something changed meanwhile")
        PROPOSED = "PROPOSTO", _("Waits to be confirmed")
        APPROVAL = "APROVACAO", _("Waits for a second person")
        RUNNING = "EM_ANDAMENTO", _("Under way")
        PAUSED = "PAUSADO", _("Paused")
        DONE = "CONCLUIDO", _("Done")
        CANCELLED = "CANCELADO", _("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False, db_column="reprocess_id")
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    actor = models.CharField(_("who"), max_length=100)
    reason = models.CharField(_("why"), max_length=300, blank=True)
    status = models.CharField(_("status"), max_length=16, choices=Status)
    count = models.PositiveIntegerField(_("events"))
    event_ids = ArrayField(models.BigIntegerField(), default=list, blank=True)  # of a plan
    plan = models.JSONField(_("plan"), null=True, blank=True)  # every row that would change, before and after
    plan_hash = models.CharField(max_length=64, blank=True)  # of the plan and of what it was computed from
    created_at = models.DateTimeField(_("when"), auto_now_add=True)
    applied_at = models.DateTimeField(_("applied at"), null=True)
    verb = models.CharField(_("what is done"), max_length=16, choices=Verb, db_column="tipo", blank=True, default="")
    filters = models.TextField(_("filters"), blank=True, default="")  # of a job: the list's own query string
    includes_done = models.BooleanField(_("also what was processed"), default=False)  # of a job over events
    summary = models.JSONField(_("summary"), default=dict, blank=True)  # of a job: what its plan showed
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="+", db_index=False)  # its failures
    confirmed_by = models.CharField(_("confirmed by"), max_length=100, blank=True, default="")
    approved_by = models.CharField(_("approved by"), max_length=100, blank=True, default="")
    started_at = models.DateTimeField(_("started at"), null=True)
    worked_at = models.DateTimeField(_("worked on at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "reprocessamento"
        verbose_name = _("reprocessing")
        verbose_name_plural = _("reprocessings")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "-created_at"], name="ix_reprocesso_newest"),
            # jobs of which something may be under way; the one reader is bulk_work.go_on
            models.Index(
                fields=["worked_at"],
                condition=Q(status__in=["EM_ANDAMENTO", "PAUSADO", "CANCELADO"], finished_at__isnull=True),
                name="ix_reprocesso_under_way",
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class IntegrationEvent(models.Model):
    """One delivery from a channel."""

    class Status(models.TextChoices):
        RECEIVED = "RECEBIDO", _("Received")
        RETRY = "NOVA_TENTATIVA", _("Will try again")
        PROCESSED = "PROCESSADO", _("Processed")
        DUPLICATE = "DUPLICADO", _("Duplicate")
        IGNORED = "IGNORADO", _("Not used")
        MAPPING = "MAPEAMENTO", _("Mapping needed")
        QUARANTINED = "QUARENTENA", _("Quarantined")
        ERROR = "ERRO", _("Error")
        HELD = "AGUARDANDO", _("Waiting: integration off")

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    connector = models.ForeignKey(
        Connector, models.PROTECT, related_name="+", verbose_name=_("connector"), db_index=False
    )
    channel = models.CharField(_("channel"), max_length=32, db_column="canal")
    topic = models.CharField(_("type"), max_length=64, db_column="tipo", blank=True)
    resource_kind = models.CharField(max_length=64, blank=True)
    external_id = models.CharField(_("resource"), max_length=128, blank=True)
    delivery_key = models.CharField(_("delivery"), max_length=128, blank=True)
    body = models.BinaryField()  # as received: not every body is JSON that PostgreSQL would keep …
    payload = models.JSONField(_("content"), db_column="payload_json", null=True)  # … this is, when it could be read
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.RECEIVED)
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error_msg = models.CharField(_("error"), max_length=500, blank=True)
    waiting_for = ArrayField(models.CharField(max_length=140), default=list, blank=True)  # listings to be mapped
    sold_at = models.DateTimeField(_("sold at"), null=True)  # the sale that waits: those that waited come in as sold
    attempts = models.PositiveIntegerField(_("tries"), default=0)  # counted when claimed, before the work
    lease_id = models.UUIDField(null=True)  # whoever works on it now; a late worker's id is no longer this one
    interruptions = models.PositiveSmallIntegerField(default=0)  # leases in a row that nobody ended
    next_attempt_at = models.DateTimeField(_("next try"), null=True)
    reprocess_count = models.PositiveIntegerField(_("reprocessed"), default=0)
    reprocess = models.ForeignKey(  # the last time it was sent through again
        Reprocess, models.SET_NULL, null=True, related_name="+", verbose_name=_("reprocessing"), db_index=False
    )
    trace_id = models.UUIDField(_("trace id"), default=uuid.uuid4)
    received_at = models.DateTimeField(_("received at"), auto_now_add=True)
    processed_at = models.DateTimeField(_("processed at"), null=True)

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "integracao_evento"
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "channel", "-received_at", "-id"], name="ix_evento_tenant_canal"),
            models.Index(fields=["tenant", "-received_at", "-id"], name="ix_evento_newest"),
            models.Index(fields=["tenant", "external_id"], name="ix_evento_resource"),
            # the console's list by state; and what needs somebody, whichever of its states it is in
            models.Index(fields=["tenant", "status", "-received_at", "-id"], name="ix_evento_status"),
            models.Index(
                fields=["tenant", "-received_at", "-id"],
                condition=Q(status__in=["NOVA_TENTATIVA", "MAPEAMENTO", "QUARENTENA", "ERRO"]),
                name="ix_evento_attention",
            ),
            # the console's search
            models.Index(fields=["trace_id"], name="ix_evento_trace"),
            # work not done yet; the one reader is inbox.claim_due
            models.Index(
                fields=["next_attempt_at", "id"], condition=Q(next_attempt_at__isnull=False), name="ix_evento_due"
            ),
            # the same work by resource: a burst about one resource is one read
            models.Index(
                fields=["connector", "resource_kind", "external_id"],
                condition=Q(next_attempt_at__isnull=False),
                name="ix_evento_due_resource",
            ),
            # was this delivery stored before? the readers are missed and search
            models.Index(fields=["delivery_key"], name="ix_evento_delivery"),
            # when did which topic speak? the one reader is silence
            models.Index(fields=["connector", "topic", "received_at"], name="ix_evento_rhythm"),
            # the one reader is inbox.wake_mapped
            models.Index(fields=["connector"], condition=Q(status="MAPEAMENTO"), name="ix_evento_mapping"),
            # the one reader is backlog.measure
            models.Index(fields=["channel", "error_code"], condition=Q(status="ERRO"), name="ix_evento_error"),
            # what is not done and why; the one reader is errors.open_errors
            models.Index(
                fields=["tenant", "error_code", "received_at"],
                condition=Q(status__in=["ERRO", "MAPEAMENTO", "NOVA_TENTATIVA", "QUARENTENA"]) & ~Q(error_code=""),
                name="ix_evento_open_error",
            ),
            # what waits for its integration to be switched on; the one reader is inbox.obey_flags
            models.Index(fields=["connector"], condition=Q(status="AGUARDANDO"), name="ix_evento_held"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.external_id}".strip() or f"#{self.pk}"


class ReprocessItem(models.Model):
    """One member of a job: an event or a listing, and what became of it. Members never join or leave a job."""

    class State(models.TextChoices):
        WAITING = "AGUARDA", _("Waiting for its turn")
        RUNNING = "EM_CURSO", _("Under way")
        DONE = "FEITO", _("Done")
        FAILED = "FALHOU", _("Failed")
        SKIPPED = "PULADO", _("Skipped")

    reprocess = models.ForeignKey(Reprocess, models.CASCADE, related_name="items", db_index=False)
    event = models.ForeignKey(IntegrationEvent, models.CASCADE, null=True, related_name="+", db_index=False)
    listing = models.ForeignKey(Listing, models.CASCADE, null=True, related_name="+", db_index=False)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.WAITING)
    code = models.CharField(_("reason"), max_length=64, blank=True, default="")  # an error's, or why it was skipped
    claimed_at = models.DateTimeField(_("taken at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    TENANT_PATH: ClassVar[str] = "reprocess__tenant"

    class Meta:
        db_table = "reprocessamento_item"
        verbose_name = _("member of a reprocessing")
        verbose_name_plural = _("members of a reprocessing")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["reprocess", "event"], name="reprocess_item_event_once"),
            models.UniqueConstraint(fields=["reprocess", "listing"], name="reprocess_item_listing_once"),
            models.CheckConstraint(
                condition=Q(event__isnull=False, listing__isnull=True) | Q(event__isnull=True, listing__isnull=False),
                name="reprocess_item_is_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["AGUARDA", "EM_CURSO"], finished_at__isnull=True)
                | Q(state__in=["FEITO", "FALHOU", "PULADO"], finished_at__isnull=False),
                name="reprocess_item_ended_with_its_end",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the next to be taken, those under way, and the counts
            models.Index(fields=["reprocess", "state", "id"], name="ix_reprocesso_item_state"),
        ]

    def __str__(self) -> str:
        return f"{self.reprocess_id} {self.event_id or self.listing_id}"


class IdempotencyKey(models.Model):
    """One effect that happened: `ML|tenant|type|external_id|version` (requirement 001, with the tenant in it)."""

    key = models.CharField(max_length=256, primary_key=True, db_column="chave")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "idempotencia"
        verbose_name = _("idempotency key")
        verbose_name_plural = _("idempotency keys")

    def __str__(self) -> str:
        return self.key


class Watch(models.Model):
    """How closely an account is watched for what its notifications did not tell. One row a connector.

    Invariant: every order that the channel says changed before `searched_until` is stored as an order or as an event.
    """

    connector = models.OneToOneField(
        Connector, models.CASCADE, related_name="watch", verbose_name=_("connector"), primary_key=True
    )
    searched_until = models.DateTimeField(_("orders searched up to"))
    search_at = models.DateTimeField(_("next search"))
    asked_from = models.DateTimeField(_("asked to search again from"), null=True)
    reads_missed_feeds = models.BooleanField(_("may read missed notifications"), null=True)  # null: never tried
    error_code = models.CharField(_("error code"), max_length=64, blank=True)
    error_msg = models.CharField(_("error"), max_length=500, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    TENANT_PATH: ClassVar[str] = "connector__tenant"

    class Meta:
        db_table = "integracao_vigia"
        verbose_name = _("watch")
        verbose_name_plural = _("watches")

    def __str__(self) -> str:
        return str(self.connector)


class SilentTopic(models.Model):
    """A kind of notification that stopped coming, against its own rhythm. Gone when it is heard again."""

    connector = models.ForeignKey(
        Connector, models.CASCADE, related_name="silent_topics", verbose_name=_("connector"), db_index=False
    )
    topic = models.CharField(_("type"), max_length=64, db_column="tipo")
    last_heard_at = models.DateTimeField(_("last heard"))
    noticed_at = models.DateTimeField(_("noticed at"), auto_now_add=True)

    TENANT_PATH: ClassVar[str] = "connector__tenant"

    class Meta:
        db_table = "integracao_topico_mudo"
        verbose_name = _("silent topic")
        verbose_name_plural = _("silent topics")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["connector", "topic"], name="silent_topic_once"),
        ]

    def __str__(self) -> str:
        return f"{self.connector}: {self.topic}"
