"""Requirement 001: its worker makes and changes orders and parcels once, maps, makes ready, tells, reprocesses."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.db.models import F

from apps.connectors.channel import OrderSnapshot, ShipmentSnapshot
from apps.connectors.models import Listing
from apps.events import inbox
from apps.events.models import IdempotencyKey, IntegrationEvent
from apps.events.reprocess import reprocess
from apps.inventory.models import Reservation
from apps.notifications import tasks
from apps.notifications.models import Notification, PickupCounter
from apps.orders.models import Order, Package
from apps.orders.reading import Reading
from tests.market import Market, event_states, let_time_pass, orders_of, work_until_quiet
from tests.smtp import MailServer

LABELLED = {"shipment_status": "ready_to_ship", "shipment_substatus": "ready_to_print"}


@pytest.fixture
def counter(market: Market, settings: SimpleNamespace) -> Iterator[MailServer]:
    """A pick-up counter that is told by e-mail, and its mail server."""
    server = MailServer()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    settings.NOTIFICATION_DRIVERS = {"EMAIL": "apps.notifications.drivers.email.SmtpDriver"}
    PickupCounter.objects.create(
        connector=market.connector,
        name="Hub",
        address="Rua das Flores, 77",
        hours="9h às 18h",
        media=["EMAIL"],
        email="balcao@loja.example",
    )
    yield server
    server.close()


# --- creating and updating ------------------------------------------------------------------------------------------


def test_a_new_order_makes_order_items_parcel_and_reservation(market: Market) -> None:
    order_id = market.sell("SHIRT", 2)
    market.settle()
    order = Order.objects.get(channel="ML", external_id=order_id)
    assert (order.tenant, order.status) == (market.tenant, "RECEBIDO")
    assert [(item.product.sku, item.quantity) for item in order.items.all()] == [("SHIRT", 2)]
    assert Package.objects.get() == order.package
    assert Reservation.objects.get().quantity == 2


def test_news_of_a_known_order_change_it_and_make_no_second_one(market: Market) -> None:
    order_id = int(market.sell("SHIRT"))
    market.settle()
    before = orders_of(market)[0]
    for status in ("handling", "ready_to_ship"):
        market.control.edit_order(order_id, shipment_status=status)
        market.settle()
    after = orders_of(market)
    assert [order.pk for order in after] == [before.pk]
    package = after[0].package
    assert package is not None
    assert package.channel_status == "ready_to_ship"
    assert Reservation.objects.count() == 1


# --- idempotency ----------------------------------------------------------------------------------------------------


def test_the_key_of_an_effect_holds_channel_tenant_type_id_and_version(market: Market) -> None:
    order_id = market.sell("SHIRT")
    market.settle()
    [key] = IdempotencyKey.objects.filter(key__contains=order_id)
    channel, tenant, kind, external_id, version = key.key.split("|")
    assert (channel, int(tenant), kind, external_id) == ("ML", market.tenant.pk, "ORDER", order_id)
    assert len(version) > 32


def test_another_version_is_another_key_and_the_same_one_is_not(market: Market) -> None:
    def key(status: str, substatus: str) -> str:
        order = OrderSnapshot("1", "paid", (), None, None, "", "9", "", None, "", ())
        return inbox.effect_key(market.connector, Reading(order, ShipmentSnapshot("9", status, substatus, "", None)))

    assert key("handling", "") == key("handling", "")
    assert len({key("handling", ""), key("shipped", ""), key("shipped", "delayed")}) == 3


def test_a_duplicate_is_kept_and_marked_and_does_nothing(market: Market) -> None:
    order_id = int(market.sell("SHIRT"))
    market.settle()
    market.control.notify(order_id, 3)
    market.settle()
    assert event_states(market) == {"PROCESSADO": 1, "DUPLICADO": 3}
    assert market.numbers("SHIRT") == (10, 1)


# --- mapping --------------------------------------------------------------------------------------------------------


def test_an_unmapped_sku_is_a_pending_mapping_and_comes_in_once_it_is_mapped(market: Market) -> None:
    Listing.objects.filter(seller_sku="SHIRT").update(product=None, due_at=None)
    market.sell("SHIRT", 3)
    market.settle()
    assert event_states(market) == {"MAPEAMENTO": 1}
    assert not Order.objects.exists()
    Listing.objects.filter(seller_sku="SHIRT").update(product=market.product("SHIRT"))
    work_until_quiet()
    assert event_states(market) == {"PROCESSADO": 1}
    assert market.numbers("SHIRT") == (10, 3)


# --- ready, and told of it ------------------------------------------------------------------------------------------


def test_a_label_makes_the_order_ready_and_its_recipient_told_once(market: Market, counter: MailServer) -> None:
    order_id = int(market.sell("SHIRT"))
    market.settle()
    tasks.notify()
    assert (orders_of(market)[0].ready_at, counter.mails) == (None, [])
    market.control.edit_order(order_id, **LABELLED)
    market.settle()
    market.control.notify(order_id, 5)
    market.settle()
    for _ in range(3):
        tasks.notify()
    order = orders_of(market)[0]
    assert (order.status, order.ready_at is not None) == ("PRONTO", True)
    assert order.package is not None
    assert order.package.label_enc
    assert len(counter.mails) == 1
    assert Notification.objects.get().status == Notification.Status.SENT


def test_a_parcel_that_was_picked_up_takes_its_units_along(market: Market) -> None:
    order_id = int(market.sell("SHIRT", 2))
    market.control.edit_order(order_id, **LABELLED)
    market.settle()
    market.control.edit_order(order_id, shipment_status="shipped")
    market.settle()
    order = orders_of(market)[0]
    assert (order.status, order.picked_up_at is not None) == ("RETIRADO", True)
    assert market.numbers("SHIRT") == (8, 0)


# --- failures and reprocessing --------------------------------------------------------------------------------------


def test_a_failure_that_may_pass_is_tried_again_later_and_later(market: Market) -> None:
    market.control.faults({"path": "^/orders/", "action": "status", "status": 503})
    market.sell("SHIRT")
    market.settle()
    pauses = []
    for _ in range(3):
        event = IntegrationEvent.objects.get(topic="orders_v2")
        assert event.next_attempt_at is not None
        assert event.status == "NOVA_TENTATIVA"
        waits = IntegrationEvent.objects.filter(pk=event.pk).values_list(F("next_attempt_at") - F("received_at"))
        pauses.append(waits[0][0].total_seconds())
        let_time_pass()
        work_until_quiet()
    assert pauses[0] < pauses[1] < pauses[2]
    assert IntegrationEvent.objects.get(topic="orders_v2").status == "ERRO"  # a person is asked; it goes on slowly
    market.control.clear_faults()
    let_time_pass()
    work_until_quiet()
    assert market.numbers("SHIRT") == (10, 1)


def test_reprocessing_counts_and_does_nothing_twice(market: Market) -> None:
    market.sell("SHIRT")
    market.settle()
    for times in (1, 2):
        reprocess(IntegrationEvent.objects.filter(topic="orders_v2"), actor="user:1")
        work_until_quiet()
        assert IntegrationEvent.objects.get(topic="orders_v2").reprocess_count == times
    assert len(orders_of(market)) == 1
    assert market.numbers("SHIRT") == (10, 1)
