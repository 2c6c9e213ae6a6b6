"""An order from its payment to the buyer and back: parcels, packs, labels, returns, and words nobody expected."""

import json
import os
import random
import uuid
from collections import Counter
from dataclasses import replace

import pytest
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from apps.connectors import credentials, mappings
from apps.connectors.channel import open_channel
from apps.connectors.mercadolivre.client import Client
from apps.connectors.models import StatusMapping
from apps.events import inbox
from apps.events.models import IntegrationEvent
from apps.inventory.models import Movement, Reservation
from apps.orders import intake, reading, recipients
from apps.orders.models import Order, Package, Recipient
from tests.market import Market, event_states, let_time_pass, orders_of, work_until_quiet


def told(market: Market, order_id: str, **changes: object) -> Order:
    """Change an order at the marketplace, let the hub hear of it, and return it as the hub has it."""
    market.control.edit_order(int(order_id), **changes)
    market.settle()
    return Order.objects.get(external_id=order_id)


LABELLED = {"shipment_status": "ready_to_ship", "shipment_substatus": "ready_to_print"}


def test_an_order_is_ready_with_its_label_and_gone_when_it_was_picked_up(market: Market) -> None:
    order_id = market.sell("SHIRT", 2)
    order = told(market, order_id, shipment_status="handling", shipment_substatus="invoice_pending")
    assert (order.status, order.ready_at) == ("RECEBIDO", None)
    order = told(market, order_id, **LABELLED)
    assert (order.status, order.ready_at is not None) == ("PRONTO", True)
    package = order.package
    assert package is not None
    assert (package.status, package.weight_g, package.label_format) == ("PRONTO", 500, "PDF")
    label = recipients.read_label(package)
    assert label is not None
    assert label.content.startswith(b"%PDF")
    assert market.numbers("SHIRT") == (10, 2)
    order = told(market, order_id, shipment_status="shipped")
    assert (order.status, order.picked_up_at is not None) == ("RETIRADO", True)
    assert market.numbers("SHIRT") == (8, 0)
    told(market, order_id, shipment_status="delivered")
    assert market.numbers("SHIRT") == (8, 0)
    assert market.shown("SHIRT") == 8


def test_goods_come_back_when_the_parcel_says_so_and_once(market: Market) -> None:
    order_id = market.sell("SHIRT", 3)
    market.settle()
    told(market, order_id, shipment_status="shipped")
    told(market, order_id, shipment_status="not_delivered", shipment_substatus="returning_to_sender")
    market.control.cancel(int(order_id))
    market.settle()
    assert market.numbers("SHIRT") == (7, 0)
    order = told(market, order_id, shipment_status="not_delivered", shipment_substatus="returned")
    assert (order.status, order.flags) == ("CANCELADO", ["returned"])
    market.control.notify(int(order_id), 3)
    market.settle()
    assert market.numbers("SHIRT") == (10, 0)
    assert Movement.objects.filter(kind="RETURN").aggregate(units=Sum("on_hand_delta")) == {"units": 3}
    assert market.shown("SHIRT") == 10


def hear_of(market: Market, order_id: int) -> None:
    """Let the hub hear of an order, and of nothing else."""
    notice = {
        "topic": "orders_v2",
        "resource": f"/orders/{order_id}",
        "user_id": market.seller_id,
        "application_id": int(market.connector.client_id),
    }
    inbox.store(market.connector, json.dumps(notice).encode())
    work_until_quiet()


def test_a_pack_is_ready_when_all_of_it_is_here(market: Market) -> None:
    market.control.notifications(enabled=False)
    sale = market.control.sell_cart(
        [{"item_id": market.listing(sku).item_id, "quantity": 1} for sku in ("SHIRT", "MUG")]
    )
    first, second = sale["order_ids"]
    market.control.edit_order(first, **LABELLED)
    hear_of(market, first)
    assert [order.status for order in orders_of(market)] == ["RECEBIDO"]
    hear_of(market, second)
    assert [order.status for order in orders_of(market)] == ["PRONTO", "PRONTO"]
    assert Package.objects.count() == 1


def test_a_risk_of_fraud_holds_an_order_back(market: Market) -> None:
    order_id = market.sell("SHIRT")
    order = told(market, order_id, tags=["paid", "fraud_risk_detected"], **LABELLED)
    assert (order.status, order.flags) == ("RECEBIDO", ["fraud_risk"])
    assert market.numbers("SHIRT") == (10, 1)
    assert told(market, order_id, tags=["paid"]).status == "PRONTO"


