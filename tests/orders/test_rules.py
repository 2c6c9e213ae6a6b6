"""The tables from the channel's words to state, stock and what a person should look at (contract §3.2, §4.3)."""

import pytest

from apps.orders.rules import Flag, Goods, Sale, State, Words, has_left, is_printable, judge, word_that_counts


@pytest.mark.parametrize(
    ("order", "shipment", "substatus", "goods", "state"),
    [
        ("paid", "", "", Goods.HELD, State.RECEIVED),
        ("paid", "pending", "", Goods.HELD, State.RECEIVED),
        ("paid", "handling", "invoice_pending", Goods.HELD, State.RECEIVED),
        ("paid", "ready_to_ship", "printed", Goods.HELD, State.RECEIVED),
        ("paid", "ready_to_ship", "picked_up", Goods.GONE, State.PICKED_UP),
        ("paid", "ready_to_ship", "dropped_off", Goods.GONE, State.PICKED_UP),
        ("paid", "shipped", "", Goods.GONE, State.PICKED_UP),
        ("paid", "delivered", "", Goods.GONE, State.PICKED_UP),
        ("paid", "not_delivered", "returning_to_sender", Goods.GONE, State.PICKED_UP),
        ("paid", "not_delivered", "lost", Goods.GONE, State.PICKED_UP),
        ("paid", "not_delivered", "returned", Goods.BACK, State.PICKED_UP),
        ("paid", "not_delivered", "returned_to_warehouse", Goods.BACK, State.PICKED_UP),
        ("partially_refunded", "", "", Goods.HELD, State.RECEIVED),
        ("pending_cancel", "", "", Goods.HELD, State.RECEIVED),
        ("cancelled", "", "", Goods.NOT_SOLD, State.CANCELLED),
        ("cancelled", "cancelled", "", Goods.NOT_SOLD, State.CANCELLED),
        ("cancelled", "cancelled", "shipped_outside_me", Goods.GONE, State.CANCELLED),
        ("cancelled", "cancelled", "recovered", Goods.BACK, State.CANCELLED),
        ("cancelled", "shipped", "", Goods.GONE, State.CANCELLED),
        ("cancelled", "not_delivered", "returned", Goods.BACK, State.CANCELLED),
        ("invalid", "", "", Goods.NOT_SOLD, State.CANCELLED),
        ("confirmed", "", "", Goods.NOT_SOLD, None),
        ("payment_required", "", "", Goods.NOT_SOLD, None),
        ("payment_in_process", "", "", Goods.NOT_SOLD, None),
        ("partially_paid", "", "", Goods.NOT_SOLD, None),
        ("a_word_of_next_year", "shipped", "", Goods.UNKNOWN, None),
    ],
)
def test_the_table(order: str, shipment: str, substatus: str, goods: Goods, state: State | None) -> None:
    verdict = judge(Words(order, (), shipment, substatus))
    assert (verdict.goods, verdict.state) == (goods, state)


@pytest.mark.parametrize(
    ("known", "read", "counts"),
    [
        ("on_hold", "paid", "paid"),  # a word that something comes after
        ("paid", "cancelled", "cancelled"),  # the hub's own words follow the channel
        ("cancelled", "paid", "paid"),
        ("", "paid", "paid"),
        ("dissolved", "paid", "dissolved"),
        ("dissolved", "confirmed", "dissolved"),
        ("dissolved", "a_word_of_next_year", "dissolved"),
        ("dissolved", "dissolved", "dissolved"),
        ("dissolved", "settled", "settled"),  # from one end to another
        ("dissolved", "cancelled", "cancelled"),
        ("dissolved", "invalid", "invalid"),
        ("paid", "dissolved", "dissolved"),
    ],
)
def test_nothing_comes_after_a_terminal_word(known: str, read: str, counts: str) -> None:
    assert word_that_counts(known, read, terminal={"dissolved", "settled"}) == counts


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (Words("paid"), ()),
        (Words("paid", ("fraud_risk_detected",)), (Flag.FRAUD_RISK,)),
        (Words("partially_refunded"), (Flag.PARTLY_REFUNDED,)),
        (Words("pending_cancel"), (Flag.PENDING_CANCEL,)),
        (Words("paid", ("unfulfilled",)), (Flag.REFUNDED_TO_ACCOUNT,)),
        (Words("paid", ("delivered", "pack_order", "a_new_tag")), ()),
        (Words("a_word_of_next_year"), (Flag.UNKNOWN_WORD,)),
        (Words("paid", (), "teleported"), (Flag.UNKNOWN_WORD,)),
        (Words("paid", (), "not_delivered", "returned"), (Flag.RETURNED,)),
    ],
)
def test_what_a_person_should_look_at(words: Words, flags: tuple[Flag, ...]) -> None:
    assert judge(words).flags == flags


def test_a_sale_that_the_seller_marked_as_not_completed_is_over() -> None:
    verdict = judge(Words("confirmed"), was_sold=True)
    assert (verdict.goods, verdict.state, verdict.flags) == (Goods.NOT_SOLD, State.CANCELLED, (Flag.NOT_COMPLETED,))


def test_a_payment_in_doubt_keeps_what_was_promised() -> None:
    verdict = judge(Words("payment_in_process"), was_sold=True)
    assert (verdict.goods, verdict.state) == (Goods.UNKNOWN, None)


@pytest.mark.parametrize("shipment", ["", "ready_to_ship", "shipped", "cancelled"])
@pytest.mark.parametrize("order", ["paid", "cancelled", "confirmed"])
def test_the_channels_own_warehouse_is_never_ours_to_move(order: str, shipment: str) -> None:
    assert judge(Words(order, (), shipment, "", "fulfillment")).goods is Goods.ELSEWHERE


def test_a_full_order_is_picked_up_where_it_lies() -> None:
    assert judge(Words("paid", (), "shipped", "", "fulfillment")).state is State.PICKED_UP


def test_a_tenants_own_word_for_a_status() -> None:
    verdict = judge(Words("a_word_of_next_year"), extra={"a_word_of_next_year": Sale.SOLD})
    assert (verdict.goods, verdict.flags) == (Goods.HELD, ())


@pytest.mark.parametrize(
    ("words", "may_be"),
    [
        (Words("paid"), True),
        (Words("paid", ("fraud_risk_detected",)), False),
        (Words("paid", (), "shipped"), False),
        (Words("cancelled"), False),
        (Words("paid", (), "ready_to_ship", "printed", "fulfillment"), False),
    ],
)
def test_what_may_be_ready(words: Words, may_be: bool) -> None:
    assert judge(words).may_be_ready is may_be


@pytest.mark.parametrize(
    ("logistic_type", "shipment", "substatus", "expected"),
    [
        ("drop_off", "ready_to_ship", "ready_to_print", True),
        ("self_service", "ready_to_ship", "printed", True),
        ("drop_off", "ready_to_ship", "invoice_pending", False),
        ("drop_off", "pending", "buffered", False),
        ("drop_off", "shipped", "", False),
        ("fulfillment", "ready_to_ship", "ready_to_print", False),
        ("default", "ready_to_ship", "ready_to_print", False),
    ],
)
def test_when_there_is_a_label(logistic_type: str, shipment: str, substatus: str, expected: bool) -> None:
    assert is_printable(Words("paid", (), shipment, substatus, logistic_type)) is expected


def test_goods_that_came_back_have_not_left() -> None:
    assert not has_left(Words("cancelled", (), "not_delivered", "returned"))
