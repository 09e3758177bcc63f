"""The routers of one process, put together: who says how hard a question is, and who chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from headgate.assembly import Assembly
from headgate.config.schema import Config
from headgate.gateway.appealing import Appeals
from headgate.gateway.choosing import Choosing
from headgate.gateway.errands import Errands
from headgate.gateway.escalating import EscalationObserver
from headgate.gateway.journey import Journey
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.routers import RouterSpec
from headgate.gateway.shadowing import Shadowing, ShadowObserver
from headgate.ports import Clock, Embedder
from headgate.route_ports import RouteRecords
from headgate.route_types import Hardness, Signals

if TYPE_CHECKING:
    from headgate.gateway.scoring import ModelScorer


class RouteObserver(EscalationObserver, ShadowObserver, Protocol):
    """Counts what routers do."""


class Routing:
    """Makes what routers need, when the first of them is asked for. `config` is the one in use."""

    shadowing: Shadowing
    records: RouteRecords

    def __init__(self, clock: Clock, assembly: Assembly, config: Callable[[], Config]) -> None:
        self._clock = clock
        self._assembly = assembly
        self._config = config
        self._embedder: Embedder | None = None
        self._scorer: ModelScorer | None = None
        self.choosing = Choosing(clock, self)
        self.appeals = Appeals(clock)

    def attach(self, pipeline: Pipeline, records: RouteRecords, observer: RouteObserver) -> None:
        """Learn from the answers of a pipeline that chooses by this."""
        self.records = records
        self.choosing.answered = records.answered
        errands = Errands(pipeline, self._clock)
        pipeline.escalating.checker = errands
        self.shadowing = Shadowing(errands, records, self._clock, self.choosing, observer)

        def routed(journey: Journey) -> None:
            self.appeals.remember(journey)
            self.shadowing.answered(journey)

        pipeline.routed = routed
        pipeline.escalating.observer = observer

    async def score(self, router: RouterSpec, signals: Signals) -> Hardness:
        """As `choosing.Scorer`."""
        if self._scorer is None:
            from headgate.difficulty.loading import load_difficulty  # few gateways have routers
            from headgate.gateway.scoring import ModelScorer

            self._scorer = ModelScorer(lambda path: load_difficulty(path or None), self._make_embedder)
        return await self._scorer.score(router, signals)

    def reconfigured(self) -> None:
        """Files of models may be others now."""
        self._scorer = None

    async def aclose(self) -> None:
        """End shadow runs, and stop embedding."""
        await self.shadowing.finish()
        if self._embedder is not None:
            await self._embedder.aclose()

    def _make_embedder(self) -> Embedder:
        if self._embedder is None:
            self._embedder = self._assembly.embedder(self._config())
        return self._embedder
