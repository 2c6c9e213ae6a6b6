"""The inbox: keep what arrives, then work through it (law 5: a notification is a hint, never a fact).

The road of an event (architecture §3):
1. `store` writes the raw delivery; the sender is answered right after, whatever the body holds;
2. `claim_due` takes the oldest due event and every other due event about the same resource, with a lease;
3. the resource is read from the channel, outside any transaction. What is about orders (a parcel, a payment, a pack, a
   claim) becomes an event for each of them; a listing is read again; an order goes on:
4. `_take_in` writes the effect key, the order and its stock movements in one transaction;
5. pack, label and recipient are read, and `_finish` adds them and settles the events, in one transaction.
Workers may die anywhere between: the lease ends and the road is walked again, with the same effect once.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from apps.connectors import credentials
from apps.connectors.channel import Channel, ChannelError, Notice, Poison, read_notice
from apps.connectors.importing import import_item
from apps.connectors.models import Connector, Listing
from apps.events.models import IntegrationEvent
from apps.orders import intake, reading
from apps.orders.intake import MappingNeeded, Outcome, StatusUnknown
from apps.orders.models import Order
from apps.orders.reading import Reading
from apps.orders.rules import Flag
from apps.tenants.flags import IS_OFF
from apps.tenants.models import Tenant

log = structlog.get_logger(__name__)

Status = IntegrationEvent.Status

LEASE_SECONDS = 60
"""Longer than the longest road: order, token refresh, order again, parcel, pack, buyer and label, 5 s each."""

SLOW_PAUSE = timedelta(minutes=30)
"""After the last of `EVENT_RETRY_PAUSES_SECONDS` (requirement 001, Backoff): shown as an error, and still tried,
because what failed may pass."""

SLOW_TRIES = 48
"""A day of slow tries; then only a person can tell what the resource is."""

LISTING_PAUSE = timedelta(seconds=30)
"""A listing speaks after each of our own writes too: so long is waited that one read answers for many."""

INTERRUPTIONS_MAX = 5
"""An event whose lease nobody ended so often in a row kills its workers: it is set aside for a person."""

COLLAPSE_MAX = 500
"""Deliveries about one resource that one read settles at once."""

ADDRESS_FIELDS = ("id", "tenant_id", "kind", "client_id", "user_id")
"""What `store` needs of a connector: the front door reads no secrets."""

KIND_ORDERS, KIND_ITEMS, KIND_USER_PRODUCTS = "orders", "items", "user-products"

FORGET_TOGETHER = 2000

USED_TOPICS = {
    "orders_v2": KIND_ORDERS,
    "shipments": "shipments",
    "payments": "collections",
    "packs": "packs",
    "post_purchase": "claims",
    "claims": "claims",
    "items": KIND_ITEMS,
    "stock-location": KIND_USER_PRODUCTS,
    "stock-locations": KIND_USER_PRODUCTS,
    "user_products": KIND_USER_PRODUCTS,
}
"""Topics that the hub reads, with the kind of resource each names (contract §2.3); the rest is kept, not used."""


def store(connector: Connector, body: bytes) -> IntegrationEvent:
    """Keep one delivery, in one INSERT. Never raises for what the body holds: poison is kept in quarantine.

    `connector` is the one whose address was called; the event belongs to the account that the body names, when that
    account uses the same application at the channel, else it is quarantined.
    """
    event = IntegrationEvent(
        tenant_id=connector.tenant_id, connector=connector, channel=connector.kind, body=body, trace_id=uuid.uuid4()
    )
    _read(event, connector)
    event.save(force_insert=True)
    return event


def read_again(event: IntegrationEvent) -> None:
    """Read a kept notification anew from its raw bytes: the hub may know its account or its topic by now.

    One whose body was forgotten, or that the hub made itself, stays as it was read.
    """
    if event.body:
        _read(event, event.connector)
        event.save()


FORGET_BODIES = """
UPDATE integracao_evento SET body = '', payload_json = NULL WHERE id IN (
    SELECT id FROM integracao_evento
     WHERE received_at < now() - make_interval(days => %s) AND next_attempt_at IS NULL AND body <> ''
       AND status NOT IN ('MAPEAMENTO', 'AGUARDANDO')
     ORDER BY received_at LIMIT %s FOR UPDATE SKIP LOCKED)
