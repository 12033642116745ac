"""Rate limits that all nodes share, kept in Redis by its own clock."""

from prometheus_client import Counter

from services.rate_limits import MemoryRateLimiter, Rate, refused
from services.redis_link import RedisDown, RedisLink

FALLBACKS = Counter("parley_rate_limit_fallbacks_total", "Limits judged by this node alone, for want of Redis")

# Times are microseconds; they stay exact in Lua's doubles for two centuries.
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local settled = tonumber(redis.call('GET', KEYS[1]) or '0')
local function settle(at)
  if at > now then
    redis.call('SET', KEYS[1], string.format('%.0f', at), 'PX', math.ceil((at - now) / 1000))
  else
    redis.call('DEL', KEYS[1])
  end
end
"""
_TAKE = f"""{_NOW}
settled = math.max(settled, now) + interval
local wait = math.max(0, settled - interval * tonumber(ARGV[2]) - now)
if wait == 0 then settle(settled) end
return string.format('%.0f', wait)
"""
_GIVE_BACK = f"""{_NOW}
if settled > 0 then settle(settled - interval) end
"""


class RedisRateLimiter:
    """The limits of all nodes together, never looser than this node's own.

    Each take is judged by this node first, which spares Redis those who go on beyond their limit, and by
    Redis if it passes. While Redis does not answer, this node's judgement stands alone, and what it allowed
    is not told to Redis later: with each node a key may then take its burst once more.

    :param own: this node's limits.
    """

    def __init__(self, link: RedisLink, own: MemoryRateLimiter | None = None) -> None:
        self._link, self._own = link, own or MemoryRateLimiter()
        self._take = link.script(_TAKE)
        self._give_back = link.script(_GIVE_BACK)

    async def take(self, key: str, rate: Rate) -> float:
        """Take one.

        :returns: 0.0 when allowed, otherwise seconds to wait, and nothing was taken.
        """
        wait = await self._own.take(key, rate)
        if wait:
            return wait
        try:
            wait = int(await self._take([self._name(key)], [rate.interval, rate.size])) / 1_000_000
        except RedisDown:
            FALLBACKS.inc()
            return 0.0
        if wait:
            refused(key)
            await self._own.give_back(key, rate)
        return wait

    async def give_back(self, key: str, rate: Rate) -> None:
        """Undo one `take` that was allowed."""
        await self._own.give_back(key, rate)
        try:
            await self._give_back([self._name(key)], [rate.interval])
        except RedisDown:
            FALLBACKS.inc()

    def _name(self, key: str) -> str:
        return f"parley:limit:{self._link.namespace}:{key}"
