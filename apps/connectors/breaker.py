"""The circuit breaker: a channel that does not answer is left alone for a while, by every worker at once.

One breaker a connector. **Closed**: calls go through, failures in a row are counted. **Open**, after
`CHANNEL_BREAKER_FAILURES` of them: for `CHANNEL_BREAKER_SECONDS` every call fails at once with `circuit_open`, and
costs neither five seconds nor an event's try. **Half open**, after that: one call of one worker probes, the others
still fail; an answer closes the breaker, another failure opens it again.

Only what says that nobody is there counts: no connection, no answer in time, 5xx. A 4xx is an answer.

Shared by all processes in Redis, which may be flushed or away at any time (law 1): then the breaker is closed, as if
there were none. `pybreaker` has such a storage, but lets every process probe.
"""

import time
from collections.abc import Iterable
from enum import Enum

import structlog
from django.conf import settings
from redis import RedisError

from apps.common.valkey import client
from apps.connectors.channel import ChannelError

log = structlog.get_logger(__name__)

PROBE_SECONDS = 10
"""A probe that nobody ended, because its worker died, ends after this; longer than the 5 s of a call."""

FORGET_SECONDS = 3600
"""Failures so long ago say nothing about now."""


class State(Enum):
    """What a breaker does with the next call."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """The breaker of one connector, asked before each call and told how it went after it."""

    def __init__(self, connector_id: int) -> None:
        self.connector_id = connector_id
        self._failures, self._opens_until, self._probe = _keys(connector_id)
        self._has_failed = True

    def ask(self) -> None:
        """Return when a call may be made now. Raises ChannelError `circuit_open`, which passes by itself."""
        try:
            failures, opens_until = client().mget(self._failures, self._opens_until)
            self._has_failed = failures is not None
            state, seconds = _read(failures, opens_until)
            if state is State.HALF_OPEN and client().set(self._probe, 1, nx=True, ex=PROBE_SECONDS):
                return
        except RedisError:
            return
        if state is not State.CLOSED:
            raise ChannelError(
                "the channel did not answer several calls in a row, so it is left alone for a moment; nothing was"
                " asked or told, and it is done as soon as the channel answers again",
                code="circuit_open",
                retry_after_seconds=max(seconds, 1.0),
            )

    def answered(self) -> None:
        """Note that somebody answered, whatever it was: the breaker closes, if a call had failed before."""
        if not self._has_failed:
            return
        try:
            self.close()
        except RedisError:
            log.warning("breaker_unknown", connector_id=self.connector_id)

    def failed(self) -> None:
        """Note that nobody answered; one failure too many, or a failed probe, opens the breaker."""
        try:
            failures = client().incr(self._failures)
            client().expire(self._failures, FORGET_SECONDS)
            if 0 < settings.CHANNEL_BREAKER_FAILURES <= failures:
                seconds = settings.CHANNEL_BREAKER_SECONDS
                client().set(self._opens_until, time.time() + seconds, ex=FORGET_SECONDS + seconds)
                client().delete(self._probe)
                log.warning("breaker_opened", connector_id=self.connector_id, failures=failures, seconds=seconds)
        except RedisError:
            log.warning("breaker_unknown", connector_id=self.connector_id)

    def close(self) -> None:
        """Let calls through again, and forget the failures."""
        was_open = client().get(self._opens_until) is not None
        client().delete(self._failures, self._opens_until, self._probe)
        if was_open:
            log.info("breaker_closed", connector_id=self.connector_id)


def states(connector_ids: Iterable[int]) -> dict[int, State]:
    """Return the state of each connector's breaker, in one question; closed when Redis is away."""
    ids = list(connector_ids)
    keys = [key for connector_id in ids for key in _keys(connector_id)[:2]]
    try:
        found = client().mget(keys) if keys else []
    except RedisError:
        return dict.fromkeys(ids, State.CLOSED)
    pairs = zip(found[::2], found[1::2], strict=True)
    return {connector_id: _read(*pair)[0] for connector_id, pair in zip(ids, pairs, strict=True)}


def _keys(connector_id: int) -> tuple[str, str, str]:
    name = f"saldo:breaker:{connector_id}"
    return f"{name}:failures", f"{name}:open_until", f"{name}:probe"


def _read(failures: bytes | str | None, opens_until: bytes | str | None) -> tuple[State, float]:
    """Return the state that the two values stand for, and for how many seconds it stays open."""
    if failures is None or opens_until is None:
        return State.CLOSED, 0.0
    seconds = float(opens_until) - time.time()
    return (State.OPEN, seconds) if seconds > 0 else (State.HALF_OPEN, 0.0)
