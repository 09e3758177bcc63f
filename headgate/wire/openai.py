"""OpenAI's dialect, requests and whole answers: bytes <-> values, no I/O. Streams are in `openai_stream.py`.

headgate understands as little as it must. Everything else in a body passes untouched, so that a field OpenAI adds
tomorrow works today.
"""

from __future__ import annotations

from typing import Any

import msgspec

from headgate.errors import HeadgateError, InvalidRequest, MalformedJson, UpstreamRejected
from headgate.types import Call, Counted, Features, Route, Usage

Fields = dict[str, msgspec.Raw]

MAX_CHOICES = 128

ABSENT = msgspec.Raw(b"null")  # msgspec takes `Raw | None` for null alone
_NOTHING = (b"null", b"[]", b"{}", b'""')


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _CallView(msgspec.Struct):
    """The members headgate reads, with the types the API gives them."""

    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    user: str | None = None


class _Part(msgspec.Struct):
    type: str = ""


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None


_fields = msgspec.json.Decoder(Fields)
_view = msgspec.json.Decoder(_CallView)
_messages = msgspec.json.Decoder(list[_Message])
_required = {Route.CHAT: "messages", Route.COMPLETIONS: "prompt", Route.EMBEDDINGS: "input"}


class CallHeaders(msgspec.Struct, frozen=True):
    """What a caller may say in headers."""

    session: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    prompt_version: str | None = None
    traceparent: str | None = None


def parse_call(route: Route, body: bytes, call_id: str, headers: CallHeaders) -> Call:
    """Read a request body. Raises MalformedJson or InvalidRequest, naming the member that is wrong."""
    fields, view = _decode(body)
    required = _required[route]
    if required not in fields:
        raise InvalidRequest(f"The member '{required}' is missing.", param=required)
    if not view.model:
        raise InvalidRequest("The member 'model' is empty. GET /v1/models lists the models of your key.", param="model")
    choices, ceiling = view.n or 1, view.max_completion_tokens or view.max_tokens
    if not 1 <= choices <= MAX_CHOICES:
        raise InvalidRequest(f"'n' must be between 1 and {MAX_CHOICES}, not {choices}.", param="n")
    if ceiling is not None and ceiling < 1:
        raise InvalidRequest(f"The limit on output tokens must be at least 1, not {ceiling}.", param="max_tokens")
    return Call(
        id=call_id,
        route=route,
        model=view.model,
        stream=bool(view.stream) and route is not Route.EMBEDDINGS,
        fields=fields,
        body_bytes=len(body),
        choices=choices,
        max_output_tokens=ceiling,
        wants_usage=bool(view.stream_options and view.stream_options.include_usage),
        session=headers.session,
        user=headers.user or view.user,
        tags=headers.tags,
        prompt_version=headers.prompt_version,
        traceparent=headers.traceparent,
    )


def _decode(body: bytes) -> tuple[Fields, _CallView]:
    if not body:
        raise MalformedJson("The body is empty; a JSON object was expected.")
    try:
        if not body.isascii():
            body.decode()
        fields, view = _fields.decode(body), _view.decode(body)
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The body is not valid UTF-8: byte {error.start} cannot be read.") from None
    except RecursionError:
        raise MalformedJson("The body is nested too deeply.") from None
    except msgspec.ValidationError as error:
        raise _invalid_member(str(error)) from None
    except msgspec.DecodeError as error:
        raise MalformedJson(f"The body is not valid JSON: {error}.") from None
    return fields, view


def _invalid_member(sentence: str) -> InvalidRequest:
    """Name the member in msgspec's sentences: "Expected `str`, got `int` - at `$.model`" and the like."""
    what, _, path = sentence.partition(" - at `$")
    if "missing required field" in what:
        member = what.split("`")[1]
        return InvalidRequest(f"The member '{member}' is missing.", param=member)
    member = path.strip(".`")
    return InvalidRequest(f"{what} in '{member}'." if member else f"{what}.", param=member or None)


def features(call: Call) -> Features:
    """Which features a request uses."""
    return Features(tools=_uses_tools(call.fields), images=_uses_images(call.fields))


def _uses_tools(fields: Fields) -> bool:
    return any(bytes(fields[name]) not in _NOTHING for name in ("tools", "functions") if name in fields)


def _uses_images(fields: Fields) -> bool:
    raw = bytes(fields.get("messages", b""))
    if b"image" not in raw and b"\\u" not in raw:
        return False
    try:
        messages = _messages.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return b"image_url" in raw
    return any(
        "image" in part.type for message in messages if isinstance(message.content, list) for part in message.content
    )