"""


def forget_old_bodies() -> int:
    """Forget what arrived longer ago than EVENT_BODY_DAYS, of events that wait for nothing. Returns how many."""
    forgotten = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(FORGET_BODIES, [settings.EVENT_BODY_DAYS, FORGET_TOGETHER])
            done = int(cursor.rowcount)
        forgotten += done
        if done < FORGET_TOGETHER:
            return forgotten


def is_usable_now(event: IntegrationEvent) -> bool:
    """Read a kept notification anew, without saving it, and tell whether the hub has a use for it by now."""
    _read(event, event.connector)
    return event.status == Status.RECEIVED


def _read(event: IntegrationEvent, connector: Connector) -> None:
    try:
        notice = read_notice(connector.kind, bytes(event.body))
    except Poison as reason:
        _quarantine(event, "unreadable", str(reason))
    else:
        event.payload = json.loads(bytes(event.body))  # safe to keep as jsonb: `read_notice` refused whatever is not
        _describe(event, notice)
        _address(event, connector, notice)


def _describe(event: IntegrationEvent, notice: Notice) -> None:
    event.topic = notice.topic[:64]
    event.resource_kind = notice.resource_kind
    event.external_id = notice.resource_id
    event.delivery_key = notice.delivery_key[:128]


def _address(event: IntegrationEvent, connector: Connector, notice: Notice) -> None:
    """Give the event to the account it is about, or to quarantine.

    One application at the channel has one callback address for all its sellers (contract §2.1), so the account is
    found from the body, but only among accounts of the very application whose address was called.
    """
    if notice.application_id != connector.client_id:
        _quarantine(event, "foreign_application", "the notification is of another application")
        return
    owner = (
        connector
        if notice.user_id == connector.user_id
        else Connector.objects.filter(
            kind=connector.kind, client_id=connector.client_id, user_id=notice.user_id
        ).first()
    )
    if owner is None:
        _quarantine(event, "unknown_account", "no connector has the account that the notification names")
        return
    event.connector, event.tenant_id = owner, owner.tenant_id
    if USED_TOPICS.get(notice.topic) == notice.resource_kind:
        is_listing = notice.resource_kind in (KIND_ITEMS, KIND_USER_PRODUCTS)
        event.status = Status.RECEIVED
        event.next_attempt_at = timezone.now() + (LISTING_PAUSE if is_listing else timedelta())
    else:
        event.status, event.processed_at = Status.IGNORED, timezone.now()


def _quarantine(event: IntegrationEvent, code: str, reason: str) -> None:
    event.status, event.error_code, event.error_msg = Status.QUARANTINED, code, reason[:500]
    event.next_attempt_at = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on some events about one resource. `lease_id` tells a late worker from a live one."""

    lease_id: uuid.UUID
    connector_id: int
    resource_kind: str
    external_id: str
    trace_id: uuid.UUID
    tenant_id: int
    interruptions: int  # leases in a row that nobody ended, before this one
    attempts: dict[int, int]  # event id -> how often it was claimed; the first is the oldest


CLAIM = f"""
WITH head AS (
    SELECT e.connector_id, e.resource_kind, e.external_id, gen_random_uuid() AS lease_id
      FROM integracao_evento e JOIN integracao_conector c ON c.id = e.connector_id AND c.status = 'ATIVO'
     WHERE e.next_attempt_at <= now() AND NOT {IS_OFF} AND {{which}}
     ORDER BY e.next_attempt_at, e.id LIMIT 1 FOR UPDATE OF e SKIP LOCKED
), due AS (
    SELECT e.id, head.lease_id FROM integracao_evento e JOIN head USING (connector_id, resource_kind, external_id)
     WHERE e.next_attempt_at <= now() ORDER BY e.id LIMIT %s FOR UPDATE OF e SKIP LOCKED
)
UPDATE integracao_evento e
   SET lease_id = due.lease_id, next_attempt_at = now() + make_interval(secs => %s), attempts = e.attempts + 1,
       interruptions = CASE WHEN e.lease_id IS NULL THEN 0 ELSE e.interruptions + 1 END
  FROM due WHERE e.id = due.id
RETURNING e.id, e.attempts, e.interruptions, e.lease_id, e.connector_id, e.resource_kind, e.external_id, e.trace_id,
          e.tenant_id
"""  # noqa: S608  every part is a constant of ours

