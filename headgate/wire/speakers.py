"""The dialects of headgate's own URLs: how a caller's body is read and how an error is told to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from headgate.errors import HeadgateError
from headgate.types import Call, Features, Frozen, Route
from headgate.wire import openai, openai_stream, prompts
from headgate.wire.dialect import ClientDialect
from headgate.wire.messages import call as messages_call
from headgate.wire.messages.dialect import CLIENT as MESSAGES
from headgate.wire.openai import CallHeaders
from headgate.wire.responses import call as responses_call
from headgate.wire.responses.dialect import CLIENT as RESPONSES


class Speaker(Frozen, frozen=True):
    """What has to be known of a caller's dialect. `family` is what the ledger calls it."""

    family: str
    parse_call: Callable[[Route, bytes, str, CallHeaders], Call]  # raises MalformedJson or InvalidRequest
    features: Callable[[Call], Features]
    prompt_texts: Callable[[Call], list[str]]  # to count tokens by; never raises
    overhead_tokens: Callable[[Call], int]  # of the prompt that are in no text; never raises
    error_body: Callable[[HeadgateError, str], bytes]
    error_event: Callable[[HeadgateError, str], bytes]


def _parse_message(route: Route, body: bytes, call_id: str, headers: CallHeaders) -> Call:
    fields, view = messages_call.read_call(route, body)
    stream = bool(view.stream) and route is Route.MESSAGES
    call = _call(route, call_id, fields, headers, view.model, view.user)
    return msgspec.structs.replace(call, body_bytes=len(body), stream=stream, max_output_tokens=view.max_tokens)


def _parse_response(route: Route, body: bytes, call_id: str, headers: CallHeaders) -> Call:
    fields, view = responses_call.read_call(route, body)
    call = _call(route, call_id, fields, headers, view.model, view.end_user)
    ceiling = view.max_output_tokens
    return msgspec.structs.replace(call, body_bytes=len(body), stream=bool(view.stream), max_output_tokens=ceiling)


def _call(
    route: Route, call_id: str, fields: dict[str, msgspec.Raw], headers: CallHeaders, model: str, user: str | None
) -> Call:
    return Call(
        id=call_id,
        route=route,
        model=model,
        stream=False,
        fields=fields,
        body_bytes=0,
        session=headers.session,
        user=headers.user or user,
        tags=headers.tags,
        prompt_version=headers.prompt_version,
        traceparent=headers.traceparent,
        dialect_headers=headers.dialect_headers,
        cache=headers.cache,
        appeal=headers.appeal,
        idempotency_key=headers.idempotency_key,
    )


_OPENAI = Speaker(
    family="openai",
    parse_call=openai.parse_call,
    features=openai.features,
    prompt_texts=lambda call: prompts.prompt_texts(call.route, call.fields),
    overhead_tokens=lambda call: prompts.overhead_tokens(call.route, call.fields),
    error_body=openai.error_body,
    error_event=openai_stream.error_event,
)


def _neutral(
    family: str,
    client: ClientDialect,
    parse_call: Callable[[Route, bytes, str, CallHeaders], Call],
    features: Callable[[Mapping[str, msgspec.Raw]], Features],
) -> Speaker:
    """A speaker whose prompts are counted in their neutral form."""
    return Speaker(
        family=family,
        parse_call=parse_call,
        features=lambda call: features(call.fields),
        prompt_texts=lambda call: prompts.texts_of(client.read_request, call),
        overhead_tokens=lambda call: prompts.overhead_of(client.read_request, call),
        error_body=client.error_body,
        error_event=client.error_event,
    )


_ANTHROPIC = _neutral("anthropic", MESSAGES, _parse_message, messages_call.features)
_SPEAKERS: Mapping[Route, Speaker] = {
    Route.CHAT: _OPENAI,
    Route.COMPLETIONS: _OPENAI,
    Route.EMBEDDINGS: _OPENAI,
    Route.RESPONSES: _neutral("openai", RESPONSES, _parse_response, responses_call.features),
    Route.MESSAGES: _ANTHROPIC,
    Route.COUNT_TOKENS: _ANTHROPIC,
}


def speaker(route: Route) -> Speaker:
    """The dialect of a route's callers."""
    return _SPEAKERS[route]
