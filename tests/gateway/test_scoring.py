"""How hard a question is: by the packaged model, with the question's meaning where that is configured."""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
from collections.abc import Sequence

import pytest

from headgate.difficulty.loading import load_difficulty
from headgate.errors import EmbedderUnavailable, FileInvalid
from headgate.gateway.routers import RouterSpec
from headgate.gateway.scoring import VECTOR_SECONDS, ModelScorer
from headgate.policy.difficulty.model import Difficulty
from headgate.ports import Used, Vector
from headgate.route_types import Hardness, Signals
from tests.gateway.corridor import run

AUTO = RouterSpec("auto", ("small", "large"))
BY_MEANING = RouterSpec("auto", ("small", "large"), use_embedder=True)
EASY = Signals("What is the capital of France?")
HARD = Signals("Design a multi-region failover for a bank, compare the trade-offs and write the migration plan.")


MODEL = load_difficulty().weights


class Embedding:
    """Puts every text at the same place, or fails."""

    def __init__(self, dimensions: int, fails: bool = False, name: str = MODEL.embedder) -> None:
        self.name = name
        self.dimensions = dimensions
        self.fails = fails
        self.texts: list[str] = []

    async def embed(self, texts: Sequence[str], used: Used | None = None) -> list[Vector]:
        self.texts.extend(texts)
        if self.fails:
            raise EmbedderUnavailable("Nothing is prepared.")
        return [struct.pack("<f", 1.0) + bytes(4 * self.dimensions - 4)] * len(texts)

    async def aclose(self) -> None:
        return


def load(path: str) -> Difficulty:
    if path == "broken":
        raise FileInvalid("broken: it is no model.")
    return load_difficulty(path or None)


def scored(signals: Signals, router: RouterSpec = AUTO, embedder: Embedding | None = None) -> Hardness:
    return asyncio.run(ModelScorer(load, lambda: embedder).score(router, signals, lambda use: None))


def test_hard_questions_are_harder() -> None:
    easy, hard = scored(EASY), scored(HARD)
    assert 0 <= easy.difficulty < 0.4 < 0.6 < hard.difficulty <= 1 and easy.loss < hard.loss and hard.reasons


def test_a_follow_up_is_as_hard_as_what_it_follows() -> None:
    assert scored(Signals("why?", prior_text=HARD.text)) == scored(HARD)
    assert scored(Signals(EASY.text * 3, prior_text=HARD.text)) != scored(HARD)


def test_nobody_waits_long_for_a_vector() -> None:
    class Slow(Embedding):
        async def embed(self, texts: Sequence[str], used: Used | None = None) -> list[Vector]:
            await asyncio.sleep(60)
            return await super().embed(texts, used)

    async def scenario() -> None:
        scorer, loop = ModelScorer(load, lambda: Slow(MODEL.dimensions)), asyncio.get_running_loop()
        began = loop.time()
        assert await scorer.score(BY_MEANING, EASY, lambda use: None) == scored_by_words
        assert loop.time() - began <= VECTOR_SECONDS + 0.01

    scored_by_words = scored(EASY)
    run(scenario)


def test_by_meaning_where_that_is_configured() -> None:
    embedder = Embedding(MODEL.dimensions)
    assert scored(HARD, BY_MEANING, embedder) != scored(HARD) and embedder.texts == [HARD.text]
    unused = Embedding(8)
    assert scored(HARD, AUTO, unused) == scored(HARD) and unused.texts == []


def test_by_words_alone_when_it_is_another_embedder(caplog: pytest.LogCaptureFixture) -> None:
    other = Embedding(MODEL.dimensions, name="another")
    assert scored(HARD, BY_MEANING, other) == scored(HARD) and other.texts == []
    assert f"its model was trained with the embedder {MODEL.embedder}" in caplog.text


def test_by_words_alone_when_the_embedder_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    assert scored(HARD, BY_MEANING, Embedding(384, fails=True)) == scored(HARD)
    assert "a router goes by words alone: Nothing is prepared." in caplog.text


def test_a_model_that_cannot_be_read_is_replaced_by_the_packaged_one(caplog: pytest.LogCaptureFixture) -> None:
    broken = RouterSpec("auto", ("small", "large"), difficulty_model="broken")
    assert scored(HARD, broken) == scored(HARD)
    assert "the router auto goes by the packaged model: broken: it is no model." in caplog.text


def test_gateways_without_routers_load_nothing_of_it() -> None:
    program = (
        "import sys, headgate.app; print([name for name in sys.modules if 'difficulty' in name or 'numpy' in name])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
