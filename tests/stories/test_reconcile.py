"""Thirty ways in which a channel can come to differ, each found, named, and repaired only where that is safe.

The marketplace is the sandbox. Each seed brings one difference about; what it must be called, and whether the hub may
put it right by itself, stands beside it. A false repair is a number sent, by a run or because of one, that the seed
does not allow.
"""

import json
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from apps.connectors import errands
from apps.connectors.importing import import_listings
from apps.connectors.models import Connector, Errand, Listing
from apps.console import tasks
from apps.events.models import IntegrationEvent
from apps.events.unheard import find_sales
from apps.inventory import ledger
from apps.inventory.models import Movement, Product
from apps.orders.models import Order
from apps.sandbox.server import Sandbox
from apps.sync import drift, queue, reconcile
from apps.sync.models import Divergence, ReconcileRun, SyncLog
from tests.market import Market, work_until_quiet
from tests.stories.dying_worker import RECONCILE_POINTS
from tests.stories.test_kill import work_until_death

Kind = Divergence.Kind
Trigger = ReconcileRun.Trigger

STOCK = 10


def settle(market: Market) -> None:
    """Let everything that is on its way arrive, and an hour pass since."""
    market.settle()
    age_everything()


def age_everything() -> None:
    with connection.cursor() as cursor:
        for table, column in (
            ("inventory_balances", "last_updated"),
            ("integracao_anuncio", "accepted_at"),
            ("marketplace_sync_logs", "timestamp"),
            ("divergencia", "first_seen_at"),
        ):
            cursor.execute(f"UPDATE {table} SET {column} = {column} - interval '1 hour'")  # noqa: S608


def compare(market: Market, **how: Any) -> ReconcileRun:
    """Compare once, to the end."""
    market.connector.refresh_from_db()
    run = reconcile.begin(market.connector, Trigger.MANUAL, **how)
    return reconcile.run_whole(run, find_sales)


def open_ones(market: Market) -> dict[str, set[str]]:
    """Return {SKU, or item when the hub has none: kinds of its open divergences}."""
    found: dict[str, set[str]] = {}
    for row in Divergence.objects.filter(connector=market.connector, resolved_at__isnull=True).select_related(
        "listing"
    ):
        found.setdefault(row.listing.seller_sku if row.listing else row.item_id, set()).add(row.kind)
    return found


def puts(market: Market, after: int = 0) -> list[dict[str, Any]]:
    """Return the writes of stock that the marketplace received."""
    return [entry for entry in market.control.journal(after) if entry["method"] == "PUT" and not entry.get("control")]


# --- Seeds ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seed:
    """One difference: how it comes about, what it is, and whether the hub repairs it at once by itself."""

    kind: str
    sow: Callable[[Market, str], object]
    is_repaired: bool = False
    item: dict[str, Any] | None = None  # the kind of listing it needs


def edit(**fields: Any) -> Callable[[Market, str], object]:
    """Edit the listing at the channel without a word to the hub."""
    return lambda market, sku: market.control.edit_item(market.listing(sku).item_id, notify=False, **fields)


def accepted(market: Market, sku: str, **values: Any) -> None:
    assert Listing.objects.filter(pk=market.listing(sku).pk).update(**values)


def told(market: Market, sku: str, old: int, new: int, status: str = "SUCCESS", code: str = "") -> None:
    """Write down a try that is over."""
    listing = market.listing(sku)
    log = SyncLog.objects.create(
        tenant=market.tenant,
        product_id=listing.product_id,
        connector=market.connector,
        listing=listing,
        marketplace="ML",
        old_value=old,
        new_value=new,
        status=status,
        error_code=code,
        attempt=1,
        finished_at=timezone.now(),
    )
    SyncLog.objects.filter(pk=log.pk).update(timestamp=timezone.now() - timedelta(minutes=40))


def add_stock(market: Market, sku: str, units: int) -> None:
    """Receive goods of which the sync hears nothing."""
    market.receive(sku, units)
    while queue.follow():
        pass
    accepted(market, sku, due_at=None)


def lose_a_push(market: Market, sku: str) -> None:
    add_stock(market, sku, 3)
    told(market, sku, STOCK, STOCK + 3, "UNKNOWN", "interrupted")