CLAIM_ANY = CLAIM.format(which="TRUE")
CLAIM_ORDER = CLAIM.format(which=f"e.connector_id = %s AND e.resource_kind = '{KIND_ORDERS}'")


def claim_due(orders_of: int | None = None) -> Claim | None:
    """Claim the event that waited longest and its like, or return None when nothing is due.

    orders_of: a connector; only events about orders of its account are claimed.
    """
    with connection.cursor() as cursor:
        if orders_of is None:
            cursor.execute(CLAIM_ANY, [COLLAPSE_MAX, LEASE_SECONDS])
        else:
            cursor.execute(CLAIM_ORDER, [orders_of, COLLAPSE_MAX, LEASE_SECONDS])
        rows = cursor.fetchall()
    return _claim_of(rows) if rows else None


CLAIM_AGAIN = """
UPDATE integracao_evento e
   SET lease_id = %s, next_attempt_at = now() + make_interval(secs => %s), status = 'RECEBIDO', attempts = 1,
       interruptions = 0, reprocess_count = e.reprocess_count + 1, reprocess_id = %s
 WHERE e.id = ANY (%s)
RETURNING e.id, e.attempts, e.interruptions, e.lease_id, e.connector_id, e.resource_kind, e.external_id, e.trace_id,
          e.tenant_id
"""


def claim_again(event_ids: Sequence[int], reprocess_id: uuid.UUID) -> Claim:
    """Claim events about one resource for a reprocessing, with fresh tries, whatever state they are in.

    The caller holds their rows and has seen that nobody else works on them. Once claimed they are like any other: if
    this worker dies, the lease ends and the inbox takes them.
    """
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_AGAIN, [uuid.uuid4(), LEASE_SECONDS, reprocess_id, list(event_ids)])
        return _claim_of(cursor.fetchall())


def _claim_of(found: Sequence[tuple[Any, ...]]) -> Claim:
    rows = sorted(found)
    lease_id, connector_id, resource_kind, external_id, trace_id, tenant_id = rows[0][3:]
    return Claim(
        lease_id=lease_id,
        connector_id=connector_id,
        resource_kind=resource_kind,
        external_id=external_id,
        trace_id=trace_id,
        tenant_id=tenant_id,
        interruptions=max(row[2] for row in rows),
        attempts={row[0]: row[1] for row in rows},
    )


def process_next(orders_of: int | None = None) -> bool:
    """Take the next due resource through the road. Returns False when nothing is due.

    orders_of: a connector; only its orders are taken.

    Never raises for what one event holds or for a channel's failure: the event is settled with a reason instead, so one
    bad event cannot hold up the others. Raises OperationalError or InterfaceError when the database itself is away.
    """
    claim = claim_due(orders_of)
    if claim is None:
        return False
    work_on(claim)
    return True


def work_on(claim: Claim) -> None:
    """Take claimed events through the road, and settle them however it ends. Raises as `process_next` does."""
    named = {"trace_id": str(claim.trace_id), "event_id": min(claim.attempts), "tenant": claim.tenant_id}
    with structlog.contextvars.bound_contextvars(**named):
        if claim.interruptions >= INTERRUPTIONS_MAX:
            _set_aside(claim, "worker_died", "every worker that took this event died of it")
            return
        try:
            _process(claim)
        except ChannelError as refusal:
            _settle_refusal(claim, refusal)
        except (OperationalError, InterfaceError):  # the database is away: the lease ends by itself
            log.exception("event_interrupted")
            raise
        except Exception as defect:  # a defect of ours: keep the event, show it, go on with the others
            log.exception("event_failed")
            _try_again(claim, "internal_error", f"{type(defect).__name__}; see the log", timedelta())


