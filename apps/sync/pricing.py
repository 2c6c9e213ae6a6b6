"""Tell one channel one price: in calls of its own, and only when it changed.

Beside a quantity a price that the channel refuses would be ignored with 200, or take the quantity down with it
(contract §5.8), so the two never share a call, a claim or an error: a refused price blocks no stock, nor the reverse.
A price comes from a person; the hub computes none and says nothing of a listing that nobody gave one.
"""

import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from apps.connectors import credentials
from apps.connectors.channel import ChannelError, PriceAnswer
from apps.connectors.models import Listing, ListingPrice
from apps.sync.models import SyncLog
from apps.sync.push import ERROR_AFTER_TRIES, pause_after
from apps.tenants.flags import IS_OFF

log = structlog.get_logger(__name__)

LEASE_SECONDS = 45

JUMP_PERCENT = 30
"""A price that changes by more than this is asked about twice: a slip here once cost a shop a third of its prices."""


class PriceJump(Exception):
    """A price so far from the last one that it may be a slip; nothing was changed."""


def ask(listing: Listing, price: Decimal, *, actor: str, is_meant: bool = False) -> None:
    """Have the channel told a price (R$, two decimals) at once.

    A call under way is not overtaken: the new price goes out when that one is settled. The same price again is told
    only if the channel has not accepted it. Raises PriceJump unless `is_meant`.
    """
    with transaction.atomic():
        known = ListingPrice.objects.select_for_update().filter(listing=listing).first()
        accepted = known.accepted_price if known else None
        if accepted and not is_meant and abs(price - accepted) * 100 > accepted * JUMP_PERCENT:
            raise PriceJump
        row = known or ListingPrice(listing=listing)
        row.price, row.asked_by, row.asked_at = price, actor, timezone.now()
        row.attempts, row.error, row.error_code = 0, "", ""
        if row.lease_id is None:
            row.due_at = None if price == accepted else timezone.now()
        row.save()
    log.info("price_asked", listing_id=listing.pk, price=str(price), actor=actor)


CLAIM = f"""
WITH due AS (
    SELECT p.listing_id FROM integracao_anuncio_preco p
      JOIN integracao_anuncio l ON l.id = p.listing_id AND l.product_id IS NOT NULL
      JOIN integracao_conector c ON c.id = l.connector_id AND c.status = 'ATIVO' AND c.shadow_since IS NULL
     WHERE p.due_at <= now() AND NOT {IS_OFF}
     ORDER BY p.due_at, p.listing_id LIMIT 1 FOR UPDATE OF p SKIP LOCKED
)
UPDATE integracao_anuncio_preco p
   SET lease_id = gen_random_uuid(), due_at = now() + make_interval(secs => %s), attempts = p.attempts + 1
  FROM due WHERE p.listing_id = due.listing_id
RETURNING p.listing_id, p.lease_id, p.price, p.accepted_price, p.attempts
"""  # noqa: S608  every part is a constant of ours


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to tell one listing its price until the lease ends."""

    listing_id: int
    lease_id: uuid.UUID
    price: Decimal
    accepted_price: Decimal | None
    attempt: int


def push_next() -> bool:
    """Tell the next due listing its price. Returns False when none is due. Raises only when the database is away."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [LEASE_SECONDS])
        row = cursor.fetchone()
    if row is None:
        return False
    claim = Claim(*row)
    trace_id = uuid.uuid4()
    with structlog.contextvars.bound_contextvars(trace_id=str(trace_id)):
        try:
            _push(claim, trace_id)
        except (OperationalError, InterfaceError):
            raise  # the lease ends by itself
        except Exception:  # a defect of ours: show it on this listing, go on with the others
            log.exception("price_push_broke", listing_id=claim.listing_id)
            _close_interrupted(claim.listing_id)
            _settle(claim, due_at=timezone.now() + pause_after(claim.attempt), error_code="internal_error")
    return True


