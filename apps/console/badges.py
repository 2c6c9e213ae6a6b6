"""How a state looks: words, an icon and a tone, never colour alone (WCAG 1.4.1).

A state is always that of the last try, read from the row itself; nothing is remembered beside it.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import singledispatch
from typing import NamedTuple

from django.db.models import Model
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext

from apps.connectors.models import Connector, Errand, Listing, MappingItem, MappingJob
from apps.console.models import Export
from apps.console.moments import clock
from apps.events.models import IntegrationEvent, Reprocess, ReprocessItem
from apps.inventory.models import Batch, Movement, Oversell, Reservation
from apps.notifications.models import Notification, Trouble
from apps.orders.models import Order
from apps.sync.models import Divergence, SyncLog


@dataclass(frozen=True, slots=True)
class Badge:
    """What a badge shows. tone: ok, bad, warn, info or quiet; icon: a symbol of static/img/icons.svg."""

    words: str | Promise
    tone: str = "quiet"
    icon: str = "minus"


EXPIRES_SOON = timedelta(days=30)
"""A batch that expires within this time is worth a look."""

OVERSOLD = Badge(gettext_lazy("Oversold"), "bad", "alert")
SHADOW = Badge(gettext_lazy("Shadow mode: nothing is sent"), "warn", "pause")


class Look(NamedTuple):
    """Tone and icon of a state."""

    tone: str
    icon: str


SYNC_LOG: dict[str, Look] = {
    SyncLog.Status.PENDING: Look("info", "send"),
    SyncLog.Status.SUCCESS: Look("ok", "check"),
    SyncLog.Status.ERROR: Look("bad", "cross"),
    SyncLog.Status.UNKNOWN: Look("warn", "question"),
    SyncLog.Status.SHADOW: Look("quiet", "pause"),
}
EVENT: dict[str, Look] = {
    IntegrationEvent.Status.RECEIVED: Look("info", "clock"),
    IntegrationEvent.Status.RETRY: Look("warn", "clock"),
    IntegrationEvent.Status.PROCESSED: Look("ok", "check"),
    IntegrationEvent.Status.DUPLICATE: Look("quiet", "copy"),
    IntegrationEvent.Status.IGNORED: Look("quiet", "minus"),
    IntegrationEvent.Status.MAPPING: Look("warn", "link"),
    IntegrationEvent.Status.QUARANTINED: Look("bad", "lock"),
    IntegrationEvent.Status.ERROR: Look("bad", "cross"),
    IntegrationEvent.Status.HELD: Look("warn", "pause"),
}
EXPORT: dict[str, Look] = {
    Export.Status.WAITING: Look("info", "clock"),
    Export.Status.RUNNING: Look("info", "send"),
    Export.Status.DONE: Look("ok", "check"),
    Export.Status.FAILED: Look("bad", "cross"),
    Export.Status.CANCELLED: Look("quiet", "cross"),
}
ORDER: dict[str, Look] = {
    Order.Status.RECEIVED: Look("info", "clock"),
    Order.Status.READY: Look("ok", "check"),
    Order.Status.PICKED_UP: Look("quiet", "check"),
    Order.Status.CANCELLED: Look("quiet", "cross"),
}
NOTIFICATION: dict[str, Look] = {
    Notification.Status.PENDING: Look("info", "clock"),
    Notification.Status.SENT: Look("ok", "check"),
    Notification.Status.FAILED: Look("bad", "cross"),
    Notification.Status.CANCELLED: Look("quiet", "minus"),
}
RESERVATION: dict[str, Look] = {
    Reservation.Status.PENDING: Look("info", "lock"),
    Reservation.Status.CONFIRMED: Look("ok", "check"),
    Reservation.Status.RELEASED: Look("quiet", "back"),
    Reservation.Status.EXPIRED: Look("quiet", "clock"),
}
CONNECTOR: dict[str, Look] = {
    Connector.Status.ACTIVE: Look("ok", "check"),
    Connector.Status.REAUTHORIZE: Look("bad", "lock"),
    Connector.Status.ERROR: Look("bad", "cross"),
    Connector.Status.PAUSED: Look("warn", "pause"),
}
ERRAND: dict[str, Look] = {
    Errand.Status.WAITING: Look("info", "clock"),
    Errand.Status.RUNNING: Look("info", "play"),
    Errand.Status.DONE: Look("ok", "check"),
    Errand.Status.FAILED: Look("bad", "cross"),
    Errand.Status.CANCELLED: Look("quiet", "minus"),
}
REPROCESS: dict[str, Look] = {
    Reprocess.Status.QUEUED: Look("info", "clock"),
    Reprocess.Status.PLANNED: Look("info", "question"),
    Reprocess.Status.APPLIED: Look("ok", "check"),
    Reprocess.Status.EXPIRED: Look("quiet", "clock"),
    Reprocess.Status.REFUSED: Look("warn", "alert"),
    Reprocess.Status.PROPOSED: Look("info", "question"),
    Reprocess.Status.APPROVAL: Look("warn", "lock"),
    Reprocess.Status.RUNNING: Look("info", "play"),
    Reprocess.Status.PAUSED: Look("warn", "pause"),
    Reprocess.Status.DONE: Look("ok", "check"),
    Reprocess.Status.CANCELLED: Look("quiet", "minus"),
}
REPROCESS_ITEM: dict[str, Look] = {
    ReprocessItem.State.WAITING: Look("quiet", "clock"),
    ReprocessItem.State.RUNNING: Look("info", "play"),
    ReprocessItem.State.DONE: Look("ok", "check"),
    ReprocessItem.State.FAILED: Look("bad", "cross"),
    ReprocessItem.State.SKIPPED: Look("quiet", "minus"),
}
MOVEMENT: dict[str, Look] = {
    Movement.Kind.RECEIPT: Look("ok", "down"),
    Movement.Kind.RETURN: Look("ok", "down"),
    Movement.Kind.TRANSFER_IN: Look("ok", "down"),
    Movement.Kind.SALE: Look("quiet", "up"),
    Movement.Kind.TRANSFER_OUT: Look("quiet", "up"),
    Movement.Kind.LOSS: Look("bad", "up"),
    Movement.Kind.ADJUSTMENT: Look("warn", "admin"),
    Movement.Kind.COUNT: Look("info", "check"),
    Movement.Kind.COUNT_ABSORB: Look("quiet", "check"),
    Movement.Kind.RESERVE: Look("info", "lock"),
    Movement.Kind.CONFIRM: Look("quiet", "up"),
    Movement.Kind.RELEASE: Look("quiet", "back"),
    Movement.Kind.EXPIRE: Look("quiet", "clock"),
    Movement.Kind.BLOCK: Look("bad", "pause"),
    Movement.Kind.UNBLOCK: Look("ok", "play"),
}
MAPPING_JOB: dict[str, Look] = {
    MappingJob.Status.PROPOSED: Look("info", "question"),
    MappingJob.Status.RUNNING: Look("info", "play"),
    MappingJob.Status.PAUSED: Look("warn", "pause"),
    MappingJob.Status.DONE: Look("ok", "check"),
    MappingJob.Status.CANCELLED: Look("quiet", "minus"),
}
MAPPING_ITEM: dict[str, Look] = {
    MappingItem.State.WAITING: Look("info", "clock"),
    MappingItem.State.DONE: Look("ok", "check"),
    MappingItem.State.FAILED: Look("bad", "cross"),
    MappingItem.State.SKIPPED: Look("quiet", "minus"),
}
PLAIN = Look("quiet", "minus")  # a state that was added to a model and not yet here still shows its words


@singledispatch
def badge_of(row: Model) -> Badge:
    """Return the badge of a row's state. Raises TypeError for a model that has none."""
    raise TypeError(f"{type(row).__name__} has no badge")