def _process(claim: Claim) -> None:
    connector = Connector.objects.select_related("tenant").get(pk=claim.connector_id)
    channel = credentials.open_connector(connector)
    if claim.resource_kind == KIND_ORDERS:
        _process_order(claim, connector, channel)
    elif claim.resource_kind in (KIND_ITEMS, KIND_USER_PRODUCTS):
        _read_listings(claim, connector)
    else:
        _pass_on(claim, connector, channel.orders_behind(claim.resource_kind, claim.external_id))


def _process_order(claim: Claim, connector: Connector, channel: Channel) -> None:
    """Stock first: what else is needed of the order is asked for when its units are promised."""
    read = reading.read(channel, connector, claim.external_id)
    try:
        outcome = _take_in(claim, connector, read)
    except MappingNeeded as unmapped:
        _meet(connector, unmapped)
        _park(claim, connector, unmapped, read)
        return
    except StatusUnknown as unknown:
        _settle(claim, list(claim.attempts), **parked_status(unknown, read))
        return
    log.info("order_read", connector_id=connector.pk, order=read.order.external_id, outcome=outcome.value)
    if read.trouble is not None:
        raise read.trouble  # the sale is in; its parcel is asked for again
    if outcome is Outcome.OUTDATED:
        _end(claim, outcome)
        return
    _finish(claim, connector, read, reading.read_details(channel, connector, read), outcome)


def _take_in(claim: Claim, connector: Connector, read: Reading) -> Outcome:
    return take_in(connector, read, trace_id=claim.trace_id)


def take_in(connector: Connector, read: Reading, *, trace_id: uuid.UUID) -> Outcome:
    """Effect key, order and stock, all in one transaction (T2). Raises what `intake.take_in` raises."""
    with transaction.atomic():
        if read.trouble is None and not _claim_effect(effect_key(connector, read)):
            return Outcome.UNCHANGED
        return intake.take_in(connector, read, trace_id=trace_id)


def _finish(claim: Claim, connector: Connector, read: Reading, details: reading.Details, outcome: Outcome) -> None:
    """The rest of the order and the events' end, all in one transaction (T2b)."""
    with transaction.atomic():
        intake.add_details(connector, read, details)
        _end(claim, outcome)


def _end(claim: Claim, outcome: Outcome) -> None:
    first, *rest = sorted(claim.attempts)
    is_old = outcome in {Outcome.UNCHANGED, Outcome.OUTDATED}
    is_first_try = claim.attempts[first] == 1  # else the effect may be its own, from a try that was cut short
    news = Status.DUPLICATE if is_old and is_first_try else Status.PROCESSED
    with transaction.atomic():
        _settle(claim, [first], status=news)
        _settle(claim, rest, status=Status.DUPLICATE)


def _read_listings(claim: Claim, connector: Connector) -> None:
    """Read the listings that a notification is about, as the channel shows them now; those the hub knows."""
    known = connector.listings.filter(
        **{"item_id" if claim.resource_kind == KIND_ITEMS else "user_product_id": claim.external_id}
    )
    for item_id in sorted(set(known.values_list("item_id", flat=True))):
        import_item(connector, item_id)
    _end(claim, Outcome.UPDATED if known else Outcome.NOT_A_SALE)


def _pass_on(claim: Claim, connector: Connector, orders: frozenset[str]) -> None:
    """Make an event for each order that the resource is about: it collapses with all others about that order."""
    with transaction.atomic():
        for external_id in sorted(orders):
            ask_for(connector, external_id, topic=claim.resource_kind, trace_id=claim.trace_id)
        _end(claim, Outcome.UPDATED)


def ask_for(connector: Connector, external_id: str, *, topic: str, trace_id: uuid.UUID) -> IntegrationEvent:
    """Have an order read as if the channel had told of it. `topic` says why, in a word."""
    event = _asking(connector, external_id, topic=topic, trace_id=trace_id)
    event.save(force_insert=True)
    return event


def _asking(connector: Connector, external_id: str, *, topic: str, trace_id: uuid.UUID) -> IntegrationEvent:
    return IntegrationEvent(
        tenant_id=connector.tenant_id,
        connector=connector,
        channel=connector.kind,
        topic=topic,
        resource_kind=KIND_ORDERS,
        external_id=external_id,
        delivery_key=f"{trace_id}:{external_id}"[:128],
        body=b"",
        trace_id=trace_id,
        next_attempt_at=timezone.now(),
    )


