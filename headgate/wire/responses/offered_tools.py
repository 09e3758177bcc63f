"""Tools, and which of them a model may or must call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from headgate.errors import InvalidRequest
from headgate.wire.dialect import Fields
from headgate.wire.members import read_member
from headgate.wire.neutral import Leftover, Opaque, Tool, ToolChoice
from headgate.wire.responses.parts import DIALECT

_MODES = ("auto", "none", "required")
_NULL = msgspec.Raw(b"null")
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')


class _Tool(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = _NULL
    strict: bool | None = None
    server_label: str | None = None

    @property
    def label(self) -> tuple[str, str]:
        """What a choice names it by."""
        return self.type, self.name or self.server_label or ""


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    mode: str | None = None
    tools: list[_Tool] | None = None


class Tools(msgspec.Struct, frozen=True):
    """What a caller says about tools. Tools that its choice rules out are not among the offered ones."""

    offered: tuple[Tool | Opaque, ...]
    choice: ToolChoice | None
    leftovers: tuple[Leftover, ...]


_tools = msgspec.json.Decoder(list[msgspec.Raw] | None)
_tool = msgspec.json.Decoder(_Tool)
_choice = msgspec.json.Decoder(str | _Choice | None)


def read_tools(fields: Fields) -> Tools:
    """The members `tools` and `tool_choice`. Raises InvalidRequest."""
    offered = [
        (raw, read_member(_tool, raw, f"tools[{index}]"))
        for index, raw in enumerate(read_member(_tools, fields.get("tools", _NULL), "tools") or ())
    ]
    wanted = read_member(_choice, fields.get("tool_choice", _NULL), "tool_choice")
    leftovers: tuple[Leftover, ...] = ()
    choice: ToolChoice | None = None
    if isinstance(wanted, str):
        choice = _mode(wanted)
    elif wanted is not None and wanted.type == "allowed_tools":
        choice = _mode(wanted.mode or "auto")
        offered = _only(offered, wanted.tools or ())
    elif wanted is not None and wanted.type == "function" and wanted.name:
        choice = ToolChoice("named", wanted.name)
    elif wanted is not None:
        leftovers = (Leftover("tool_choice"),)  # one of the provider's own tools
    tools = tuple(_neutral(raw, tool, f"tools[{index}]") for index, (raw, tool) in enumerate(offered))
    return Tools(tools, choice, leftovers)


def _mode(mode: str) -> ToolChoice:
    if mode not in _MODES:
        raise InvalidRequest(f"The tool choice '{mode}' is none of {', '.join(_MODES)}.", param="tool_choice")
    return ToolChoice(mode)


def _only(offered: list[tuple[msgspec.Raw, _Tool]], allowed: Sequence[_Tool]) -> list[tuple[msgspec.Raw, _Tool]]:
    labels = {tool.label for tool in allowed}
    if strange := labels - {tool.label for _, tool in offered}:
        kind, name = min(strange)
        raise InvalidRequest(f"The allowed tool '{name or kind}' is not among the tools.", param="tool_choice.tools")
    return [(raw, tool) for raw, tool in offered if tool.label in labels]


def _neutral(raw: msgspec.Raw, tool: _Tool, where: str) -> Tool | Opaque:
    if tool.type != "function":
        return Opaque(DIALECT, tool.type, bytes(raw))
    if not tool.name:
        raise InvalidRequest(f"The member '{where}.name' is missing.", param=f"{where}.name")
    parameters = None if bytes(tool.parameters) == b"null" else tool.parameters
    return Tool(tool.name, tool.description or "", parameters, tool.strict)


# --- towards a provider ----------------------------------------------------------------------------------------------


class _WrittenFunction(msgspec.Struct, tag_field="type", tag="function", omit_defaults=True):
    """The API takes `strict` for true when it is not there, unlike every other: it is always there."""

    name: str
    parameters: msgspec.Raw
    strict: bool
    description: str = ""


class _WrittenChoice(msgspec.Struct, tag_field="type", tag="function"):
    name: str


WrittenTool = _WrittenFunction | msgspec.Raw
WrittenChoice = str | _WrittenChoice


def write_tools(tools: Sequence[Tool | Opaque]) -> list[WrittenTool]:
    """The tools that the API has a form for."""
    return [written for tool in tools if (written := _written(tool)) is not None]


def _written(tool: Tool | Opaque) -> WrittenTool | None:
    if isinstance(tool, Opaque):
        return msgspec.Raw(tool.raw) if tool.dialect == DIALECT else None
    return _WrittenFunction(tool.name, tool.parameters or _NO_PARAMETERS, bool(tool.strict), tool.description)


def tool_leftovers(tools: Sequence[Tool | Opaque]) -> Iterator[Leftover]:
    """The tools that only another dialect knows, and cache marks: the API caches by itself."""
    for index, tool in enumerate(tools):
        if isinstance(tool, Opaque):
            if tool.dialect != DIALECT:
                yield Leftover(f"tools[{index}]")
        elif tool.cache:
            yield Leftover(f"tools[{index}].cache_control", is_hint=True)


def write_tool_choice(choice: ToolChoice | None) -> WrittenChoice | None:
    """The choice in the API's form."""
    if choice is None:
        return None
    return _WrittenChoice(choice.name) if choice.mode == "named" else choice.mode
