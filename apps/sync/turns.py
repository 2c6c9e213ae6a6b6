"""Whose turn it is to be told: each account's waiting listings in the order of their risk, in Redis.

**Order** only: that a listing must be told stands in PostgreSQL (`Listing.due_at`), and so does who is telling it.
What is lost here is lined up again from there (`queue`), what is here too often ends at the claim. Every account has
two sorted sets of the same listings: by risk, lower first (`risk.score`), and by since when they wait. A third holds
the calls under way. The accounts stand in a ring, the one served longest ago first: none waits for another.

**One script takes turns**: for each the account at the head of the ring that has a listing waiting, a call left in its
budget (`connectors.budget`), and fewer than its share of calls under way. A share of the budget is left to order reads;
when those take all of it, pushes still have as large a share of the rate. Of that account it takes the riskiest
listing, or, one turn in `STARVED_SHARE`, the one that waited longest, if that is longer than `STARVED_SECONDS` and
nothing waits that is sold out: under a short quota the dangerous keep going first, and nothing waits for ever.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache

from redis.commands.core import Script

from apps.common import valkey
from apps.connectors import budget
from apps.sync.risk import SOLD_OUT

RING = "saldo:sync:ring"
LINED_UP = "saldo:sync:lined-up"
"""Present when what is due was lined up from PostgreSQL; a flushed Redis does not have it."""

STARVED_SECONDS = 600
STARVED_SHARE = 4

CALL_SECONDS = 45
"""A call under way is forgotten after this, as its lease is (`queue.LEASE_SECONDS`): its worker died."""

CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A listing that is to be told, and where it stands. `for_seconds`: how long it has waited already."""

    connector_id: int
    listing_id: int
    score: float
    for_seconds: float


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to make one call for one listing. `left`: how many more of its account wait."""

    connector_id: int
    listing_id: int
    call_id: str
    left: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Nobody's turn now. `seconds`: until there may be one; None when nothing waits. `is_lost`: Redis was flushed."""

    seconds: float | None
    is_lost: bool = False


END = (
    budget.REFILL
    + f"""
local now, how = tonumber(ARGV[1]), ARGV[2]
for number = 3, #ARGV, 2 do
  local connector, call_id = ARGV[number], ARGV[number + 1]
  local was_under_way = redis.call('ZREM', 'saldo:sync:' .. connector .. ':calls', call_id)
  if was_under_way == 1 and how == 'unused' then
    local bucket = '{budget.KEY}' .. connector
    local tokens, rate, capacity = refill(bucket, now)
    keep(bucket, now, math.min(capacity, tokens + 1), rate)
  end
end
"""
)

TAKE = (
    budget.REFILL
    + f"""
local now, calls_max, call_id, at_most = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
if redis.call('EXISTS', '{LINED_UP}') == 0 then return {{'lost'}} end
local pause, taken = -1, {{'turns'}}
local function wait(seconds) if pause < 0 or seconds < pause then pause = seconds end end
local function take(call_id)
for _, connector in ipairs(redis.call('ZRANGE', '{RING}', 0, -1)) do
  local queue = 'saldo:sync:' .. connector
  local risk, since, calls, bucket = queue .. ':risk', queue .. ':since', queue .. ':calls', '{budget.KEY}' .. connector
  local waiting = redis.call('ZCARD', risk)
  if waiting == 0 then
    redis.call('ZREM', '{RING}', connector)
  else
    redis.call('ZREMRANGEBYSCORE', calls, '-inf', now)
    local tokens, rate, capacity, rests_until = refill(bucket, now)
    local needed = 1 + {budget.RESERVED} * capacity
    local owed_at = tonumber(redis.call('HGET', bucket, 'turn_at') or 0) + 1 / ({budget.RESERVED} * rate)
    if rests_until > now then wait(rests_until - now)
    elseif redis.call('ZCARD', calls) >= calls_max then wait(0.05)
    elseif tokens < needed and now < owed_at then wait(math.min((needed - tokens) / rate, owed_at - now))
    else
      local first = redis.call('ZRANGE', risk, 0, 0, 'WITHSCORES')
      local listing = first[1]
      local turn = redis.call('INCR', '{RING}:turns')
      if redis.call('HINCRBY', bucket, 'turns', 1) % {STARVED_SHARE} == 0 and tonumber(first[2]) > {SOLD_OUT} then
        local oldest = redis.call('ZRANGE', since, 0, 0, 'WITHSCORES')
        if oldest[1] and now - tonumber(oldest[2]) > {STARVED_SECONDS} then listing = oldest[1] end
      end
      redis.call('ZREM', risk, listing)
      redis.call('ZREM', since, listing)
      redis.call('ZADD', calls, now + {CALL_SECONDS}, call_id)
      redis.call('ZADD', '{RING}', turn, connector)
      keep(bucket, now, math.max(-capacity, tokens - 1), rate)
      redis.call('HSET', bucket, 'turn_at', ARGV[1])
      for _, value in ipairs({{connector, listing, call_id, waiting - 1}}) do table.insert(taken, value) end
      return true
    end
  end
end
end
for number = 1, at_most do if not take(call_id .. ':' .. number) then break end end
if #taken > 1 then return taken end
return {{'pause', tostring(pause)}}
"""
)
"""One turn after another, each for whoever it would be the turn of if they were taken one by one."""


