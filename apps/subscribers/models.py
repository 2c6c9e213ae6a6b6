"""Who is told of every movement, and what they were told.

Nouns. A **subscriber** is an address of a tenant that wants events. A **delivery** is one event owed to one subscriber:
PENDING until the subscriber took it. An **attempt** is one try to hand a delivery over. A **lane** is one product of
one subscriber: its deliveries go out one after the other, in the order of their ids, so a delivery that fails holds
back what comes later in its lane and nothing else. A **replay** queues again what was recorded since some moment.
An **alert** asks a person to look at a subscriber; the same trouble again counts up, it makes no second alert.

Where a subscriber stands. The room follows the ledger with one cursor (`FeedCursor`, consumer `subscribers`). A
subscriber whose own cursor is null goes along with it: whatever the room reads becomes deliveries at once. A
subscriber that is paused, disabled or replaying has a cursor of its own, never ahead of the room's, and is brought up
page by page. So nothing is skipped while nobody is listening, and nobody who is away piles rows up.

Invariants (`prove.py` checks them on live data):
* every movement between `complete_from` and the subscriber's cursor, of a type it asked for, has a delivery;
* in a lane nothing was delivered before something older that is still pending;
* a lane with a pending delivery has a `due_at`; a claim is a lease: it pushes `due_at` past its own end.
"""

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from apps.inventory.models import Product
from apps.tenants.models import Tenant


class Subscriber(models.Model):
    """An address that is told of movements."""

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", _("Active")
        PAUSED = "PAUSED", _("Paused")
        DISABLED = "DISABLED", _("Disabled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", verbose_name=_("tenant"), db_index=False)
    url = models.CharField(_("address"), max_length=500)
    description = models.CharField(_("description"), max_length=200, blank=True)
    event_types = ArrayField(models.CharField(max_length=64), default=list, blank=True, verbose_name=_("event types"))
    secret_enc = models.TextField(editable=False)
    secret_last4 = models.CharField(_("secret ends with"), max_length=4)
    previous_secret_enc = models.TextField(blank=True, editable=False)
    previous_secret_until = models.DateTimeField(_("previous secret signs until"), null=True)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.ACTIVE)
    status_code = models.CharField(max_length=32, blank=True)  # stable, for programs: why it is disabled
    status_reason = models.CharField(_("reason"), max_length=300, blank=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    failing_since = models.DateTimeField(_("failing since"), null=True)
    cursor_transaction_id = models.BigIntegerField(null=True)  # both null: it goes along with the room's cursor
    cursor_movement_id = models.BigIntegerField(null=True)
    complete_from_transaction_id = models.BigIntegerField(default=0)  # where it, or its choice of types, began
    complete_from_movement_id = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True)  # gone for everybody; `prune` removes the rows

    TENANT_PATH: ClassVar[str] = "tenant"

    class Meta:
        db_table = "subscribers"
        verbose_name = _("subscriber")
        verbose_name_plural = _("subscribers")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(cursor_transaction_id__isnull=True, cursor_movement_id__isnull=True, status="ACTIVE")
                | Q(cursor_transaction_id__isnull=False, cursor_movement_id__isnull=False),
                name="subscriber_goes_along_only_when_active",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["tenant", "-created_at", "-id"], name="subscriber_newest"),
        ]

    def __str__(self) -> str:
        return self.description or self.url


class Lane(models.Model):
    """One product of one subscriber: what is delivered in order, and when the next try is due."""

    subscriber = models.ForeignKey(Subscriber, models.PROTECT, related_name="+", db_index=False)
    product = models.ForeignKey(Product, models.PROTECT, related_name="+", null=True, db_index=False)  # null: tests
    due_at = models.DateTimeField(_("next try"), null=True)  # null: nothing is pending
    lease_id = models.UUIDField(null=True)  # whoever delivers here now; a late worker's id is no longer this one

    TENANT_PATH: ClassVar[str] = "subscriber__tenant"

    class Meta:
        db_table = "subscriber_lanes"
        verbose_name = _("lane")
        verbose_name_plural = _("lanes")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["subscriber", "product"], nulls_distinct=False, name="lane_once_per_subscriber_and_product"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            # the one reader is lanes.claim
            models.Index(fields=["subscriber", "due_at"], condition=Q(due_at__isnull=False), name="lane_due"),
            # calls under way; the same reader
            models.Index(fields=["subscriber"], condition=Q(lease_id__isnull=False), name="lane_held"),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber_id}: {self.product_id}"