def lose_a_push_believed(market: Market, sku: str) -> None:
    """The hub's rows come from a backup: it believes that 13 were accepted, of which no try tells."""
    add_stock(market, sku, 3)
    accepted(market, sku, accepted_quantity=STOCK + 3)


def lie(market: Market, sku: str) -> None:
    """The channel answers that it shows the new number, and keeps the old one."""
    market.control.faults({"path": "^/items/", "method": "PUT", "action": "lie", "echo": True})
    market.receive(sku, 4)
    work_until_quiet()
    market.control.clear_faults()


def ignore(market: Market, sku: str) -> None:
    """The channel answers 200 and shows the old number, again and again."""
    market.receive(sku, 4)
    while queue.follow():
        pass
    told(market, sku, STOCK, STOCK + 4, "ERROR", "ignored_by_channel")
    accepted(
        market,
        sku,
        sync_state="ERROR",
        attempts=3,
        last_error_code="ignored_by_channel",
        due_at=timezone.now() + timedelta(minutes=10),
    )


def refuse(market: Market, sku: str) -> None:
    market.receive(sku, 4)
    while queue.follow():
        pass
    accepted(
        market,
        sku,
        sync_state="ERROR",
        attempts=1,
        last_error_code="item_under_review",
        due_at=timezone.now() + timedelta(hours=6),
    )


def stand_in_the_queue(market: Market, sku: str) -> None:
    market.receive(sku, 4)
    while queue.follow():
        pass
    accepted(market, sku, due_at=timezone.now() - timedelta(hours=1))


def hold_its_zero(market: Market, sku: str) -> None:
    """Nothing is left, and the zero waits for a person: one of too many at once."""
    place = {"product_id": market.product(sku).pk, "location_id": market.location.pk}
    count = ledger.Move(kind=Movement.Kind.COUNT, quantity=0, cause=ledger.Cause(actor="test"), **place)
    ledger.post_one(market.tenant, count)
    while queue.follow():
        pass
    accepted(market, sku, zeroing_since=timezone.now(), held_at=timezone.now())


def sell_unheard(market: Market, sku: str) -> None:
    market.sell(sku, 2, notify=False)


def sell_and_park(market: Market, sku: str) -> None:
    """A sale is known, and nobody can take it in: an error that a person must look at."""
    order_id = market.sell(sku, 2)
    market.control.wait_until_notified()
    IntegrationEvent.objects.filter(external_id=order_id).update(
        status="ERRO", next_attempt_at=None, error_code="internal_error", attempts=9
    )
    IntegrationEvent.objects.exclude(external_id=order_id).filter(next_attempt_at__isnull=False).update(
        status="PROCESSADO", next_attempt_at=None, processed_at=timezone.now()
    )


def cancel_unheard(market: Market, sku: str) -> None:
    order_id = market.sell(sku, 2)
    settle(market)
    market.control.cancel(int(order_id), notify=False)
    # the channel's clock is the machine's: the hub read the order a moment ago
    hour = timedelta(hours=1)
    for row in Order.objects.filter(external_id=order_id):
        Order.objects.filter(pk=row.pk).update(channel_updated_at=row.channel_updated_at - hour)
    IntegrationEvent.objects.filter(external_id=order_id).update(processed_at=timezone.now() - hour)


def never_count(market: Market, sku: str) -> None:
    product = Product.objects.create(tenant=market.tenant, sku=f"{sku}-NOVO", name="Novo")
    accepted(market, sku, product=product)
    market.control.edit_item(market.listing(sku).item_id, seller_sku=f"{sku}-NOVO", notify=False)


def carry_another_sku(market: Market, sku: str) -> None:
    other = Product.objects.create(tenant=market.tenant, sku=f"{sku}-OUTRO", name="Outro")
    market.control.edit_item(market.listing(sku).item_id, seller_sku=other.sku, available_quantity=3, notify=False)


def carry_another_gtin(market: Market, sku: str) -> None:
    product = market.product(sku)
    Product.objects.create(tenant=market.tenant, sku=f"{sku}-GTIN", name="Outro", gtin=product.gtin)
    Product.objects.filter(pk=product.pk).update(gtin="7890000000017")


