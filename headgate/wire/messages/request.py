"""Requests: a caller's of Messages to the neutral model, and a neutral one to Anthropic's API."""

from __future__ import annotations

from typing import Literal

import msgspec

from headgate.errors import InvalidRequest, Untranslatable
from headgate.wire.claude import family_of
from headgate.wire.dialect import Fields
from headgate.wire.members import read_member, says_nothing
from headgate.wire.messages.blocks import ABSENT, Block
from headgate.wire.messages.parts import PartReader
from headgate.wire.messages.spoken import SpokenContent
from headgate.wire.messages.thinking import ThinkingView, plan_thinking, read_effort, write_sampling
from headgate.wire.messages.toolbox import (
    PlainTool,
    ToolChoiceView,
    read_tool_choice,
    read_tools,
    tool_of,
    write_tools,
)
from headgate.wire.messages.turns import write_turns
from headgate.wire.neutral import Leftover, Message, Opaque, OutputFormat, Request, Role, Target, Tool, Written

MAX_USER_CHARACTERS = 512
_TIERS = {"standard_only": "default"}
_ROLES = {str(role): role for role in Role}
_AT_SYSTEM = ((0, "system"),)
_TURN_MEMBERS = {"role", "content"}


class _Format(msgspec.Struct):
    type: str
    schema: msgspec.Raw = ABSENT


class _OutputConfig(msgspec.Struct, frozen=True):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _Settings(msgspec.Struct):
    """The members that are neither what is said nor a tool; one decoder for all takes a fraction of one for each."""

    max_tokens: int | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tool_choice: ToolChoiceView | None = None
    thinking: ThinkingView | None = None
    output_config: msgspec.Raw = ABSENT
    output_format: _Format | None = None
    metadata: msgspec.Raw = ABSENT
    service_tier: str | None = None