def line_up(waiting: Iterable[Waiting], ceilings: dict[int, float], *, is_everything: bool = False) -> None:
    """Put listings where they belong in their accounts' queues; one that stands there already moves.

    ceilings: each account's calls a second, 0 for no limit. is_everything: these are all that is due anywhere, so
    from now on Redis knows.
    """
    redis, now = valkey.client(), budget.clock()
    by_connector: dict[int, list[Waiting]] = defaultdict(list)
    for entry in waiting:
        by_connector[entry.connector_id].append(entry)
    if is_everything:
        redis.set(LINED_UP, 1)  # first: whoever flushes while we write takes it away again
    for connector_id, entries in by_connector.items():
        queue = _queue(connector_id)
        redis.hset(f"{budget.KEY}{connector_id}", "ceiling", str(ceilings[connector_id]))
        for start in range(0, len(entries), CHUNK):
            chunk = entries[start : start + CHUNK]
            with redis.pipeline() as together:
                together.zadd(f"{queue}:risk", {str(one.listing_id): one.score for one in chunk})
                together.zadd(f"{queue}:since", {str(one.listing_id): now - one.for_seconds for one in chunk}, nx=True)
                together.zadd(RING, {str(connector_id): 0}, nx=True)
                together.execute()


def take(at_most: int, calls_max: int) -> list[Turn] | Pause:
    """Take up to so many turns, at least one; or tell why there is none.

    calls_max: how many calls of one account may be under way at once. Raises RedisError.
    """
    found, *rest = _take()(args=[budget.clock(), calls_max, uuid.uuid4().hex, at_most])
    if found == "turns":
        fours = (rest[first : first + 4] for first in range(0, len(rest), 4))
        return [Turn(int(account), int(listing), call_id, int(left)) for account, listing, call_id, left in fours]
    if found == "lost":
        return Pause(None, is_lost=True)
    seconds = float(rest[0])
    return Pause(None if seconds < 0 else seconds)


def end(turns: Collection[Turn], *, were_used: bool = True) -> None:
    """End turns; what made no call is given back. Raises RedisError."""
    how = "used" if were_used else "unused"
    if turns:
        _end()(args=[budget.clock(), how, *(word for turn in turns for word in (turn.connector_id, turn.call_id))])


def leave(connector_id: int, listing_ids: Iterable[int]) -> None:
    """Take listings out of their account's queue."""
    ids = [str(listing_id) for listing_id in listing_ids]
    queue, redis = _queue(connector_id), valkey.client()
    for start in range(0, len(ids), CHUNK):
        redis.zrem(f"{queue}:risk", *ids[start : start + CHUNK])
        redis.zrem(f"{queue}:since", *ids[start : start + CHUNK])


def waiting_counts(connector_ids: Iterable[int]) -> dict[int, int]:
    """Return how many listings of each account stand in its queue."""
    ids = list(connector_ids)
    with valkey.client().pipeline(transaction=False) as together:
        for connector_id in ids:
            together.zcard(f"{_queue(connector_id)}:risk")
        return dict(zip(ids, together.execute(), strict=True))


def _queue(connector_id: int) -> str:
    return f"saldo:sync:{connector_id}"


@cache
def _take() -> Script:
    return valkey.client().register_script(TAKE)


@cache
def _end() -> Script:
    return valkey.client().register_script(END)
