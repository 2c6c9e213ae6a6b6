"""The table from the channel's words to stock (contract §3.2)."""

import pytest

from apps.orders.rules import Effect, effect

NEW, KNOWN, CANCELLED = (False, False), (True, False), (True, True)


@pytest.mark.parametrize(
    ("status", "order", "expected"),
    [
        ("paid", NEW, Effect.RESERVE),
        ("paid", KNOWN, Effect.NOTHING),
        ("partially_refunded", NEW, Effect.RESERVE),
        ("partially_refunded", KNOWN, Effect.NOTHING),
        ("pending_cancel", KNOWN, Effect.NOTHING),
        ("cancelled", NEW, Effect.NOTHING),
        ("cancelled", KNOWN, Effect.RELEASE),
        ("cancelled", CANCELLED, Effect.NOTHING),
        ("invalid", KNOWN, Effect.RELEASE),
        ("paid", CANCELLED, Effect.NOTHING),
        ("confirmed", NEW, Effect.NOTHING),
        ("payment_required", NEW, Effect.NOTHING),
        ("payment_in_process", NEW, Effect.NOTHING),
        ("partially_paid", NEW, Effect.NOTHING),
        ("a_word_of_next_year", NEW, Effect.NOTHING),
        ("a_word_of_next_year", KNOWN, Effect.NOTHING),
    ],
)
def test_the_effect_of_a_status(status: str, order: tuple[bool, bool], expected: Effect) -> None:
    is_known, is_cancelled = order
    assert effect(is_known=is_known, is_cancelled=is_cancelled, channel_status=status, goods_left=False) is expected


def test_goods_that_left_are_not_put_back_on_sale() -> None:
    assert effect(is_known=True, is_cancelled=False, channel_status="cancelled", goods_left=True) is Effect.CONFIRM
    assert effect(is_known=True, is_cancelled=False, channel_status="paid", goods_left=True) is Effect.NOTHING
