"""The look-up by meaning of one process, put together: who embeds, where vectors are, and how replicas stay in step."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from headgate.alert_types import Alert, CacheFacts
from headgate.assembly.caching import Caching
from headgate.config.schema import Config
from headgate.errors import HeadgateError, MissingExtra
from headgate.policy.alerting import cache_alert
from headgate.ports import Clock, Embedder, Used
from headgate.stores.memory_entry_log import MemoryEntryLog
from headgate.telemetry.semantic_counts import SemanticCounts
from headgate.vector_ports import EntryLog, VectorIndex

if TYPE_CHECKING:
    from headgate.gateway.semantic import Semantic
    from headgate.gateway.semantic_checks import Handle
    from headgate.gateway.semantic_memory import Scope
    from headgate.policy.semantic.switch import Switch

log = logging.getLogger(__name__)


class Surroundings(msgspec.Struct, frozen=True):
    """What it works with."""

    clock: Clock
    caching: Caching
    handle: Handle  # the pipeline's
    alert: Callable[[Alert], None]
    embedded: Used  # told what a provider is paid for vectors that are for no request


class Watching:
    """Counts, and says aloud when a scope is switched."""

    def __init__(self, counts: SemanticCounts, clock: Clock, alert: Callable[[Alert], None]) -> None:
        self._clock = clock
        self._alert = alert
        self.decided = counts.decided
        self.verified = counts.verified

    def switched(self, scope: Scope, switch: Switch) -> None:
        """A scope serves no more, or again."""
        of = f"tenant '{scope.tenant or '*'}', model '{scope.model}', prompt version '{scope.prompt_version}'"
        if switch.on:
            log.warning("the semantic cache serves again (%s): answers it would have given were right", of)
        else:
            log.error("the semantic cache serves no more (%s): %s", of, switch.reason)
            facts = CacheFacts(scope.model, scope.prompt_version, scope.settings.bound, switch.reason)
            self._alert(cache_alert(scope.tenant or None, facts, self._clock.now()))


class Semantics:
    """Makes the look-up when the first model is configured so. Until then it costs nothing."""

    def __init__(
        self, surroundings: Surroundings, make_embedder: Callable[[Config], Embedder], counts: SemanticCounts
    ) -> None:
        self._around = surroundings
        self._make_embedder = make_embedder
        self._counts = counts
        self._embedder: Embedder | None = None
        self._log: EntryLog | None = None
        self._warming: asyncio.Task[None] | None = None
        self.semantic: Semantic | None = None

    def configure(self, config: Config) -> None:
        """Look by meaning from now on, if a model or router is configured so, or no more.

        Without the packages for it everything is a miss, which is said aloud: requests are answered all the same.
        """
        try:
            semantic = self._configured(config)
        except MissingExtra as error:
            log.error("no answer is given to a question that means the same: %s", error.message)
            semantic = None
        self._around.caching.cache.look_by_meaning(semantic)

    def _configured(self, config: Config) -> Semantic | None:
        caches = [model.cache for model in config.models.values()] + [one.cache for one in config.routers.values()]
        if not any(cache.semantic is not None for cache in caches):
            return None
        if self.semantic is None:
            self._make(config)
        assert self.semantic is not None, "it was made"
        self.semantic.memory.most_entries = config.cache.max_entries
        return self.semantic

    def off(self) -> dict[str, int]:
        """How many scopes of each model do not serve, because their bound is broken."""
        counts: dict[str, int] = {}
        if self.semantic is not None:
            for scope, switch in self.semantic.memory.switches().items():
                counts[scope.model] = counts.get(scope.model, 0) + (not switch.on)
        return counts

    async def aclose(self) -> None:
        """End what is under way, and the embedder."""
        if self._warming is not None:
            self._warming.cancel()
        for part in (self.semantic, self._log, self._embedder):
            if part is not None:
                await part.aclose()

    def _make(self, config: Config) -> None:
        for package in ("numpy", "usearch"):
            if importlib.util.find_spec(package) is None:
                raise MissingExtra(f"The semantic cache needs {package}. Install headgate[embeddings].")
        from headgate.gateway.semantic import Semantic  # most gateways do without
        from headgate.gateway.semantic_checks import Checks
        from headgate.gateway.semantic_memory import SemanticMemory

        around = self._around
        self._embedder = embedder = self._make_embedder(config)
        memory = SemanticMemory(_index, config.cache.max_entries)
        checks = Checks(around.handle, embedder, around.clock, around.embedded)
        watching = Watching(self._counts, around.clock, around.alert)
        self.semantic = Semantic(memory, embedder, around.caching.store, around.clock, checks, watching)
        self._log = _entry_log(config, embedder, self.semantic)
        self.semantic.connect(self._log)
        self._warming = asyncio.get_running_loop().create_task(_warm(embedder, around.embedded))


def _entry_log(config: Config, embedder: Embedder, semantic: Semantic) -> EntryLog:
    if config.store == "memory":
        return MemoryEntryLog(semantic.apply)
    from headgate.stores.redis.entry_log import RedisEntryLog

    return RedisEntryLog(config.store, f"{embedder.name}:{embedder.dimensions}", semantic.apply)


def _index(dimensions: int) -> VectorIndex:
    from headgate.stores.vectors_hnsw import HnswIndex

    return HnswIndex(dimensions)


async def _warm(embedder: Embedder, embedded: Used) -> None:
    """The first request should not wait until the model is loaded, and an embedder that cannot work is told at once."""
    try:
        await embedder.embed(["headgate"], embedded)
    except HeadgateError as error:
        log.error("the semantic cache finds nothing, because nothing can be embedded: %s", error.message)
