"""Tools, and whether a model must use them, as Converse's `toolConfig`."""

from __future__ import annotations

import msgspec

from headgate.wire.converse.content import Block, BlockWriter
from headgate.wire.neutral import Opaque, Request, Tool, ToolChoice

_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')


def write_tools(request: Request, writer: BlockWriter, *, has_tool_blocks: bool) -> Block:
    """The tool configuration, empty if there is none. `has_tool_blocks`: the messages speak of tool calls.

    There is no word for "call no tool": tools are kept from the model instead, unless the messages speak of calls,
    because Converse then wants to see the tools.
    """
    if not request.tools:
        return {}
    if request.parallel_tool_calls is False:  # coding agents always say so, and take several calls as well
        writer.left_over("parallel_tool_calls", is_hint=True)
    if writer.target.tools is False:
        writer.left_over("tools")
        return {}
    choice = request.tool_choice
    if choice is not None and choice.mode == "none":
        if not has_tool_blocks:
            return {}
        writer.left_over("tool_choice")
        choice = None
    tools: list[Block] = []
    for number, tool in enumerate(request.tools):
        tools += _tool(tool, f"tools[{number}]", writer)
    if not tools:
        return {}
    return {"tools": tools} | ({"toolChoice": _choice(choice)} if choice is not None else {})


def _tool(tool: Tool | Opaque, place: str, writer: BlockWriter) -> list[Block]:
    if isinstance(tool, Opaque):
        writer.left_over(place)
        return []
    spec: Block = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    spec["inputSchema"] = {"json": tool.parameters if tool.parameters is not None else _NO_PARAMETERS}
    if tool.strict and writer.family.strict_tools and writer.target.json_schema is not False:
        spec["strict"] = True
    elif tool.strict:
        writer.left_over(f"{place}.strict", is_hint=True)
    blocks: list[Block] = [{"toolSpec": spec}]
    if tool.cache:
        blocks += writer.cache_point(tool.cache, place, allowed=writer.family.cache_tools)
    return blocks


def _choice(choice: ToolChoice) -> Block:
    match choice.mode:
        case "required":
            return {"any": {}}
        case "named":
            return {"tool": {"name": choice.name}}
        case _:
            return {"auto": {}}
