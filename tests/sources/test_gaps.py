"""The numbers that are missing, against a plain set of the numbers that are there."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from apps.sources import gaps
from apps.sources.gaps import Gap, Stream, receive

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def missing(stream: Stream) -> set[int]:
    return {number for gap in stream.gaps for number in range(gap.first, gap.last + 1)}


requests = st.lists(st.tuples(st.sets(st.integers(0, 60), max_size=12), st.none() | st.integers(0, 70)), max_size=12)


@given(requests)
def test_a_stream_is_what_a_set_of_numbers_says(sent: list[tuple[set[int], int | None]]) -> None:
    stream, here, highest = Stream(5, 4), set(), 4
    for numbers, announced in sent:
        stream = receive(stream, numbers, now=NOW, announced=announced)
        here |= numbers
        highest = max(highest, *numbers, announced or 0, 4)
        start = min([5, *here])
        assert (stream.start, stream.end) == (start, highest)
        assert missing(stream) == set(range(start, highest + 1)) - here
        first_missing = next(number for number in range(start, highest + 2) if number not in here)
        assert stream.ack == first_missing - 1
        for one, next_one in zip(stream.gaps, stream.gaps[1:], strict=False):
            assert one.last + 1 < next_one.first  # in order, and never touching


@given(requests, st.randoms())
def test_the_order_of_arrival_makes_no_difference(sent: list[tuple[set[int], int | None]], chance: object) -> None:
    def after(order: list[tuple[set[int], int | None]]) -> Stream:
        stream = Stream(5, 4)
        for numbers, announced in order:
            stream = receive(stream, numbers, now=NOW, announced=announced)
        return stream

    shuffled = sent * 2
    chance.shuffle(shuffled)
    assert after(shuffled) == after(sent)


def test_a_gap_remembers_since_when_it_is_open() -> None:
    stream = receive(Stream(1, 0), [1, 10], now=NOW)
    stream = receive(stream, [5], now=NOW + timedelta(minutes=1))
    assert stream.gaps == (Gap(2, 4, NOW), Gap(6, 9, NOW))


def test_more_gaps_than_are_kept_become_one_that_asks_for_too_much() -> None:
    stream = receive(Stream(1, 0), range(1, 6001, 2), now=NOW)
    assert len(stream.gaps) == gaps.GAPS_MAX
    assert (stream.ack, stream.gaps[-1].last) == (1, 5998)
    stream = receive(stream, range(1, 6001), now=NOW)
    assert (stream.ack, stream.gaps) == (6000, ())
