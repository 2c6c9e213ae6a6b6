"""A count is an assertion as of its moment; what arrives late changes the past, not the count (contract §3.2)."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from apps.inventory import ledger
from apps.inventory.models import Balance, Count, Movement

from .conftest import Shop

Kind = Movement.Kind


@pytest.fixture
def morning() -> datetime:
    return timezone.now() - timedelta(hours=6)


def test_a_count_posts_the_difference_to_the_balance_of_its_moment(shop: Shop, morning: datetime) -> None:
    shop.move(Kind.RECEIPT, 10, at=morning - timedelta(hours=1))
    shop.move(Kind.SALE, 3, at=morning + timedelta(hours=1))
    posted = shop.move(Kind.COUNT, 12, at=morning)
    assert posted.on_hand == 9  # 12 were there in the morning, 3 were sold since
    assert Movement.objects.get(pk=posted.movement_ids[0]).on_hand_delta == 2


def test_a_late_change_from_before_the_count_is_absorbed(shop: Shop, morning: datetime) -> None:
    shop.move(Kind.COUNT, 12, at=morning)
    posted = shop.move(Kind.SALE, 4, at=morning - timedelta(minutes=5))
    assert posted.on_hand == 12
    kinds = list(Movement.objects.filter(pk__in=posted.movement_ids).order_by("version").values_list("kind", flat=True))
    assert kinds == [Kind.SALE, Kind.COUNT_ABSORB]


def test_a_change_after_the_count_stays_however_late_it_is_told(shop: Shop, morning: datetime) -> None:
    shop.move(Kind.COUNT, 12, at=morning)
    assert shop.move(Kind.SALE, 4, at=morning + timedelta(minutes=5)).on_hand == 8


def test_a_count_older_than_a_newer_one_is_kept_and_changes_nothing(shop: Shop, morning: datetime) -> None:
    shop.move(Kind.COUNT, 12, at=morning)
    posted = shop.move(Kind.COUNT, 30, at=morning - timedelta(days=1))
    assert (posted.on_hand, posted.movement_ids) == (12, ())
    assert list(Count.objects.order_by("id").values_list("counted", "variance")) == [(12, 12), (30, None)]


def test_a_newer_count_wins_whatever_was_counted_before(shop: Shop, morning: datetime) -> None:
    shop.move(Kind.COUNT, 12, at=morning)
    assert shop.move(Kind.COUNT, 7, at=morning + timedelta(hours=1)).on_hand == 7


def test_a_count_that_finds_the_number_right_is_still_a_movement(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    posted = shop.move(Kind.COUNT, 5)
    assert len(posted.movement_ids) == 1
    assert posted.version == 2


def test_a_count_of_a_product_never_seen_makes_its_zero_known(shop: Shop) -> None:
    shop.move(Kind.COUNT, 0)
    balance = Balance.objects.get(product=shop.shirt, location=shop.store)
    assert balance.on_hand == 0
    assert balance.counted_at is not None


def test_a_count_below_what_is_promised_is_an_oversell(shop: Shop) -> None:
    shop.receive(shop.shirt, shop.store, 5)
    shop.reserve(ledger.Line(shop.shirt.pk, 4, shop.store.pk))
    assert shop.move(Kind.COUNT, 1).available == -3


def test_a_clock_ahead_of_ours_is_cut_to_now(shop: Shop) -> None:
    posted = shop.move(Kind.COUNT, 5, at=timezone.now() + timedelta(days=1))
    movement = Movement.objects.get(pk=posted.movement_ids[0])
    assert movement.occurred_at == movement.recorded_at
    assert shop.move(Kind.SALE, 1).on_hand == 4


def test_two_counts_of_one_moment_are_ordered_by_their_sequence(shop: Shop, morning: datetime) -> None:
    shop.move(Kind.COUNT, 5, at=morning, count_order="0002")
    assert shop.move(Kind.COUNT, 9, at=morning, count_order="0001").on_hand == 5
    assert shop.move(Kind.COUNT, 7, at=morning, count_order="0003").on_hand == 7


def test_a_confirmation_from_before_the_count_is_absorbed_too(shop: Shop, morning: datetime) -> None:
    shop.receive(shop.shirt, shop.store, 10)
    [held] = shop.reserve(ledger.Line(shop.shirt.pk, 4, shop.store.pk))
    shop.move(Kind.COUNT, 6)  # the four had left the shelf already
    cause = ledger.Cause(actor="test", occurred_at=morning)
    ended = ledger.confirm(shop.tenant, held.reservation_id, key=shop.key(), cause=cause)
    assert (ended.on_hand, ended.reserved) == (6, 0)


def test_several_moves_of_one_balance_in_one_call_see_each_other(shop: Shop, morning: datetime) -> None:
    posted = ledger.post(
        shop.tenant,
        [
            shop.a_move(Kind.RECEIPT, 10, at=morning - timedelta(hours=1)),
            shop.a_move(Kind.SALE, 3, at=morning + timedelta(hours=1)),
            shop.a_move(Kind.COUNT, 12, at=morning),
            shop.a_move(Kind.SALE, 1, at=morning - timedelta(hours=2)),
        ],
    )
    assert [verdict.on_hand for verdict in posted if isinstance(verdict, ledger.Posted)] == [10, 7, 9, 9]


@pytest.mark.parametrize("counted", [(5, 9), (9, 5)])
def test_of_two_counts_that_nothing_orders_the_lower_rules_whichever_came_first(
    shop: Shop, morning: datetime, counted: tuple[int, int]
) -> None:
    for units in counted:
        shop.move(Kind.COUNT, units, at=morning)
    assert shop.numbers(shop.shirt, shop.store) == (5, 0, 5)


def test_counts_of_several_moments_in_one_call_each_see_their_own_past(shop: Shop, morning: datetime) -> None:
    def hour(number: int) -> datetime:
        return morning + timedelta(hours=number)

    for number in range(4):
        shop.move(Kind.RECEIPT, 10, at=hour(number))
    shop.receive(shop.mug, shop.store, 5)
    posted = ledger.post(
        shop.tenant,
        [
            shop.a_move(Kind.COUNT, 18, at=hour(1)),  # 20 were known
            shop.a_move(Kind.SALE, 1, at=hour(2)),
            shop.a_move(Kind.COUNT, 4, product_id=shop.mug.pk),
            shop.a_move(Kind.COUNT, 11, at=hour(0)),  # older: kept, changes nothing
            shop.a_move(Kind.COUNT, 36, at=hour(3)),  # 18 + 10 - 1 + 10 = 37 were known
            shop.a_move(Kind.COUNT, 30, at=hour(5)),
        ],
    )
    assert [verdict.on_hand for verdict in posted if isinstance(verdict, ledger.Posted)] == [38, 37, 4, 37, 36, 30]
    variances = Count.objects.filter(product=shop.shirt).order_by("id").values_list("variance", flat=True)
    assert list(variances) == [-2, None, -1, -6]