def share_stock(market: Market, sku: str) -> None:
    """A second listing of the same user product is mapped to another product."""
    listing = market.listing(sku)
    [twin] = market.control.create_items(
        market.seller_id, [{"seller_sku": f"{sku}-GEMEO", "user_product_id": listing.user_product_id}]
    )
    other = Product.objects.create(tenant=market.tenant, sku=f"{sku}-GEMEO", name="Gêmeo")
    Listing.objects.create(
        tenant=market.tenant,
        connector=market.connector,
        product=other,
        item_id=twin,
        seller_sku=f"{sku}-GEMEO",
        user_product_id=listing.user_product_id,
        capability="USER_PRODUCT",
        channel_status="active",
        accepted_quantity=STOCK,
        accepted_at=timezone.now(),
    )
    Listing.objects.filter(item_id=twin).update(accepted_quantity=STOCK)


def belong_to_another(market: Market, sku: str) -> None:
    """The listing's id is one of another seller's, of which the channel shows only roughly how many there are."""
    stranger = market.control.account(client_id=market.connector.client_id, nickname="OUTRA")
    [item_id] = market.control.create_items(stranger["user_id"], [{"seller_sku": sku, "available_quantity": 77}])
    trade_places(market, sku, item_id)


def trade_places(market: Market, sku: str, item_id: str, **values: Any) -> None:
    """Let the hub's listing be another one of the channel's; its old one is closed there."""
    market.control.edit_item(market.listing(sku).item_id, status="closed", notify=False)
    accepted(market, sku, item_id=item_id, **values)


def lose_the_item(market: Market, sku: str) -> None:
    trade_places(market, sku, f"MLB9{market.listing(sku).pk:09d}")


def delete_the_variation(market: Market, sku: str) -> None:
    listing = market.listing(sku)
    market.control.edit_item(listing.item_id, delete_variations=[int(listing.variation_id)], notify=False)


def migrate(market: Market, sku: str) -> None:
    market.control.migrate(market.listing(sku).item_id)
    market.control.wait_until_notified()
    IntegrationEvent.objects.filter(next_attempt_at__isnull=False).update(
        status="PROCESSADO", next_attempt_at=None, processed_at=timezone.now()
    )


def become_another_kind(market: Market, sku: str) -> None:
    accepted(market, sku, capability="SIMPLES")  # what it was when it was imported


def be_known_as(**values: Any) -> Callable[[Market, str], object]:
    return lambda market, sku: accepted(market, sku, **values)


def appear(market: Market, sku: str) -> None:
    market.control.create_items(market.seller_id, [{"seller_sku": f"{sku}-NOVIDADE", "available_quantity": 1}])


VARIATIONS = {
    "title": "Copo",
    "variations": [
        {
            "seller_sku": sku,
            "available_quantity": STOCK,
            "attribute_combinations": [{"id": "COLOR", "name": "Cor", "value_name": sku}],
        }
        for sku in ("CUP", "CUP-BLUE")
    ],
}

MUSIC = {"seller_sku": "VINYL", "title": "Disco", "gtin": "7891000000013", "available_quantity": STOCK}

