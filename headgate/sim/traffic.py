"""Seeded traffic: who asks what, when, and how patiently, and the clients that do it through the real pipeline.

Owns the clients' side of a simulation only. It calls `Pipeline.handle` as the HTTP edge does and tells a `Witness` what
every client saw; what that means is for the witness to judge.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from headgate.errors import ClientGone, HeadgateError
from headgate.gateway.answers import AnswerHead
from headgate.gateway.pipeline import Pipeline
from headgate.ports import Clock
from headgate.types import Call, Caller, Frozen, Route
from headgate.wire.openai import CallHeaders, parse_call

_TYPICAL_SECONDS = 0.5  # what an answer takes, roughly: those that vanish do so around this time


class Manner(StrEnum):
    """How a client behaves."""

    PATIENT = "patient"  # reads everything at once
    SLOW = "slow"  # takes its time after every piece
    VANISHES = "vanishes"  # the connection is gone at some moment, whatever is under way
    VANISHES_READING = "vanishes_reading"  # it is gone just after some pieces, while the next one is on its way
    STOPS = "stops"  # leaves after some pieces
    STUCK = "stuck"  # takes nothing any more after some pieces, until the gateway drops it


class Visit(Frozen, frozen=True):
    """One request of one client."""

    number: int
    at_seconds: float  # since the beginning of the traffic
    caller: Caller
    route: Route
    model: str
    stream: bool
    body: bytes
    manner: Manner = Manner.PATIENT
    pause_seconds: float = 0.0  # of a slow client, after every piece; of a stuck one, until it is dropped
    leaves_after_seconds: float = 0.0  # of one that vanishes
    leaves_after_pieces: int = 0  # of the others that leave


class Shape(Frozen, frozen=True):
    """What the traffic is made of. Shares are of all requests."""

    requests: int
    callers: Sequence[Caller]
    models: Sequence[str]  # for chat and completions; a name that stands there twice is asked for twice as often
    embedding_models: Sequence[str]
    requests_per_second: float = 100.0
    stream_share: float = 0.6
    completion_share: float = 0.05
    embedding_share: float = 0.05
    leaving_share: float = 0.05  # of those that mean to leave; the answer may be there first
    leaving_moments_seconds: Sequence[float] = ()  # every second of those that vanish does so at just one of these
    slow_share: float = 0.03
    longest_pause_seconds: float = 8.0  # of slow clients; long enough to outlast a stall timeout
    unreadable_share: float = 0.005


class Witness(Protocol):
    """Is told what every client saw, in the order in which it happened."""

    def asked(self, visit: Visit, call: Call) -> None:
        """The request goes in."""

    def answered(self, visit: Visit, head: AnswerHead) -> None:
        """The commit point is passed."""

    def received(self, visit: Visit, piece: bytes) -> None:
        """The client has taken a piece."""

    def finished(self, visit: Visit, request_id: str, error: HeadgateError | None) -> None:
        """The client has all there is: an answer, or the error there was instead."""

    def vanished(self, visit: Visit) -> None:
        """The connection is gone; the pipeline is being told."""

    def left(self, visit: Visit, request_id: str) -> None:
        """The pipeline has done with a client that went away first."""


def visits(shape: Shape, chance: random.Random) -> Iterator[Visit]:
    """All requests in the order of their times, which are a Poisson process."""
    at_seconds = 0.0
    for number in range(shape.requests):
        at_seconds += chance.expovariate(shape.requests_per_second)
        yield _visit(shape, chance, number, at_seconds)


def _visit(shape: Shape, chance: random.Random, number: int, at_seconds: float) -> Visit:
    kind = chance.random()
    embedding = kind < shape.embedding_share
    completion = not embedding and kind < shape.embedding_share + shape.completion_share
    route = Route.EMBEDDINGS if embedding else Route.COMPLETIONS if completion else Route.CHAT
    model = chance.choice(shape.embedding_models if embedding else shape.models)
    stream = not embedding and chance.random() < shape.stream_share
    manner = _manner(shape, chance)
    return Visit(
        number=number,
        at_seconds=at_seconds,
        caller=chance.choice(shape.callers),
        route=route,
        model=model,
        stream=stream,
        body=b"{" if chance.random() < shape.unreadable_share else _body(chance, route, model, stream, number),
        manner=manner,
        pause_seconds=chance.uniform(0, shape.longest_pause_seconds) if manner in (Manner.SLOW, Manner.STUCK) else 0.0,
        leaves_after_seconds=_leaves_after_seconds(shape, chance),
        leaves_after_pieces=chance.randrange(1, 10),
    )


def _manner(shape: Shape, chance: random.Random) -> Manner:
    throw = chance.random()
    if throw < shape.leaving_share:
        return chance.choice((Manner.VANISHES, Manner.VANISHES_READING, Manner.STOPS, Manner.STUCK))
    return Manner.SLOW if throw < shape.leaving_share + shape.slow_share else Manner.PATIENT


def _leaves_after_seconds(shape: Shape, chance: random.Random) -> float:
    if shape.leaving_moments_seconds and chance.random() < 0.5:
        return chance.choice(shape.leaving_moments_seconds)
    return chance.expovariate(1 / _TYPICAL_SECONDS)


def _body(chance: random.Random, route: Route, model: str, stream: bool, number: int) -> bytes:
    """A request body; its member `user` is `visitor-NUMBER`."""
    question = f"Question {number}: how does the wheel turn?"
    body: dict[str, object] = {"model": model, "user": f"visitor-{number}", "unknown_member": {"kept": number}}
    if route is Route.EMBEDDINGS:
        return msgspec.json.encode({**body, "input": question, "dimensions": 4})
    if route is Route.CHAT:
        body["messages"] = [{"role": "user", "content": question}]
    else:
        body["prompt"] = question
    if stream:
        body["stream"] = True
        if chance.random() < 0.4:
            body["stream_options"] = {"include_usage": True}
        body |= _oddities(chance)
    if chance.random() < 0.2:
        body["max_tokens"] = chance.randrange(1, 12)
    if chance.random() < 0.05:
        body["n"] = chance.randrange(2, 4)
    if chance.random() < 0.05 and route is Route.CHAT:
        body["tools"] = [{"type": "function", "function": {"name": "turn", "parameters": {"type": "object"}}}]
        body["tool_choice"] = "required"
    return msgspec.json.encode(body)


def _oddities(chance: random.Random) -> dict[str, object]:
    """Ask the simulated model for what its shares of faults do not have."""
    throw = chance.random()
    if throw < 0.02:
        return {"sim": {"fault": chance.choice(("unfinished", "error_event")), "after_events": chance.randrange(10)}}
    return {"sim": {"piece_bytes": chance.choice((11, 37, 250, 1000))}} if throw < 0.12 else {}


async def drive(pipeline: Pipeline, clock: Clock, traffic: Iterator[Visit], witness: Witness) -> None:
    """Send every visitor in at its time and wait until all are gone."""
    began = clock.monotonic()
    async with asyncio.TaskGroup() as clients:
        for visit in traffic:
            await asyncio.sleep(began + visit.at_seconds - clock.monotonic())
            clients.create_task(_go(pipeline, clock, visit, witness))


async def _go(pipeline: Pipeline, clock: Clock, visit: Visit, witness: Witness) -> None:
    request_id = clock.new_id("req")
    try:
        call = parse_call(visit.route, visit.body, request_id, CallHeaders())
    except HeadgateError as error:
        unread = Call(request_id, visit.route, "", stream=False, fields={}, body_bytes=len(visit.body))
        witness.asked(visit, unread)
        pipeline.refuse(visit.caller, unread, error)
        witness.finished(visit, request_id, error)
        return
    witness.asked(visit, call)
    vanishing = _Vanishing(visit, witness)
    if visit.manner is Manner.VANISHES:
        vanishing.after(visit.leaves_after_seconds)
    try:
        stayed = await _read(pipeline, visit, call, witness, vanishing)
    except (ClientGone, asyncio.CancelledError):
        stayed = False
    except HeadgateError as error:
        witness.finished(visit, request_id, error)
        return
    finally:
        vanishing.stop()
    if stayed:
        witness.finished(visit, request_id, None)
    else:
        witness.left(visit, request_id)


class _Vanishing:
    """Cuts a client's connection: to the pipeline that is a cancelled task, as it is at the HTTP edge."""

    def __init__(self, visit: Visit, witness: Witness) -> None:
        self._visit = visit
        self._witness = witness
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None

    def after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._vanish)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _vanish(self) -> None:
        self._witness.vanished(self._visit)
        if self._task is not None:
            self._task.cancel()


async def _read(pipeline: Pipeline, visit: Visit, call: Call, witness: Witness, vanishing: _Vanishing) -> bool:
    """Read the answer as the visit's manner has it; whether the client stayed to the end."""
    pieces = 0
    async with pipeline.handle(visit.caller, call) as answer:
        witness.answered(visit, answer.head)
        async for piece in answer.events:
            witness.received(visit, piece)
            pieces += 1
            if visit.manner is Manner.SLOW:
                await asyncio.sleep(visit.pause_seconds)
            elif pieces == visit.leaves_after_pieces:
                if visit.manner is Manner.STOPS:
                    return False
                if visit.manner is Manner.VANISHES_READING:
                    vanishing.after(0.0)
                if visit.manner is Manner.STUCK:
                    await asyncio.sleep(visit.pause_seconds)
                    raise ClientGone("The client took nothing for too long.")
    return True
