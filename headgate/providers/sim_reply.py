"""Everything the simulated model will do with one request: status, headers, pieces with their times, and how it breaks.

Pure: a reply is a plan, `sim` carries it out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import chain, islice

import msgspec

from headgate.providers.sim_answer import Head, Piece, embeddings, stream, whole_answer, write_choices
from headgate.providers.sim_draws import Draws, Fault
from headgate.providers.sim_request import Request
from headgate.types import Api

NEVER = math.inf
_JSON = {"content-type": "application/json"}
_REFUSALS = frozenset({Fault.RATE_LIMITED, Fault.SERVER_ERROR, Fault.OVERLOADED})
_EVENTS = {"content-type": "text/event-stream; charset=utf-8"}


class Ending(Enum):
    """What comes after the last piece."""

    CLEAN = "clean"
    CUT = "cut"
    SILENCE = "silence"


class Reply(msgspec.Struct):
    """A plan. `before_seconds` pass until status and headers are there, then the pieces follow, each at its time.

    A fault in the middle strikes before the piece number `breaks_at`, counted from 0.
    """

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[Piece]
    before_seconds: float = 0.0
    breaks_at: int = 0
    streamed: bool = False
    ending: Ending = Ending.CLEAN


def plan(api: Api, request: Request, draws: Draws, created: int) -> Reply:
    """Decide on the whole reply. `created` is Unix seconds. Raises BadRequest."""
    fault = draws.fault(request.model)
    reply = _refuse(fault, draws.retry_after_seconds) if fault in _REFUSALS else _answer(api, request, draws, created)
    reply.headers = {**reply.headers, "x-request-id": f"req_{draws.identity}"}
    return _break(reply, fault) if fault else reply


def _answer(api: Api, request: Request, draws: Draws, created: int) -> Reply:
    if api is Api.EMBEDDINGS:
        return _whole(embeddings(request, draws.seed), 0, draws.ttft_seconds())
    return _generate(api, request, draws, created)


def _generate(api: Api, request: Request, draws: Draws, created: int) -> Reply:
    choices = write_choices(api, request, draws)
    head = Head(api, request, draws.identity, created)
    steps = max(len(choice.tokens) for choice in choices)
    if request.stream:
        preambles = 1 if api is Api.CHAT else 0
        breaks_at = preambles + draws.after_events(steps)
        return Reply(200, _EVENTS, stream(head, choices, draws), breaks_at=breaks_at, streamed=True)
    seconds = draws.ttft_seconds() + sum(draws.itl_seconds() for _ in range(steps - 1))
    return _whole(whole_answer(head, choices), sum(len(choice.tokens) for choice in choices), seconds)


def _whole(body: bytes, tokens: int, seconds: float) -> Reply:
    return Reply(200, _JSON, iter([Piece(0.0, body, tokens)]), before_seconds=seconds)


def _break(reply: Reply, fault: Fault) -> Reply:
    """Let a good reply go wrong."""
    match fault:
        case Fault.HANG_BEFORE:
            reply.before_seconds = NEVER
        case Fault.EMPTY:
            reply.pieces = iter(())
        case Fault.HANG_BETWEEN:
            reply.pieces, reply.ending = islice(reply.pieces, reply.breaks_at), Ending.SILENCE
        case Fault.CUT:
            reply.pieces, reply.ending = _tear(islice(reply.pieces, reply.breaks_at + 1), reply.breaks_at), Ending.CUT
        case Fault.MALFORMED:
            reply.pieces = _tear(reply.pieces, reply.breaks_at, b"\n\n")
        case Fault.UNFINISHED:
            reply.pieces = islice(reply.pieces, reply.breaks_at)
        case Fault.ERROR_EVENT:
            error = _error("server_error", "The simulated model gave up, as it was told to.")
            data = b"data: %s\n\ndata: [DONE]\n\n" % error if reply.streamed else error
            reply.pieces = chain(islice(reply.pieces, reply.breaks_at), [Piece(0.0, data, 0)])
    return reply


def _tear(pieces: Iterator[Piece], torn: int, end: bytes = b"") -> Iterator[Piece]:
    """Lose the rest of piece number `torn` from its last quotation mark on, so that what is left is no JSON."""
    for number, piece in enumerate(pieces):
        if number == torn:
            yield Piece(piece.wait_seconds, piece.data[: piece.data.rindex(b'"')] + end, 0)
        else:
            yield piece


def _refuse(fault: Fault | None, retry_after_seconds: float) -> Reply:
    if fault is Fault.SERVER_ERROR:
        return refusal(500, "server_error", "The simulated model had an error, as it was told to.")
    if fault is Fault.OVERLOADED:
        return refusal(529, "overloaded_error", "The simulated model is overloaded, as it was told to be.")
    sentence = f"The simulated model's rate limit is reached, as it was told. Try again in {retry_after_seconds:g} s."
    reply = refusal(429, "requests", sentence, code="rate_limit_exceeded")
    milliseconds = math.ceil(retry_after_seconds * 1000)
    waits = {"retry-after": str(math.ceil(retry_after_seconds)), "retry-after-ms": str(milliseconds)}
    reply.headers = {**reply.headers, **waits}
    return reply


def refusal(status: int, kind: str, sentence: str, *, code: str | None = None) -> Reply:
    """An answer with OpenAI's error object."""
    return Reply(status, _JSON, iter([Piece(0.0, _error(kind, sentence, code), 0)]))


def _error(kind: str, sentence: str, code: str | None = None) -> bytes:
    return msgspec.json.encode({"error": {"message": sentence, "type": kind, "param": None, "code": code}})