SEEDS: dict[str, Seed] = {
    "push lost": Seed("ENVIO_PERDIDO", lose_a_push, is_repaired=True),
    "push lost, believed": Seed("ENVIO_PERDIDO", lose_a_push_believed, is_repaired=True),
    "a 200 that lies": Seed("NAO_GUARDADO", lie, is_repaired=True),
    "ignored by the channel": Seed("IGNORADO_PELO_CANAL", ignore),
    "refused": Seed("RECUSADO", refuse),
    "stands in the queue": Seed("FILA_PARADA", stand_in_the_queue),
    "its zero is held": Seed("ZERO_RETIDO", hold_its_zero),
    "never queued": Seed("FORA_DA_FILA", lambda market, sku: add_stock(market, sku, 5), is_repaired=True),
    "raised by hand": Seed("AUMENTADO_NO_CANAL", edit(available_quantity=99), is_repaired=True),
    "lowered by hand": Seed("REDUZIDO_NO_CANAL", edit(available_quantity=4)),
    "sale not told": Seed("VENDA_NAO_AVISADA", sell_unheard, is_repaired=True),
    "sale that nobody took in": Seed("VENDA_PARADA", sell_and_park),
    "cancellation not told": Seed("CANCELAMENTO_NAO_AVISADO", cancel_unheard, is_repaired=True),
    "never counted": Seed("SEM_CONTAGEM", never_count),
    "another product's SKU": Seed("SKU_DE_OUTRO_PRODUTO", carry_another_sku),
    "another product's GTIN": Seed("GTIN_DE_OUTRO_PRODUTO", carry_another_gtin, item=MUSIC),
    "one stock, two products": Seed("ESTOQUE_COMPARTILHADO", share_stock),
    "another account's": Seed("DE_OUTRA_CONTA", belong_to_another),
    "deleted": Seed("INEXISTENTE", lose_the_item),
    "variation deleted": Seed("VARIACAO_REMOVIDA", delete_the_variation, item=VARIATIONS),
    "closed": Seed("ENCERRADO", edit(status="closed")),
    "paused by hand": Seed("PAUSADO_PELO_VENDEDOR", edit(status="paused")),
    "under review": Seed("BLOQUEADO", edit(status="under_review", sub_status=["waiting_for_patch"])),
    "for sale again": Seed("REATIVADO", be_known_as(channel_status="under_review"), is_repaired=True),
    "went to Full": Seed("VIROU_FULL", edit(logistic_type="fulfillment", available_quantity=55), is_repaired=True),
    "left Full": Seed("SAIU_DO_FULL", be_known_as(capability="FULL", logistic_type="fulfillment"), is_repaired=True),
    "became a kit": Seed("VIROU_KIT", lambda market, sku: make_kit(market, sku), is_repaired=True),
    "replaced": Seed("MIGRADO", migrate, is_repaired=True, item=VARIATIONS),
    "another kind": Seed("TIPO_MUDOU", become_another_kind, is_repaired=True),
    "unknown here": Seed("DESCONHECIDO", appear),
}


def make_kit(market: Market, sku: str) -> None:
    """A kit takes the listing's place under its id, as far as the hub can tell."""
    [item_id] = market.control.create_items(
        market.seller_id,
        [{"seller_sku": sku, "available_quantity": 2, "bundle": {"type": "KIT"}, "user_product": False}],
    )
    trade_places(market, sku, item_id, capability="SIMPLES")


SENDING = {"ENVIO_PERDIDO", "NAO_GUARDADO", "FORA_DA_FILA", "AUMENTADO_NO_CANAL"}
"""Kinds whose repair is to send the hub's number."""

TAKING_IN = {"VENDA_NAO_AVISADA", "CANCELAMENTO_NAO_AVISADO"}


def prepare(market: Market, seed: Seed) -> str:
    """Bring the listing about that a seed needs; return its SKU."""
    if seed.item is None:
        return "SHIRT"
    market.control.create_items(market.seller_id, [seed.item])
    import_listings(market.connector, create_products=True)
    skus = [str(one["seller_sku"]) for one in seed.item.get("variations", [seed.item])]
    for sku in skus:
        market.receive(sku, STOCK)
    return skus[0]


@pytest.mark.parametrize("name", SEEDS)
def test_every_kind_of_drift_is_found_named_and_repaired_only_when_safe(name: str, market: Market) -> None:
    seed = SEEDS[name]
    sku = prepare(market, seed)
    settle(market)
    assert compare(market).report["found"] == {}

    seed.sow(market, sku)
    age_everything()
    calls = len(market.control.journal())
    run = compare(market)
    found = run.report["found"]
    assert seed.kind in found, (found, run.report)
    assert set(found) == {seed.kind}
    assert run.report["repaired"] == ({seed.kind: found[seed.kind]} if seed.is_repaired else {})
    assert puts(market, calls) == []  # a run itself tells the channel nothing

    due = set(Listing.objects.filter(due_at__lte=timezone.now()).values_list("seller_sku", flat=True))
    waits = {"FILA_PARADA", "ZERO_RETIDO"}
    may_be_due = {sku} if seed.kind in SENDING | waits else set()
    if seed.kind != "MIGRADO":  # its heirs take over the products, and with them the numbers
        assert due == may_be_due
    if seed.kind in SENDING:
        one = market.listing(sku)
        assert (one.due_trigger, one.cause_movement_id) == ("reconcile", None)
    if seed.kind in SENDING | TAKING_IN:
        work_until_quiet()
        assert market.shown(sku) == queue.target_of(market.listing(sku).pk)
        age_everything()
        assert compare(market).report["found"] == {}
        assert not Divergence.objects.filter(resolved_at__isnull=True).exists()
        assert set(Divergence.objects.values_list("ending", flat=True)) == {"CORRIGIDA"}
    work_until_quiet()


