"""Reprocessing with a dry run: what the plan says is what happens, or nothing happens."""

import json
import os
import random
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.events import plans
from apps.events.models import IntegrationEvent, Reprocess
from apps.orders.models import Order
from apps.tenants.models import AuditEntry
from tests.factories import EventFactory
from tests.market import Market, work_until_quiet

LABELLED = {"shipment_status": "ready_to_ship", "shipment_substatus": "ready_to_print"}

WITNESSED = {
    "pedido": "id",
    "pedido_item": "id",
    "pedido_destinatario": "order_id",
    "volume": "id",
    "inventory_reservations": "id",
    "inventory_ledger": "id",
    "inventory_balances": "id",
    "inventory_oversells": "id",
}
"""Tables that are looked at whole, past the code under test, with their key."""


def witness() -> dict[tuple[str, str], str]:
    """Return every row of the tables above as text."""
    rows = {}
    with connection.cursor() as cursor:
        for table, key in WITNESSED.items():
            cursor.execute(f"SELECT {key}::text, to_jsonb(t)::text FROM {table} t")  # noqa: S608
            rows |= {(table, name): text for name, text in cursor.fetchall()}
    return rows


def seen(before: dict[tuple[str, str], str], after: dict[tuple[str, str], str]) -> list[tuple[str, str, str]]:
    """Return what happened to which row, told from two looks; rows that were made are not named."""
    found = []
    for table, name in before.keys() | after.keys():
        old, new = before.get((table, name)), after.get((table, name))
        if old is None:
            found.append(("insert", table, ""))
        elif old != new:
            found.append(("update" if new else "delete", table, name))
    return sorted(found)


def said(row: Reprocess) -> list[tuple[str, str, str]]:
    """Return the same of what a plan says."""
    assert row.plan is not None
    changes = [change for change in row.plan["changes"] if change["table"] in WITNESSED]
    return sorted(
        (change["change"], change["table"], "" if change["change"] == "insert" else change["row"]) for change in changes
    )


def numbers_said(row: Reprocess, market: Market) -> dict[str, int]:
    """Return the on-hand and reserved units that a plan says balances will have."""
    assert row.plan is not None
    return {
        f"{change['row']} {column}": value
        for change in row.plan["changes"]
        if change["table"] == "inventory_balances" and change["change"] == "update"
        for column, value in change["after"].items()
        if column in ("quantity_on_hand", "quantity_reserved")
    }


def numbers_there() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, quantity_on_hand, quantity_reserved FROM inventory_balances")
        return {
            f"{pk} {column}": value
            for pk, *values in cursor.fetchall()
            for column, value in zip(("quantity_on_hand", "quantity_reserved"), values, strict=True)
        }


def heard(market: Market, order_id: str, **values: Any) -> IntegrationEvent:
    """Return an event about an order that nobody has worked on and, unless told otherwise, nobody will."""
    event: IntegrationEvent = EventFactory(
        tenant=market.tenant,
        connector=market.connector,
        external_id=order_id,
        **{"status": "ERRO", "error_code": "timeout", "next_attempt_at": None, **values},
    )
    return event


def planned(market: Market, *events: IntegrationEvent) -> Reprocess:
    chosen = IntegrationEvent.objects.filter(pk__in=[event.pk for event in events])
    return plans.plan(chosen, actor="test", reason="a test")


@pytest.fixture
def quiet(market: Market) -> Market:
    """A marketplace that tells nobody of anything."""
    market.control.notifications(enabled=False)
    return market


def test_a_plan_shows_every_row_and_changes_none(quiet: Market) -> None:
    order_id = quiet.sell("SHIRT", 2)
    quiet.control.edit_order(int(order_id), **LABELLED)
    event = heard(quiet, order_id)
    before = witness()
    row = planned(quiet, event)
    assert witness() == before
    assert not Order.objects.exists()
    event.refresh_from_db()
    assert (event.status, event.reprocess_count) == ("ERRO", 0)
    assert row.plan is not None
    by_table = {change["table"]: change for change in row.plan["changes"]}
    assert by_table["pedido"]["after"]["status"] == "PRONTO"
    assert by_table["pedido"]["row"] == "new 1"
    assert by_table["inventory_ledger"]["after"]["reference_id"] == "new 1"
    assert by_table["inventory_balances"]["after"]["quantity_reserved"] == 2
    assert by_table["integracao_evento"]["after"]["status"] == "PROCESSADO"
    assert row.plan["notifications_held_back"] == ["new 1"]
    assert {"volume", "pedido_item", "inventory_reservations", "pedido_destinatario"} < by_table.keys()

    applied = plans.apply(row, actor="test")
    assert json.loads(json.dumps(applied)) == row.plan["changes"]
    assert seen(before, witness()) == said(row)
    event.refresh_from_db()
    assert (event.status, event.reprocess_count, event.reprocess_id) == ("PROCESSADO", 1, row.pk)
    assert AuditEntry.objects.filter(action="plan.applied", subject=f"reprocess:{row.pk}").count() == 1
    with pytest.raises(plans.CannotPlan):
        plans.apply(row, actor="test")


def test_no_name_stands_in_a_plan(quiet: Market) -> None:
    order_id = quiet.sell("SHIRT", buyer={"first_name": "Zulmira", "last_name": "Canária"})
    quiet.control.edit_order(int(order_id), **LABELLED)
    row = planned(quiet, heard(quiet, order_id))
    plans.apply(row, actor="test")
    assert "Zulmira" not in json.dumps(row.plan)
    assert "gAAAA" not in json.dumps(row.plan)  # nor anything that is sealed


