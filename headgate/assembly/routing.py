"""The routers of one process, put together: who says how hard a question is, and who chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from headgate.alert_types import Alert, RouterFacts
from headgate.assembly.parts import Assembly
from headgate.config.schema import Config
from headgate.gateway.appealing import Appeals
from headgate.gateway.choosing import Choosing
from headgate.gateway.errands import Errands
from headgate.gateway.escalating import EscalationObserver
from headgate.gateway.journey import Journey
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.routers import RouterSpec
from headgate.gateway.shadowing import Shadowing
from headgate.policy.alerting import router_alert
from headgate.ports import Clock, Embedder, Used
from headgate.route_ports import RouteRecords, Sessions
from headgate.route_types import Hardness, RouterGate, Signals

if TYPE_CHECKING:
    from headgate.gateway.scoring import ModelScorer


class RouteCounter(EscalationObserver, Protocol):
    """Counts what routers do."""

    def judged(self, router: str, outcome: str) -> None: ...

    def not_judged(self, router: str, reason: str) -> None: ...

    def turned(self, router: str, closed: bool) -> None: ...


class Watching:
    """Counts what comes of shadow runs, and says aloud when a router closes itself."""

    def __init__(self, counts: RouteCounter, clock: Clock, alert: Callable[[Alert], None]) -> None:
        self._counts = counts
        self._clock = clock
        self._alert = alert
        self.judged = counts.judged
        self.not_judged = counts.not_judged

    def turned(self, gate: RouterGate) -> None:
        """A router was closed or opened by what was found."""
        self._counts.turned(gate.router, gate.closed)
        if gate.closed:
            self._alert(router_alert(RouterFacts(gate.router, gate.reason), self._clock.now()))


class Routing:
    """Makes what routers need, when the first of them is asked for. `config` is the one in use."""

    shadowing: Shadowing
    records: RouteRecords

    def __init__(self, clock: Clock, assembly: Assembly, config: Callable[[], Config], sessions: Sessions) -> None:
        self._clock = clock
        self._assembly = assembly
        self._config = config
        self._embedder: Embedder | None = None
        self._scorer: ModelScorer | None = None
        self.choosing = Choosing(clock, self, sessions)
        self.appeals = Appeals(clock)

    def attach(
        self, pipeline: Pipeline, records: RouteRecords, counts: RouteCounter, alert: Callable[[Alert], None]
    ) -> None:
        """Learn from the answers of a pipeline that chooses by this."""
        watching = Watching(counts, self._clock, alert)
        self.records = records
        self.choosing.answered = records.answered
        errands = Errands(pipeline, self._clock)
        pipeline.escalating.checker = errands
        self.shadowing = Shadowing(errands, records, self._clock, self.choosing, watching)

        def routed(journey: Journey) -> None:
            self.appeals.remember(journey)
            self.shadowing.answered(journey)

        pipeline.routed = routed
        pipeline.escalating.observer = counts

    async def score(self, router: RouterSpec, signals: Signals, used: Used) -> Hardness:
        """As `choosing.Scorer`."""
        if self._scorer is None:
            from headgate.difficulty.loading import load_difficulty  # few gateways have routers
            from headgate.gateway.scoring import ModelScorer

            self._scorer = ModelScorer(lambda path: load_difficulty(path or None), self._make_embedder)
        return await self._scorer.score(router, signals, used)

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