# --- Many at once ---------------------------------------------------------------------------------------------------

PLAIN_SEEDS = {name: seed for name, seed in SEEDS.items() if seed.item is None}
BUSY_SEEDS = ["cancellation not told", "a 200 that lies", "sale that nobody took in"]
"""These let workers work while they are sown: they come first, lest they settle the others."""


@pytest.mark.parametrize("number", range(6))
def test_in_any_mixture_each_is_found_and_nothing_is_repaired_falsely(number: int, market: Market) -> None:
    dice = random.Random(number)
    names = dice.sample(sorted(PLAIN_SEEDS), 16)
    market.control.create_many(market.seller_id, len(names) + 6, sku_prefix="MIX-", quantity=STOCK)
    import_listings(market.connector, create_products=True)
    skus = [f"MIX-{place:05d}" for place in range(1, len(names) + 7)]
    for sku in skus:
        market.receive(sku, STOCK)
    settle(market)
    dice.shuffle(skus)
    sown = dict(zip(sorted(names, key=lambda name: name not in BUSY_SEEDS), skus, strict=False))
    expected: dict[str, set[str]] = {}
    for name, sku in sown.items():
        PLAIN_SEEDS[name].sow(market, sku)
        expected[sku] = {PLAIN_SEEDS[name].kind}
    if "one stock, two products" in sown:
        expected[f"{sown['one stock, two products']}-GEMEO"] = {"ESTOQUE_COMPARTILHADO"}
    if "unknown here" in sown:
        [novelty] = [
            item["id"]
            for item in market.control.request("GET", "/sandbox/items?limit=200")["results"]
            if item["title"].endswith(f"{sown['unknown here']}-NOVIDADE")
        ]
        expected[novelty] = expected.pop(sown["unknown here"])
    age_everything()
    shown = {sku: market.shown(sku) for name, sku in sown.items() if name != "deleted"}
    calls = len(market.control.journal())

    compare(market)

    found = open_ones(market)
    if "another product's SKU" in sown:  # the listing's SKU in the hub is still the old one
        assert sown["another product's SKU"] in found
    assert found == expected
    assert puts(market, calls) == []

    work_until_quiet()
    sent = {entry["path"].rpartition("/")[2] for entry in puts(market, calls)}
    for name, sku in sown.items():
        seed = PLAIN_SEEDS[name]
        if name == "deleted":
            continue
        is_ours_sent = seed.kind in SENDING or name == "stands in the queue"
        is_taken_in = seed.kind in TAKING_IN | {"VENDA_PARADA"}  # the search has a stuck sale read once more
        item_id = market.listing(sku).item_id
        assert (item_id in sent) <= (is_ours_sent or is_taken_in), f"{name}: a false repair"
        target = queue.target_of(market.listing(sku).pk)
        assert market.shown(sku) == (target if is_ours_sent else shown[sku]), name
        assert target == shown[sku] or not is_taken_in, name
    for sku in set(skus) - set(sown.values()):
        assert (market.shown(sku), market.listing(sku).item_id in sent) == (STOCK, False)


# --- What must not be touched ---------------------------------------------------------------------------------------


def test_a_number_that_is_on_its_way_is_not_judged(market: Market) -> None:
    settle(market)
    market.receive("SHIRT", 3)  # followed in a moment
    market.receive("MUG", 3)
    queue.follow()
    age_everything()
    Listing.objects.filter(pk=market.listing("MUG").pk).update(due_at=timezone.now())
    Listing.objects.filter(pk=market.listing("SHIRT").pk).update(due_at=None)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE inventory_balances SET last_updated = now()")
    run = compare(market)
    assert run.report["in_flight"] == 2
    assert run.report["found"] == {}
    assert not Divergence.objects.exists()
    work_until_quiet()