@badge_of.register
def _of_sync_log(row: SyncLog) -> Badge:
    return Badge(row.get_status_display(), *SYNC_LOG.get(row.status, PLAIN))


@badge_of.register
def _of_integration_event(row: IntegrationEvent) -> Badge:
    words = row.get_status_display()
    if row.status == IntegrationEvent.Status.RETRY and row.next_attempt_at:
        words = f"{words} {clock(row.next_attempt_at)}"
    return Badge(words, *EVENT.get(row.status, PLAIN))


@badge_of.register
def _of_export(row: Export) -> Badge:
    return Badge(row.get_status_display(), *EXPORT.get(row.status, PLAIN))


@badge_of.register
def _of_order(row: Order) -> Badge:
    return Badge(row.get_status_display(), *ORDER.get(row.status, PLAIN))


@badge_of.register
def _of_notification(row: Notification) -> Badge:
    words = row.get_status_display()
    if row.due_at and row.attempts:  # it failed, or is being sent at this moment
        words = f"{words} {clock(row.due_at)}"
    return Badge(words, *NOTIFICATION.get(row.status, PLAIN))


@badge_of.register
def _of_reservation(row: Reservation) -> Badge:
    if row.status == Reservation.Status.PENDING and row.expires_at and row.expires_at <= timezone.now():
        status = Reservation.Status.EXPIRED  # its units count as free, whether or not it was swept already
        return Badge(status.label, *RESERVATION[status])
    return Badge(row.get_status_display(), *RESERVATION.get(row.status, PLAIN))


