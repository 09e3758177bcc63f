"""Requests for generateContent: neutral values to bytes. The model, and whether it is to stream, are in the URL."""

from __future__ import annotations

import msgspec

from headgate.wire.gemini.contents import Content, write_conversation
from headgate.wire.gemini.parts import AnyPart, PartWriter
from headgate.wire.gemini.thinking import ThinkingConfig, write_thinking
from headgate.wire.neutral import Leftover, Opaque, Request, Target, Tool, ToolChoice, Written

JSON = "application/json"
_HARMLESS_TIERS = ("", "auto", "default")


class _FunctionDeclaration(msgspec.Struct, rename="camel", omit_defaults=True):
    name: str
    description: str = ""
    # Takes JSON Schema as it is. The older `parameters` wants OpenAPI's subset, and refuses what is outside of it.
    parameters_json_schema: msgspec.Raw | None = None


class _Functions(msgspec.Struct, rename="camel"):
    function_declarations: list[_FunctionDeclaration]


class _FunctionCallingConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    mode: str
    allowed_function_names: tuple[str, ...] = ()


class _ToolConfig(msgspec.Struct, rename="camel"):
    function_calling_config: _FunctionCallingConfig


class _SystemInstruction(msgspec.Struct):
    parts: list[AnyPart]


class _GenerationConfig(msgspec.Struct, rename="camel", omit_defaults=True):
    max_output_tokens: int | None = None
    candidate_count: int = 1
    stop_sequences: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    response_logprobs: bool = False
    logprobs: int | None = None
    response_mime_type: str = ""
    response_json_schema: msgspec.Raw | None = None
    thinking_config: ThinkingConfig | None = None


class _Body(msgspec.Struct, rename="camel", omit_defaults=True):
    contents: list[Content]
    system_instruction: _SystemInstruction | None = None
    tools: list[_Functions | msgspec.Raw] = []
    tool_config: _ToolConfig | None = None
    generation_config: _GenerationConfig | None = None


def write_request(request: Request, target: Target) -> Written:
    """The body for a model, and what it cannot say, named as chat completions name it.

    Raises InvalidRequest for the result of a call that was never made: Gemini wants the name of its function.
    """
    writer = PartWriter(target)
    conversation = write_conversation(request.messages, writer)
    _leave_over(request, target, writer)
    has_tools = bool(request.tools) and target.tools is not False
    body = _Body(
        contents=conversation.contents,
        system_instruction=_SystemInstruction(conversation.system) if conversation.system else None,
        tools=_tools(request.tools, writer) if has_tools else [],
        tool_config=_tool_config(request.tool_choice) if has_tools else None,
        generation_config=_generation_config(request, target, writer),
    )
    return Written(msgspec.json.encode(body), tuple(dict.fromkeys(writer.leftovers)))


def _leave_over(request: Request, target: Target, writer: PartWriter) -> None:
    """The members that Gemini, or this model, has no words for. What is at its default is not missed."""
    wants_schema = request.output is not None and request.output.schema is not None
    missed = {
        "tools": bool(request.tools) and target.tools is False,
        "response_format": wants_schema and target.json_schema is False,
        "logit_bias": request.logit_bias is not None,
    }
    hints = {
        # Coding agents always say so, and take several calls as well.
        "parallel_tool_calls": request.parallel_tool_calls is False and bool(request.tools),
        "verbosity": bool(request.verbosity),
        "user": bool(request.user),
        "service_tier": request.service_tier not in _HARMLESS_TIERS,
    }
    writer.leftovers += [Leftover(name) for name, is_missed in missed.items() if is_missed]
    writer.leftovers += [Leftover(name, is_hint=True) for name, is_missed in hints.items() if is_missed]


def _tools(tools: tuple[Tool | Opaque, ...], writer: PartWriter) -> list[_Functions | msgspec.Raw]:
    """All functions are one tool; each of Google's own is a tool of its own."""
    declarations: list[_FunctionDeclaration] = []
    own: list[_Functions | msgspec.Raw] = []
    for number, tool in enumerate(tools):
        if isinstance(tool, Tool):
            declarations.append(_FunctionDeclaration(tool.name, tool.description, tool.parameters))
            if tool.strict:  # Gemini keeps to a schema as well as it can, and promises nothing
                writer.left_over(f"tools[{number}].strict", is_hint=True)
            if tool.cache:
                writer.left_over(f"tools[{number}].cache_control", is_hint=True)
        elif tool.dialect == "gemini":
            own.append(msgspec.Raw(tool.raw))
        else:
            writer.left_over(f"tools[{number}]")
    return [_Functions(declarations), *own] if declarations else own


def _tool_config(choice: ToolChoice | None) -> _ToolConfig | None:
    if choice is None:
        return None
    modes = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}
    names = (choice.name,) if choice.name else ()
    return _ToolConfig(_FunctionCallingConfig(modes[choice.mode], names))


def _generation_config(request: Request, target: Target, writer: PartWriter) -> _GenerationConfig | None:
    output = request.output
    config = _GenerationConfig(
        max_output_tokens=target.max_output_tokens,
        candidate_count=request.choices,
        stop_sequences=request.stop,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        seed=request.seed,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        response_logprobs=request.logprobs is not None,
        logprobs=request.logprobs or None,
        response_mime_type=JSON if output is not None else "",
        response_json_schema=output.schema if output is not None and target.json_schema is not False else None,
        thinking_config=_thinking_config(request, target, writer),
    )
    return None if config == _GenerationConfig() else config


def _thinking_config(request: Request, target: Target, writer: PartWriter) -> ThinkingConfig | None:
    thinking = write_thinking(request.effort, target.model, can_think=target.reasoning)
    if not thinking.fits:
        writer.left_over("reasoning_effort", is_hint=True)
    return thinking.config