def test_a_sale_that_happens_while_the_channel_is_read_is_in_flight(market: Market) -> None:
    settle(market)
    edit(available_quantity=STOCK - 2)(market, "SHIRT")
    age_everything()

    def sell_meanwhile(connector: Connector, is_read_only: bool) -> dict[str, drift.Sales]:
        Listing.objects.filter(pk=market.listing("SHIRT").pk).update(accepted_quantity=STOCK - 2)
        return {}

    run = reconcile.run_whole(reconcile.begin(market.connector, Trigger.MANUAL), sell_meanwhile)
    assert (run.report["in_flight"], run.report["found"]) == (1, {})
    work_until_quiet()


def test_a_lowered_number_is_raised_only_after_patience_and_only_if_it_stays(market: Market) -> None:
    settle(market)
    edit(available_quantity=4)(market, "SHIRT")
    age_everything()
    assert compare(market).report["repaired"] == {}
    edit(available_quantity=3)(market, "SHIRT")  # it goes on: somebody may be selling
    with connection.cursor() as cursor:
        cursor.execute("UPDATE divergencia SET first_seen_at = first_seen_at - interval '1 hour'")
    assert compare(market).report["repaired"] == {}
    assert compare(market).report["repaired"] == {}
    age_everything()
    assert compare(market).report["repaired"] == {"REDUZIDO_NO_CANAL": 1}
    work_until_quiet()
    assert market.shown("SHIRT") == STOCK


def test_nothing_is_raised_while_nobody_can_say_what_was_sold(market: Market) -> None:
    settle(market)
    lose_a_push(market, "SHIRT")
    edit(available_quantity=99)(market, "MUG")
    age_everything()
    market.control.faults({"path": "^/orders/search", "action": "status", "status": 500})
    run = compare(market)
    assert run.report["found"] == {"ENVIO_PERDIDO": 1, "AUMENTADO_NO_CANAL": 1}
    assert run.report["repaired"] == {"AUMENTADO_NO_CANAL": 1}  # lowering oversells nobody
    market.control.clear_faults()
    assert compare(market).report["repaired"] == {"ENVIO_PERDIDO": 1}
    work_until_quiet()
    assert (market.shown("SHIRT"), market.shown("MUG")) == (STOCK + 3, STOCK)


def test_a_repair_that_does_not_hold_is_left_to_a_person(market: Market) -> None:
    settle(market)
    for _try in range(drift.REPAIRS_MAX + 1):
        edit(available_quantity=99)(market, "SHIRT")
        age_everything()
        run = compare(market)
        Divergence.objects.update(repaired_at=None)
        Listing.objects.update(due_at=None, accepted_quantity=STOCK)
    assert run.report["found"] == {"AUMENTADO_NO_CANAL": 1}
    assert run.report["repaired"] == {}
    assert Divergence.objects.get().repairs == drift.REPAIRS_MAX


def test_what_is_ignored_is_not_repaired_until_it_is_another_number(market: Market) -> None:
    settle(market)
    Divergence.objects.create(
        tenant=market.tenant,
        connector=market.connector,
        listing=market.listing("SHIRT"),
        item_id=market.listing("SHIRT").item_id,
        kind=Kind.RAISED,
        channel_quantity=99,
        last_seen_at=timezone.now(),
        ignored_at=timezone.now(),
    )
    edit(available_quantity=99)(market, "SHIRT")
    age_everything()
    assert compare(market).report["repaired"] == {}
    edit(available_quantity=98)(market, "SHIRT")
    assert compare(market).report["repaired"] == {"AUMENTADO_NO_CANAL": 1}
    work_until_quiet()


def test_what_was_unmapped_replaced_or_imported_is_settled(market: Market) -> None:
    sku = prepare(market, SEEDS["replaced"])
    [novelty] = market.control.create_items(market.seller_id, [{"seller_sku": "NEW", "available_quantity": 1}])
    settle(market)
    edit(available_quantity=4)(market, "SHIRT")
    migrate(market, sku)
    age_everything()
    assert compare(market).report["found"] == {"REDUZIDO_NO_CANAL": 1, "MIGRADO": 2, "DESCONHECIDO": 1}
    import_listings(market.connector)
    work_until_quiet()
    Listing.objects.filter(pk=market.listing("SHIRT").pk).update(product=None, due_at=None)
    age_everything()
    assert compare(market).report["found"] == {}
    assert not Divergence.objects.filter(resolved_at__isnull=True).exists()
    assert Divergence.objects.get(item_id=novelty).ending == "SUMIU"


