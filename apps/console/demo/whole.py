"""The whole demo shop, loaded behind the first page: the assortment, two weeks of history, and its bad days.

The account is paused meanwhile, with a reason that its page shows: what the ledger writes of the past is no news for
the channel. When it goes on, its numbers are told once, without being counted as slow.
"""

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from apps.connectors.importing import import_listings
from apps.connectors.models import Connector, Listing
from apps.console import hours, pulse
from apps.console.demo import catalogue, history, people, shop, told, troubles
from apps.console.demo.past import begin_balances, past
from apps.inventory import feed
from apps.sandbox.client import Control
from apps.sync import in_flight, pausing
from apps.sync.models import ReconcileRun
from apps.tenants.models import Tenant

ACTOR = "command:load_demo"
REASON = "carregando as duas semanas de história da demonstração"
PACE_SECONDS = [10, 30]

Say = Callable[[str], None]


def load(sandbox_url: str, say: Say) -> None:
    """Load what is not there yet, saying how far it is. `shop.load` must have run. Safe to repeat and to kill."""
    tenant = Tenant.objects.get(slug=shop.SLUG)
    connector = Connector.objects.get(tenant=tenant, client_id=shop.CLIENT_ID)
    market = Control(sandbox_url)
    people.hire(tenant)
    if not _is_whole(tenant):
        # a comparison that is under way would find the new listings before they are imported, and call them unknown
        runs = ReconcileRun.objects.filter(connector=connector)
        troubles.wait(lambda: runs.exists() and not runs.filter(finished_at__isnull=True).exists())
        pausing.pause(connector, reason=REASON, actor=ACTOR)
        try:
            _load_past(tenant, connector, market, say)
        finally:
            _go_on(connector)
    elif connector.is_paused and connector.paused_by == ACTOR:  # killed in between
        _go_on(connector)
    if not troubles.are_made(tenant):
        say("what goes wrong in a shop")
        troubles.make(tenant, connector, market)
        market.selling(pace_seconds=PACE_SECONDS)  # only now: later it is the person's to switch
    say("done")


def _is_whole(tenant: Tenant) -> bool:
    return history.progress().get("told") == str(tenant.pk)


def _load_past(tenant: Tenant, connector: Connector, market: Control, say: Say) -> None:
    say("assortment")
    opened_at = tenant.created_at - history.OPENED
    _stock_shelves(connector, market, opened_at.timestamp())
    import_listings(connector, create_products=True)
    with past() as move_to:
        whole = history.open_shop(tenant, connector, market, move_to)
        begin_balances(tenant, whole.products.values(), whole.places.values(), opened_at)
        history.play(whole, lambda done, of: say(f"history: {done} of {of}") if done % 100 == 0 or done == of else None)
    since = tenant.created_at - timedelta(days=history.DAYS)
    count = told.write(connector, since, tenant.created_at)
    say(f"log of synchronisations: {count} rows")
    hours.add_up(since, timezone.now())
    pulse.note(history.DONE, **{**history.progress(), "told": str(tenant.pk)})


def _stock_shelves(connector: Connector, market: Control, at_seconds: float) -> None:
    """Put the assortment on sale at the sandbox, as of the day the shop opened; what is there stays."""
    there = market.request("GET", f"/sandbox/items?user_id={connector.user_id}&limit=1000")["results"]
    titles = {item["title"] for item in there}
    rows = [
        shop.item(row[0], row[1], row[2], sum(history.opening_units(row[0]).values()), row[3])
        for row in catalogue.ASSORTMENT
        if row[1] not in titles
    ]
    market.at_seconds = at_seconds
    if rows:
        market.create_items(int(connector.user_id), rows)
    market.at_seconds = None


def _go_on(connector: Connector) -> None:
    """Let the account tell its numbers, without the movements of the past as their cause: it would look days late."""
    troubles.wait(lambda: feed.oldest_unread().get("sync") is None)
    rows = Listing.objects.filter(connector=connector)
    rows.update(cause_movement_id=None, cause_trace_id=None, **in_flight.FORGOTTEN)  # the past holds no sale unheard of
    pausing.resume(connector, actor=ACTOR)