def test_what_happened_already_changes_only_its_event(quiet: Market) -> None:
    order_id = quiet.sell("SHIRT", 2)
    plans.apply(planned(quiet, heard(quiet, order_id)), actor="test")
    row = planned(quiet, heard(quiet, order_id))
    assert row.plan is not None
    assert [(change["table"], change["after"]["status"]) for change in row.plan["changes"]] == [
        ("integracao_evento", "DUPLICADO")
    ]


@pytest.mark.parametrize("moved", ["stock", "channel", "order"])
def test_a_plan_is_refused_when_the_world_moved(quiet: Market, moved: str) -> None:
    order_id = quiet.sell("SHIRT", 2)
    event = heard(quiet, order_id)
    row = planned(quiet, event)
    if moved == "stock":
        quiet.receive("SHIRT", 1)
    elif moved == "channel":
        quiet.control.edit_order(int(order_id), shipment_status="shipped")
    else:
        heard(quiet, order_id, status="RECEBIDO", next_attempt_at="2026-01-01T00:00Z")
        work_until_quiet()
    before = witness()
    with pytest.raises(plans.WorldMoved):
        plans.apply(row, actor="test")
    assert witness() == before
    row.refresh_from_db()
    event.refresh_from_db()
    assert (row.status, event.status, event.reprocess_count) == ("RECUSADO", "ERRO", 0)


def test_a_channel_that_fails_is_said_in_the_plan(quiet: Market) -> None:
    order_id = quiet.sell("SHIRT")
    quiet.control.faults({"path": "^/orders/", "action": "status", "status": 503})
    row = planned(quiet, heard(quiet, order_id))
    assert row.plan is not None
    assert row.plan["troubles"] == {f"order {order_id}": "server_error"}
    quiet.control.clear_faults()
    with pytest.raises(plans.WorldMoved):
        plans.apply(row, actor="test")


def test_the_shell_plans_and_applies(quiet: Market, capsys: pytest.CaptureFixture[str]) -> None:
    event = heard(quiet, quiet.sell("SHIRT", 2))
    call_command("reprocessar", str(event.pk), "--dry-run", "--reason=lost", "--json")
    report = json.loads(capsys.readouterr().out)
    assert quiet.numbers("SHIRT") == (10, 0)
    call_command("reprocessar", "--apply", report["plan"])
    said = capsys.readouterr()
    assert "insert pedido new 1:" in said.out
    assert "read 1 of 1 orders" in said.err
    assert quiet.numbers("SHIRT") == (10, 2)
    for wrong, sentence in (
        (["--apply", report["plan"]], "aplicado|applied"),
        (["--apply", "nothing"], "There is no plan"),
        (["--apply", report["plan"], "--dry-run"], "use --apply alone"),
    ):
        with pytest.raises(CommandError, match=sentence):
            call_command("reprocessar", *wrong)


CHANGES: list[dict[str, object]] = [
    {"shipment_status": "handling"},
    dict(LABELLED),
    {"shipment_status": "shipped"},
    {"status": "cancelled", "shipment_status": "cancelled"},
    {"status": "cancelled", "shipment_status": "not_delivered", "shipment_substatus": "returned"},
    {"tags": ["paid", "fraud_risk_detected"]},
]


RECENT = 12
"""Orders that still change and are reprocessed again and again; the older ones are left in peace."""


def something_happens(market: Market, orders: list[str], chance: random.Random) -> None:
    """Let buyers buy, parcels move and goods arrive, without a word to the hub."""
    for _ in range(chance.randint(1, 3)):
        if chance.random() < 0.15:
            cart = [{"item_id": market.listing(sku).item_id, "quantity": 1} for sku in ("SHIRT", "MUG")]
            orders.extend(str(number) for number in market.control.sell_cart(cart, force=True)["order_ids"])
        elif not orders or chance.random() < 0.6:
            orders.append(market.sell(chance.choice(["SHIRT", "MUG"]), chance.randint(1, 3), force=True))
        else:
            market.control.edit_order(int(chance.choice(orders[-RECENT:])), **chance.choice(CHANGES))
    if chance.random() < 0.3:
        market.receive("SHIRT", chance.randint(1, 5))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_was_predicted_is_what_happens(quiet: Market) -> None:
    """`SALDO_REPROCESSES=1000 pytest tests/stories/test_plans.py -m slow`: any orders, any state, often disturbed."""
    chance = random.Random(7)
    orders: list[str] = []
    applied = refused = 0
    rounds = int(os.environ.get("SALDO_REPROCESSES", "25"))
    while applied + refused < rounds:
        something_happens(quiet, orders, chance)
        recent = orders[-RECENT:]
        row = planned(
            quiet, *(heard(quiet, one) for one in chance.sample(recent, chance.randint(1, min(5, len(recent)))))
        )
        is_disturbed = chance.random() < 0.2
        if is_disturbed:
            quiet.receive("SHIRT", 1)
            quiet.receive("MUG", 1)
        before = witness()
        try:
            plans.apply(row, actor="test")
        except plans.WorldMoved:
            assert is_disturbed
            assert witness() == before
            refused += 1
        else:
            assert seen(before, witness()) == said(row)
            there = numbers_there()
            assert all(there[name] == value for name, value in numbers_said(row, quiet).items())
            applied += 1
    print(f"{applied} plans applied as predicted, {refused} refused because stock moved meanwhile")  # noqa: T201
    assert applied > rounds // 2
    work_until_quiet()  # a thousand rounds last longer than an event may wait