def test_an_unknown_listing_that_is_gone_again_is_settled(market: Market) -> None:
    [novelty] = market.control.create_items(market.seller_id, [{"seller_sku": "NEW", "available_quantity": 1}])
    settle(market)
    assert compare(market).report["found"] == {"DESCONHECIDO": 1}
    market.control.edit_item(novelty, status="closed", notify=False)
    assert compare(market).report["resolved"] == 1


def test_units_in_the_channels_own_warehouse_are_no_difference(market: Market) -> None:
    """A user product that lies here and with the channel shows the sum; only the seller's part is the hub's."""
    tags = ["normal", "user_product_seller", "warehouse_management"]
    account = market.control.account(user_id=market.seller_id, client_id=market.connector.client_id, tags=tags)
    store = account["stores"][0]
    locations = [
        {"type": "meli_facility", "quantity": 7},
        {"type": "seller_warehouse", "store_id": store["id"], "network_node_id": "N1", "quantity": STOCK},
    ]
    market.control.create_items(market.seller_id, [{"seller_sku": "LAMP", "locations": locations}])
    import_listings(market.connector, create_products=True)
    market.receive("LAMP", STOCK)
    while queue.follow():
        pass
    Listing.objects.update(due_at=None)
    age_everything()
    run = compare(market)
    assert "LAMP" not in open_ones(market), run.report
    assert market.shown("LAMP") == STOCK + 7


# --- Runs -----------------------------------------------------------------------------------------------------------


def fill(market: Market, items: int) -> None:
    market.control.create_many(market.seller_id, items, sku_prefix="MANY-", quantity=STOCK)
    import_listings(market.connector, create_products=True)
    for product in Product.objects.filter(tenant=market.tenant, sku__startswith="MANY-"):
        market.receive(product.sku, STOCK)
    settle(market)


def test_a_run_by_itself_goes_a_few_calls_at_a_time_and_ends(market: Market) -> None:
    fill(market, 45)
    edit(available_quantity=99)(market, "MANY-00033")
    age_everything()
    assert reconcile.begin_due() == 1
    assert reconcile.begin_due() == 0
    calls = len(market.control.journal())
    assert reconcile.go_on(find_sales, steps=1, max_seconds=5) == 1
    read = [entry["path"] for entry in market.control.journal(calls)]
    assert read.count("/items/bulk") == 1
    run = ReconcileRun.objects.get()
    assert (run.report["items"], run.finished_at) == (20, None)
    assert reconcile.go_on(find_sales, steps=100, max_seconds=30) == 3
    run.refresh_from_db()
    assert run.finished_at is not None
    assert (run.report["items"], run.report["repaired"]) == (47, {"AUMENTADO_NO_CANAL": 1})
    assert run.scanned_at is not None
    assert reconcile.begin_due() == 0  # it was an hour ago that … not yet
    ReconcileRun.objects.update(started_at=timezone.now() - timedelta(hours=2))
    assert reconcile.begin_due() == 1
    reconcile.go_on(find_sales, steps=100, max_seconds=30)
    assert ReconcileRun.objects.order_by("pk").last().scanned_at is None  # once a day is enough
    work_until_quiet()


def test_a_channel_that_fails_delays_a_run_and_loses_nothing_of_it(market: Market) -> None:
    fill(market, 25)
    reconcile.begin_due()
    reconcile.go_on(find_sales, steps=1, max_seconds=5)
    market.control.faults({"path": "^/items/bulk", "action": "status", "status": 503, "times": 1})
    reconcile.go_on(find_sales, steps=100, max_seconds=30)
    run = ReconcileRun.objects.get()
    assert (run.error_code, run.finished_at, run.report["items"]) == ("server_error", None, 20)
    reconcile.go_on(find_sales, steps=100, max_seconds=30)
    run.refresh_from_db()
    assert (run.error_code, run.report["items"], run.finished_at is None) == ("", 27, False)


