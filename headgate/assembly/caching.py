"""What one process looks up before it asks a provider, put together: kept answers, and results by idempotency key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.cache_types import CacheActivity
from headgate.config.schema import CacheStoreConfig, Config
from headgate.gateway.admission import Admissions
from headgate.gateway.cache import Cache
from headgate.gateway.elsewhere import Elsewhere
from headgate.gateway.idempotency import Idempotency
from headgate.gateway.settling import Settler
from headgate.ports import CacheStore, Clock
from headgate.route_ports import Sessions
from headgate.stores.database import Database
from headgate.stores.memory_cache import MemoryCache
from headgate.stores.memory_sessions import MemorySessions
from headgate.stores.sql_idempotency import SqlIdempotencyStore
from headgate.telemetry.metrics import Metrics
from headgate.telemetry.page import MetricsPage
from headgate.telemetry.semantic_counts import activity

if TYPE_CHECKING:
    from headgate.stores.redis.cache import RedisCache


def answers(store: str, clock: Clock, bounds: CacheStoreConfig) -> MemoryCache | RedisCache:
    """Where the setting `store` keeps answers. Make it inside the event loop. Raises MissingExtra."""
    sizes = {
        "max_entries": bounds.max_entries,
        "max_bytes": bounds.max_bytes,
        "max_entry_bytes": bounds.max_entry_bytes,
    }
    if store == "memory":
        return MemoryCache(clock.now, **sizes)
    from headgate.stores.redis.cache import RedisCache

    return RedisCache(store, clock.now, **sizes)


def _sessions(store: MemoryCache | RedisCache, clock: Clock) -> Sessions:
    """Which models conversations keep: where answers are kept."""
    if isinstance(store, MemoryCache):
        return MemorySessions(clock.monotonic)
    from headgate.stores.redis.sessions import RedisSessions

    return RedisSessions(store.line, clock.now)


def _elsewhere(store: MemoryCache | RedisCache, clock: Clock) -> Elsewhere | None:
    """What other processes are asking, if they share what they keep."""
    if isinstance(store, MemoryCache):
        return None
    from headgate.stores.redis.leads import RedisLeads

    return Elsewhere(RedisLeads(store, clock.new_id("process")), clock)


class Caching:
    """Makes the cache of a process, and closes it; and so for idempotency keys."""

    def __init__(
        self,
        config: Config,
        database: Database,
        clock: Clock,
        settler: Settler,
        admissions: Admissions,
        metrics: Metrics,
    ) -> None:
        bounds = config.cache
        self._store = answers(config.store, clock, bounds)
        self.store: CacheStore = self._store
        self.sessions = _sessions(self._store, clock)
        self.cache = Cache(self.store, clock, settler, admissions, metrics.cache)
        self.cache.elsewhere = _elsewhere(self._store, clock)
        keys, alive_seconds = SqlIdempotencyStore(database), config.idempotency.alive_seconds
        self.idempotency = Idempotency(keys, clock, settler, admissions, alive_seconds)

    async def look_after(self) -> None:
        """What has to be done all the time."""
        await self.idempotency.run_forever()

    def reconfigured(self, config: Config) -> None:
        """The bounds may be others now."""
        bounds = config.cache
        self._store.max_entries = bounds.max_entries
        self._store.max_bytes = bounds.max_bytes
        self._store.max_entry_bytes = bounds.max_entry_bytes

    async def activity(self, page: MetricsPage) -> CacheActivity:
        """What was found and kept, in all workers."""
        totals = await page.totals()
        counted, semantic = totals.cache, activity(totals.semantic)
        return CacheActivity(
            counted.found, counted.missed, counted.kept, counted.not_kept, counted.saved_picousd, semantic
        )

    async def aclose(self) -> None:
        """Close the store."""
        await self.cache.finish()
        await self.idempotency.finish()
        await self.store.aclose()
