"""How many calls an account may still make: a bucket per connector in Redis, which learns from refusals.

The bucket refills at the connector's ceiling and holds `BURST_SECONDS`' worth. A 429 halves the rate and empties the
bucket at once; the rate grows back to the ceiling over `RECOVERY_SECONDS`. Reads of orders take what they need and are
never held up: an order that is known late oversells more than a number told late. Stock pushes take their turn while
`RESERVED` of the bucket is left for those reads, and at `RESERVED` of the rate even when they take all (`sync.turns`).

It fails open: when Redis is away or was flushed, calls are made as if the bucket were full. The channel's own limit
is the one that counts; this one keeps the hub from running into it.
"""

import time
from functools import cache

import redis
import structlog
from django.conf import settings
from redis.commands.core import Script

from apps.common.valkey import client
from apps.connectors.breaker import Breaker

log = structlog.get_logger(__name__)

BURST_SECONDS = 2
RESERVED = 0.2
"""The share of the bucket that stock pushes leave for reads of orders; and of the rate that reads cannot take."""

RECOVERY_SECONDS = 600
"""From nothing back to the ceiling; half the rate comes back in half of it."""

NO_LIMIT_A_SECOND = 1000
"""What "no limit" is taken as; no channel takes more."""

LIKELY_A_SECOND = 25
"""Where an account without a limit begins when it is told to slow down: 1,500 a minute (contract §6.1)."""

KEY = "saldo:budget:"

REFILL = f"""
local function refill(key, now)
  local kept = redis.call('HMGET', key, 'tokens', 'at', 'rate', 'ceiling', 'rests_until')
  local ceiling = tonumber(kept[4] or 0)
  if ceiling <= 0 then ceiling = {NO_LIMIT_A_SECOND} end
  local passed = math.max(0, now - tonumber(kept[2] or now))
  local rate = math.min(ceiling, tonumber(kept[3] or ceiling) + ceiling * passed / {RECOVERY_SECONDS})
  local capacity = math.max(2, rate * {BURST_SECONDS})
  local tokens = math.min(capacity, tonumber(kept[1] or capacity) + passed * rate)
  return tokens, rate, capacity, tonumber(kept[5] or 0), ceiling
end
local function keep(key, now, tokens, rate)
  redis.call('HSET', key, 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now),
             'rate', string.format('%.6f', rate))
  redis.call('EXPIRE', key, {2 * RECOVERY_SECONDS})
end
"""
"""What every script on a bucket begins with. Rates are calls a second; `now` is the caller's clock, in seconds."""

SPEND = (
    REFILL
    + """
local now = tonumber(ARGV[1])
local tokens, rate, capacity = refill(KEYS[1], now)
keep(KEYS[1], now, math.max(-capacity, tokens - tonumber(ARGV[2])), rate)
"""
)

SLOW_DOWN = (
    REFILL
    + """
local now = tonumber(ARGV[1])
local tokens, rate, capacity, rests_until, ceiling = refill(KEYS[1], now)
if now - tonumber(redis.call('HGET', KEYS[1], 'slowed_at') or 0) >= 1 then
  if ceiling >= tonumber(ARGV[4]) then rate = math.min(rate, tonumber(ARGV[3])) end
  rate = math.max(rate / 2, math.min(0.1, ceiling))
  redis.call('HSET', KEYS[1], 'slowed_at', ARGV[1])
end
keep(KEYS[1], now, math.min(tokens, 0), rate)
redis.call('HSET', KEYS[1], 'rests_until', math.max(rests_until, now + tonumber(ARGV[2])))
return tostring(rate)
"""
)
"""Several calls that were under way together are refused together: the rate is halved once a second at most."""

SHARE_OF_NOTHING = 1 / 3
"""What is left to bulk work, of its share, while live work takes the whole bucket."""