def test_an_order_of_the_channels_warehouse_never_touches_ours(market: Market) -> None:
    """The listing sells from here too; this order is shipped by the channel (contract §4.4)."""
    order_id = market.sell("SHIRT", shipment={"logistic_type": "fulfillment"})
    market.settle()
    order = told(market, order_id, shipment_status="shipped")
    assert order.status == "RETIRADO"
    assert market.numbers("SHIRT") == (10, 0)
    assert not Reservation.objects.exists()


def test_a_word_nobody_expected_changes_nothing_and_is_shown(market: Market) -> None:
    order_id = market.sell("SHIRT")
    market.settle()
    order = told(market, order_id, shipment_status="teleported")
    assert (order.status, order.flags) == ("RECEBIDO", ["unknown_word"])
    assert market.numbers("SHIRT") == (10, 1)


def test_a_parcel_that_cannot_be_read_does_not_keep_its_sale_out(market: Market) -> None:
    market.control.faults({"path": "^/shipments/", "action": "status", "status": 503})
    market.sell("SHIRT", 2)
    market.settle()
    assert market.numbers("SHIRT") == (10, 2)
    assert market.shown("SHIRT") == 8
    assert orders_of(market)[0].package is None
    market.control.clear_faults()
    let_time_pass()
    work_until_quiet()
    assert orders_of(market)[0].package is not None
    assert market.numbers("SHIRT") == (10, 2)


def test_a_parcel_or_a_payment_that_speaks_is_news_of_its_order(market: Market) -> None:
    order_id = market.sell("SHIRT")
    market.settle()
    market.control.edit_order(int(order_id), shipment_status="shipped")
    market.control.wait_until_notified()
    IntegrationEvent.objects.filter(topic="orders_v2").update(status="IGNORADO", next_attempt_at=None)
    assert IntegrationEvent.objects.filter(topic="shipments").exists()
    work_until_quiet()
    assert Order.objects.get().status == "RETIRADO"


def test_who_an_order_is_for_is_kept_sealed_and_can_be_forgotten(market: Market) -> None:
    order_id = market.sell("SHIRT", buyer={"first_name": "Zulmira", "last_name": "Canária"})
    told(market, order_id, **LABELLED)
    recipient = Recipient.objects.get()
    person = recipients.read(recipient)
    assert person.name == "Zulmira Canária"
    assert "Zulmira" not in f"{person} {recipient.name_enc} {recipient.__dict__}"
    assert list(recipients.orders_of(market.tenant, person.document)) == orders_of(market)
    assert recipients.forget(market.tenant, person.document, actor="test") == 1
    market.control.notify(int(order_id), 1)
    market.settle()
    assert recipients.read(Recipient.objects.get()) == recipients.Person("", "", "")
    assert recipients.forget(market.tenant, person.document, actor="test") == 0


# --- histories in any order -----------------------------------------------------------------------------------------

HISTORIES = [
    [{}, {"shipment_status": "handling"}, LABELLED, {"shipment_status": "shipped"}, {"shipment_status": "delivered"}],
    [{}, {"shipment_status": "pending"}, LABELLED, {"status": "cancelled", "shipment_status": "cancelled"}],
    [
        {},
        LABELLED,
        {"shipment_status": "shipped"},
        {"status": "cancelled", "shipment_status": "not_delivered"},
        {"shipment_status": "not_delivered", "shipment_substatus": "returned"},
    ],
    [{}, LABELLED, {"shipment_status": "shipped"}, {"shipment_status": "not_delivered", "status": "cancelled"}],
]
ENDS = [("RETIRADO", (8, 0)), ("CANCELADO", (10, 0)), ("CANCELADO", (10, 0)), ("CANCELADO", (8, 0))]


def readings_of(market: Market, history: list[dict[str, object]]) -> list[reading.Reading]:
    """Play a history at the marketplace and read the order after each change."""
    order_id = market.sell("SHIRT", 2, notify=False)
    channel = open_channel("ML", credentials.ConnectorTokens(market.connector.pk))
    read = []
    for changes in history:
        market.control.edit_order(int(order_id), notify=False, **changes)
        read.append(reading.read(channel, market.connector, order_id))
    return read


