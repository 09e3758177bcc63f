"""Writes a neutral request as a chat completion for OpenAI and the many servers that are compatible with it."""

from __future__ import annotations

import msgspec

from headgate.wire import effort
from headgate.wire.chat.messages import DIALECT
from headgate.wire.chat.provider_messages import Json, MessageWriter
from headgate.wire.neutral import Effort, Leftover, OutputFormat, Request, Target, Tool, ToolChoice, Written

_SERVICE_TIERS = frozenset({"auto", "default", "flex", "scale", "priority"})
_UNNAMED_SCHEMA = "answer"  # a schema has to have a name

# Members that are called in chat what they are called in the neutral model. Servers other than OpenAI's know top_k.
_SAME = (
    "temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty",
    "logit_bias",
)  # fmt: skip


def write_request(request: Request, target: Target) -> Written:
    """The body for a deployment, and what did not fit into it."""
    leftovers: list[Leftover] = []
    body: Json = {"model": target.model, "messages": MessageWriter(target, leftovers).write(request.messages)}
    if request.stream:
        body["stream"] = True
        body |= {"stream_options": {"include_usage": True}} if target.stream_usage else {}
    _write_tools(request, target, body, leftovers)
    _write_output(request.output, target, body, leftovers)
    _write_effort(request.effort, target, body, leftovers)
    if target.max_output_tokens is not None:
        # OpenAI's reasoning models take the newer name alone; every compatible server takes the older one.
        body["max_completion_tokens" if target.reasoning else "max_tokens"] = target.max_output_tokens
    if request.choices > 1:
        body["n"] = request.choices
    if request.stop:
        body["stop"] = request.stop
    body |= {name: value for name in _SAME if (value := getattr(request, name)) is not None}
    if request.logprobs is not None:
        body["logprobs"] = True
        body |= {"top_logprobs": request.logprobs} if request.logprobs else {}
    body |= {name: value for name in ("verbosity", "user") if (value := getattr(request, name))}
    if request.service_tier in _SERVICE_TIERS:
        body["service_tier"] = request.service_tier
    elif request.service_tier:
        leftovers.append(Leftover("service_tier", is_hint=True))
    return Written(msgspec.json.encode(body), tuple(leftovers))


def _write_tools(request: Request, target: Target, body: Json, leftovers: list[Leftover]) -> None:
    if request.tools and target.tools is False:
        leftovers.append(Leftover("tools"))
        return
    written: list[Json | msgspec.Raw] = []
    for number, tool in enumerate(request.tools):
        if isinstance(tool, Tool):
            written.append({"type": "function", "function": _function(tool)})
            if tool.cache:
                leftovers.append(Leftover(f"tools[{number}].cache_control", is_hint=True))
        elif tool.dialect == DIALECT:
            written.append(msgspec.Raw(tool.raw))
        else:
            leftovers.append(Leftover(f"tools[{number}]"))
    if not written:
        return  # OpenAI refuses the other two without tools
    body["tools"] = written
    if request.tool_choice is not None:
        body["tool_choice"] = _choice(request.tool_choice)
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _function(tool: Tool) -> Json:
    function: Json = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return function


def _choice(choice: ToolChoice) -> object:
    return {"type": "function", "function": {"name": choice.name}} if choice.mode == "named" else choice.mode


def _write_output(output: OutputFormat | None, target: Target, body: Json, leftovers: list[Leftover]) -> None:
    if output is None:
        return
    if output.schema is None:
        body["response_format"] = {"type": "json_object"}
    elif target.json_schema is False:
        leftovers.append(Leftover("response_format"))
    else:
        described: Json = {"name": output.name or _UNNAMED_SCHEMA, "schema": output.schema}
        if output.description:
            described["description"] = output.description
        if output.strict is not None:
            described["strict"] = output.strict
        body["response_format"] = {"type": "json_schema", "json_schema": described}


def _write_effort(wanted: Effort | None, target: Target, body: Json, leftovers: list[Leftover]) -> None:
    """A ceiling of tokens becomes the level nearest to it; what the model is to decide is not said."""
    if wanted is None:
        return
    if wanted.summary:
        leftovers.append(Leftover("reasoning.summary", is_hint=True))
    level = wanted.level or effort.level_of(-1 if wanted.budget_tokens is None else wanted.budget_tokens)
    if target.reasoning is False and level not in ("", "none"):
        leftovers.append(Leftover("reasoning_effort", is_hint=True))
    elif level and target.reasoning is not False:
        body["reasoning_effort"] = level
