"""Tools, and whether one must be called."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from headgate.errors import InvalidRequest
from headgate.wire.members import read_member, says_nothing
from headgate.wire.messages.blocks import ABSENT, DIALECT, Block
from headgate.wire.messages.parts import PartReader
from headgate.wire.messages.spoken import CacheControl
from headgate.wire.neutral import Leftover, Opaque, Request, Target, Tool, ToolChoice

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_NO_PARAMETERS: Block = {"type": "object", "properties": {}}
_MODES = {"auto": "auto", "any": "required", "tool": "named", "none": "none"}
_TYPES = {mode: kind for kind, mode in _MODES.items()}


class _ToolKind(msgspec.Struct):
    type: str | None = None


class _Tool(msgspec.Struct):
    name: str
    description: str | None = None
    input_schema: msgspec.Raw = ABSENT
    strict: bool | None = None
    cache_control: CacheControl | None = None


class PlainTool(_Tool, forbid_unknown_fields=True, gc=False):
    """A caller's own tool with nothing about it that has to be asked: nearly all are such, and are read at once."""

    type: Literal["custom"] | None = None


class _SchemaType(msgspec.Struct, gc=False):
    type: msgspec.Raw = ABSENT


class ToolChoiceView(msgspec.Struct):
    """The member `tool_choice`."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


_KNOWN = {"type", "name", "description", "input_schema", "strict", "cache_control"}
_HINTS = {"eager_input_streaming", "defer_loading"}  # how arguments are sent, and when the tool is shown
_DIRECT_CALLERS = b'["direct"]'
_tools = msgspec.json.Decoder(list[msgspec.Raw] | None)
_kind = msgspec.json.Decoder(_ToolKind)
_schema_type = msgspec.json.Decoder(_SchemaType)
_tool = msgspec.json.Decoder(_Tool)
_plain_tools = msgspec.json.Decoder(list[PlainTool] | None)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_tools(raw: msgspec.Raw, reader: PartReader) -> tuple[Tool | Opaque, ...]:
    """The caller's own tools, and Anthropic's as parts that only it knows. Raises InvalidRequest."""
    try:
        return tuple([tool_of(tool) for tool in _plain_tools.decode(raw) or ()])
    except (ValueError, RecursionError):
        pass  # one at a time
    tools = read_member(_tools, raw, "tools") or []
    return tuple(_read_tool(tool, f"tools[{index}]", reader) for index, tool in enumerate(tools))


def tool_of(tool: _Tool) -> Tool:
    """A caller's own tool."""
    return Tool(
        name=tool.name,
        description=tool.description or "",
        parameters=None if says_nothing(tool.input_schema) else tool.input_schema,
        strict=tool.strict,
        cache=tool.cache_control.value() if tool.cache_control else "",
    )


def _read_tool(raw: msgspec.Raw, where: str, reader: PartReader) -> Tool | Opaque:
    kind = read_member(_kind, raw, where).type or "custom"
    if kind != "custom":
        return Opaque(DIALECT, kind, bytes(raw))
    tool, members = read_member(_tool, raw, where), read_member(_members, raw, where)
    reader.leftovers += [Leftover(f"{where}.{name}", is_hint=True) for name in _HINTS & members.keys()]
    known = _KNOWN | _HINTS
    if b"".join(bytes(members.get("allowed_callers", ABSENT)).split()) == _DIRECT_CALLERS:
        known = known | {"allowed_callers"}
    reader.leave_unknown(members, known, where)
    return tool_of(tool)


def read_tool_choice(choice: ToolChoiceView | None) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether several tools may be called at once (None: not said). Raises InvalidRequest."""
    if choice is None:
        return None, None
    if choice.type not in _MODES:
        raise InvalidRequest(
            f"'tool_choice.type' is one of {', '.join(_MODES)}, not '{choice.type}'.", param="tool_choice.type"
        )
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    return ToolChoice(_MODES[choice.type], choice.name or ""), parallel


def write_tools(request: Request, target: Target, leftovers: list[Leftover]) -> Block:
    """The members `tools` and `tool_choice`, as far as there are any."""
    if target.tools is False:
        if request.tools:
            leftovers.append(Leftover("tools"))
        return {}
    tools: list[Block | msgspec.Raw] = []
    for index, tool in enumerate(request.tools):
        tools += _write_tool(tool, f"tools[{index}]", target, leftovers)
    if not tools:
        if request.tool_choice and request.tool_choice.mode in ("required", "named"):
            leftovers.append(Leftover("tool_choice"))
        return {}
    choice = _write_choice(request)
    return {"tools": tools, "tool_choice": choice} if choice else {"tools": tools}


def _write_tool(
    tool: Tool | Opaque, where: str, target: Target, leftovers: list[Leftover]
) -> list[Block | msgspec.Raw]:
    if isinstance(tool, Opaque):
        if tool.dialect == DIALECT:
            return [msgspec.Raw(tool.raw)]
        leftovers.append(Leftover(where))
        return []
    if not _NAME.fullmatch(tool.name):
        leftovers.append(Leftover(f"{where}.name"))
        return []
    written: Block = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["input_schema"] = _schema(tool.parameters)
    if tool.strict and target.json_schema is False:
        leftovers.append(Leftover(f"{where}.strict", is_hint=True))
    elif tool.strict:
        written["strict"] = True
    if tool.cache:
        written["cache_control"] = cache_control(tool.cache)
    return [written]


def _schema(parameters: msgspec.Raw | None) -> msgspec.Raw | Block:
    """Anthropic wants every schema to say that it is one of an object."""
    if parameters is None:
        return _NO_PARAMETERS
    try:
        if _schema_type.decode(parameters).type is not ABSENT:
            return parameters
        return {"type": "object", **_members.decode(parameters)}
    except (ValueError, RecursionError):
        return parameters  # no object: the provider says it better


def _write_choice(request: Request) -> Block:
    choice = request.tool_choice or ToolChoice("auto")
    written: Block = {"type": _TYPES[choice.mode]}
    if choice.mode == "named":
        written["name"] = choice.name
    if request.parallel_tool_calls is False and choice.mode != "none":
        written["disable_parallel_tool_use"] = True
    return written if request.tool_choice or len(written) > 1 else {}


def forces_a_call(request: Request) -> bool:
    """Whether the model must call a tool."""
    return bool(request.tools and request.tool_choice and request.tool_choice.mode in ("required", "named"))


def cache_control(cache: str) -> Block:
    """The mark that asks to cache the prompt up to here."""
    return {"type": "ephemeral", "ttl": "1h"} if cache == "1h" else {"type": "ephemeral"}