@badge_of.register
def _of_batch(row: Batch) -> Badge:
    """Say whether a batch may be sold, and how near its date is."""
    if row.status == Batch.Status.BLOCKED:
        return Badge(gettext("Blocked"), "bad", "pause")
    if row.expires_at is None:
        return Badge(gettext("For sale"), "ok", "check")
    left = row.expires_at - timezone.now()
    if left <= timedelta(0):
        return Badge(gettext("Expired: off sale"), "bad", "clock")
    if left > EXPIRES_SOON:
        return Badge(gettext("For sale"), "ok", "check")
    text = ngettext("Expires in %(count)s day", "Expires in %(count)s days", left.days)
    return Badge(text % {"count": left.days} if left.days else gettext("Expires today"), "warn", "clock")


@badge_of.register
def _of_oversell(row: Oversell) -> Badge:
    return Badge(gettext("Settled"), "ok", "check") if row.closed_at else OVERSOLD


@badge_of.register
def _of_connector(row: Connector) -> Badge:
    return Badge(row.get_status_display(), *CONNECTOR.get(row.status, PLAIN))


@badge_of.register
def _of_errand(row: Errand) -> Badge:
    return Badge(row.get_status_display(), *ERRAND.get(row.status, PLAIN))


@badge_of.register
def _of_reprocess(row: Reprocess) -> Badge:
    return Badge(row.get_status_display(), *REPROCESS.get(row.status, PLAIN))


@badge_of.register
def _of_reprocess_item(row: ReprocessItem) -> Badge:
    return Badge(row.get_state_display(), *REPROCESS_ITEM.get(row.state, PLAIN))


@badge_of.register
def _of_mapping_job(row: MappingJob) -> Badge:
    return Badge(row.get_status_display(), *MAPPING_JOB.get(row.status, PLAIN))


@badge_of.register
def _of_mapping_item(row: MappingItem) -> Badge:
    return Badge(row.get_state_display(), *MAPPING_ITEM.get(row.state, PLAIN))


@badge_of.register
def _of_divergence(row: Divergence) -> Badge:
    if row.resolved_at:
        return Badge(row.get_ending_display(), "ok", "check")
    if row.ignored_at:
        return Badge(gettext("Ignored"), "quiet", "minus")
    if row.repaired_at:
        return Badge(gettext("Repaired; not compared again yet"), "info", "send")
    sells_too_many = row.hub_quantity is not None and (row.channel_quantity or 0) > row.hub_quantity
    return Badge(gettext("Open"), "bad", "alert") if sells_too_many else Badge(gettext("Open"), "warn", "alert")


@badge_of.register
def _of_trouble(row: Trouble) -> Badge:
    """Say where a pending matter stands; gone is not solved before it stayed away for a while."""
    if row.resolved_at:
        return Badge(gettext("Solved"), "ok", "check")
    if row.closed_at:
        return Badge(gettext("Gone, being watched"), "info", "clock")
    return Badge(gettext("Seen"), "warn", "check") if row.acknowledged_at else Badge(gettext("Open"), "bad", "alert")


@badge_of.register
def _of_movement(row: Movement) -> Badge:
    return Badge(row.get_kind_display(), *MOVEMENT.get(row.kind, PLAIN))


@badge_of.register
def _of_listing(row: Listing) -> Badge:
    """Say where a listing's number stands: what blocks it first, then what is going on, then how the last try ended."""
    now = timezone.now()
    if row.product_id is None:
        return Badge(gettext("Mapping needed"), "warn", "link")
    if row.capability in (Listing.Capability.KIT, Listing.Capability.MOVED):
        return Badge(row.get_capability_display(), "quiet", "info")
    if not row.is_writable:
        return Badge(gettext("Stock kept by the channel (Full)"), "quiet", "info")
    if row.lease_expires_at and row.lease_expires_at > now:
        return Badge(gettext("Sending"), "info", "send")
    if row.sync_state == Listing.SyncState.ERROR:
        return Badge(gettext("Error"), "bad", "cross")
    if row.due_at and row.due_at > now and row.sync_state == Listing.SyncState.RETRY:
        return Badge(f"{row.get_sync_state_display()} {clock(row.due_at)}", "warn", "clock")
    if row.due_at or row.lease_expires_at:
        return Badge(gettext("In the queue"), "info", "clock")
    if row.sync_state == Listing.SyncState.SUCCESS:
        return Badge(row.get_sync_state_display(), "ok", "check")
    return Badge(row.get_sync_state_display())
