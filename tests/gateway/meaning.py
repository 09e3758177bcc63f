"""A corridor that looks by meaning: questions about a few topics, and an embedder and a provider that know them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from headgate.cache_types import CacheRules, ExactRules, SemanticRules
from headgate.errors import EmbedderUnavailable
from headgate.gateway.semantic import Semantic
from headgate.gateway.semantic_checks import Checks
from headgate.gateway.semantic_memory import Scope, SemanticMemory
from headgate.metering import EmbeddingUse
from headgate.policy.pii.rules import NOTHING_ALLOWED, Rules
from headgate.policy.semantic.switch import Switch
from headgate.ports import UpstreamResponse, Used, Vector
from headgate.stores.memory_entry_log import MemoryEntryLog
from headgate.stores.vectors_exact import ExactIndex
from headgate.telemetry.semantic_counts import SemanticCounts
from headgate.telemetry.totals import SemanticTotals
from headgate.types import Call, Counted, Operation, Usage
from tests.gateway import scripted
from tests.gateway.corridor import Corridor, deployment, model
from tests.gateway.scripted import ScriptedProvider, ScriptedResponse

TOPICS = ("router", "password", "printer", "invoice", "calendar", "monitor", "keyboard", "badge")
PHRASES = (
    "How do I reset my {}?",
    "How can I reset my {}?",
    "How do I reset the {}?",
    "How can I reset the {}?",
    "How could I reset my {}?",
    "How should I reset my {}?",
    "How do we reset our {}?",
    "How would I reset the {}?",
)
LAST = "Please, how do I reset my {}?"  # asked after what was taught
RULES = SemanticRules(bound=0.2, shadow_share=1.0)
JUDGE = "judge"


def question(number: int) -> str:
    """Different numbers, different texts, as long as there are phrases."""
    return PHRASES[number // len(TOPICS) % len(PHRASES)].format(TOPICS[number % len(TOPICS)])


def topic_of(text: str) -> int:
    return next((place for place, topic in enumerate(TOPICS) if topic in text), len(TOPICS))


class TopicEmbedder:
    """Implements `ports.Embedder`: texts about one topic are near to each other."""

    name = "topics"
    dimensions = 32

    def __init__(self) -> None:
        self.seconds = 0.002
        self.fails = False
        self.asked: list[str] = []
        self.calls = 0
        self.cost_picousd = 0  # of a call, if a provider charges

    async def embed(self, texts: Sequence[str], used: Used | None = None) -> list[Vector]:
        self.asked.extend(texts)
        self.calls += 1
        await asyncio.sleep(self.seconds)
        if self.fails:
            raise EmbedderUnavailable("No vectors today.")
        if used is not None and self.cost_picousd:
            usage = Usage(input=12, counted=Counted.REPORTED)
            used(
                EmbeddingUse(
                    f"emb_{len(self.asked)}", 0.0, 0.1, "p", "http://p", "e", "", usage, self.cost_picousd, "l"
                )
            )
        return [self._vector(text) for text in texts]

    async def aclose(self) -> None:
        self.fails = True

    def _vector(self, text: str) -> Vector:
        numbers = 0.03 * np.random.default_rng(sum(text.encode())).standard_normal(self.dimensions)
        numbers[topic_of(text)] += 1
        return (numbers / np.linalg.norm(numbers)).astype(np.float32).tobytes()


class KnowingProvider(ScriptedProvider):
    """Says the same of a topic every time, or when `fickle` never the same twice; a judge says what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fickle = False
        self.finish = "stop"
        self.verdict = "YES"

    async def send(self, operation: Operation, body: bytes, **more: Any) -> UpstreamResponse:
        await super().send(operation, body, **more)
        asked = json.loads(body)
        text = asked["messages"][-1]["content"]
        if asked["model"] == f"{JUDGE}-1":
            said = self.verdict
        elif self.fickle:
            said = f"Ask number {len(self.asked)} about it, or dial {len(self.asked) * 7}."
        else:
            said = f"Open the settings of topic {topic_of(text)}."
        return ScriptedResponse(
            _streamed(said, self.finish) if asked.get("stream") else scripted.answer(said, finish=self.finish)
        )


def _streamed(said: str, finish: str) -> scripted.Reply:
    chunk = {"choices": [{"index": 0, "delta": {"content": said}, "finish_reason": None}]}
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    return scripted.stream(*(f"data: {json.dumps(one)}\n\n".encode() for one in (chunk, end)), b"data: [DONE]\n\n")


class Meaning(Corridor):
    """`rules` are the semantic ones of the model `small`."""

    def __init__(self, rules: SemanticRules = RULES, pii: Rules = NOTHING_ALLOWED, **exact: Any) -> None:
        self.provider = KnowingProvider()
        caches = {"small": CacheRules(ExactRules(**exact), frozenset({"small"}), rules)}
        judge = model(deployment(self.provider, name="j/1", upstream_model=f"{JUDGE}-1"), name=JUDGE)
        super().__init__(model(deployment(self.provider)), judge, caches=caches, pii=pii)
        self.embedder = TopicEmbedder()
        self.counted = SemanticTotals()
        self.switched_to: list[Switch] = []
        counts = SemanticCounts(self.counted)
        self.decided, self.verified = counts.decided, counts.verified
        self.memory = SemanticMemory(ExactIndex, 1_000)
        checks = Checks(self.pipeline.handle, self.embedder, self.clock, self.settler.embedded)
        self.semantic = Semantic(self.memory, self.embedder, self.answers, self.clock, checks, self)
        self.semantic.connect(MemoryEntryLog(self.semantic.apply))
        self.pipeline.cache.look_by_meaning(self.semantic)

    def switched(self, scope: Scope, switch: Switch) -> None:
        self.switched_to.append(switch)

    def asking(self, text: str, *, stream: bool = False, system: str = "", **members: Any) -> Call:
        messages = [{"role": "system", "content": system}] if system else []
        return self.call(stream=stream, messages=[*messages, {"role": "user", "content": text}], **members)

    async def ask(self, text: str, **more: Any) -> str:
        """What the header says of the cache; comparisons in the background are over then."""
        caller = {"caller": more.pop("caller")} if "caller" in more else {}
        visit = await self.visit(self.asking(text, **more), **caller)
        await asyncio.sleep(5)
        assert visit.head is not None, visit.error
        return visit.head.cache

    async def teach(self, questions: int = len(TOPICS) * len(PHRASES), **more: Any) -> list[str]:
        """Ask so many different questions: what the headers said."""
        return [await self.ask(question(number), **more) for number in range(questions)]
