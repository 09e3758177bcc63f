"""Requests for Converse and ConverseStream: neutral values to bytes. The model and streaming are in the URL."""

from __future__ import annotations

import msgspec

from headgate.wire.converse.content import Block, BlockWriter, write_conversation
from headgate.wire.converse.reasoning import write_effort
from headgate.wire.converse.sampling import write_samplers, write_top_k
from headgate.wire.converse.tool_config import write_tools
from headgate.wire.neutral import OutputFormat, Request, Target, Written

_SERVICE_TIERS = frozenset({"priority", "default", "flex", "reserved"})


def write_request(request: Request, target: Target) -> Written:
    """The body for a model, and what it cannot say, named as chat completions name it."""
    writer = BlockWriter(target)
    _leave_over(request, writer)
    conversation = write_conversation(request.messages, writer)
    effort = write_effort(request, writer)
    body = {
        "system": conversation.system,
        "messages": conversation.messages,
        "inferenceConfig": _inference(request, writer, thinks=effort.thinks),
        "toolConfig": write_tools(request, writer, has_tool_blocks=conversation.has_tool_blocks),
        "additionalModelRequestFields": effort.additional | write_top_k(request, writer, thinks=effort.thinks),
        "outputConfig": _output_format(request.output, writer) | effort.output,
        "additionalModelResponseFieldPaths": writer.family.stop_sequence_paths if request.stop else (),
        "serviceTier": {"type": request.service_tier} if request.service_tier in _SERVICE_TIERS else {},
    }
    said = {name: value for name, value in body.items() if value or name == "messages"}
    return Written(msgspec.json.encode(said), tuple(writer.leftovers))


def _leave_over(request: Request, writer: BlockWriter) -> None:
    """The members that Converse has no words for. What is at its default is not missed."""
    missed = {
        "n": request.choices != 1,
        "seed": request.seed is not None,
        "frequency_penalty": bool(request.frequency_penalty),
        "presence_penalty": bool(request.presence_penalty),
        "logit_bias": request.logit_bias is not None,
        "logprobs": request.logprobs is not None,
    }
    hints = {
        "verbosity": bool(request.verbosity),
        "user": bool(request.user),
        "service_tier": request.service_tier not in ("", "auto", *_SERVICE_TIERS),
    }
    for name, is_missed in (missed | hints).items():
        if is_missed:
            writer.left_over(name, is_hint=name in hints)


def _inference(request: Request, writer: BlockWriter, *, thinks: bool) -> Block:
    """Without `maxTokens` a model may say as much as it can."""
    ceiling = writer.target.max_output_tokens
    limits: Block = {"maxTokens": ceiling} if ceiling is not None else {}
    if request.stop:
        limits["stopSequences"] = request.stop
    return limits | write_samplers(request, writer, thinks=thinks)


def _output_format(output: OutputFormat | None, writer: BlockWriter) -> Block:
    """Bedrock holds a model to a schema only; the schema is written as text."""
    if output is None:
        return {}
    if output.schema is None or writer.target.json_schema is False:
        writer.left_over("response_format")
        return {}
    schema = {"schema": bytes(output.schema).decode(), "name": output.name, "description": output.description}
    said = {name: value for name, value in schema.items() if value}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": said}}}