def orders_saying(tenant_id: int, channel: str, word: str) -> QuerySet[Order]:
    """Return the orders that are in a state whose meaning the hub did not know, in the order in which they were sold.

    Their content means something else once somebody says what the state means, though it is the same content.
    """
    return Order.objects.filter(
        tenant_id=tenant_id, channel=channel, channel_status=word, flags__contains=[Flag.UNKNOWN_WORD.value]
    ).order_by(Coalesce("ordered_at", "created_at"), "external_id")


def forget_content(orders: QuerySet[Order]) -> int:
    """Make the next reading of these orders news, whatever it says. Returns how many."""
    return orders.order_by().update(content_hash="")


def ask_again_about(tenant_id: int, channel: str, word: str) -> int:
    """Have all orders read again that are in a state whose meaning was only said now. Returns how many."""
    with transaction.atomic():
        orders = list(orders_saying(tenant_id, channel, word).select_related("connector").only(*ASKED_AGAIN))
        forget_content(Order.objects.filter(tenant_id=tenant_id, pk__in=[order.pk for order in orders]))
        IntegrationEvent.objects.bulk_create(
            (_asking(order.connector, order.external_id, topic="mapping", trace_id=uuid.uuid4()) for order in orders),
            batch_size=1000,
        )
    return len(orders)


ASKED_AGAIN = ("external_id", "connector__id", "connector__tenant_id", "connector__kind")


def effect_key(connector: Connector, read: Reading) -> str:
    """Return the key of one effect: channel, tenant, type, external id, and the version the resource itself shows."""
    parcel = read.shipment.updated_at if read.shipment else None
    moments = "/".join(moment.isoformat() for moment in (read.order.updated_at, parcel) if moment)
    version = f"{moments}:{read.content_hash()[:32]}{intake.meaning_version(connector, read.order.status)}"
    return f"{connector.kind}|{connector.tenant_id}|ORDER|{read.order.external_id}|{version}"


def _claim_effect(key: str) -> bool:
    """Write the effect's key; False when the effect happened before. A rival with the same key waits for our commit."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO idempotencia (chave, created_at) VALUES (%s, now()) ON CONFLICT DO NOTHING", [key])
        return bool(cursor.rowcount)


def _meet(connector: Connector, unmapped: MappingNeeded) -> None:
    """Read the listings the hub does not know yet, so that a person sees what they map, and whose stock they sell.

    Not matched by SKU: a sale is waiting on this decision. A listing that cannot be read is kept by its id alone.
    """
    known = set(connector.listings.filter(item_id__in=unmapped.item_ids).values_list("item_id", flat=True))
    for item_id in unmapped.item_ids - known:
        try:
            import_item(connector, item_id)
        except ChannelError as refusal:
            if not refusal.permanent or refusal.account:
                raise


def _park(claim: Claim, connector: Connector, unmapped: MappingNeeded, read: Reading) -> None:
    """Wait for a person to map the listings; they appear among the listings, unmapped. Nothing was taken in."""
    with transaction.atomic():
        for line in unmapped.lines:
            Listing.objects.get_or_create(
                connector=connector,
                item_id=line.item_id,
                variation_id=line.variation_id,
                defaults={
                    "tenant_id": connector.tenant_id,
                    "user_product_id": line.user_product_id,
                    "seller_sku": line.seller_sku[:100],
                    "title": line.title[:300],
                },
            )
        _settle(claim, list(claim.attempts), **parked(unmapped, read))


def parked(unmapped: MappingNeeded, read: Reading) -> dict[str, object]:
    """Return the values of an event that waits until listings are mapped."""
    return {
        "status": Status.MAPPING,
        "error_code": "mapping_needed",
        "error_msg": f"not mapped to a product: {unmapped}"[:500],
        "waiting_for": [intake.listing_key(line.item_id, line.variation_id) for line in unmapped.lines],
        "sold_at": read.order.created_at,
    }


def parked_status(unknown: StatusUnknown, read: Reading) -> dict[str, object]:
    """Return the values of an event that waits until somebody says what a channel's status means."""
    return {
        "status": Status.MAPPING,
        "error_code": "status_unknown",
        "error_msg": f"the hub does not know what {unknown.word!r} means"[:500],
        "waiting_for": [STATUS_KEY + unknown.word],
        "sold_at": read.order.created_at,
    }


