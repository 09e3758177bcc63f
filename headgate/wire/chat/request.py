"""Reads a caller's chat completion into the neutral model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from headgate.errors import InvalidRequest
from headgate.wire import members
from headgate.wire.chat import request_shapes
from headgate.wire.chat.messages import DIALECT, cache_of, read_messages
from headgate.wire.chat.request_shapes import ABSENT, Body, Named
from headgate.wire.chat.shape import shape
from headgate.wire.dialect import Fields
from headgate.wire.effort import LEVELS
from headgate.wire.neutral import (
    Effort,
    Leftover,
    Opaque,
    OutputFormat,
    Request,
    Tool,
    ToolChoice,
)

# They change how an answer is made, kept or paid for, but not what it may say.
_HINTS = frozenset(
    {
        "metadata", "store", "prediction", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
        "safety_identifier", "usage",
    }
)  # fmt: skip
_DEFAULTS: Mapping[str, bytes] = {"modalities": b'["text"]', "repetition_penalty": b"1", "best_of": b"1"}

_body = shape(Body)
_tool = shape(request_shapes.ToolSpec)
_tool_type = msgspec.json.Decoder(request_shapes.PartType)


def read_request(fields: Fields) -> Request:
    """The request in the members of a body. Raises InvalidRequest, naming the member that is wrong."""
    leftovers = list(_unknown(fields))
    known = {name: raw for name, raw in fields.items() if name in Body.__struct_fields__}
    body = _body.read(msgspec.Raw(msgspec.json.encode(known)), "", leftovers)
    if not body.messages:
        raise InvalidRequest("'messages' is empty; a conversation has at least one message.", param="messages")
    choice, allowed = _tool_choice(body, leftovers)
    messages, places = read_messages(body.messages, leftovers)
    return Request(
        messages=messages,
        places=places,
        tools=tuple(_tools(body, allowed, leftovers)),
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls,
        output=_output(body, leftovers),
        effort=_effort(body, leftovers),
        verbosity="" if body.verbosity == "medium" else body.verbosity or "",
        max_output_tokens=max((body.max_tokens or 0, body.max_completion_tokens or 0)) or None,
        choices=body.n or 1,
        stop=tuple(filter(None, [body.stop] if isinstance(body.stop, str) else body.stop or ())),
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=body.top_k,
        seed=body.seed,
        frequency_penalty=body.frequency_penalty or None,  # a penalty of 0 is none
        presence_penalty=body.presence_penalty or None,
        logit_bias=None if members.says_nothing(body.logit_bias) else body.logit_bias,
        logprobs=_logprobs(body),
        user=body.user or "",
        service_tier="" if body.service_tier == "auto" else body.service_tier or "",
        stream=bool(body.stream),
        leftovers=tuple(leftovers),
    )


def _unknown(fields: Fields) -> Iterator[Leftover]:
    for name, raw in fields.items():
        if name in Body.__struct_fields__ or members.says_nothing(raw) or bytes(raw) == _DEFAULTS.get(name):
            continue
        yield Leftover(name, is_hint=name in _HINTS)


def _logprobs(body: Body) -> int | None:
    if body.logprobs:
        return body.top_logprobs or 0
    if body.top_logprobs:
        raise InvalidRequest("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")
    return None


# --- output ----------------------------------------------------------------------------------------------------------


def _output(body: Body, leftovers: list[Leftover]) -> OutputFormat | None:
    wanted = body.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return OutputFormat()
    if wanted.type != "json_schema":
        leftovers.append(Leftover("response_format"))  # a grammar of some server
        return None
    described = wanted.json_schema
    if described is None or described.schema == ABSENT:
        place = "response_format.json_schema.schema"
        raise InvalidRequest(f"The member '{place}' is missing.", param=place)
    return OutputFormat(described.schema, described.name or "", described.description or "", described.strict)


def _effort(body: Body, leftovers: list[Leftover]) -> Effort | None:
    """OpenAI's `reasoning_effort` or OpenRouter's `reasoning`, which says more."""
    reasoning = body.reasoning or request_shapes.Reasoning()
    if reasoning.exclude:
        leftovers.append(Leftover("reasoning.exclude"))
    level, where = reasoning.effort or "", "reasoning.effort"
    if not level:
        level, where = body.reasoning_effort or "", "reasoning_effort"
    if level and level not in LEVELS:
        raise InvalidRequest(f"'{where}' is '{level}'; it can be {', '.join(LEVELS)}.", param=where)
    budget = reasoning.max_tokens
    if reasoning.enabled is False:
        level, budget = "none", None
    elif reasoning.enabled and not level and budget is None:
        budget = -1
    summary = reasoning.summary or ""
    return Effort(level, budget, summary) if level or summary or budget is not None else None


# --- tools -----------------------------------------------------------------------------------------------------------


def _tools(body: Body, allowed: frozenset[str] | None, leftovers: list[Leftover]) -> Iterator[Tool | Opaque]:
    for number, raw in enumerate(body.tools or ()):
        tool = _read_tool(raw, f"tools[{number}]", leftovers)
        if allowed is None or (isinstance(tool, Tool) and tool.name in allowed):
            yield tool
    for function in body.functions or ():
        yield _function(function, "")


def _read_tool(raw: msgspec.Raw, where: str, leftovers: list[Leftover]) -> Tool | Opaque:
    if (plain := _tool.read_plain(raw)) is not None and plain.type in (None, "function"):
        return _function(plain.function, cache_of(plain.cache_control))
    kind = members.read_member(_tool_type, raw, where).type or "function"
    if kind != "function":
        return Opaque(DIALECT, kind, bytes(raw))
    spec = _tool.read(raw, where, leftovers)
    return _function(spec.function, cache_of(spec.cache_control))


def _function(function: request_shapes.Function, cache: str) -> Tool:
    parameters = None if function.parameters == ABSENT else function.parameters
    return Tool(function.name, function.description or "", parameters, function.strict, cache)


def _tool_choice(body: Body, leftovers: list[Leftover]) -> tuple[ToolChoice | None, frozenset[str] | None]:
    """The choice, and the names of the tools it is confined to if it is."""
    choice: object = body.function_call if body.tool_choice is None else body.tool_choice
    match choice:
        case None:
            return None, None
        case "auto" | "none" | "required":
            return ToolChoice(choice), None
        case "any":  # Mistral's
            return ToolChoice("required"), None
        case Named(name=name) | request_shapes.ToolChoice(function=Named(name=name)):
            return ToolChoice("named", name), None
        case request_shapes.ToolChoice(allowed_tools=request_shapes.AllowedTools() as allowed):
            return ToolChoice(allowed.mode), frozenset(tool.function.name for tool in allowed.tools)
        case request_shapes.ToolChoice():
            leftovers.append(Leftover("tool_choice"))  # a tool that is no function
            return None, None
        case _:
            raise InvalidRequest(
                f"'tool_choice' is '{choice}'; it can be auto, none, required or a named function.", param="tool_choice"
            )
