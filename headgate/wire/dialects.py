"""Who speaks what: the dialect of each of headgate's URLs, the API of each kind of provider, and all their pairings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from headgate.errors import HeadgateError
from headgate.types import Api, Call, Features, Frozen, Route
from headgate.wire import openai, openai_stream, prompts
from headgate.wire.openai import CallHeaders, WholeAnswer
from headgate.wire.openai_stream import StreamReader
from headgate.wire.translation import Ask, Asked, Dialogue, StreamReading

OPENAI, ANTHROPIC, GEMINI, BEDROCK = "openai", "anthropic", "gemini", "bedrock"  # families of dialects


class Speaker(Frozen, frozen=True):
    """What the edge has to know of a caller's dialect. `family` is what the ledger calls it."""

    family: str
    parse_call: Callable[[Route, bytes, str, CallHeaders], Call]  # raises MalformedJson or InvalidRequest
    features: Callable[[Call], Features]
    prompt_texts: Callable[[Call], list[str]]  # to count tokens by; never raises
    overhead_tokens: Callable[[Call], int]  # of the prompt that are in no text; never raises
    error_body: Callable[[HeadgateError, str], bytes]
    error_event: Callable[[HeadgateError, str], bytes]


class OpenAIPassThrough:
    """OpenAI's chat, completions and embeddings to a server that speaks them: the way of most requests."""

    same_dialect = True
    stream_type = "text/event-stream"

    def __init__(self, api: Api) -> None:
        self.api = api

    def ask(self, call: Call, ask: Ask) -> Asked:
        ceiling = ask.max_output_tokens
        return Asked(openai.upstream_body(call, ask.target.model, max_output_tokens=ceiling, ask_usage=ask.ask_usage))

    def read_whole(self, call: Call, ask: Ask, body: bytes) -> WholeAnswer:
        return openai.read_answer(call.route, body)

    def read_stream(self, call: Call, ask: Ask) -> StreamReading:
        return StreamReader(strip_usage=ask.ask_usage and not call.wants_usage)


_OPENAI_SPEAKER = Speaker(
    OPENAI,
    openai.parse_call,
    openai.features,
    lambda call: prompts.prompt_texts(call.route, call.fields),
    lambda call: prompts.overhead_tokens(call.route, call.fields),
    openai.error_body,
    openai_stream.error_event,
)
_SPEAKERS: Mapping[Route, Speaker] = {
    Route.CHAT: _OPENAI_SPEAKER,
    Route.COMPLETIONS: _OPENAI_SPEAKER,
    Route.EMBEDDINGS: _OPENAI_SPEAKER,
    Route.RESPONSES: _OPENAI_SPEAKER,
    Route.MESSAGES: _OPENAI_SPEAKER,
    Route.COUNT_TOKENS: _OPENAI_SPEAKER,
}

_FAMILIES: Mapping[Api, str] = {
    Api.CHAT: OPENAI,
    Api.COMPLETIONS: OPENAI,
    Api.EMBEDDINGS: OPENAI,
    Api.RESPONSES: OPENAI,
    Api.MESSAGES: ANTHROPIC,
    Api.COUNT_TOKENS: ANTHROPIC,
    Api.GENERATE_CONTENT: GEMINI,
    Api.EMBED_CONTENTS: GEMINI,
    Api.CONVERSE: BEDROCK,
}

_OPENAI_SERVER: Mapping[Route, Dialogue] = {
    Route.CHAT: OpenAIPassThrough(Api.CHAT),
    Route.COMPLETIONS: OpenAIPassThrough(Api.COMPLETIONS),
    Route.EMBEDDINGS: OpenAIPassThrough(Api.EMBEDDINGS),
}
_BY_KIND: Mapping[str, Mapping[Route, Dialogue]] = {"openai": _OPENAI_SERVER, "sim": _OPENAI_SERVER}


def speaker(route: Route) -> Speaker:
    """The dialect of a route's callers."""
    return _SPEAKERS[route]


def token_count(tokens: int) -> bytes:
    """The answer to `/v1/messages/count_tokens`."""
    return msgspec.json.encode({"input_tokens": tokens})


def family(api: Api) -> str:
    """The family of dialects an API belongs to: error bodies of one family are passed on to callers of the same."""
    return _FAMILIES[api]


def dialogues(kind: str, api: str = "auto") -> Mapping[Route, Dialogue]:
    """How a deployment of this kind of provider serves each route; a route that is not there is not served."""
    return _BY_KIND[kind]
