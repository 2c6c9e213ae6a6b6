"""What the channel gave up telling us: read from it every quarter of an hour, and taken in like any delivery.

Mercado Livre keeps what it could not deliver in eight tries for two days (contract §2.6). Reading consumes nothing and
there is no cursor: the same rows come again and again, so a row counts only if its delivery was not stored before. The
list is an application's, whose accounts may be several tenants'; `inbox.store` gives each row to its own.
What a topic would have told while Mercado Livre had it switched off never stands there: see `search`.
"""

import structlog
from django.db import connection, transaction

from apps.connectors import credentials
from apps.connectors.channel import ChannelError, Poison, read_notice
from apps.connectors.models import Connector
from apps.events import inbox
from apps.events.models import IntegrationEvent, Watch
from apps.tenants import flags
from apps.tenants.flags import integration

log = structlog.get_logger(__name__)

READERS_MAX = 3
"""Accounts of one application that are asked at one go: whose token the list wants is not documented."""


def read_all() -> int:
    """Read what every application missed. Returns how many notifications were new."""
    applications = Connector.objects.filter(status=Connector.Status.ACTIVE).values_list("kind", "client_id")
    return sum(read(kind, client_id) for kind, client_id in sorted(set(applications)))


def read(kind: str, client_id: str) -> int:
    """Store what one application missed, as far as it is new. Returns how many notifications that were.

    The account that could read the list before is asked first, one that was refused last, and one whose integration is
    switched off never. Never raises for a channel's
    failure: it is logged, and the next reading brings the same rows.
    """
    active = Connector.objects.filter(kind=kind, client_id=client_id, status=Connector.Status.ACTIVE)
    readers = [one for one in active.select_related("watch", "tenant") if flags.is_on(one.tenant, integration(kind))]
    for connector in sorted(readers, key=_trust)[:READERS_MAX]:
        try:
            stored = _read_with(connector)
        except ChannelError as refusal:
            log.warning("missed_feeds_not_read", connector_id=connector.pk, code=refusal.code, reason=str(refusal))
            if refusal.account:
                credentials.stop(connector.pk, refusal)
            elif refusal.permanent:
                Watch.objects.filter(pk=connector.pk).update(reads_missed_feeds=False)
            else:
                return 0  # the channel has trouble of its own: another account would not help
        else:
            Watch.objects.filter(pk=connector.pk).update(reads_missed_feeds=True)
            log.info("missed_feeds_read", connector_id=connector.pk, stored=stored)
            return stored
    return 0


def _trust(connector: Connector) -> tuple[int, int]:
    watch = getattr(connector, "watch", None)  # none before its first search
    reads = watch.reads_missed_feeds if watch else None
    return (1 if reads is None else 0 if reads else 2), connector.pk


def _read_with(connector: Connector) -> int:
    channel = credentials.open_connector(connector)
    return sum(_store_new(connector, bodies) for bodies in channel.missed_notices(connector.client_id))


def _store_new(connector: Connector, bodies: list[bytes]) -> int:
    """Store the deliveries of a page that are not stored yet. Two workers with one page take turns."""
    deliveries: dict[str, bytes] = {}
    for body in bodies:
        try:
            deliveries.setdefault(read_notice(connector.kind, body).delivery_key[:128], body)
        except Poison as reason:
            log.warning("missed_notification_unreadable", connector_id=connector.pk, reason=str(reason))
    with transaction.atomic():
        with connection.cursor() as cursor:
            lock = f"missed/{connector.kind}/{connector.client_id}"
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
        # of this application only: another's deliveries have names of their own making
        known = IntegrationEvent.objects.filter(
            connector__kind=connector.kind, connector__client_id=connector.client_id, delivery_key__in=deliveries
        )
        for key in known.values_list("delivery_key", flat=True).distinct():
            del deliveries[key]
        for body in deliveries.values():
            inbox.store(connector, body)
    return len(deliveries)
