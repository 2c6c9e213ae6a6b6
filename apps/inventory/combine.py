"""Requests that arrive together go to the database together.

Each thread of the web server brings one request. The first becomes the **leader**: it takes whatever waits, runs it in
one call (one transaction, a verdict each) and hands everyone their verdict. Whoever arrives meanwhile waits, and the
first of them leads the next call. So nobody waits when alone, and the busier it is the larger the calls become: one hot
SKU is one lock and one commit for many requests instead of a queue of commits.

The leader's call is a request like any other; when it fails as a whole, everyone in it fails with the same error.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Verdict = TypeVar("Verdict")

TOGETHER_MAX = 64
"""More requests in one call gain little and make the first of them wait for the last."""


class _Waiting(Generic[Asked, Verdict]):
    """One request and the thread that waits for it; woken with a verdict, an error, or the task to lead."""

    __slots__ = ("asked", "error", "verdict", "woken")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.verdict: Verdict | None = None
        self.error: BaseException | None = None
        self.woken = threading.Semaphore(0)

    @property
    def is_done(self) -> bool:
        return self.verdict is not None or self.error is not None


class Combiner(Generic[Asked, Verdict]):
    """Runs `run` on the requests that several threads make at the same time.

    run: takes requests and returns as many verdicts, in the same order; none of them is None.
    """

    def __init__(self, run: Callable[[Sequence[Asked]], Sequence[Verdict]]) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._queue: deque[_Waiting[Asked, Verdict]] = deque()
        self._is_led = False

    def submit(self, asked: Asked) -> Verdict:
        """Return the verdict on one request. Raises what the call it was part of raised."""
        mine: _Waiting[Asked, Verdict] = _Waiting(asked)
        with self._lock:
            self._queue.append(mine)
            is_leader, self._is_led = not self._is_led, True
        if not is_leader:
            mine.woken.acquire()
        if not mine.is_done:  # nobody led, or the last leader passed the task on
            self._lead()
        if mine.error is not None:
            raise mine.error
        assert mine.verdict is not None  # noqa: S101  run's contract
        return mine.verdict

    def _lead(self) -> None:
        """Run the oldest requests, this thread's own among them, and wake their threads and the next leader."""
        with self._lock:
            together = [self._queue.popleft() for _ in range(min(len(self._queue), TOGETHER_MAX))]
        try:
            verdicts = self._run([waiting.asked for waiting in together])
            for waiting, verdict in zip(together, verdicts, strict=True):
                waiting.verdict = verdict
        except BaseException as error:  # even a KeyboardInterrupt must not leave the others waiting for ever
            for waiting in together:
                waiting.error = error
        finally:
            with self._lock:
                following = self._queue[0] if self._queue else None
                self._is_led = following is not None
            for waiting in together:
                waiting.woken.release()
            if following is not None:
                following.woken.release()