class Replay(models.Model):
    """A wish to be told again of everything recorded since a moment, and how far that has come."""

    class Status(models.TextChoices):
        RUNNING = "RUNNING", _("Running")
        DONE = "DONE", _("Done")
        CANCELLED = "CANCELLED", _("Cancelled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    subscriber = models.ForeignKey(Subscriber, models.PROTECT, related_name="+", verbose_name=_("subscriber"))
    since = models.DateTimeField(_("since"))
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.RUNNING)
    queued = models.PositiveIntegerField(_("queued"), default=0)
    # where the subscriber stood: a cancelled replay goes on from here, so that nothing is skipped
    return_transaction_id = models.BigIntegerField()
    return_movement_id = models.BigIntegerField()
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    finished_at = models.DateTimeField(_("finished at"), null=True)

    TENANT_PATH: ClassVar[str] = "subscriber__tenant"

    class Meta:
        db_table = "subscriber_replays"
        verbose_name = _("replay")
        verbose_name_plural = _("replays")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["subscriber"], condition=Q(status="RUNNING"), name="replay_one_at_a_time"),
        ]

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d %H:%M} {self.status}"


class Delivery(models.Model):
    """One event owed to one subscriber. The event itself is the movement; the row is the duty to tell it."""

    class Status(models.TextChoices):
        PENDING = "PENDING", _("Pending")
        DELIVERED = "DELIVERED", _("Delivered")

    id = models.BigAutoField(primary_key=True)  # given in the order of the lane
    subscriber = models.ForeignKey(
        Subscriber, models.PROTECT, related_name="+", db_index=False, verbose_name=_("subscriber")
    )
    lane = models.ForeignKey(Lane, models.PROTECT, related_name="+", db_index=False)
    replay = models.ForeignKey(Replay, models.PROTECT, related_name="+", null=True, db_index=False)
    movement_id = models.BigIntegerField(_("movement"), null=True)  # null: a test event
    movement_recorded_at = models.DateTimeField(null=True)  # the ledger's partition
    event_id = models.UUIDField(_("event"))
    event_type = models.CharField(_("type"), max_length=64)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.PENDING)
    attempts = models.PositiveIntegerField(_("tries"), default=0)  # counted before the call
    created_at = models.DateTimeField(_("created at"), db_default=Now())
    delivered_at = models.DateTimeField(_("delivered at"), null=True)

    TENANT_PATH: ClassVar[str] = "subscriber__tenant"

    class Meta:
        db_table = "subscriber_deliveries"
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # a movement is queued once, and once more by each replay
            models.UniqueConstraint(
                fields=["subscriber", "movement_id", "replay"],
                condition=Q(movement_id__isnull=False),
                nulls_distinct=False,
                name="delivery_once_per_movement_and_replay",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["subscriber", "-id"], name="delivery_newest"),
            # the head of a lane; the readers are lanes.open_attempt and lanes.end_turn
            models.Index(fields=["lane", "id"], condition=Q(status="PENDING"), name="delivery_pending"),
            # how much is waiting for one subscriber; the reader is following._has_room
            models.Index(fields=["subscriber"], condition=Q(status="PENDING"), name="delivery_backlog"),
            # what is old; the one reader is delivering.prune
            models.Index(fields=["delivered_at"], condition=Q(status="DELIVERED"), name="delivery_delivered"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"


class Attempt(models.Model):
    """One try to hand a delivery over: written before the call and finished after it (law 7). No body is kept."""

    delivery = models.ForeignKey(Delivery, models.PROTECT, related_name="tries", verbose_name=_("delivery"))
    number = models.PositiveIntegerField(_("try"))
    outcome = models.CharField(_("outcome"), max_length=32, blank=True)  # "": under way
    http_status = models.PositiveSmallIntegerField("HTTP", null=True)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    started_at = models.DateTimeField(_("started at"), db_default=Now())
    duration_ms = models.PositiveIntegerField(_("duration (ms)"), null=True)

    TENANT_PATH: ClassVar[str] = "delivery__subscriber__tenant"

    class Meta:
        db_table = "subscriber_attempts"
        verbose_name = _("delivery attempt")
        verbose_name_plural = _("delivery attempts")

    def __str__(self) -> str:
        return f"{self.number}: {self.outcome}"


class Alert(models.Model):
    """Something about a subscriber that a person should look at. One open alert per subscriber and code."""

    subscriber = models.ForeignKey(Subscriber, models.PROTECT, related_name="+", verbose_name=_("subscriber"))
    code = models.CharField(_("code"), max_length=32)
    message = models.CharField(_("message"), max_length=300)
    times = models.PositiveIntegerField(_("times"), default=1)
    opened_at = models.DateTimeField(_("opened at"), db_default=Now())
    last_seen_at = models.DateTimeField(_("last seen at"), db_default=Now())
    closed_at = models.DateTimeField(_("closed at"), null=True)

    TENANT_PATH: ClassVar[str] = "subscriber__tenant"

    class Meta:
        db_table = "subscriber_alerts"
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["subscriber", "code"], condition=Q(closed_at__isnull=True), name="alert_open_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
