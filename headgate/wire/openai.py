"""OpenAI's dialect, requests and whole answers: bytes <-> values, no I/O. Streams are in `openai_stream.py`.

headgate understands as little as it must. Everything else in a body passes untouched, so that a field OpenAI adds
tomorrow works today.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from headgate.errors import HeadgateError, InvalidRequest, MalformedJson, UpstreamRejected
from headgate.limit_errors import LimitRefusal
from headgate.types import CacheControl, Call, Features, Route, Usage
from headgate.wire.openai_usage import read_usage
from headgate.wire.prompts import PROMPT_MEMBERS

Fields = dict[str, msgspec.Raw]

MAX_CHOICES = 128
MAX_NAME_CHARACTERS = 256  # of what ends up in the ledger
MAX_OUTPUT_TOKENS = 1_000_000_000  # more than any model can, and small enough to calculate with
CEILINGS = ("max_completion_tokens", "max_tokens")  # the members that limit the output, the newer one first

ABSENT = msgspec.Raw(b"null")  # msgspec takes `Raw | None` for null alone
NOTHING = (b"null", b"[]", b"{}", b'""')


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _CallView(msgspec.Struct):
    """The members headgate reads, with the types the API gives them."""

    model: str = ""
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    user: str | None = None


class _Part(msgspec.Struct):
    type: str | None = ""
    image_url: msgspec.Raw = ABSENT  # some servers take a part without its type


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None


_fields = msgspec.json.Decoder(Fields)
_optional_fields = msgspec.json.Decoder(Fields | None)
_view = msgspec.json.Decoder(_CallView)
_messages = msgspec.json.Decoder(list[_Message])


class CallHeaders(msgspec.Struct, frozen=True):
    """What a caller may say beside the body: in headers, and in a URL which model is asked."""

    session: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    prompt_version: str | None = None
    traceparent: str | None = None
    dialect_headers: tuple[tuple[str, str], ...] = ()  # what is meant for a provider of the same dialect
    cache: CacheControl = CacheControl()
    appeal: str | None = None
    idempotency_key: str | None = None
    model: str = ""  # goes before the body's


def parse_call(route: Route, body: bytes, call_id: str, headers: CallHeaders) -> Call:
    """Read a request body. Raises MalformedJson or InvalidRequest, naming the member that is wrong."""
    fields, view = _decode(body)
    model, required = headers.model or view.model, PROMPT_MEMBERS[route]
    if headers.model:
        fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    if "model" not in fields:
        raise InvalidRequest("The member 'model' is missing.", param="model")
    if required not in fields:
        raise InvalidRequest(f"The member '{required}' is missing.", param=required)
    if not model:
        raise InvalidRequest("The member 'model' is empty. GET /v1/models lists the models of your key.", param="model")
    if len(model) > MAX_NAME_CHARACTERS:
        raise InvalidRequest(f"The model's name is longer than {MAX_NAME_CHARACTERS} characters.", param="model")
    choices = 1 if view.n is None else view.n
    if not 1 <= choices <= MAX_CHOICES:
        raise InvalidRequest(f"'n' must be between 1 and {MAX_CHOICES}, not {choices}.", param="n")
    return Call(
        id=call_id,
        route=route,
        model=model,
        stream=bool(view.stream) and route is not Route.EMBEDDINGS,
        fields=fields,
        body_bytes=len(body),
        choices=choices,
        max_output_tokens=_output_ceiling(route, view),
        wants_usage=bool(view.stream_options and view.stream_options.include_usage),
        session=headers.session,
        user=headers.user or (view.user and view.user[:MAX_NAME_CHARACTERS]),
        tags=headers.tags,
        prompt_version=headers.prompt_version,
        traceparent=headers.traceparent,
        dialect_headers=headers.dialect_headers,
        cache=headers.cache,
        appeal=headers.appeal,
        idempotency_key=headers.idempotency_key,
    )


def _output_ceiling(route: Route, view: _CallView) -> int | None:
    """The larger one, if a caller gives both: servers differ in which they obey."""
    least = 0 if route is Route.COMPLETIONS else 1  # a completion of nothing scores the prompt
    ceiling: int | None = None
    for name in CEILINGS:
        value = getattr(view, name)
        if value is None:
            continue
        if not least <= value <= MAX_OUTPUT_TOKENS:
            raise InvalidRequest(f"'{name}' must be between {least} and {MAX_OUTPUT_TOKENS}.", param=name)
        if ceiling is None or value > ceiling:
            ceiling = value
    return ceiling


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
    return any(not _is_nothing(fields[name]) for name in ("tools", "functions") if name in fields)


def _is_nothing(raw: msgspec.Raw) -> bool:
    return b"".join(bytes(raw).split()) in NOTHING


def _uses_images(fields: Fields) -> bool:
    raw = bytes(fields.get("messages", b""))
    if b"image" not in raw and b"\\u" not in raw:
        return False
    try:
        messages = _messages.decode(raw)
    except (ValueError, RecursionError):
        return True  # an image could hide in what cannot be read
    parts = [part for message in messages if isinstance(message.content, list) for part in message.content]
    return any("image" in (part.type or "") or part.image_url is not ABSENT for part in parts)


def upstream_body(call: Call, upstream_model: str, *, max_output_tokens: int | None, ask_usage: bool) -> bytes:
    """The body for a deployment: its own model name, the lowered output ceiling, and the usage chunk if asked for."""
    fields = dict(call.fields)
    fields["model"] = msgspec.Raw(msgspec.json.encode(upstream_model))
    if max_output_tokens is not None and call.route is not Route.EMBEDDINGS:
        _lower_output(fields, call.route, max_output_tokens)
    if call.stream and ask_usage and not call.wants_usage:
        options = _options(fields.get("stream_options", ABSENT))
        fields["stream_options"] = msgspec.Raw(msgspec.json.encode({**options, "include_usage": True}))
    return msgspec.json.encode(fields)


def _lower_output(fields: Fields, route: Route, max_output_tokens: int) -> None:
    """Lower every limit the caller gave that is higher, or set one if there is none."""
    given = [name for name in CEILINGS if bytes(fields.get(name, ABSENT)) != b"null"]
    for name in given:
        if int(bytes(fields[name])) > max_output_tokens:
            fields[name] = msgspec.Raw(b"%d" % max_output_tokens)
    if not given:
        name = "max_tokens" if "max_tokens" in fields or route is Route.COMPLETIONS else "max_completion_tokens"
        fields[name] = msgspec.Raw(b"%d" % max_output_tokens)


def _options(raw: msgspec.Raw) -> Fields:
    try:
        return _optional_fields.decode(raw) or {}
    except RecursionError:
        raise InvalidRequest("'stream_options' is nested too deeply.", param="stream_options") from None


class _AnswerMessage(msgspec.Struct):
    """What was generated is text, or, from some servers, any JSON: a list of content parts, say."""

    content: object = None
    reasoning_content: object = None
    tool_calls: object = None


class _AnswerChoice(msgspec.Struct):
    finish_reason: str | None = None
    message: _AnswerMessage | None = None
    text: object = None


class _AnswerView(msgspec.Struct):
    choices: list[_AnswerChoice] | None = None
    data: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class WholeAnswer(msgspec.Struct, frozen=True, gc=False):
    """What headgate needs to know of a JSON answer."""

    empty: bool
    failed: str  # the provider's own words when a 200 carries an error, else ""
    usage: Usage | None
    texts: tuple[str, ...]  # what was generated, to count tokens by when `usage` is None
    body: bytes | None = None  # for the client, when it is not what the provider sent
    dropped: tuple[str, ...] = ()  # what the client's dialect has no place for


FAILED_FINISHES = frozenset({"abort", "error"})

_answer = msgspec.json.Decoder(_AnswerView)


def read_answer(route: Route, body: bytes) -> WholeAnswer:
    """Read a JSON answer of status 200. Raises ValueError if it is not JSON."""
    try:
        if not body.isascii():
            body.decode()  # msgspec does not look into members that nobody reads
        view = _answer.decode(body)
        usage = read_usage(view.usage)
    except (ValueError, RecursionError) as error:
        if not is_json(body):
            raise ValueError(str(error)) from None
        # A shape headgate does not know: valid JSON passes as it is, and counts as unmetered.
        return WholeAnswer(empty=body.strip() in NOTHING, failed="", usage=None, texts=())
    if bytes(view.error) not in NOTHING:
        return WholeAnswer(empty=False, failed=error_message(body), usage=None, texts=())
    if route is Route.EMBEDDINGS:
        empty, choices = bytes(view.data) in NOTHING, []
    else:
        empty, choices = not view.choices, view.choices or []
    failed = ""
    for choice in choices:
        if choice.finish_reason in FAILED_FINISHES:
            failed = f"finish_reason is '{choice.finish_reason}'"
    texts = () if usage else tuple([text for choice in choices for text in _texts(choice)])
    return WholeAnswer(empty=empty, failed=failed, usage=usage, texts=texts)


def _texts(choice: _AnswerChoice) -> list[str]:
    message = choice.message or _AnswerMessage()
    generated = (choice.text, message.content, message.reasoning_content, message.tool_calls)
    return [as_text(value) for value in generated if value]


def as_text(generated: object) -> str:
    """What a model generated, as text to count tokens by."""
    return generated if isinstance(generated, str) else msgspec.json.encode(generated).decode()


def is_json(data: bytes) -> bool:
    """Whether it is JSON by the letter. msgspec is stricter: it refuses halves of surrogate pairs, and some servers
    that cut text into events cut between them."""
    try:
        json.loads(data.decode())
    except (ValueError, RecursionError):
        return False
    return True


def error_message(body: bytes) -> str:
    """The sentence in a provider's error body, whatever its shape; the start of the body if there is none."""
    try:
        value: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return body[:300].decode(errors="replace").strip() or "no message"
    for name in ("error", "message", "Message", "detail"):
        if isinstance(value, dict) and value.get(name):
            value = value[name]
    if isinstance(value, str):
        return value.strip()[:1000] or "no message"
    return msgspec.json.encode(value)[:300].decode(errors="replace")


