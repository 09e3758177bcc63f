"""Dynamic batching: requests for embeddings that come within some milliseconds go to the provider as one.

A provider around another. Each request gets an answer of its own out of the one there is: its vectors, and its part of
the tokens. What a provider calls wrong is looked for by halves, so that one request's toxic input fails nobody else's.
Only requests that differ in their inputs alone go together, so never those of different `user` members.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from headgate.config.batch_schema import GatherConfig
from headgate.errors import StreamIncomplete
from headgate.policy.estimating import estimate_tokens
from headgate.policy.retrying import is_retryable_status
from headgate.policy.sharing import apportioned
from headgate.ports import Provider, Take, UpstreamResponse
from headgate.types import Api, Frozen, Operation
from headgate.wire import embedding_inputs

MOST_INPUTS = 2_048  # of one request, as OpenAI has it
_OURS_TO_DECIDE = frozenset({401, 403})  # about the key: no other half would fare better
_FRAMING = frozenset({"content-length", "transfer-encoding", "content-encoding"})
_TRACE = "traceparent"

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder(order="deterministic")


def gathering(provider: Provider, rules: GatherConfig | None) -> Provider:
    """The provider, with its requests for embeddings gathered if that is wanted."""
    return provider if rules is None else GatheringProvider(provider, rules)


class WholeResponse:
    """An answer that is there already. Implements `ports.UpstreamResponse`."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers: Mapping[str, str] = {name: value for name, value in headers.items() if name not in _FRAMING}
        self._body = body

    async def read(self) -> bytes:
        body, self._body = self._body, b""
        return body

    async def relay(self, take: Take) -> bool:
        body = await self.read()
        return not body or take(body)

    def close(self) -> None:
        """Nothing is open."""


class _Member:
    """One request among those that go together."""

    __slots__ = ("answer", "inputs", "tokens")

    def __init__(self, inputs: list[bytes], answer: asyncio.Future[WholeResponse]) -> None:
        self.inputs = inputs
        self.tokens = [_tokens(each) for each in inputs]
        self.answer = answer


class _Gathering:
    """Requests that go together, while they still wait for more."""

    __slots__ = ("members", "task", "timer", "tokens")

    def __init__(self) -> None:
        self.members: list[_Member] = []
        self.tokens = 0
        self.timer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None


class _Errand(Frozen, frozen=True):
    """What the requests have in common: how they are sent."""

    operation: Operation
    fields: bytes  # all members but the input, as JSON
    endpoint: str
    api_key: str


