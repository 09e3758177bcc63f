"""Requests of the Responses API: a caller's members to the neutral model, and neutral values to a provider's body."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from headgate.errors import InvalidRequest, Untranslatable
from headgate.wire.dialect import Fields
from headgate.wire.effort import as_level
from headgate.wire.members import read_member, says_nothing
from headgate.wire.neutral import (
    Effort,
    Leftover,
    OutputFormat,
    Request,
    Target,
    Thinking,
    Written,
)
from headgate.wire.responses.items import Items, WrittenItem
from headgate.wire.responses.offered_tools import (
    WrittenChoice,
    WrittenTool,
    read_tools,
    tool_leftovers,
    write_tool_choice,
    write_tools,
)
from headgate.wire.responses.prompt import read_prompt
from headgate.wire.responses.thoughts import OWN

ENCRYPTED = "reasoning.encrypted_content"  # always shown to our callers
LOGPROBS = "message.output_text.logprobs"
INSTEAD_OF_INPUT = ("prompt", "previous_response_id", "conversation")  # what only a provider that has them can read

_READ = frozenset(
    {
        "model", "input", "instructions", "stream", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning",
        "max_output_tokens", "temperature", "top_p", "top_logprobs", "include", "user", "service_tier",
    }
)  # fmt: skip
# They change where an answer is kept, what it costs and who is told, but not what it says.
_HINTS = frozenset(
    {
        "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
        "stream_options",
    }
)  # fmt: skip
_SERVICE_TIERS = ("auto", "default", "flex", "scale", "priority")
_SUMMARIES = ("auto", "concise", "detailed")
_NESTED_HINTS = ("reasoning.context",)
_DEFAULTS = {"truncation": b'"disabled"'}


_NULL = msgspec.Raw(b"null")
_NO_INPUT = msgspec.Raw(b"[]")


class _Format(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    schema: msgspec.Raw = _NULL
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None  # the older name


_string = msgspec.json.Decoder(str | None)
_boolean = msgspec.json.Decoder(bool | None)
_count = msgspec.json.Decoder(int | None)
_number = msgspec.json.Decoder(float | None)
_strings = msgspec.json.Decoder(list[str] | None)
_text = msgspec.json.Decoder(_Text | None)
_reasoning = msgspec.json.Decoder(_Reasoning | None)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)


def read_request(fields: Fields) -> Request:
    """What a caller asks for. Raises InvalidRequest, naming the member that is wrong.

    What only OpenAI can look up is refused whatever may be dropped: without it the question would be another one.
    """
    for name in INSTEAD_OF_INPUT:
        if not says_nothing(fields.get(name, _NULL)):
            sentence = f"'{name}' names what OpenAI keeps, and this model is served by others. Send the input itself."
            raise Untranslatable(sentence, param=name)
    if "input" not in fields:
        raise InvalidRequest("The member 'input' is missing.", param="input")
    prompt = read_prompt(_string_of(fields, "instructions"), fields.get("input", _NO_INPUT))
    tools = read_tools(fields)
    text = read_member(_text, fields.get("text", _NULL), "text") or _Text()
    tier = _string_of(fields, "service_tier")
    return Request(
        messages=prompt.messages,
        places=prompt.places,
        tools=tools.offered,
        tool_choice=tools.choice,
        parallel_tool_calls=read_member(_boolean, fields.get("parallel_tool_calls", _NULL), "parallel_tool_calls"),
        output=_read_format(text.format),
        effort=_read_effort(fields),
        verbosity="" if text.verbosity == "medium" else text.verbosity or "",
        max_output_tokens=read_member(_count, fields.get("max_output_tokens", _NULL), "max_output_tokens"),
        temperature=read_member(_number, fields.get("temperature", _NULL), "temperature"),
        top_p=read_member(_number, fields.get("top_p", _NULL), "top_p"),
        logprobs=_read_logprobs(fields),
        user=_string_of(fields, "user"),
        service_tier="" if tier == "auto" else tier,
        stream=bool(read_member(_boolean, fields.get("stream", _NULL), "stream")),
        leftovers=(*prompt.leftovers, *tools.leftovers, *_read_leftovers(fields)),
    )


def _string_of(fields: Fields, name: str) -> str:
    return read_member(_string, fields.get(name, _NULL), name) or ""


def _read_format(wanted: _Format | None) -> OutputFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return OutputFormat()
    if wanted.type != "json_schema" or bytes(wanted.schema) == b"null":
        raise InvalidRequest(
            "'text.format' must be of type text, json_object or json_schema (with a schema).", param="text.format"
        )
    return OutputFormat(wanted.schema, wanted.name or "", wanted.description or "", wanted.strict)


def _read_effort(fields: Fields) -> Effort | None:
    wanted = read_member(_reasoning, fields.get("reasoning", _NULL), "reasoning")
    if wanted is None:
        return None
    level, summary = wanted.effort or "", wanted.summary or wanted.generate_summary or ""
    return Effort(level, None, summary) if level or summary else None


def _include(fields: Fields) -> list[str]:
    return read_member(_strings, fields.get("include", _NULL), "include") or []


def _read_logprobs(fields: Fields) -> int | None:
    likeliest = read_member(_count, fields.get("top_logprobs", _NULL), "top_logprobs") or 0
    return likeliest if likeliest or LOGPROBS in _include(fields) else None


def _read_leftovers(fields: Fields) -> Iterator[Leftover]:
    for name, raw in fields.items():
        if name in _READ or says_nothing(raw) or bytes(raw).strip() == _DEFAULTS.get(name):
            continue
        yield Leftover(name, is_hint=name in _HINTS)
    for index, name in enumerate(_include(fields)):
        if name not in (ENCRYPTED, LOGPROBS):
            yield Leftover(f"include[{index}]", is_hint=True)  # details of what the provider's own tools did
    yield from _nested_leftovers(fields, "text", _Text.__struct_fields__)
    yield from _nested_leftovers(fields, "reasoning", _Reasoning.__struct_fields__)


def _nested_leftovers(fields: Fields, outer: str, known: tuple[str, ...]) -> Iterator[Leftover]:
    members = read_member(_members, fields.get(outer, _NULL), outer) or {}
    for name, raw in members.items():
        if name not in known and not says_nothing(raw):
            yield Leftover(f"{outer}.{name}", is_hint=f"{outer}.{name}" in _NESTED_HINTS)


# --- towards a provider ----------------------------------------------------------------------------------------------


class _WrittenFormat(msgspec.Struct, omit_defaults=True):
    type: str
    name: str = ""
    description: str = ""
    schema: msgspec.Raw | None = None
    strict: bool | None = None


class _WrittenText(msgspec.Struct, omit_defaults=True):
    format: _WrittenFormat | None = None
    verbosity: str = ""


class _WrittenReasoning(msgspec.Struct, omit_defaults=True):
    effort: str = ""
    summary: str = ""


class _Body(msgspec.Struct, omit_defaults=True):
    """Nothing is kept at the provider: no caller of another dialect can ask for it again."""

    model: str
    input: list[WrittenItem]
    store: msgspec.Raw
    stream: bool = False
    tools: list[WrittenTool] = []
    tool_choice: WrittenChoice | None = None
    parallel_tool_calls: bool | None = None
    text: _WrittenText | None = None
    reasoning: _WrittenReasoning | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    include: list[str] = []
    user: str = ""
    service_tier: str = ""


def write_request(request: Request, target: Target) -> Written:
    """The body for a model, and what it cannot say, named as chat completions name it."""
    items = Items(takes_images=target.images is not False)
    for index, message in enumerate(request.messages):
        items.add(message, f"messages[{index}]")
    reasoning = _write_reasoning(request.effort) if target.reasoning is not False else None
    uses_tools = target.tools is not False
    body = _Body(
        model=target.model,
        input=items.written,
        store=msgspec.Raw(b"false"),
        stream=request.stream,
        tools=write_tools(request.tools) if uses_tools else [],
        tool_choice=write_tool_choice(request.tool_choice) if uses_tools and request.tools else None,
        parallel_tool_calls=request.parallel_tool_calls if uses_tools and request.tools else None,
        text=_write_text(request, target),
        reasoning=reasoning,
        max_output_tokens=target.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_logprobs=request.logprobs or None,
        include=list(_write_include(request, target, reasoning)),
        user=request.user,
        service_tier=request.service_tier if request.service_tier in _SERVICE_TIERS else "",
    )
    return Written(msgspec.json.encode(body), (*items.leftovers, *_write_leftovers(request, target)))


def _write_reasoning(effort: Effort | None) -> _WrittenReasoning | None:
    if effort is None:
        return None
    level, _ = as_level(effort)
    summary = effort.summary if effort.summary in ("", *_SUMMARIES) else "auto"
    return _WrittenReasoning(level, summary) if level or summary else None


def _write_text(request: Request, target: Target) -> _WrittenText | None:
    wanted = request.output if target.json_schema is not False else None
    if wanted is None:
        return _WrittenText(verbosity=request.verbosity) if request.verbosity else None
    if wanted.schema is None:
        written = _WrittenFormat("json_object")
    else:
        name = wanted.name or "answer"
        written = _WrittenFormat("json_schema", name, wanted.description, wanted.schema, wanted.strict)
    return _WrittenText(written, request.verbosity)


def _write_include(request: Request, target: Target, reasoning: _WrittenReasoning | None) -> Iterator[str]:
    """Encrypted thoughts are asked for where there will be any: models that do not think refuse the wish."""
    thought = any(
        isinstance(part, Thinking) and part.origin == OWN for message in request.messages for part in message.parts
    )
    asked = reasoning is not None and reasoning.effort != "none"
    if target.reasoning is not False and (target.reasoning or thought or asked):
        yield ENCRYPTED
    if request.logprobs is not None:
        yield LOGPROBS


def _write_leftovers(request: Request, target: Target) -> Iterator[Leftover]:
    unknown = {
        "n": request.choices > 1,
        "stop": request.stop,
        "top_k": request.top_k is not None,
        "seed": request.seed is not None,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "logit_bias": request.logit_bias is not None,
        "tools": request.tools and target.tools is False,
        "response_format": request.output is not None and target.json_schema is False,
    }
    yield from (Leftover(name) for name, is_left in unknown.items() if is_left)
    yield from tool_leftovers(request.tools)
    if request.service_tier not in ("", *_SERVICE_TIERS):
        yield Leftover("service_tier", is_hint=True)
    if request.effort is not None:
        level, is_exact = as_level(request.effort)
        if target.reasoning is False:
            is_exact = level == "none" or (is_exact and not level)
        if not is_exact:
            yield Leftover("reasoning_effort", is_hint=True)