def play(market: Market, versions: list[reading.Reading], name: str, chance: random.Random) -> Order:
    """Let the hub take in each version one to five times, in any order, as an order of its own."""
    told = [
        replace(version, order=replace(version.order, external_id=name, shipment_id=name), shipment=parcel)
        for version in versions
        if (parcel := version.shipment and replace(version.shipment, external_id=name))
        for _ in range(chance.randint(1, 5))
    ]
    chance.shuffle(told)
    for version in told:
        with transaction.atomic():
            intake.take_in(market.connector, version, trace_id=uuid.uuid4())
    return Order.objects.get(external_id=name)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_history_in_any_order_ends_as_its_newest_version(market: Market) -> None:
    """`SALDO_SHUFFLES=2000 pytest tests/stories/test_orders.py -m slow`: all of them, one effect each."""
    chance = random.Random(4)
    histories = [readings_of(market, history) for history in HISTORIES]
    shuffles = int(os.environ.get("SALDO_SHUFFLES", "100"))
    gone = 0
    for number in range(shuffles):
        kind = number % len(HISTORIES)
        order = play(market, histories[kind], f"shuffled-{number}", chance)
        status, (on_hand, _reserved) = ENDS[kind]
        gone += 10 - on_hand
        assert (order.status, order.channel_status) == (status, histories[kind][-1].order.status)
        movements = Movement.objects.filter(reference_type="order", reference_id=str(order.pk))
        assert all(times == 1 for times in Counter(movements.values_list("kind", flat=True)).values())
    assert market.numbers("SHIRT") == (10 - gone, 0)
    assert Order.objects.count() == shuffles


# --- words that a person gives a meaning ----------------------------------------------------------------------------


def test_an_order_in_an_unknown_state_waits_for_its_meaning(market: Market) -> None:
    order_id = market.sell("SHIRT", 2, notify=False)
    call_it(market, order_id, "on_hold")
    assert event_states(market) == {"MAPEAMENTO": 1}
    assert not Order.objects.exists()
    say(market, "on_hold", StatusMapping.Meaning.RECEIVED)
    work_until_quiet()
    order = Order.objects.get(external_id=order_id)
    assert (order.status, order.flags) == ("RECEBIDO", [])
    assert market.numbers("SHIRT") == (10, 2)


def call_it(market: Market, order_id: str, word: str) -> None:
    """Let the marketplace call an order's state by a word of its own from now on, and the hub hear of it."""
    raw, _is_complete = Client(credentials.ConnectorTokens(market.connector.pk)).order(order_id)
    assert isinstance(raw, dict)
    changed = {**raw, "status": word, "last_updated": timezone.now().isoformat()}
    market.control.faults({"path": f"^/orders/{order_id}$", "action": "status", "status": 200, "body": changed})
    market.control.notify(int(order_id), 1)
    market.settle()


def say(market: Market, word: str, meaning: StatusMapping.Meaning, *, is_terminal: bool = False) -> None:
    mappings.map_status(market.tenant, "ML", word, meaning, is_terminal=is_terminal, actor="test")
    inbox.ask_again_about(market.tenant.pk, "ML", word)


@pytest.mark.parametrize(("is_terminal", "after"), [(True, ("CANCELADO", 0)), (False, ("RECEBIDO", 2))])
def test_what_the_channel_says_after_a_terminal_word_does_not_move_the_order_back(
    market: Market, is_terminal: bool, after: tuple[str, int]
) -> None:
    order_id = market.sell("SHIRT", 2)
    market.settle()
    call_it(market, order_id, "dissolved")
    say(market, "dissolved", StatusMapping.Meaning.CANCELLED, is_terminal=is_terminal)
    work_until_quiet()
    assert (orders_of(market)[0].status, market.numbers("SHIRT")) == ("CANCELADO", (10, 0))
    market.control.clear_faults()
    call_it(market, order_id, "paid")
    order = orders_of(market)[0]
    assert (order.status, market.numbers("SHIRT")[1]) == after
    assert order.channel_status == ("dissolved" if is_terminal else "paid")
    market.control.clear_faults()
    call_it(market, order_id, "cancelled")
    order = orders_of(market)[0]
    assert (order.status, order.channel_status, market.numbers("SHIRT")) == ("CANCELADO", "cancelled", (10, 0))
    assert market.shown("SHIRT") == 10


def test_a_known_order_that_goes_into_an_unknown_state_is_settled_by_its_meaning(market: Market) -> None:
    order_id = market.sell("SHIRT", 2)
    market.settle()
    call_it(market, order_id, "dissolved")
    assert (orders_of(market)[0].flags, market.numbers("SHIRT")) == (["unknown_word"], (10, 2))
    say(market, "dissolved", StatusMapping.Meaning.CANCELLED)
    work_until_quiet()
    assert (orders_of(market)[0].status, orders_of(market)[0].flags) == ("CANCELADO", [])
    assert market.numbers("SHIRT") == (10, 0)
    assert market.shown("SHIRT") == 10
