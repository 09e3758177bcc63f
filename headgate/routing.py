"""The routers of one process, put together: who says how hard a question is, and who chooses."""

from __future__ import annotations

from collections.abc import Callable

from headgate.assembly import Assembly
from headgate.config.schema import Config
from headgate.gateway.choosing import Choosing
from headgate.gateway.scoring import Scorer
from headgate.policy.difficulty.model import Difficulty
from headgate.ports import Clock, Embedder


class Routing:
    """Makes what routers need, when the first of them is asked for. `config` is the one in use."""

    def __init__(self, clock: Clock, assembly: Assembly, config: Callable[[], Config]) -> None:
        self._assembly = assembly
        self._config = config
        self._embedder: Embedder | None = None
        self._scorer = Scorer(_load, self._make_embedder)
        self.choosing = Choosing(clock, self._scorer)

    def reconfigured(self) -> None:
        """Files of models may be others now."""
        self._scorer.forget()

    async def aclose(self) -> None:
        """Stop embedding."""
        if self._embedder is not None:
            await self._embedder.aclose()

    def _make_embedder(self) -> Embedder:
        if self._embedder is None:
            self._embedder = self._assembly.embedder(self._config())
        return self._embedder


def _load(path: str) -> Difficulty:
    from headgate.difficulty.loading import load_difficulty  # few gateways have routers

    return load_difficulty(path or None)