def upstream_body(call: Call, upstream_model: str, *, max_output_tokens: int | None, ask_usage: bool) -> bytes:
    """The body for a deployment: its own model name, the lowered output ceiling, and the usage chunk if asked for."""
    fields = dict(call.fields)
    fields["model"] = msgspec.Raw(msgspec.json.encode(upstream_model))
    if max_output_tokens is not None and call.route is not Route.EMBEDDINGS:
        legacy = "max_tokens" in fields or call.route is Route.COMPLETIONS
        fields["max_tokens" if legacy else "max_completion_tokens"] = msgspec.Raw(b"%d" % max_output_tokens)
    if call.stream and ask_usage and not call.wants_usage:
        options = msgspec.json.decode(fields.get("stream_options", b"null")) or {}
        fields["stream_options"] = msgspec.Raw(msgspec.json.encode({**options, "include_usage": True}))
    return msgspec.json.encode(fields)


class _TokenDetails(msgspec.Struct):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class UsageView(msgspec.Struct):
    """OpenAI's usage object, with DeepSeek's name for cached input."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _TokenDetails | None = None
    completion_tokens_details: _TokenDetails | None = None
    prompt_cache_hit_tokens: int | None = None

    def value(self) -> Usage | None:
        """The neutral form, or None if the object says nothing."""
        if self.prompt_tokens is None and self.completion_tokens is None:
            return None
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        cached = (prompt.cached_tokens if prompt else None) or self.prompt_cache_hit_tokens or 0
        return Usage(
            input=self.prompt_tokens or 0,
            cached_input=cached,
            output=self.completion_tokens or 0,
            reasoning=(completion.reasoning_tokens if completion else None) or 0,
            counted=Counted.REPORTED,
        )


class _AnswerMessage(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None


class _AnswerChoice(msgspec.Struct):
    finish_reason: str | None = None
    message: _AnswerMessage | None = None
    text: str | None = None


class _AnswerView(msgspec.Struct):
    choices: list[_AnswerChoice] | None = None
    data: msgspec.Raw = ABSENT
    usage: UsageView | None = None
    error: msgspec.Raw = ABSENT


class WholeAnswer(msgspec.Struct, frozen=True):
    """What headgate needs to know of a JSON answer."""

    empty: bool
    failed: str  # the provider's own words when a 200 carries an error, else ""
    usage: Usage | None
    texts: tuple[str, ...]  # what was generated, to count tokens by when `usage` is None


FAILED_FINISHES = frozenset({"abort", "error"})

_answer = msgspec.json.Decoder(_AnswerView)


def read_answer(route: Route, body: bytes) -> WholeAnswer:
    """Read a JSON answer of status 200. Raises ValueError if it is not JSON."""
    try:
        view = _answer.decode(body)
    except msgspec.ValidationError:
        # A shape headgate does not know: valid JSON passes as it is, and counts as unmetered.
        shape = msgspec.json.decode(body)
        return WholeAnswer(empty=not shape, failed="", usage=None, texts=())
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if bytes(view.error) not in _NOTHING:
        return WholeAnswer(empty=False, failed=error_message(body), usage=None, texts=())
    if route is Route.EMBEDDINGS:
        empty, choices = bytes(view.data) in _NOTHING, []
    else:
        empty, choices = not view.choices, view.choices or []
    aborted = next((c.finish_reason for c in choices if c.finish_reason in FAILED_FINISHES), None)
    usage = view.usage.value() if view.usage else None
    texts = () if usage else tuple(text for choice in choices for text in _texts(choice))
    return WholeAnswer(empty=empty, failed=f"finish_reason is '{aborted}'" if aborted else "", usage=usage, texts=texts)


def _texts(choice: _AnswerChoice) -> list[str]:
    message = choice.message or _AnswerMessage()
    return [text for text in (choice.text, message.content, message.reasoning_content) if text]


def error_message(body: bytes) -> str:
    """The sentence in a provider's error body, whatever its shape; the start of the body if there is none."""
    try:
        value: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return body[:300].decode(errors="replace").strip() or "no message"
    for name in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(name):
            value = value[name]
    return value[:1000] if isinstance(value, str) else msgspec.json.encode(value)[:300].decode(errors="replace")


def error_status(error: HeadgateError) -> int:
    """The HTTP status an error has on the wire: a provider's own, where it may be seen."""
    return error.upstream_status if isinstance(error, UpstreamRejected) else error.status


def error_body(error: HeadgateError, request_id: str) -> bytes:
    """An error in OpenAI's shape; a provider's own error body is passed on as it came."""
    if isinstance(error, UpstreamRejected) and error.body and error.content_type.startswith("application/json"):
        return error.body
    return msgspec.json.encode(
        {
            "error": {
                "message": error.message,
                "type": error.kind,
                "param": error.param,
                "code": error.code,
                "request_id": request_id,
            }
        }
    )


def model_list(models: list[tuple[str, str]], created: int) -> bytes:
    """`GET /v1/models`: pairs of public name and owner."""
    data = [{"id": name, "object": "model", "created": created, "owned_by": owner} for name, owner in models]
    return msgspec.json.encode({"object": "list", "data": data})