STATUS_KEY = "status:"
"""What an event waits for: a listing, named as in `intake.listing_key`, or after this a status of the channel's."""

IS_MAPPED = """e.status = 'MAPEAMENTO' AND NOT EXISTS (
    SELECT FROM unnest(e.waiting_for) AS waiting (listing) WHERE NOT EXISTS (
        SELECT FROM integracao_anuncio l
         WHERE l.connector_id = e.connector_id AND l.product_id IS NOT NULL
           AND waiting.listing = l.item_id || CASE l.variation_id WHEN '' THEN '' ELSE '/' || l.variation_id END)
       AND NOT EXISTS (
        SELECT FROM mapeamento_status s
         WHERE s.tenant_id = e.tenant_id AND s.canal = e.canal AND s.replaced_at IS NULL
           AND waiting.listing = 'status:' || s.status_externo))"""
"""Whether an event `e` waits for nothing any more."""

AS_SOLD = "coalesce(e.sold_at, e.received_at), e.external_id, e.id"
"""The order in which events that waited are taken in: that of their sales, not of their notifications. Sales of one
second are told apart by their numbers, which grow."""

WAKE_MAPPED = f"""
WITH mapped AS (SELECT e.id, row_number() OVER (ORDER BY {AS_SOLD}) AS turn FROM integracao_evento e WHERE {IS_MAPPED})
UPDATE integracao_evento e
   SET next_attempt_at = now() - interval '1 s' + least(mapped.turn, 999999) * interval '1 microsecond',
       status = 'NOVA_TENTATIVA'
  FROM mapped WHERE e.id = mapped.id AND e.status = 'MAPEAMENTO'
"""  # noqa: S608  every part is a constant of ours

FREED = f"""
SELECT e.id, count(*) OVER () FROM integracao_evento e
 WHERE e.tenant_id = %s AND {IS_MAPPED} ORDER BY {AS_SOLD} LIMIT %s
"""  # noqa: S608


def mapped_events(tenant: Tenant, limit: int) -> tuple[list[int], int]:
    """Return the ids of a tenant's events that `wake_mapped` would wake now, the first to be taken in first, and how
    many there are in all."""
    with connection.cursor() as cursor:
        cursor.execute(FREED, [tenant.pk, limit])
        rows = cursor.fetchall()
    return [row[0] for row in rows], rows[0][1] if rows else 0


def wake_mapped() -> int:
    """Make events due whose listings and statuses are all mapped by now, however that happened. Returns how many.

    They are claimed in the order in which they were sold.
    """
    with connection.cursor() as cursor:
        cursor.execute(WAKE_MAPPED)
        return int(cursor.rowcount)


SWITCHED_MAX = 20_000
"""Events put aside or made due in one go; the next tick goes on."""

OFF_WITH_DUE = f"""
SELECT c.id FROM integracao_conector c CROSS JOIN LATERAL (
       SELECT FROM integracao_evento e WHERE e.connector_id = c.id AND e.next_attempt_at <= now()
        ORDER BY e.resource_kind, e.external_id LIMIT 1) due
 WHERE {IS_OFF}
"""  # noqa: S608  the order is that of ix_evento_due_resource: one step for each account that is off
HOLD = """
UPDATE integracao_evento SET next_attempt_at = NULL, status = 'AGUARDANDO' WHERE id IN (
    SELECT e.id FROM integracao_evento e WHERE e.connector_id = ANY (%s) AND e.next_attempt_at <= now()
     LIMIT %s FOR UPDATE SKIP LOCKED)
"""

