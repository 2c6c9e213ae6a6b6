"""How often one caller may ask: a bucket per caller in Redis, shared by all processes, asked rarely.

The bucket refills at API_RATE_LIMIT_PER_MINUTE / 60 tokens a second and holds ten seconds' worth, so a burst passes
and a flood does not. A process takes tokens in blocks (a twentieth of a second's worth, 1 to 100) and hands them out
itself: at 2,000 a second that is a call to Redis every 100 requests. What it has not handed out after `BLOCK_SECONDS`
is lost, so every process errs by at most one block a second, on the side of fewer requests. A caller without tokens is
refused without asking Redis again until there can be one.

It fails open: when Redis does not answer within `TIMEOUT_SECONDS`, everyone passes and Redis is left alone for
`REST_SECONDS`. The limit protects the hub from a client that runs wild; stock is protected by the database.
"""

import math
import threading
import time
from dataclasses import dataclass, field
from functools import cache

import redis
import structlog
from django.conf import settings
from django.utils.translation import gettext as _
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.retry import Retry

from apps.common.problems import Problem

BUCKET_SECONDS = 10
BLOCK_SECONDS = 1.0
BLOCK_MAX = 100
TIMEOUT_SECONDS = 0.1
REST_SECONDS = 5.0
CALLERS_MAX = 10_000
"""More callers than this at once in one process: all are forgotten, which gives each at most one block too many."""

TAKE = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local rate, capacity, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(kept[1] or capacity) + math.max(0, now - tonumber(kept[2] or now)) * rate
tokens = math.min(capacity, tokens)
local granted = math.max(0, math.min(wanted, math.floor(tokens)))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / rate * 1000) + 1000)
return {granted, math.ceil(math.max(0, 1 - tokens) / rate * 1000 - 0.001)}
"""
"""Takes up to ARGV[3] tokens; answers how many were granted and the milliseconds until there is another one.

A microsecond less, so that what is five seconds but for its last binary digit is not told as six.
"""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Block:
    """The tokens that this process holds for one caller. Times are the monotonic clock's."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    tokens: int = 0
    ends_at: float = 0.0
    refused_until: float = 0.0


_blocks: dict[str, _Block] = {}
_rests_until = 0.0


def take(caller: str) -> None:
    """Count one request of a caller, named by its `bucket`. Raises Problem 429 `rate_limited` for one too many."""
    per_minute = settings.API_RATE_LIMIT_PER_MINUTE
    if not per_minute:
        return
    block = _blocks.get(caller)
    if block is None:
        if len(_blocks) >= CALLERS_MAX:
            _blocks.clear()
        block = _blocks.setdefault(caller, _Block())
    with block.lock:
        now = time.monotonic()
        if block.tokens > 0 and now < block.ends_at:
            block.tokens -= 1
            return
        if now >= block.refused_until and _refill(block, caller, per_minute):
            block.tokens -= 1
            return
        wait_seconds = block.refused_until - now
    raise _refusal(per_minute, wait_seconds)


def _refill(block: _Block, caller: str, per_minute: int) -> bool:
    """Fetch a block of tokens; tells whether the caller may go on, which it may when Redis is away."""
    global _rests_until
    now = time.monotonic()
    wanted = max(1, min(BLOCK_MAX, per_minute // 1200))
    block.tokens, block.ends_at = wanted, now + BLOCK_SECONDS
    if now < _rests_until:
        return True
    capacity = max(1, per_minute * BUCKET_SECONDS // 60)
    try:
        granted, wait_ms = _take()(keys=[f"saldo:rate:{caller}"], args=[per_minute / 60, capacity, wanted])
    except redis.RedisError as error:
        _rests_until = time.monotonic() + REST_SECONDS
        log.warning("rate_limit.off", reason=type(error).__name__, rest_seconds=REST_SECONDS)
        return True
    block.tokens = granted
    if not granted:
        block.refused_until = now + wait_ms / 1000
        log.info("rate_limit.refused", caller=caller, wait_ms=wait_ms)
    return bool(granted)


@cache
def _take() -> Script:
    """Return the script on this process's own client. No retries: whoever waits for a token waits for a checkout."""
    client = redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return client.register_script(TAKE)


def forget_all() -> None:
    """Forget what this process holds and knows, Redis' silence included."""
    global _rests_until
    _rests_until = 0.0
    _blocks.clear()


def _refusal(per_minute: int, wait_seconds: float) -> Problem:
    wait = max(1, math.ceil(wait_seconds))
    detail = _("More than %(limit)s requests a minute. Nothing was changed; try again in %(wait)s s.")
    headers = {
        "Retry-After": str(wait),
        "RateLimit-Policy": f'"perminute";q={per_minute};w=60',
        "RateLimit": f'"perminute";r=0;t={wait}',
    }
    return Problem(429, "rate_limited", detail % {"limit": per_minute, "wait": wait}, headers=headers)
