"""Several clients at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import connection


class Crowd:
    """Threads that start together, each with a database connection that it keeps."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.executor = ThreadPoolExecutor(size)

    def all_at_once(self, work: Callable[[int], None]) -> None:
        """Run work(number) in every thread at once; raise what one of them raised."""
        barrier = threading.Barrier(self.size)

        def start(number: int) -> None:
            connection.ensure_connection()
            barrier.wait(30)
            work(number)

        for running in [self.executor.submit(start, number) for number in range(self.size)]:
            running.result()

    def close(self) -> None:
        self.all_at_once(lambda number: connection.close())
        self.executor.shutdown()