class _Turn(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: str
    content: msgspec.Raw


class _PlainTurn(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "assistant", "system"]
    content: SpokenContent


class _PlainBody(_Settings, forbid_unknown_fields=True, kw_only=True):
    """A body with nothing in it that has to be asked: most are such, and one decoder takes all of it."""

    messages: list[_PlainTurn]
    model: msgspec.Raw = ABSENT
    system: SpokenContent = None
    tools: list[PlainTool] | None = None


_plain_body = msgspec.json.Decoder(_PlainBody)
_turns = msgspec.json.Decoder(list[_Turn])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_turn = msgspec.json.Decoder(_Turn)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_optional_members = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_settings = msgspec.json.Decoder(_Settings)
_output = msgspec.json.Decoder(_OutputConfig | None)
_metadata = msgspec.json.Decoder(_Metadata | None)

_SETTINGS = frozenset(_Settings.__struct_fields__)
_READ = _SETTINGS | {"model", "messages", "system", "tools"}
_NO_CONFIG = _OutputConfig()
_HINTS = frozenset({"cache_control", "context_management", "speed", "user_profile_id"})


def read_request(fields: Fields) -> Request:
    """Raises InvalidRequest, naming the member that is wrong.

    A thread is kept by Anthropic; it is refused whatever may be dropped, because what was said in it would be lost.
    """
    if "thread" in fields and not says_nothing(fields["thread"]):
        raise Untranslatable(
            "'thread' is kept by Anthropic, and this model is served by others. Send all messages.", param="thread"
        )
    try:
        return _read(fields)
    except RecursionError:
        raise InvalidRequest("'messages' is nested too deeply.", param="messages") from None


def read_count_request(fields: Fields) -> Request:
    """A request whose tokens are to be counted: the same members, without those that say how to answer."""
    return read_request(fields)


def _read(fields: Fields) -> Request:
    if fields.keys() <= _READ and (request := _read_plain(fields)) is not None:
        return request
    reader = PartReader()
    for name, raw in fields.items():
        if name not in _READ and not says_nothing(raw):
            reader.leftovers.append(Leftover(name, is_hint=name in _HINTS))
    given = msgspec.json.encode({name: raw for name, raw in fields.items() if name in _SETTINGS})
    settings = read_member(_settings, msgspec.Raw(given), "")
    messages = _read_messages(fields, reader)
    tools = read_tools(fields["tools"], reader) if "tools" in fields else ()
    return _request(settings, messages, tools, reader)


def _read_plain(fields: Fields) -> Request | None:
    """The request in a body of the usual shape, None for any other."""
    try:
        body = _plain_body.decode(msgspec.json.encode(fields))
    except (ValueError, RecursionError):
        return None
    reader = PartReader()
    messages = []
    if body.system:
        messages.append(Message(Role.SYSTEM, reader.said(body.system, "system")))
        reader.places.append(_AT_SYSTEM)
    for index, turn in enumerate(body.messages):
        where = f"messages[{index}].content"
        messages.append(Message(_ROLES[turn.role], reader.said(turn.content, where)))
        reader.places.append(((0, where),))
    tools = tuple([tool_of(tool) for tool in body.tools]) if body.tools else ()
    return _request(body, tuple(messages), tools, reader) if body.messages else None


def _request(
    settings: _Settings, messages: tuple[Message, ...], tools: tuple[Tool | Opaque, ...], reader: PartReader
) -> Request:
    config = _read_config(settings.output_config, reader) if settings.output_config is not ABSENT else _NO_CONFIG
    choice, parallel = read_tool_choice(settings.tool_choice) if settings.tool_choice is not None else (None, None)
    tier = settings.service_tier or "auto"
    return Request(
        messages=messages,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        output=_read_output(config.format, settings.output_format),
        effort=read_effort(settings.thinking, config.effort, reader.leftovers),
        max_output_tokens=settings.max_tokens,
        stop=tuple(settings.stop_sequences or ()),
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        user="" if settings.metadata is ABSENT else _read_user(settings.metadata, reader),
        service_tier="" if tier == "auto" else _TIERS.get(tier, tier),
        stream=bool(settings.stream),
        leftovers=tuple(reader.leftovers),
        places=tuple(reader.places),
    )


def _read_messages(fields: Fields, reader: PartReader) -> tuple[Message, ...]:
    messages: list[Message] = []
    if "system" in fields and not says_nothing(fields["system"]):
        messages.append(Message(Role.SYSTEM, reader.content(fields["system"], "system")))
        reader.places.append(_AT_SYSTEM)
    if "messages" not in fields:
        raise InvalidRequest("The member 'messages' is missing.", param="messages")
    turns = _read_turns(fields["messages"], reader)
    if not turns:
        raise InvalidRequest("'messages' is empty; at least one message was expected.", param="messages")
    for index, turn in enumerate(turns):
        where = f"messages[{index}]"
        role = _ROLES.get(turn.role)
        if role is None:
            sentence = f"'{where}.role' is user, assistant or system, not '{turn.role}'."
            raise InvalidRequest(sentence, param=f"{where}.role")
        place = f"{where}.content"
        messages.append(Message(role, reader.content(turn.content, place)))
        reader.places.append(((0, place),))
    return tuple(messages)


def _read_turns(raw: msgspec.Raw, reader: PartReader) -> list[_Turn]:
    try:
        return _turns.decode(raw)
    except (ValueError, RecursionError):
        pass  # one at a time, to say what is wrong or unknown
    turns: list[_Turn] = []
    items = read_member(_list, raw, "messages")
    for index, turn in enumerate(items):
        where = f"messages[{index}]"
        members = read_member(_members, turn, where)
        reader.leave_unknown(members, _TURN_MEMBERS, where)
        known = msgspec.json.encode({name: value for name, value in members.items() if name in _TURN_MEMBERS})
        turns.append(read_member(_turn, msgspec.Raw(known), where))
    return turns


def _read_config(raw: msgspec.Raw, reader: PartReader) -> _OutputConfig:
    members = read_member(_optional_members, raw, "output_config") or {}
    reader.leave_unknown(members, {"effort", "format"}, "output_config")
    return read_member(_output, raw, "output_config") or _OutputConfig()


def _read_output(wanted: _Format | None, older: _Format | None) -> OutputFormat | None:
    """`output_config.format`, or what it was called before. Anthropic keeps to a schema without fail: it is strict."""
    name = "output_config.format"
    if wanted is None:
        name, wanted = "output_format", older
    if wanted is None:
        return None
    if wanted.type != "json_schema" or wanted.schema is ABSENT:
        raise InvalidRequest(f"'{name}' must be of type 'json_schema' and have a 'schema'.", param=name)
    return OutputFormat(schema=wanted.schema, strict=True)


def _read_user(raw: msgspec.Raw, reader: PartReader) -> str:
    members = read_member(_optional_members, raw, "metadata") or {}
    reader.leftovers += [Leftover(f"metadata.{name}", is_hint=True) for name in sorted(members.keys() - {"user_id"})]
    metadata = read_member(_metadata, raw, "metadata")
    return (metadata and metadata.user_id) or ""


def write_request(request: Request, target: Target) -> Written:
    """The body for Anthropic's API, or for a server that speaks it."""
    leftovers: list[Leftover] = []
    family = family_of(target.model)
    plan = plan_thinking(request, target, family, leftovers)
    system, messages = write_turns(request.messages, target, family, leftovers)
    body: Block = {"model": target.model, "max_tokens": plan.max_tokens}
    if system:
        body["system"] = system
    body["messages"] = messages
    body |= write_tools(request, target, leftovers)
    body |= write_sampling(request, family, plan, leftovers)
    if plan.thinking:
        body["thinking"] = plan.thinking
    if config := _write_output(request, target, plan.effort, leftovers):
        body["output_config"] = config
    body |= _write_rest(request, leftovers)
    if request.stream:
        body["stream"] = True
    return Written(msgspec.json.encode(body), tuple(leftovers))


def _write_output(request: Request, target: Target, effort: str, leftovers: list[Leftover]) -> Block:
    config: Block = {"effort": effort} if effort else {}
    if request.output is None:
        return config
    if request.output.schema is None or target.json_schema is False:
        leftovers.append(Leftover("response_format"))
        return config
    if request.output.description:
        leftovers.append(Leftover("response_format.json_schema.description", is_hint=True))
    return {**config, "format": {"type": "json_schema", "schema": request.output.schema}}


def _write_rest(request: Request, leftovers: list[Leftover]) -> Block:
    rest: Block = {}
    stops = [stop for stop in request.stop if stop.strip()]  # Anthropic takes none of white space alone
    if stops:
        rest["stop_sequences"] = stops
    if request.user and len(request.user) <= MAX_USER_CHARACTERS:
        rest["metadata"] = {"user_id": request.user}
    if request.service_tier == "default":
        rest["service_tier"] = "standard_only"
    unsayable = {
        "stop": len(stops) < len(request.stop),
        "n": request.choices > 1,
        "seed": request.seed is not None,
        "frequency_penalty": bool(request.frequency_penalty),
        "presence_penalty": bool(request.presence_penalty),
        "logit_bias": request.logit_bias is not None and not says_nothing(request.logit_bias),
        "logprobs": request.logprobs is not None,
    }
    hints = {
        "verbosity": bool(request.verbosity),
        "user": len(request.user) > MAX_USER_CHARACTERS,
        "service_tier": request.service_tier not in ("", "auto", "default"),
    }
    leftovers += [Leftover(name) for name, is_missed in unsayable.items() if is_missed]
    leftovers += [Leftover(name, is_hint=True) for name, is_missed in hints.items() if is_missed]
    return rest
