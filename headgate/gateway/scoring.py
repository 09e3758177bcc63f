"""How hard a question is, as routers ask it: by a trained model, with the question's meaning if that is configured.

Imported when the first request asks for a router: a start pays for nothing of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from headgate.errors import EmbedderUnavailable, FileInvalid
from headgate.gateway.routers import RouterSpec
from headgate.policy.difficulty.model import Difficulty
from headgate.policy.difficulty.signals import signals_of
from headgate.ports import Embedder, Used
from headgate.route_types import Hardness, Signals

VECTOR_SECONDS = 0.5  # what a question's meaning may cost a request
SHORT_CHARACTERS = 60  # "why?" and "go on" are as hard as what they follow

log = logging.getLogger(__name__)


class ModelScorer:
    """Implements `choosing.Scorer`. Models are loaded, and the embedder made, when the first router needs them."""

    def __init__(self, load: Callable[[str], Difficulty], embedder: Callable[[], Embedder | None]) -> None:
        """`load` reads a model by its path, "" for the packaged one."""
        self._load = load
        self._embedder = embedder
        self._models: dict[str, Difficulty] = {}
        self._told: set[str] = set()  # embedders that are missing

    async def score(self, router: RouterSpec, signals: Signals, used: Used) -> Hardness:
        """Judges what is asked now; of a follow-up that is only a word or two, what was asked before it."""
        model = self._models.get(router.difficulty_model)
        if model is None:
            model = self._models[router.difficulty_model] = self._read(router)
        text = signals.text
        if len(text) < SHORT_CHARACTERS and len(signals.prior_text) > len(text):
            text = signals.prior_text
        vector = await self._vector(text, model.weights.embedder, used) if router.use_embedder else None
        score = model.score(signals_of(text, signals.turn), vector)
        return Hardness(1.0 - score.easier_than, max(0.0, score.expected_loss), score.reasons)

    def _read(self, router: RouterSpec) -> Difficulty:
        try:
            return self._load(router.difficulty_model)
        except FileInvalid as error:
            log.error("the router %s goes by the packaged model: %s", router.name, error.message)
            return self._load("")

    async def _vector(self, text: str, made_for: str, used: Used) -> bytes | None:
        """A text's meaning, if there is the embedder that the model was trained with."""
        embedder = self._embedder()
        if embedder is None or embedder.name != made_for:
            if made_for not in self._told:
                self._told.add(made_for)
                log.warning("a router goes by words alone: its model was trained with the embedder %s", made_for)
            return None
        try:
            async with asyncio.timeout(VECTOR_SECONDS):
                return (await embedder.embed([text], used))[0]
        except EmbedderUnavailable as error:
            log.warning("a router goes by words alone: %s", error.message)
        except TimeoutError:
            log.warning("a router goes by words alone: no vector came within %g seconds", VECTOR_SECONDS)
        return None
