"""Requests: a caller's of Messages to the neutral model, and a neutral one to Anthropic's API."""

from __future__ import annotations

import msgspec

from headgate.errors import InvalidRequest, Untranslatable
from headgate.wire.claude import family_of
from headgate.wire.dialect import Fields
from headgate.wire.members import read_member, says_nothing
from headgate.wire.messages.blocks import ABSENT, Block
from headgate.wire.messages.parts import PartReader
from headgate.wire.messages.thinking import ThinkingView, plan_thinking, read_effort, write_sampling
from headgate.wire.messages.toolbox import read_tool_choice, read_tools, write_tools
from headgate.wire.messages.turns import write_turns
from headgate.wire.neutral import Leftover, Message, OutputFormat, Request, Role, Target, Written

MAX_USER_CHARACTERS = 512
_TIERS = {"standard_only": "default"}
_ROLES = frozenset(role.value for role in Role)


class _Format(msgspec.Struct):
    type: str
    schema: msgspec.Raw = ABSENT


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


_list = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_optional_members = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_text = msgspec.json.Decoder(str)
_optional_text = msgspec.json.Decoder(str | None)
_number = msgspec.json.Decoder(float | None)
_integer = msgspec.json.Decoder(int | None)
_flag = msgspec.json.Decoder(bool | None)
_texts = msgspec.json.Decoder(list[str] | None)
_thinking = msgspec.json.Decoder(ThinkingView | None)
_output = msgspec.json.Decoder(_OutputConfig | None)
_format = msgspec.json.Decoder(_Format | None)
_metadata = msgspec.json.Decoder(_Metadata | None)

_KNOWN = {
    "model", "messages", "max_tokens", "system", "stream", "temperature", "top_p", "top_k", "stop_sequences", "tools",
    "tool_choice", "thinking", "output_config", "output_format", "metadata", "service_tier",
}  # fmt: skip
_HINTS = {"cache_control", "context_management", "speed", "user_profile_id"}


def read_request(fields: Fields) -> Request:
    """Raises InvalidRequest, naming the member that is wrong.

    A thread is kept by Anthropic; it is refused whatever may be dropped, because what was said in it would be lost.
    """
    if not _is_absent(fields, "thread"):
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
    reader = PartReader()
    reader.leave_unknown(dict(fields), _KNOWN | _HINTS, "")
    reader.leftovers += [Leftover(name, is_hint=True) for name in sorted(_HINTS) if not _is_absent(fields, name)]
    config = read_member(_output, _raw(fields, "output_config"), "output_config") or _OutputConfig()
    thinking = read_member(_thinking, _raw(fields, "thinking"), "thinking")
    choice, parallel = read_tool_choice(_raw(fields, "tool_choice"))
    tier = read_member(_optional_text, _raw(fields, "service_tier"), "service_tier") or "auto"
    return Request(
        messages=_read_messages(fields, reader),
        tools=read_tools(_raw(fields, "tools"), reader),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        output=_read_output(fields, config, reader),
        effort=read_effort(thinking, config.effort, reader.leftovers),
        max_output_tokens=read_member(_integer, _raw(fields, "max_tokens"), "max_tokens"),
        stop=tuple(read_member(_texts, _raw(fields, "stop_sequences"), "stop_sequences") or ()),
        temperature=read_member(_number, _raw(fields, "temperature"), "temperature"),
        top_p=read_member(_number, _raw(fields, "top_p"), "top_p"),
        top_k=read_member(_integer, _raw(fields, "top_k"), "top_k"),
        user=_read_user(fields, reader),
        service_tier="" if tier == "auto" else _TIERS.get(tier, tier),
        stream=bool(read_member(_flag, _raw(fields, "stream"), "stream")),
        leftovers=tuple(reader.leftovers),
    )


def _raw(fields: Fields, name: str) -> msgspec.Raw:
    return fields.get(name, ABSENT)


def _is_absent(fields: Fields, name: str) -> bool:
    return name not in fields or says_nothing(fields[name])


def _read_messages(fields: Fields, reader: PartReader) -> tuple[Message, ...]:
    messages: list[Message] = []
    if not _is_absent(fields, "system"):
        messages.append(Message(Role.SYSTEM, reader.content(fields["system"], "system")))
    if "messages" not in fields:
        raise InvalidRequest("The member 'messages' is missing.", param="messages")
    turns = read_member(_list, fields["messages"], "messages")
    if not turns:
        raise InvalidRequest("'messages' is empty; at least one message was expected.", param="messages")
    for index, raw in enumerate(turns):
        where = f"messages[{index}]"
        members = read_member(_members, raw, where)
        for name in ("role", "content"):
            if name not in members:
                raise InvalidRequest(f"The member '{where}.{name}' is missing.", param=f"{where}.{name}")
        role = read_member(_text, members["role"], f"{where}.role")
        if role not in _ROLES:
            sentence = f"'{where}.role' is user, assistant or system, not '{role}'."
            raise InvalidRequest(sentence, param=f"{where}.role")
        reader.leave_unknown(members, {"role", "content"}, where)
        messages.append(Message(Role(role), reader.content(members["content"], f"{where}.content")))
    return tuple(messages)


def _read_output(fields: Fields, config: _OutputConfig, reader: PartReader) -> OutputFormat | None:
    """`output_config.format`, or what it was called before. Anthropic keeps to a schema without fail: it is strict."""
    members = read_member(_optional_members, _raw(fields, "output_config"), "output_config") or {}
    reader.leave_unknown(members, {"effort", "format"}, "output_config")
    name, wanted = "output_config.format", config.format
    if wanted is None:
        name, wanted = "output_format", read_member(_format, _raw(fields, "output_format"), "output_format")
    if wanted is None:
        return None
    if wanted.type != "json_schema" or wanted.schema is ABSENT:
        raise InvalidRequest(f"'{name}' must be of type 'json_schema' and have a 'schema'.", param=name)
    return OutputFormat(schema=wanted.schema, strict=True)


def _read_user(fields: Fields, reader: PartReader) -> str:
    members = read_member(_optional_members, _raw(fields, "metadata"), "metadata") or {}
    reader.leftovers += [Leftover(f"metadata.{name}", is_hint=True) for name in sorted(members.keys() - {"user_id"})]
    metadata = read_member(_metadata, _raw(fields, "metadata"), "metadata")
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