ON_WITH_HELD = f"""
WITH RECURSIVE held (connector_id) AS (
    SELECT min(connector_id) FROM integracao_evento WHERE status = 'AGUARDANDO'
    UNION ALL
    SELECT (SELECT min(e.connector_id) FROM integracao_evento e
             WHERE e.status = 'AGUARDANDO' AND e.connector_id > held.connector_id)
      FROM held WHERE held.connector_id IS NOT NULL
)
SELECT c.id FROM integracao_conector c JOIN held ON held.connector_id = c.id WHERE NOT {IS_OFF}
"""  # noqa: S608  one step along ix_evento_held for each account that has any, however many it has
LET_GO = """
UPDATE integracao_evento
   SET next_attempt_at = now(), status = CASE WHEN attempts = 0 THEN 'RECEBIDO' ELSE 'NOVA_TENTATIVA' END
 WHERE id IN (
    SELECT e.id FROM integracao_evento e WHERE e.connector_id = ANY (%s) AND e.status = 'AGUARDANDO'
     ORDER BY e.id LIMIT %s FOR UPDATE SKIP LOCKED)
"""


def obey_flags() -> tuple[int, int]:
    """Put aside what is due for an integration that is switched off; make due what waited for one that is on again.

    `claim_due` takes nothing of a switched-off integration anyway. Put aside it also costs nothing: a queue of a day
    would otherwise be looked through at every claim. Returns how many events were put aside, and how many made due.

    Every tick asks, and nearly always there is nothing to do: so it asks about accounts first, not about events.
    """
    return _switch(OFF_WITH_DUE, HOLD), _switch(ON_WITH_HELD, LET_GO)


def _switch(find_accounts: str, change_events: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(find_accounts)
        accounts = [row[0] for row in cursor.fetchall()]
        if not accounts:
            return 0
        cursor.execute(change_events, [accounts, SWITCHED_MAX])
        return int(cursor.rowcount)


def _settle_refusal(claim: Claim, refusal: ChannelError) -> None:
    """Write down why the channel refused, and what follows from it."""
    if refusal.account:
        credentials.stop(claim.connector_id, refusal)
    if refusal.code == "circuit_open":
        _wait_for_channel(claim, refusal)
    elif refusal.permanent and not refusal.account:
        _set_aside(claim, refusal.code, str(refusal))
    else:
        _try_again(claim, refusal.code, str(refusal), timedelta(seconds=refusal.retry_after_seconds or 0))


def _wait_for_channel(claim: Claim, refusal: ChannelError) -> None:
    """Wait until the breaker lets a call through. Nothing was asked, so no try is used up."""
    next_attempt_at = timezone.now() + timedelta(seconds=refusal.retry_after_seconds or 0)
    for event_id, tries in claim.attempts.items():
        values = {"attempts": tries - 1, "next_attempt_at": next_attempt_at, "status": Status.RETRY}
        _settle(claim, [event_id], error_code=refusal.code, error_msg=str(refusal)[:500], **values)


def _try_again(claim: Claim, code: str, reason: str, at_least: timedelta) -> None:
    """Try each event again after its own number of tries; after the last pause a person sees it, and it goes on slowly.

    It goes on for a day: an order whose channel was down for an hour must arrive all the same.
    """
    log.warning("event_not_processed", code=code)
    pauses = settings.EVENT_RETRY_PAUSES_SECONDS
    for event_id, tries in claim.attempts.items():
        if tries > len(pauses) + SLOW_TRIES:
            _settle(claim, [event_id], status=Status.ERROR, error_code=code, error_msg=reason[:500])
            continue
        is_hopeful = tries <= len(pauses)
        pause = timedelta(seconds=pauses[tries - 1]) if is_hopeful else SLOW_PAUSE
        _settle(
            claim,
            [event_id],
            status=Status.RETRY if is_hopeful else Status.ERROR,
            error_code=code,
            error_msg=reason[:500],
            next_attempt_at=timezone.now() + max(pause, at_least),
        )


def _set_aside(claim: Claim, code: str, reason: str) -> None:
    """Trying again cannot help: a person must look."""
    log.warning("event_set_aside", code=code)
    _settle(claim, list(claim.attempts), status=Status.ERROR, error_code=code, error_msg=reason[:500])


def _settle(claim: Claim, event_ids: list[int], **values: object) -> None:
    """End the claim on some of its events. One that was claimed again meanwhile is left to its new owner."""
    values = {"error_code": "", "error_msg": "", "next_attempt_at": None, "waiting_for": [], **values}
    IntegrationEvent.objects.filter(pk__in=event_ids, lease_id=claim.lease_id).update(
        lease_id=None, processed_at=None if values["next_attempt_at"] else timezone.now(), **values
    )