TAKE_SHARE = (
    REFILL
    + f"""
local now, share, calls = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'ceiling', ARGV[4])
redis.call('EXPIRE', KEYS[1], {2 * RECOVERY_SECONDS})
local tokens, rate, capacity, rests_until = refill(KEYS[1], now)
if rests_until > now then return tostring(rests_until - now) end
local every = calls / (share * rate)
if tokens < math.min(calls, capacity / 2) + {RESERVED} * capacity then every = every / {SHARE_OF_NOTHING} end
local wait = tonumber(redis.call('HGET', KEYS[1], 'bulk_at') or 0) + every - now
if wait > 0 then return tostring(wait) end
redis.call('HSET', KEYS[1], 'bulk_at', ARGV[1])
return '0'
"""
)
"""The turn of work over many: never more than its share of the rate, and a third of that while the bucket is low."""

RATE = REFILL + "local tokens, rate = refill(KEYS[1], tonumber(ARGV[1])) return tostring(rate)"

REST = "redis.call('HSET', KEYS[1], 'rests_until', ARGV[1]) redis.call('EXPIRE', KEYS[1], 7200)"


def clock() -> float:
    """Return the time that budgets and turns go by, in seconds; a simulation has its own."""
    return time.time()


class Budget:
    """A connector's line (`channel.Line`) that counts its calls, behind its circuit breaker."""

    def __init__(self, connector_id: int, *, prepaid_calls: int = 0) -> None:
        self.connector_id = connector_id
        self.prepaid_calls = prepaid_calls
        self.breaker = Breaker(connector_id)

    def ask(self) -> None:
        """Count a call that is about to be made. Raises ChannelError `circuit_open`, then nothing was counted."""
        self.breaker.ask()
        if self.prepaid_calls:
            self.prepaid_calls -= 1
        else:
            _run(SPEND, self.connector_id, clock(), 1)

    def answered(self) -> None:
        """Note that somebody answered."""
        self.breaker.answered()

    def failed(self) -> None:
        """Note that nobody answered."""
        self.breaker.failed()

    def limited(self, retry_after_seconds: float | None) -> None:
        """Note a 429: half the rate from now on, and none at all for as long as the channel asked."""
        pause = max(retry_after_seconds or 0.0, 1.0)
        rate = _run(SLOW_DOWN, self.connector_id, clock(), pause, LIKELY_A_SECOND, NO_LIMIT_A_SECOND)
        log.warning("channel_limits_calls", connector_id=self.connector_id, pause_seconds=pause, calls_a_second=rate)


def rest(connector_id: int, seconds: float) -> None:
    """Let no stock push of the account begin for so long; reads of orders find out by themselves."""
    _run(REST, connector_id, clock() + seconds)


def take_share(connector_id: int, *, share: float, calls: int, ceiling: float) -> float:
    """Take the turn of bulk work that costs about so many calls; return 0, or the seconds until there may be one.

    share: of the account's rate, 0 to 1. ceiling: the account's, as `ceiling_a_second` says. Nothing is counted here:
    each call counts itself. 0 when Redis is away.
    """
    return float(str(_run(TAKE_SHARE, connector_id, clock(), share, calls, ceiling) or 0))


def rate_a_second(connector_id: int, ceiling: float) -> float:
    """Return how many calls a second the account may make at present; what refusals taught is in it."""
    known = _run(RATE, connector_id, clock())
    ceiling = ceiling or NO_LIMIT_A_SECOND
    return min(ceiling, float(str(known))) if known is not None else ceiling


def ceiling_a_second(calls_per_minute: int | None) -> float:
    """Return a connector's ceiling in calls a second; 0 for none. None: what the settings say."""
    return (settings.CHANNEL_CALLS_PER_MINUTE if calls_per_minute is None else calls_per_minute) / 60


def _run(script: str, connector_id: int, *arguments: float) -> object:
    try:
        return _script(script)(keys=[f"{KEY}{connector_id}"], args=list(arguments))
    except redis.RedisError as error:
        log.warning("budget_unknown", connector_id=connector_id, reason=type(error).__name__)
        return None


@cache
def _script(text: str) -> Script:
    return client().register_script(text)