def error_status(error: HeadgateError) -> int:
    """The HTTP status an error has on the wire: a provider's own, where it may be seen."""
    return error.upstream_status if isinstance(error, UpstreamRejected) else error.status


def _rejected_kind(status: int) -> str:
    """`error.type` as OpenAI says it for a status."""
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def error_body(error: HeadgateError, request_id: str) -> bytes:
    """An error in OpenAI's shape; a provider's own error body is passed on as it came."""
    message, kind = error.message, error.kind
    if isinstance(error, UpstreamRejected):
        if error.dialect == "openai" and error.body and error.content_type.startswith("application/json"):
            return error.body
        message, kind = error.words, _rejected_kind(error.upstream_status)
    described: dict[str, object] = {
        "message": message,
        "type": kind,
        "param": error.param,
        "code": error.code,
        "request_id": request_id,
    }
    if isinstance(error, LimitRefusal) and error.detail is not None:
        described["limit"] = error.detail
    return msgspec.json.encode({"error": described})


def model_list(models: list[tuple[str, str]], created: int) -> bytes:
    """`GET /v1/models`: pairs of public name and owner."""
    data = [{"id": name, "object": "model", "created": created, "owned_by": owner} for name, owner in models]
    return msgspec.json.encode({"object": "list", "data": data})