def test_a_dead_account_is_stopped_and_its_run_waits(market: Market) -> None:
    settle(market)
    market.control.kill_token(market.seller_id, "grant")
    Connector.objects.update(access_token_expires_at=None)
    reconcile.begin_due()
    reconcile.go_on(find_sales, steps=9, max_seconds=9)
    assert Connector.objects.get().status == "REAUTORIZAR"
    assert reconcile.go_on(find_sales, steps=9, max_seconds=9) == 0
    assert not Divergence.objects.exists()


@pytest.mark.parametrize("point", RECONCILE_POINTS)
def test_a_run_whose_worker_was_killed_goes_on_and_counts_nothing_twice(
    market: Market, sandbox: Sandbox, point: str
) -> None:
    fill(market, 45)
    for sku in ("MANY-00002", "MANY-00044"):
        edit(available_quantity=99)(market, sku)
    age_everything()
    reconcile.begin_due()
    assert work_until_death(point, sandbox) == -signal.SIGKILL
    reconcile.go_on(find_sales, steps=100, max_seconds=30)
    run = ReconcileRun.objects.get()
    assert run.finished_at is not None
    assert (run.report["items"], run.report["listings"]) == (47, 47)
    assert run.report["found"] == run.report["repaired"] == {"AUMENTADO_NO_CANAL": 2}
    assert [row.sightings for row in Divergence.objects.all()] == [1, 1]
    work_until_quiet()
    assert (market.shown("MANY-00002"), market.shown("MANY-00044")) == (STOCK, STOCK)


def test_reading_only_says_what_differs_and_changes_nothing(market: Market) -> None:
    settle(market)
    edit(available_quantity=99)(market, "MUG")
    market.sell("SHIRT", 2, notify=False)
    age_everything()
    before = list(Listing.objects.order_by("pk").values())
    events = IntegrationEvent.objects.count()
    run = compare(market, is_read_only=True)
    assert run.report["found"] == {"AUMENTADO_NO_CANAL": 1, "VENDA_NAO_AVISADA": 1}
    assert run.report["repaired"] == {}
    assert list(Listing.objects.order_by("pk").values()) == before
    assert IntegrationEvent.objects.count() == events


def test_the_command_prints_the_report(market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    settle(market)
    edit(available_quantity=99)(market, "MUG")
    age_everything()
    call_command("reconciliar", conector=market.connector.pk, somente_ler=True, json=True)
    [report] = json.loads(capsys.readouterr().out)["reports"]
    assert (report["listings"], report["found"]) == (2, {"AUMENTADO_NO_CANAL": 1})
    assert [(row["kind"], row["here"], row["at_channel"]) for row in report["open"]] == [("AUMENTADO_NO_CANAL", 10, 99)]
    call_command("reconciliar", tenant="alice")
    said = capsys.readouterr().out
    assert "AUMENTADO_NO_CANAL" in said
    assert "1 found, 1 repaired" in said
    with pytest.raises(CommandError, match="no such connector"):
        call_command("reconciliar", conector=10**9)
    market.control.faults({"path": "^/items/bulk", "action": "status", "status": 500})
    with pytest.raises(SystemExit):
        call_command("reconciliar")
    work_until_quiet()


def test_who_asks_sees_how_far_it_is_and_may_stop_it(market: Market) -> None:
    fill(market, 25)
    assert errands.ask(market.connector, Errand.Kind.RECONCILE, actor="user:1")
    assert not errands.ask(market.connector, Errand.Kind.RECONCILE, actor="user:2")
    tasks.run_reconciles()
    errand = Errand.objects.get()
    assert (errand.status, errand.report["items"]) == ("CONCLUIDO", 27)
    assert ReconcileRun.objects.get().trigger == "MANUAL"

    errands.ask(market.connector, Errand.Kind.RECONCILE, actor="user:1")
    Errand.objects.filter(finished_at__isnull=True).update(cancel_asked_at=timezone.now())
    tasks.run_reconciles()
    assert Errand.objects.order_by("pk").last().status == "CANCELADO"
    assert not ReconcileRun.objects.filter(finished_at__isnull=True).exists()
