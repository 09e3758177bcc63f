"""The API of each kind of provider, and how each of headgate's routes is put to it: all the pairings there are.

What only some kinds of provider speak is imported when one of them is configured: a start pays for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headgate.cache_types import ProviderCacheRules
from headgate.types import Api, Call, Route, Usage
from headgate.wire import openai
from headgate.wire.chat import dialect as chat
from headgate.wire.chat import foreign as chat_foreign
from headgate.wire.dialect import ProviderDialect
from headgate.wire.messages import call as messages_call
from headgate.wire.messages import dialect as messages
from headgate.wire.openai import WholeAnswer
from headgate.wire.openai_stream import StreamReader
from headgate.wire.responses import call as responses_call
from headgate.wire.responses import dialect as responses
from headgate.wire.translation import AcrossDialects, Ask, Asked, Dialogue, SameDialect, StreamReading

EVENT_STREAM = "text/event-stream"
NOTHING_USED = Usage()


class OpenAIPassThrough:
    """OpenAI's chat, completions and embeddings to a server that speaks them: the way of most requests."""

    same_dialect = True
    stream_type = EVENT_STREAM

    def __init__(self, api: Api) -> None:
        self.api = api

    def ask(self, call: Call, ask: Ask) -> Asked:
        ceiling, ask_usage = ask.max_output_tokens, ask.target.stream_usage
        dropped: tuple[str, ...] = ()
        if self.api is Api.CHAT:
            messages, leftovers = chat_foreign.without_foreign_thoughts(call.fields["messages"])
            if leftovers:
                call = msgspec.structs.replace(call, fields={**call.fields, "messages": messages})
                dropped = tuple([leftover.field for leftover in leftovers])
        body = openai.upstream_body(call, ask.target.model, max_output_tokens=ceiling, ask_usage=ask_usage)
        return Asked(body, dropped)

    def read_whole(self, call: Call, ask: Ask, body: bytes) -> WholeAnswer:
        return openai.read_answer(call.route, body)

    def read_stream(self, call: Call, ask: Ask) -> StreamReading:
        return StreamReader(strip_usage=ask.target.stream_usage and not call.wants_usage)


class TokenCount:
    """Anthropic's own count of a prompt's tokens: nothing is generated, and nothing is charged."""

    api = Api.COUNT_TOKENS
    same_dialect = True
    stream_type = EVENT_STREAM

    def ask(self, call: Call, ask: Ask) -> Asked:
        put = messages_call.upstream_body(call, ask.target.model, max_output_tokens=None)
        return Asked(put.body, tuple([leftover.field for leftover in put.leftovers]))

    def read_whole(self, call: Call, ask: Ask, body: bytes) -> WholeAnswer:
        if not openai.is_json(body):
            raise ValueError("it is not JSON")
        return WholeAnswer(empty=False, failed="", usage=NOTHING_USED, texts=())

    def read_stream(self, call: Call, ask: Ask) -> StreamReading:
        raise AssertionError("a count does not stream")


CLIENTS = {Route.CHAT: chat.CLIENT, Route.RESPONSES: responses.CLIENT, Route.MESSAGES: messages.CLIENT}
_SAME: Mapping[Route, Dialogue] = {
    Route.CHAT: OpenAIPassThrough(Api.CHAT),
    Route.RESPONSES: SameDialect(responses.PROVIDER, responses_call.upstream_body),
    Route.MESSAGES: SameDialect(messages.PROVIDER, messages_call.upstream_body),
}
_OLDER: Mapping[Route, Dialogue] = {
    Route.COMPLETIONS: OpenAIPassThrough(Api.COMPLETIONS),
    Route.EMBEDDINGS: OpenAIPassThrough(Api.EMBEDDINGS),
}


def _all_to(provider: ProviderDialect) -> dict[Route, Dialogue]:
    """Every client dialect to one provider dialect."""
    dialogues: dict[Route, Dialogue] = {}
    for route, client in CLIENTS.items():
        same = _SAME[route]
        dialogues[route] = same if same.api is provider.api else AcrossDialects(client, provider)
    return dialogues


_CHAT = {**_all_to(chat.PROVIDER), **_OLDER}
_RESPONSES = {**_all_to(responses.PROVIDER), **_OLDER}
_OPENAI: Mapping[str, Mapping[Route, Dialogue]] = {
    "auto": {**_CHAT, Route.RESPONSES: _RESPONSES[Route.RESPONSES]},
    "chat": _CHAT,
    "responses": _RESPONSES,
}

_FAMILIES: Mapping[Api, str] = {
    Api.MESSAGES: "anthropic",
    Api.COUNT_TOKENS: "anthropic",
    Api.GENERATE_CONTENT: "gemini",
    Api.EMBED_CONTENTS: "gemini",
    Api.CONVERSE: "bedrock",
}


def family(api: Api) -> str:
    """The family of dialects an API belongs to: error bodies of one family are passed on to callers of the same."""
    return _FAMILIES.get(api, "openai")


def dialogues(kind: str, api: str = "auto", points: ProviderCacheRules | None = None) -> Mapping[Route, Dialogue]:
    """How a deployment of this kind of provider serves each route; a route that is not there is not served.

    `points` are added to requests in dialects that have cache points.
    """
    plain = _dialogues(kind, api)
    if points is None:
        return plain
    from headgate.wire.marking import marking

    return marking(plain, points)


def _dialogues(kind: str, api: str) -> Mapping[Route, Dialogue]:
    match kind:
        case "openai" | "azure":
            return _OPENAI[api]
        case "sim":
            return _CHAT
        case "anthropic":
            return {**_all_to(messages.PROVIDER), Route.COUNT_TOKENS: TokenCount()}
        case "gemini":
            from headgate.wire.embeddings import EmbeddingsAcross

            return {**_gemini(), Route.EMBEDDINGS: EmbeddingsAcross()}
        case "vertex":
            return _gemini()
        case "bedrock":
            from headgate.wire.converse.dialect import PROVIDER

            return _all_to(PROVIDER)
    raise KeyError(kind)


def _gemini() -> dict[Route, Dialogue]:
    from headgate.wire.gemini.dialect import PROVIDER

    return _all_to(PROVIDER)
