"""This process's connection to Redis (or Valkey), which holds only what can be rebuilt (law 1)."""

from functools import cache

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_SECONDS = 0.5


@cache
def client() -> redis.Redis:
    """Return the client; its answers are text. No retries: nothing kept there is worth waiting for."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
