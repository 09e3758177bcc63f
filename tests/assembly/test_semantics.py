"""The composition of the look-up by meaning: made when it is asked for, and it says aloud when it turns itself off."""

from __future__ import annotations

import asyncio
import importlib.util
from typing import Any

import pytest

from headgate.alert_types import Alert
from headgate.assembly.semantics import Semantics, Surroundings, Watching
from headgate.clock import SystemClock
from headgate.config.schema import Config
from headgate.gateway.semantic_memory import Scope
from headgate.policy.semantic.partition import Settings
from headgate.policy.semantic.switch import switched_on
from headgate.telemetry.semantic_counts import SemanticCounts
from headgate.telemetry.totals import SemanticTotals
from tests.config.reading import config
from tests.gateway.meaning import TopicEmbedder

PLAIN = "providers: {s: {kind: sim}}\nmodels: {m: {deployments: [{provider: s, model: x}]CACHE}}\n"
OFF, EXACT, SEMANTIC = (
    config(PLAIN.replace("CACHE", cache)) for cache in ("", ", cache: {exact: {}}", ", cache: {semantic: {}}")
)


class Kept:
    """Stands in for the cache that is told who looks by meaning."""

    def __init__(self) -> None:
        self.cache = self
        self.store = None
        self.told: list[object] = []

    def look_by_meaning(self, semantic: object) -> None:
        self.told.append(semantic)


def run(configs: list[Config]) -> tuple[list[object], TopicEmbedder]:
    kept, embedder = Kept(), TopicEmbedder()

    async def scenario() -> None:
        nobody: Any = None
        around = Surroundings(SystemClock(), kept, nobody, nobody, nobody)  # type: ignore[arg-type]  # it stands in
        semantics = Semantics(around, lambda _: embedder, SemanticCounts(SemanticTotals()))
        for one in configs:
            semantics.configure(one)
        assert semantics.off() == {}
        await asyncio.sleep(0.05)
        await semantics.aclose()

    asyncio.run(scenario())
    return kept.told, embedder


def test_it_is_there_while_a_model_is_configured_so() -> None:
    told, embedder = run([OFF, EXACT, SEMANTIC, SEMANTIC, OFF])
    assert [one is not None for one in told] == [False, False, True, True, False]
    assert told[2] is told[3], "what it has learned stays"
    assert embedder.asked == ["headgate"], "warm before the first request"
    assert embedder.fails, "closed"


def test_until_then_nothing_is_loaded() -> None:
    assert run([OFF, EXACT])[1].asked == []


def test_without_the_extra_everything_is_a_miss_and_it_says_which(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "usearch" else find(name))
    assert run([SEMANTIC])[0] == [None]
    assert "needs usearch. Install headgate[embeddings]" in caplog.text


def test_a_scope_that_turns_itself_off_is_an_alert_and_one_that_comes_back_is_not() -> None:
    alerts: list[Alert] = []
    watching = Watching(SemanticCounts(SemanticTotals()), SystemClock(), alerts.append)
    settings, switch = Settings(bound=0.01, shadow_share=0.02), switched_on(0.01)
    while switch.on:
        switch = switch.hit(correct=False)
    watching.switched(Scope("acme", "m", "2", settings), switch)
    watching.switched(Scope("acme", "m", "2", settings), switched_on(0.01))
    (alert,) = alerts
    assert (alert.kind, alert.tenant) == ("cache", "acme")
    assert "m, prompt version 2" in alert.sentence and "verified hits were false" in alert.sentence
