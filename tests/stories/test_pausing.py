"""A connector that is paused, and one in shadow mode: what goes on, what waits, and what comes of it afterwards."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apps.connectors.models import Connector, Listing
from apps.events.unheard import find_sales
from apps.sync import pausing, queue, reconcile
from apps.sync.models import Divergence, ReconcileRun, SyncLog
from apps.tenants.models import AuditEntry, Membership
from tests import factories
from tests.market import Market, orders_of, work_until_quiet
from tests.stories.test_reconcile import age_everything, puts

ACTOR = "user:7"


def account_calls(market: Market, after: int) -> list[str]:
    """Return what the hub asked or told the marketplace after a place in its journal."""
    return [entry["path"] for entry in market.control.journal(after) if not entry.get("control")]


def test_a_paused_connector_is_silent_and_catches_up_when_it_goes_on(market: Market) -> None:
    assert pausing.pause(market.connector, reason="Inventário", actor=ACTOR)
    assert not pausing.pause(market.connector, reason="outra vez", actor=ACTOR)
    row = Connector.objects.get()
    assert (row.status, row.status_reason, row.paused_by) == ("PAUSADO", "Inventário", ACTOR)
    assert row.paused_at is not None
    calls = len(market.control.journal())
    market.receive("SHIRT", 5)
    market.sell("MUG", 3)
    market.settle()
    queue.sweep()
    work_until_quiet()
    reconcile.begin_due()
    reconcile.go_on(find_sales, steps=9, max_seconds=9)
    assert account_calls(market, calls) == []
    assert (market.shown("SHIRT"), orders_of(market)) == (10, [])

    assert pausing.resume(row, actor=ACTOR)
    assert not pausing.resume(row, actor=ACTOR)
    work_until_quiet()
    queue.sweep()
    work_until_quiet()
    assert (market.shown("SHIRT"), market.shown("MUG"), len(orders_of(market))) == (15, 7, 1)
    assert Connector.objects.get().paused_by == ""
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "actor")) == [
        ("connector.paused", ACTOR),
        ("connector.resumed", ACTOR),
    ]


def test_only_a_person_ends_a_pause(market: Market) -> None:
    """An account whose access ended is not paused over, nor woken by going on."""
    Connector.objects.update(status=Connector.Status.REAUTHORIZE)
    assert not pausing.pause(market.connector, reason="…", actor=ACTOR)
    assert not pausing.resume(market.connector, actor=ACTOR)
    assert Connector.objects.get().status == "REAUTORIZAR"


def test_in_shadow_mode_sales_come_in_and_numbers_are_logged_not_sent(market: Market) -> None:
    market.settle()
    assert pausing.enter_shadow(market.connector, actor=ACTOR)
    assert not pausing.enter_shadow(market.connector, actor=ACTOR)
    calls = len(market.control.journal())
    market.receive("SHIRT", 5)
    market.sell("MUG", 3)
    market.settle()
    assert puts(market, calls) == []
    assert (len(orders_of(market)), market.numbers("MUG")) == (1, (10, 3))
    logs = SyncLog.objects.filter(status=SyncLog.Status.SHADOW).order_by("pk")
    assert {(log.product.sku, log.old_value, log.new_value) for log in logs} == {("SHIRT", 10, 15), ("MUG", 10, 7)}
    assert market.listing("SHIRT").accepted_quantity == 10  # what the channel shows is still known
    for _minute in range(3):
        queue.sweep()
        work_until_quiet()
    assert SyncLog.objects.filter(status=SyncLog.Status.SHADOW).count() == 2  # said once, not every minute
    assert not Listing.objects.filter(due_at__isnull=False).exists()

    age_everything()
    run = reconcile.run_whole(reconcile.begin(Connector.objects.get(), ReconcileRun.Trigger.MANUAL), find_sales)
    assert (run.report["found"], run.report["repaired"]) == ({"EM_SOMBRA": 1}, {})
    row = Divergence.objects.get()
    assert (row.hub_quantity, row.channel_quantity) == (15, 10)

    assert pausing.leave_shadow(market.connector, actor=ACTOR)
    assert not pausing.leave_shadow(market.connector, actor=ACTOR)
    work_until_quiet()
    assert (market.shown("SHIRT"), market.shown("MUG")) == (15, 7)
    assert {log["path"] for log in puts(market, calls)} == {
        f"/items/{market.listing(sku).item_id}" for sku in ("SHIRT", "MUG")
    }
    assert not Listing.objects.filter(shadow_quantity__isnull=False).exists()


def test_the_first_listings_are_told_while_the_others_wait(market: Market) -> None:
    market.settle()
    pausing.enter_shadow(market.connector, actor=ACTOR)
    calls = len(market.control.journal())
    assert pausing.activate(market.connector, [market.listing("SHIRT").pk], actor=ACTOR) == 1
    assert pausing.activate(market.connector, [market.listing("SHIRT").pk], actor=ACTOR) == 0
    market.receive("SHIRT", 5)
    market.receive("MUG", 5)
    market.settle()
    queue.sweep()
    work_until_quiet()
    assert (market.shown("SHIRT"), market.shown("MUG")) == (15, 10)
    assert {entry["path"] for entry in puts(market, calls)} == {f"/items/{market.listing('SHIRT').item_id}"}

    assert pausing.enter_shadow(market.connector, actor=ACTOR)  # back
    market.receive("SHIRT", 1)
    market.settle()
    assert market.shown("SHIRT") == 15
    assert not Listing.objects.filter(live_since__isnull=False).exists()

    pausing.activate(market.connector, [market.listing("SHIRT").pk], actor=ACTOR)
    pausing.leave_shadow(market.connector, actor=ACTOR)
    work_until_quiet()
    assert (market.shown("SHIRT"), market.shown("MUG")) == (16, 15)
    assert not Listing.objects.filter(live_since__isnull=False).exists()
    assert pausing.activate(market.connector, [market.listing("SHIRT").pk], actor=ACTOR) == 0


def test_a_number_that_waits_when_shadow_mode_begins_is_not_sent(market: Market) -> None:
    market.settle()
    market.receive("SHIRT", 5)
    queue.follow()
    assert Listing.objects.filter(due_at__lte=timezone.now()).exists()
    pausing.enter_shadow(market.connector, actor=ACTOR)
    calls = len(market.control.journal())
    work_until_quiet()
    assert puts(market, calls) == []
    assert market.shown("SHIRT") == 10


# --- The pages ------------------------------------------------------------------------------------------------------


@pytest.fixture
def bob(market: Market) -> Client:
    client = Client(headers={"accept-language": "en"})
    client.force_login(factories.member(market.tenant, Membership.Role.MANAGER, first_name="Bob"))
    return client


def press(client: Client, market: Market, name: str, **data: str) -> str:
    address = reverse(f"console:{name}", args=[market.connector.pk])
    return client.post(address, data, follow=True).content.decode()


def test_a_person_pauses_with_a_reason_that_everybody_sees(market: Market, bob: Client) -> None:
    assert "Say why" in press(bob, market, "pause-connector", reason=" ")
    assert Connector.objects.get().is_running
    page = press(bob, market, "pause-connector", reason="Inventory of the depot")
    assert "Inventory of the depot" in page
    assert "Bob" in page
    assert "Inventory of the depot" in bob.get(reverse("console:syncs")).content.decode()
    assert "nothing to compare" in press(bob, market, "compare-connector")
    press(bob, market, "resume-connector")
    assert Connector.objects.get().is_running


def test_shadow_mode_is_seen_wherever_it_matters(market: Market, bob: Client) -> None:
    press(bob, market, "enter-shadow")
    for name in ("connectors", "syncs", "divergences"):
        assert "hadow mode" in bob.get(reverse(f"console:{name}")).content.decode()
    press(bob, market, "leave-shadow")
    assert "hadow mode" not in bob.get(reverse("console:syncs")).content.decode()


def divergence(market: Market, kind: str = Divergence.Kind.LOWERED) -> Divergence:
    listing = market.listing("SHIRT")
    row: Divergence = factories.DivergenceFactory(listing=listing, kind=kind, hub_quantity=10, channel_quantity=4)
    return row


def act(client: Client, name: str, row: Divergence) -> str:
    return client.post(reverse(f"console:{name}", args=[row.pk]), follow=True).content.decode()


def test_a_person_sends_our_number_and_it_is_written_down(market: Market, bob: Client) -> None:
    market.settle()
    row = divergence(market)
    market.control.edit_item(row.item_id, available_quantity=4, notify=False)
    assert "next in the queue" in act(bob, "send-ours", row)
    work_until_quiet()
    assert market.shown("SHIRT") == 10
    age_everything()
    reconcile.run_whole(reconcile.begin(market.connector, ReconcileRun.Trigger.MANUAL), find_sales)
    row.refresh_from_db()
    assert row.ending == Divergence.Ending.BY_PERSON
    assert AuditEntry.objects.get(action="divergence.sent").details["there"] == 4


@pytest.mark.parametrize("kind", ["VENDA_NAO_AVISADA", "INEXISTENTE", "SKU_DE_OUTRO_PRODUTO"])
def test_no_number_is_sent_where_it_would_be_wrong(market: Market, bob: Client, kind: str) -> None:
    market.settle()
    act(bob, "send-ours", divergence(market, kind))
    assert not Listing.objects.filter(due_at__isnull=False).exists()
    assert not AuditEntry.objects.exists()


def test_what_is_ignored_leaves_the_list_and_comes_back(market: Market, bob: Client) -> None:
    row = divergence(market)

    def listed(query: str) -> bool:
        page = bob.get(reverse("console:divergences") + query).content.decode()
        return row.item_id in page.partition('id="rows"')[2]

    assert listed("")
    act(bob, "ignore-divergence", row)
    assert (listed(""), listed("?state=ignored"), listed("?state=all")) == (False, True, True)
    act(bob, "heed-divergence", row)
    assert (listed(""), listed("?state=resolved")) == (True, False)
    assert listed("?kind=REDUZIDO_NO_CANAL&text=SHIRT")
    assert not listed("?kind=INEXISTENTE")
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "divergence.ignored",
        "divergence.heeded",
    ]
