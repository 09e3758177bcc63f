"""Embedding by a provider's API, through the same adapters and dialects that callers' requests take."""

from __future__ import annotations

import array
import asyncio
import hashlib
import math
import sys
from collections.abc import Sequence

import msgspec

from headgate.embedding.memory import RecentVectors, readable
from headgate.errors import EmbedderUnavailable, HeadgateError
from headgate.metering import EmbeddingUse
from headgate.policy import pricing
from headgate.policy.estimating import estimate_tokens
from headgate.ports import Clock, Provider, Used, Vector
from headgate.types import Call, Counted, Frozen, Operation, Price, Route, Usage
from headgate.wire import dialects, openai
from headgate.wire.neutral import Target
from headgate.wire.openai import CallHeaders
from headgate.wire.translation import Ask

MOST_TEXTS = 100  # in one request; Gemini takes no more
MOST_ANSWER_BYTES = 16_000_000
EMBED_SECONDS = 10.0


class EmbeddingPlan(Frozen, frozen=True):
    """Which model, and where."""

    kind: str  # of the provider
    model: str  # the provider's name for it
    dimensions: int | None  # None: as many as the model makes
    endpoint: str
    api_key: str
    price: Price | None = None  # None: free


class _Embedding(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Embeddings(msgspec.Struct):
    data: list[_Embedding]


class ProviderEmbedder:
    """Implements `ports.Embedder`. Until the first answer `dimensions` is what was configured, or 0."""

    def __init__(self, provider: Provider, plan: EmbeddingPlan, clock: Clock) -> None:
        self.name = f"{provider.name}/{plan.model}"
        self.dimensions = plan.dimensions or 0
        self._provider = provider
        self._plan = plan
        self._clock = clock
        self._dialogue = dialects.dialogues(plan.kind)[Route.EMBEDDINGS]
        self._memory = RecentVectors()
        self._closed = False

    async def embed(self, texts: Sequence[str], used: Used | None = None) -> list[Vector]:
        """As `ports.Embedder`."""
        keys = [readable(text) or " " for text in texts]  # providers refuse an empty text
        vectors = {key: self._memory.get(key) for key in keys}
        missing = [key for key, vector in vectors.items() if vector is None]
        for first in range(0, len(missing), MOST_TEXTS):
            batch = missing[first : first + MOST_TEXTS]
            for key, vector in zip(batch, await self._ask(batch, used), strict=True):
                self._memory.put(key, vector)
                vectors[key] = vector
        found = [vectors[key] for key in keys]
        if self._closed:
            raise EmbedderUnavailable("The embedder is closed: this process is shutting down.")
        return [vector for vector in found if vector is not None]

    async def aclose(self) -> None:
        """Close its connections."""
        self._closed = True
        await self._provider.aclose()

    async def _ask(self, texts: list[str], used: Used | None) -> list[Vector]:
        if self._closed:
            raise EmbedderUnavailable("The embedder is closed: this process is shutting down.")
        started, started_at = self._clock.monotonic(), self._clock.now()
        call = self._call(texts)
        ask = Ask(Target(self._plan.model), None, may_drop=True, now=int(started_at))
        try:
            async with asyncio.timeout(EMBED_SECONDS):
                answer = await self._send(self._dialogue.ask(call, ask).body)
            whole = self._dialogue.read_whole(call, ask, answer)
            if whole.failed:
                raise ValueError(whole.failed)
            vectors = self._vectors(answer if whole.body is None else whole.body, len(texts))
        except (ValueError, RecursionError) as error:
            raise self._unavailable(f"its answer cannot be used: {error}") from error
        except TimeoutError as error:
            raise self._unavailable(f"it did not answer within {EMBED_SECONDS:g} seconds") from error
        except HeadgateError as error:
            raise self._unavailable(error.message) from error
        if used is not None:
            estimate = Usage(input=sum(map(estimate_tokens, texts)), counted=Counted.ESTIMATED)
            seconds = self._clock.monotonic() - started
            used(self._use(call.id, started_at, seconds, whole.usage or estimate))
        return vectors

    def _use(self, call_id: str, started_at: float, seconds: float, usage: Usage) -> EmbeddingUse:
        plan = self._plan
        return EmbeddingUse(
            id=call_id,
            started_at=started_at,
            seconds=seconds,
            provider=self._provider.name,
            endpoint=plan.endpoint,
            model=plan.model,
            key_fingerprint=hashlib.sha256(plan.api_key.encode()).hexdigest()[:8] if plan.api_key else "",
            usage=usage,
            cost_picousd=0 if plan.price is None else pricing.cost_picousd(usage, plan.price),
            price_version="free" if plan.price is None else plan.price.version,
        )

    def _call(self, texts: list[str]) -> Call:
        body: dict[str, object] = {"model": self._plan.model, "input": texts, "encoding_format": "float"}
        if self._plan.dimensions is not None:
            body["dimensions"] = self._plan.dimensions
        call_id = self._clock.new_id("emb")
        return openai.parse_call(Route.EMBEDDINGS, msgspec.json.encode(body), call_id, CallHeaders())

    async def _send(self, body: bytes) -> bytes:
        plan = self._plan
        operation = Operation(self._dialogue.api, plan.model, stream=False)
        response = await self._provider.send(operation, body, endpoint=plan.endpoint, api_key=plan.api_key)
        try:
            answer = b""
            while (piece := await response.read()) and len(answer) <= MOST_ANSWER_BYTES:
                answer += piece
            if response.status != 200:
                raise ValueError(f"{response.status}, {openai.error_message(answer)}")
            return answer
        finally:
            response.close()

    def _vectors(self, body: bytes, count: int) -> list[Vector]:
        """In the order of the texts. Raises ValueError if they are not what was asked for."""
        rows = sorted(msgspec.json.decode(body, type=_Embeddings).data, key=lambda row: row.index)
        if [row.index for row in rows] != list(range(count)):
            raise ValueError(f"it has {len(rows)} vectors for {count} texts")
        self.dimensions = self.dimensions or len(rows[0].embedding)
        if any(len(row.embedding) != self.dimensions for row in rows):
            raise ValueError(f"its vectors have {len(rows[0].embedding)} dimensions instead of {self.dimensions}")
        return [_of_length_one(row.embedding) for row in rows]

    def _unavailable(self, trouble: str) -> EmbedderUnavailable:
        return EmbedderUnavailable(f"The provider {self._provider.name} did not embed: {trouble}")


def _of_length_one(numbers: list[float]) -> Vector:
    length = math.hypot(*numbers)
    if not length > 0 or not math.isfinite(length):
        raise ValueError("a vector has no direction")
    packed = array.array("f", [number / length for number in numbers])
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()
