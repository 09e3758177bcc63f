"""Writes a neutral request as a chat completion for OpenAI and the many servers that are compatible with it."""

from __future__ import annotations

import msgspec

from headgate.wire import effort
from headgate.wire.chat.messages import DIALECT
from headgate.wire.chat.provider_messages import Json, MessageWriter
from headgate.wire.neutral import Effort, Leftover, OutputFormat, Request, Target, Tool, ToolChoice, Written

_SERVICE_TIERS = frozenset({"auto", "default", "flex", "scale", "priority"})
_UNNAMED_SCHEMA = "answer"  # a schema has to have a name


class _StreamOptions(msgspec.Struct):
    include_usage: bool = True


class _Function(msgspec.Struct, omit_defaults=True):
    name: str
    description: str = ""
    parameters: msgspec.Raw | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct, tag_field="type", tag="function"):
    function: _Function


class _Body(msgspec.Struct, omit_defaults=True):
    """Servers other than OpenAI's know `top_k` too."""

    model: str
    messages: list[Json]
    stream: bool = False
    stream_options: _StreamOptions | None = None
    tools: list[_Tool | msgspec.Raw] = []
    tool_choice: object = None
    parallel_tool_calls: bool | None = None
    response_format: Json | None = None
    reasoning_effort: str = ""
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    n: int = 1
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: msgspec.Raw | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    verbosity: str = ""
    user: str = ""
    service_tier: str = ""


_encoder = msgspec.json.Encoder()


def write_request(request: Request, target: Target) -> Written:
    """The body for a deployment, and what did not fit into it."""
    leftovers: list[Leftover] = []
    messages = MessageWriter(target, leftovers).write(request.messages)
    tools = _tools(request, target, leftovers) if request.tools else []
    # OpenAI's reasoning models take the newer name alone; every compatible server takes the older one.
    ceiling, takes_newer_name = target.max_output_tokens, bool(target.reasoning)
    body = _Body(
        model=target.model,
        messages=messages,
        stream=request.stream,
        stream_options=_StreamOptions() if request.stream and target.stream_usage else None,
        tools=tools,
        tool_choice=_choice(request.tool_choice) if tools and request.tool_choice is not None else None,
        parallel_tool_calls=request.parallel_tool_calls if tools else None,  # OpenAI refuses both without tools
        response_format=_output(request.output, target, leftovers) if request.output is not None else None,
        reasoning_effort=_effort(request.effort, target, leftovers) if request.effort is not None else "",
        max_completion_tokens=ceiling if takes_newer_name else None,
        max_tokens=None if takes_newer_name else ceiling,
        n=request.choices,
        stop=request.stop,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        seed=request.seed,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        logit_bias=request.logit_bias,
        logprobs=request.logprobs is not None,
        top_logprobs=request.logprobs or 0,
        verbosity=request.verbosity,
        user=request.user,
    )
    if request.service_tier in _SERVICE_TIERS:
        body.service_tier = request.service_tier
    elif request.service_tier:
        leftovers.append(Leftover("service_tier", is_hint=True))
    return Written(_encoder.encode(body), tuple(leftovers))


def _tools(request: Request, target: Target, leftovers: list[Leftover]) -> list[_Tool | msgspec.Raw]:
    if target.tools is False:
        leftovers.append(Leftover("tools"))
        return []
    written: list[_Tool | msgspec.Raw] = []
    for number, tool in enumerate(request.tools):
        if isinstance(tool, Tool):
            written.append(_Tool(_Function(tool.name, tool.description, tool.parameters, tool.strict)))
            if tool.cache:
                leftovers.append(Leftover(f"tools[{number}].cache_control", is_hint=True))
        elif tool.dialect == DIALECT:
            written.append(msgspec.Raw(tool.raw))
        else:
            leftovers.append(Leftover(f"tools[{number}]"))
    return written


def _choice(choice: ToolChoice) -> object:
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "named" else choice.mode


def _output(output: OutputFormat, target: Target, leftovers: list[Leftover]) -> Json | None:
    if output.schema is None:
        return {"type": "json_object"}
    if target.json_schema is False:
        leftovers.append(Leftover("response_format"))
        return None
    described: Json = {"name": output.name or _UNNAMED_SCHEMA, "schema": output.schema}
    if output.description:
        described["description"] = output.description
    if output.strict is not None:
        described["strict"] = output.strict
    return {"type": "json_schema", "json_schema": described}


def _effort(wanted: Effort, target: Target, leftovers: list[Leftover]) -> str:
    """A ceiling of tokens becomes the level nearest to it; that the model is to decide cannot be said."""
    if wanted.summary:
        leftovers.append(Leftover("reasoning.summary", is_hint=True))
    level, is_exact = effort.as_level(wanted)
    if target.reasoning is False:
        level, is_exact = "", level == "none" or (is_exact and not level)
    if not is_exact:
        leftovers.append(Leftover("reasoning_effort", is_hint=True))
    return level