class GatheringProvider:
    """Implements `ports.Provider` around another."""

    def __init__(self, inner: Provider, rules: GatherConfig) -> None:
        self.name = inner.name
        self.kind = inner.kind
        self._inner = inner
        self._rules = rules
        self._open: dict[_Errand, _Gathering] = {}

    async def send(
        self, operation: Operation, body: bytes, *, endpoint: str, api_key: str, headers: Sequence[tuple[str, str]] = ()
    ) -> UpstreamResponse:
        """As the port says. What is no request for embeddings, or has headers of its own, goes as it is."""
        if operation.api is Api.EMBEDDINGS and all(name == _TRACE for name, _ in headers):
            members = _members.decode(body)
            try:
                inputs = embedding_inputs.split(members.pop("input", msgspec.Raw(b"null")))
            except (ValueError, RecursionError):
                inputs = []
            if 0 < len(inputs) < MOST_INPUTS:
                return await self._together(_Errand(operation, _encoder.encode(members), endpoint, api_key), inputs)
        return await self._inner.send(operation, body, endpoint=endpoint, api_key=api_key, headers=headers)

    async def aclose(self) -> None:
        """As the port says."""
        await self._inner.aclose()

    async def _together(self, errand: _Errand, inputs: list[bytes]) -> WholeResponse:
        loop = asyncio.get_running_loop()
        member = _Member(inputs, loop.create_future())
        tokens = sum(member.tokens)
        gathering = self._open.get(errand)
        if gathering is not None and not self._fits(gathering, member, tokens):
            self._leave(errand)
            gathering = None
        if gathering is None:
            gathering = self._open[errand] = _Gathering()
            gathering.timer = loop.call_later(self._rules.max_wait_ms / 1000, self._leave, errand)
        gathering.members.append(member)
        gathering.tokens += tokens
        if gathering.tokens >= self._rules.max_batch_tokens:
            self._leave(errand)
        try:
            return await member.answer
        finally:
            if member.answer.cancelled():
                self._gone(errand, gathering, member)

    def _fits(self, gathering: _Gathering, member: _Member, tokens: int) -> bool:
        inputs = sum(len(one.inputs) for one in gathering.members) + len(member.inputs)
        return inputs <= MOST_INPUTS and gathering.tokens + tokens <= self._rules.max_batch_tokens

    def _leave(self, errand: _Errand) -> None:
        """It waits no longer."""
        gathering = self._open.pop(errand)
        if gathering.timer is not None:
            gathering.timer.cancel()
        gathering.task = asyncio.get_running_loop().create_task(self._ask(errand, gathering.members))

    def _gone(self, errand: _Errand, gathering: _Gathering, member: _Member) -> None:
        """Its client left: it is not sent any more, and when nobody is left nothing is."""
        if gathering.task is None:
            gathering.members.remove(member)
            gathering.tokens -= sum(member.tokens)
            if not gathering.members:
                del self._open[errand]
                if gathering.timer is not None:
                    gathering.timer.cancel()
        elif all(one.answer.done() for one in gathering.members):
            gathering.task.cancel()

    async def _ask(self, errand: _Errand, members: Sequence[_Member]) -> None:
        """Ask for all of them; by halves, if the provider says that something is wrong."""
        waiting = [one for one in members if not one.answer.done()]
        if not waiting:
            return
        try:
            status, headers, body = await self._send(errand, waiting)
            if (
                len(waiting) > 1
                and 400 <= status < 500
                and not (is_retryable_status(status) or status in _OURS_TO_DECIDE)
            ):
                half = len(waiting) // 2
                await self._ask(errand, waiting[:half])
                await self._ask(errand, waiting[half:])
                return
            bodies = _parts(body, waiting) if status == 200 else [body] * len(waiting)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            for one in waiting:
                if not one.answer.done():
                    one.answer.set_exception(error)
            return
        for one, part in zip(waiting, bodies, strict=True):
            if not one.answer.done():
                one.answer.set_result(WholeResponse(status, headers, part))

    async def _send(self, errand: _Errand, members: Sequence[_Member]) -> tuple[int, Mapping[str, str], bytes]:
        inputs = embedding_inputs.join([each for one in members for each in one.inputs])
        fields = errand.fields[:-1] + (b"," if len(errand.fields) > 2 else b"")
        body = b'%b"input":%b}' % (fields, bytes(inputs))
        response = await self._inner.send(errand.operation, body, endpoint=errand.endpoint, api_key=errand.api_key)
        try:
            pieces = []
            while piece := await response.read():
                pieces.append(piece)
        finally:
            response.close()
        return response.status, response.headers, b"".join(pieces)


def _parts(body: bytes, members: Sequence[_Member]) -> list[bytes]:
    """An answer for each request, out of the one for all. Raises StreamIncomplete if it has not a vector for each."""
    counts = [len(one.inputs) for one in members]
    try:
        vectors = embedding_inputs.read_vectors(body, sum(counts))
        answer = _members.decode(body)
        usage = msgspec.json.decode(answer["usage"], type=dict[str, int]) if "usage" in answer else None
    except (ValueError, KeyError) as error:
        raise StreamIncomplete(f"The provider's answer cannot be taken apart: {error}.") from None
    total = 0 if usage is None else usage.get("prompt_tokens", usage.get("total_tokens", 0))
    shares = apportioned(total, [sum(one.tokens) for one in members])
    bodies, first = [], 0
    for count, tokens in zip(counts, shares, strict=True):
        if usage is not None:
            told = {"prompt_tokens": tokens, "total_tokens": tokens}
            answer["usage"] = msgspec.Raw(msgspec.json.encode(told))
        part = msgspec.json.encode(answer)
        bodies.append(embedding_inputs.with_vectors(part, vectors[first : first + count]))
        first += count
    return bodies


def _tokens(text: bytes) -> int:
    """Of one input: a list of tokens has its length, a text is counted roughly. At least one."""
    value = msgspec.json.decode(text)
    return max(1, len(value) if isinstance(value, list) else estimate_tokens(value))
