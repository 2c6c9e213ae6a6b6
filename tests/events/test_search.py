"""The order search: pages that move, windows too full for one search, and what counts as news."""

import random
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from apps.connectors.channel import ChannelError, FoundOrder, OrderPage
from apps.events.search import Window, all_pages, is_news

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


class MovingList:
    """Orders in one fixed order, some of which leave the list, or join it, between two pages."""

    def __init__(self, ids: list[int], *, size: int = 5, reach: int = 9_950) -> None:
        self.ids, self.size, self.reach = ids, size, reach
        self.asked: list[int] = []

    def ask(self, offset: int) -> OrderPage:
        self.asked.append(offset)
        total = len(self.ids)
        page = [FoundOrder(str(number), "paid", NOON, NOON) for number in self.ids[offset : offset + self.size]]
        self.move()
        return OrderPage(tuple(page), total=total, reach=self.reach)

    def move(self) -> None:
        """What happens between two pages."""


def read(orders: MovingList) -> set[int]:
    return {int(order_id) for order_id in all_pages(orders.ask(0), orders.ask)}


@pytest.mark.parametrize("total", [0, 1, 4, 5, 6, 9, 10, 23])
@pytest.mark.parametrize("size", [2, 5])
def test_a_list_that_holds_still_is_read_whole(total: int, size: int) -> None:
    assert read(MovingList(list(range(total)), size=size)) == set(range(total))


def test_nothing_is_skipped_when_orders_read_already_leave() -> None:
    class Leaving(MovingList):
        def move(self) -> None:
            if len(self.asked) == 1:
                del self.ids[:4]  # those behind move up by four, past the next page's beginning

    assert read(Leaving(list(range(20)))) == set(range(20))


def test_nothing_is_skipped_when_the_list_ends_before_the_next_page() -> None:
    class Shrinking(MovingList):
        def move(self) -> None:
            if len(self.asked) == 2:
                del self.ids[:7]

    assert read(Shrinking(list(range(11)))) == set(range(11))


def test_nothing_is_skipped_however_the_list_moves() -> None:
    class Restless(MovingList):
        def move(self) -> None:
            for _ in range(chance.randrange(3)):
                if self.ids and chance.random() < 0.6:
                    del self.ids[chance.randrange(len(self.ids))]
                else:
                    self.ids.insert(chance.randint(0, len(self.ids)), next(newcomers))

    for seed in range(300):
        chance, newcomers = random.Random(seed), count(1000)
        orders = Restless(list(range(30)), size=chance.randint(3, 8))
        try:
            found = read(orders)
        except ChannelError as error:
            assert error.code == "list_keeps_moving"  # noqa: PT017 either outcome is right, a gap is not
        else:
            assert {number for number in orders.ids if number < 1000} <= found


def test_a_list_that_never_holds_still_is_left_for_the_next_search() -> None:
    class Mad(MovingList):
        def move(self) -> None:
            self.ids = [number + 100 for number in self.ids]

    with pytest.raises(ChannelError) as refused:
        read(Mad(list(range(20))))
    assert refused.value.code == "list_keeps_moving"
    assert not refused.value.permanent


def test_paging_ends_where_the_search_ends() -> None:
    assert read(MovingList(list(range(40)), reach=20)) == set(range(21))


@pytest.mark.parametrize(
    ("since", "until", "middle"),
    [
        (NOON, NOON + timedelta(hours=4), NOON + timedelta(hours=2)),
        (NOON + timedelta(minutes=50), NOON + timedelta(minutes=70), NOON + timedelta(hours=1)),
        (NOON, NOON + timedelta(hours=1), None),
        (NOON, NOON + timedelta(hours=1, minutes=1), NOON + timedelta(hours=1)),
        (NOON + timedelta(minutes=10), NOON + timedelta(minutes=50), None),
    ],
)
def test_a_window_is_halved_at_a_full_hour(since: datetime, until: datetime, middle: datetime | None) -> None:
    halves = Window(since, until).halves()
    assert halves == (None if middle is None else (Window(since, middle), Window(middle, until)))


@pytest.mark.parametrize(
    ("updated", "touched", "held", "last_read", "news"),
    [
        (0, 0, None, None, True),  # an order the hub does not have
        (0, 0, None, 9, True),  # or read and had no use for then
        (5, 5, 0, 1, True),
        (0, 0, 0, 1, False),
        (0, 0, 5, 6, False),  # the hub has something newer
        (None, None, 0, 1, True),  # nobody knows when it changed
        (0, 5, 0, 1, True),  # touched since it was read, without a word by the order itself
        (0, 5, 0, None, True),
        (0, 5, 0, 20, False),
        (0, 5, 0, 7, True),  # read in the same moment: which was first?
    ],
)
def test_an_order_is_news_when_it_was_not_read_since_it_changed(
    updated: int | None, touched: int | None, held: int | None, last_read: int | None, news: bool
) -> None:
    def at(seconds: int | None) -> datetime | None:
        return None if seconds is None else NOON + timedelta(seconds=seconds)

    assert is_news(FoundOrder("1", "paid", at(updated), at(touched)), at(held), at(last_read)) is news