def _push(claim: Claim, trace_id: uuid.UUID) -> None:
    _close_interrupted(claim.listing_id)
    listing = Listing.objects.select_related("connector").get(pk=claim.listing_id)
    if listing.product_id is None:
        raise ValueError("only the price of a mapped listing is claimed")
    entry = SyncLog.objects.create(
        tenant_id=listing.tenant_id,
        product_id=listing.product_id,
        connector_id=listing.connector_id,
        listing=listing,
        marketplace=listing.connector.kind,
        sync_type=SyncLog.SyncType.PRICE,
        old_value=claim.accepted_price,
        new_value=claim.price,
        attempt=claim.attempt,
        trace_id=trace_id,
    )
    started = time.monotonic()
    try:
        answer = credentials.open_connector(listing.connector).put_price(listing.item_id, claim.price)
        if answer.price != claim.price:
            raise _ignored(answer, claim.price)
    except ChannelError as refusal:
        _settle_failure(claim, listing, entry, refusal, started)
        return
    with transaction.atomic():
        _close(entry, started, status=SyncLog.Status.SUCCESS, http_status=answer.http_status)
        _settle(claim, attempts=0, accepted_price=claim.price)
    log.info("price_pushed", listing_id=listing.pk, price=str(claim.price))


def _ignored(answer: PriceAnswer, price: Decimal) -> ChannelError:
    return ChannelError(
        f"the channel answered {answer.http_status} and shows the price {answer.price} instead of {price};"
        " the stock is not concerned",
        code="price_ignored",
        permanent=True,
        status=answer.http_status,
    )


def _settle_failure(claim: Claim, listing: Listing, entry: SyncLog, refusal: ChannelError, started: float) -> None:
    """Write down why it failed. What no repetition cures waits for a person to ask again."""
    log.warning("price_push_failed", listing_id=listing.pk, code=refusal.code, attempt=claim.attempt)
    pause = max(pause_after(claim.attempt), timedelta(seconds=refusal.retry_after_seconds or 0))
    is_hopeless = refusal.permanent and not refusal.account
    with transaction.atomic():
        _close(
            entry,
            started,
            status=SyncLog.Status.ERROR,
            http_status=refusal.status or None,
            error_code=refusal.code,
            error_message=str(refusal)[:500],
        )
        is_shown = is_hopeless or claim.attempt >= ERROR_AFTER_TRIES
        _settle(
            claim,
            due_at=None if is_hopeless else timezone.now() + pause,
            error_code=refusal.code if is_shown else "",
            error=str(refusal)[:500] if is_shown else "",
        )
    if refusal.account:
        credentials.stop(listing.connector_id, refusal)


def _close(entry: SyncLog, started: float, **outcome: object) -> None:
    took_ms = round((time.monotonic() - started) * 1000)
    SyncLog.objects.filter(pk=entry.pk).update(duration_ms=took_ms, finished_at=timezone.now(), **outcome)


def _close_interrupted(listing_id: int) -> None:
    """Say of price calls whose end was never written that their result is unknown: the price is sent again."""
    SyncLog.objects.filter(
        listing_id=listing_id, status=SyncLog.Status.PENDING, sync_type=SyncLog.SyncType.PRICE
    ).update(
        status=SyncLog.Status.UNKNOWN,
        error_code="interrupted",
        error_message="the worker stopped before the answer was written down; the price is sent again",
        finished_at=timezone.now(),
    )


def _settle(claim: Claim, **values: object) -> None:
    """End the claim; a price asked for meanwhile is due at once, whatever came of the old one."""
    with transaction.atomic():
        row = ListingPrice.objects.select_for_update().filter(listing_id=claim.listing_id).first()
        if row is None or row.lease_id != claim.lease_id:
            return  # the lease ran out and another worker has it: it sends the newest price
        outcome: dict[str, object] = {"due_at": None, "error_code": "", "error": "", **values, "lease_id": None}
        if row.price != claim.price:
            outcome |= {"due_at": timezone.now(), "attempts": 0, "error_code": "", "error": ""}
        ListingPrice.objects.filter(pk=row.pk).update(**outcome)
