"""Stop a connector and let it go on. Paused, nothing is read or told; in shadow mode, numbers are computed, not told.

**Paused** (`PAUSADO`): what arrives is stored and waits, as when the integration is switched off, but for one account
and with a reason. **Shadow mode**: sales come in and move stock; each number that would go out is logged (`SHADOW`),
and none goes. `Listing.shadow_quantity` is the last such number, so that the sweep finds what differs from it.
A new account begins in it, and is **activated** a few listings first: these are told (`Listing.live_since`) while the
others are still only computed; leaving shadow mode tells all.

A call that is on its way when a person presses the button is finished.
"""

from collections.abc import Collection

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from apps.connectors.models import SHARING, WRITABLE, Connector, Listing, lock
from apps.sync import queue
from apps.tenants import audit

log = structlog.get_logger(__name__)


def pause(connector: Connector, *, reason: str, actor: str) -> bool:
    """Stop every call of an account that works. Returns False for one that does not work anyway.

    actor: who did it, `user:7`.
    """
    now = timezone.now()
    working = Connector.objects.filter(pk=connector.pk, status=Connector.Status.ACTIVE)
    with transaction.atomic():
        is_done = working.update(
            status=Connector.Status.PAUSED,
            status_reason=reason[:300],
            paused_by=actor[:100],
            paused_at=now,
            updated_at=now,
        )
        if is_done:
            audit.record(connector.tenant, actor, "connector.paused", f"connector:{connector.pk}", reason=reason[:300])
            log.warning("connector_paused", connector_id=connector.pk, actor=actor)
    return bool(is_done)


def resume(connector: Connector, *, actor: str) -> bool:
    """Let a paused account go on: what waited is read, and every number that differs is due at once.

    Returns False for one that is not paused.
    """
    paused = Connector.objects.filter(pk=connector.pk, status=Connector.Status.PAUSED)
    with transaction.atomic():
        is_done = paused.update(
            status=Connector.Status.ACTIVE,
            status_reason="",
            paused_by="",
            paused_at=None,
            updated_at=timezone.now(),
        )
        if is_done:
            audit.record(connector.tenant, actor, "connector.resumed", f"connector:{connector.pk}")
            log.info("connector_resumed", connector_id=connector.pk, actor=actor)
    if is_done:
        queue.sweep()
    return bool(is_done)


def enter_shadow(connector: Connector, *, actor: str) -> bool:
    """Send nothing from now on, and log what would be sent. Returns False when it is so already.

    The first listings of an account that is being activated are put back into shadow mode with it.
    """
    now = timezone.now()
    with transaction.atomic():
        first_ones = Listing.objects.filter(connector=connector, live_since__isnull=False)
        sends = Q(shadow_since__isnull=True) | Q(pk__in=first_ones.values("connector_id"))
        is_done = Connector.objects.filter(sends, pk=connector.pk).update(
            shadow_since=now, shadow_by=actor[:100], updated_at=now
        )
        if is_done:
            ids = lock(Listing.objects.filter(connector=connector))
            as_shown = F("accepted_quantity") - F("sold_there")
            Listing.objects.filter(pk__in=ids).update(shadow_quantity=as_shown, live_since=None)
            audit.record(connector.tenant, actor, "connector.shadow_entered", f"connector:{connector.pk}")
            log.warning("connector_in_shadow", connector_id=connector.pk, actor=actor)
    return bool(is_done)


def activate(connector: Connector, listing_ids: Collection[int], *, actor: str) -> int:
    """Tell these listings of an account in shadow mode their numbers from now on. Returns how many that are.

    Those that share their stock at the channel with one of them go with it (sharing.py): it is one number. Returns 0
    when the account is not in shadow mode, or all of them are told already.
    """
    with transaction.atomic():
        row = Connector.objects.select_for_update(no_key=True).get(pk=connector.pk)
        if not row.is_shadow:
            return 0
        ours = Listing.objects.filter(WRITABLE, connector=row, product__isnull=False)
        shared = ours.filter(pk__in=listing_ids, capability__in=SHARING).exclude(user_product_id="")
        same = Q(capability__in=SHARING, user_product_id__in=list(shared.values_list("user_product_id", flat=True)))
        ids = lock(ours.filter(Q(pk__in=listing_ids) | same, live_since__isnull=True))
        listings = Listing.objects.filter(pk__in=ids)
        listings.update(live_since=timezone.now(), shadow_quantity=None)
        queue.mark_now(listings)
        if ids:
            audit.record(row.tenant, actor, "connector.activated", f"connector:{row.pk}", count=len(ids))
            log.info("connector_activated", connector_id=row.pk, listings=len(ids), actor=actor)
    return len(ids)


def leave_shadow(connector: Connector, *, actor: str) -> bool:
    """Send numbers again: every one is due at once, whatever the channel was last seen to show.

    Returns False when the connector is not in shadow mode.
    """
    with transaction.atomic():
        is_done = Connector.objects.filter(pk=connector.pk, shadow_since__isnull=False).update(
            shadow_since=None, shadow_by="", updated_at=timezone.now()
        )
        if is_done:
            listings = Listing.objects.filter(pk__in=lock(Listing.objects.filter(connector=connector)))
            listings.update(shadow_quantity=None, live_since=None)
            queue.mark_now(listings)
            audit.record(connector.tenant, actor, "connector.shadow_left", f"connector:{connector.pk}")
            log.info("connector_out_of_shadow", connector_id=connector.pk, actor=actor)
    return bool(is_done)
