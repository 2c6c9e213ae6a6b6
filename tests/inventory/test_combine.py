"""The combiner: nobody waits alone, everybody gets their own verdict, nobody waits for ever."""

import threading
from collections.abc import Callable, Sequence

import pytest

from apps.inventory.combine import TOGETHER_MAX, Combiner


def at_once(number: int, work: Callable[[int], object]) -> list[object]:
    results: list[object] = [None] * number

    def run(index: int) -> None:
        try:
            results[index] = work(index)
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()
    return results


def test_one_alone_is_run_alone_and_at_once() -> None:
    calls: list[list[int]] = []

    def double(asked: Sequence[int]) -> list[int]:
        calls.append(list(asked))
        return [2 * number for number in asked]

    combiner = Combiner(double)
    assert combiner.submit(4) == 8
    assert combiner.submit(5) == 10
    assert calls == [[4], [5]]


def test_those_who_come_while_one_is_busy_are_run_together() -> None:
    calls: list[int] = []
    first_is_in, everybody_waits = threading.Event(), threading.Event()

    def double(asked: Sequence[int]) -> list[int]:
        calls.append(len(asked))
        first_is_in.set()
        everybody_waits.wait(10)
        return [2 * number for number in asked]

    combiner = Combiner(double)

    def work(number: int) -> int:
        if number:
            first_is_in.wait(10)
        return combiner.submit(number)

    opener = threading.Thread(
        target=lambda: (first_is_in.wait(10), _wait_for(lambda: len(combiner._queue) == 9), everybody_waits.set())
    )
    opener.start()
    assert at_once(10, work) == [2 * number for number in range(10)]
    opener.join()
    assert calls == [1, 9]


def test_never_more_than_so_many_together() -> None:
    calls: list[int] = []
    first_is_in, everybody_waits = threading.Event(), threading.Event()

    def same(asked: Sequence[int]) -> list[int]:
        calls.append(len(asked))
        first_is_in.set()
        everybody_waits.wait(10)
        return [number + 1 for number in asked]

    combiner = Combiner(same)
    crowd = TOGETHER_MAX + 6

    def work(number: int) -> int:
        if number:
            first_is_in.wait(10)
        return combiner.submit(number)

    opener = threading.Thread(
        target=lambda: (first_is_in.wait(10), _wait_for(lambda: len(combiner._queue) == crowd), everybody_waits.set())
    )
    opener.start()
    assert at_once(crowd + 1, work) == [number + 1 for number in range(crowd + 1)]
    opener.join()
    assert calls == [1, TOGETHER_MAX, 6]


def test_an_error_is_everybodys_and_the_next_go_on() -> None:
    def fail(asked: Sequence[int]) -> list[int]:
        if 13 in asked:
            raise ValueError("13")
        return [number + 1 for number in asked]

    combiner = Combiner(fail)
    with pytest.raises(ValueError, match="13"):
        combiner.submit(13)
    assert combiner.submit(1) == 2


def test_a_crowd_gets_every_verdict_once() -> None:
    def same(asked: Sequence[int]) -> list[int]:
        return [number + 1 for number in asked]

    combiner = Combiner(same)

    def work(start: int) -> bool:
        return all(combiner.submit(number) == number + 1 for number in range(start * 1000, start * 1000 + 500))

    assert at_once(16, work) == [True] * 16
    assert not combiner._is_led
    assert not combiner._queue


def _wait_for(is_so: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if is_so():
            return
        pause.wait(0.01)
    raise AssertionError("waited 10 s in vain")
