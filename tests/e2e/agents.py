"""What coding agents send: long system prompts, dozens of tools, cache marks, metadata, a history."""

from __future__ import annotations

from typing import Any

from tests.e2e.gateway import Json

TOOL_NAMES = (
    "Bash", "BashOutput", "Edit", "ExitPlanMode", "Glob", "Grep", "KillShell", "NotebookEdit", "Read", "Skill",
    "SlashCommand", "Task", "TodoWrite", "WebFetch", "WebSearch", "Write", "mcp__files__list", "mcp__files__search",
    "mcp__git__blame", "mcp__git__commit", "mcp__git__diff", "mcp__git__log", "mcp__git__show", "mcp__git__status",
    "mcp__issues__comment", "mcp__issues__create", "mcp__issues__list", "mcp__issues__view", "mcp__web__click",
    "mcp__web__close", "mcp__web__fill", "mcp__web__open", "mcp__web__read", "mcp__web__screenshot",
)  # fmt: skip
SYSTEM_PROMPT = "You are an agent that writes software. " + "Read the code before you change it. " * 600
EPHEMERAL = {"type": "ephemeral"}


def schema(name: str) -> Json:
    """Parameters of a tool, with the keywords that agents' schemas have."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "command": {"type": "string", "description": f"What {name} is to do."},
            "timeout": {"type": "number", "description": "Milliseconds.", "minimum": 0, "maximum": 600000},
            "paths": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "options": {
                "type": "object",
                "properties": {"mode": {"type": "string", "enum": ["fast", "careful"]}, "depth": {"type": "integer"}},
                "additionalProperties": False,
            },
        },
        "required": ["command"],
        "additionalProperties": False,
    }


def claude_code(model: str) -> Json:
    """A request of a terminal agent that speaks Anthropic's dialect, in the middle of its work."""
    tools: list[Json] = [
        {"name": name, "description": f"{name}. " + "Use it with care. " * 40, "input_schema": schema(name)}
        for name in TOOL_NAMES
    ]
    result = {"type": "tool_result", "tool_use_id": "toolu_01A", "content": "README.md\nsrc", "is_error": False}
    failed: Json = {
        "type": "tool_result",
        "tool_use_id": "toolu_01B",
        "content": [{"type": "text", "text": "No such file"}],
        "is_error": True,
    }
    reminder = {"type": "text", "text": "<system-reminder>Your list is empty.</system-reminder>"}
    return {
        "model": model,
        "max_tokens": 32000,
        "temperature": 1,
        "stream": True,
        "metadata": {"user_id": "user_0123_account__session_4567"},
        "system": [
            {"type": "text", "text": "You are a coding agent."},
            {"type": "text", "text": SYSTEM_PROMPT, "cache_control": EPHEMERAL},
        ],
        "tools": tools,
        "thinking": {"type": "enabled", "budget_tokens": 31999},
        "messages": [
            {"role": "user", "content": [reminder, {"type": "text", "text": "What is in this folder?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "I look.", "signature": "c2lnbmVk"},
                    {"type": "text", "text": "I will look."},
                    {"type": "tool_use", "id": "toolu_01A", "name": "Bash", "input": {"command": "ls"}},
                    {"type": "tool_use", "id": "toolu_01B", "name": "Read", "input": {"command": "x", "paths": ["x"]}},
                ],
            },
            {"role": "user", "content": [result, {**failed, "cache_control": EPHEMERAL}]},
        ],
    }


CLAUDE_CODE_HEADERS = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14",
    "anthropic-dangerous-direct-browser-access": "true",
    "x-app": "cli",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
    "user-agent": "agent-cli/2.0 (external, cli)",
}


def codex(model: str) -> Json:
    """A request of a terminal agent that speaks OpenAI's Responses, in the middle of its work."""
    tools: list[Any] = [
        {"type": "function", "name": name, "description": f"{name}. " * 20, "strict": False, "parameters": schema(name)}
        for name in TOOL_NAMES
    ]
    return {
        "model": model,
        "instructions": SYSTEM_PROMPT,
        "input": [
            {
                "type": "message",
                "role": "developer",
                "content": [{"type": "input_text", "text": "<permissions>You may read.</permissions>"}],
            },
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "<environment_context><cwd>/</cwd></environment_context>"}],
            },
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "What is in this folder?"}],
            },
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I look."}], "encrypted_content": None},
            {"type": "function_call", "name": "Bash", "arguments": '{"command":"ls"}', "call_id": "call_1"},
            {"type": "function_call", "name": "Read", "arguments": '{"command":"x"}', "call_id": "call_2"},
            {"type": "function_call_output", "call_id": "call_1", "output": "README.md\nsrc"},
            {"type": "function_call_output", "call_id": "call_2", "output": "No such file"},
        ],
        "tools": tools,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0199a213-81c0-7800-8aa1-bbab2a035a53",
        "text": {"verbosity": "medium"},
    }


CODEX_HEADERS = {
    "openai-beta": "responses=experimental",
    "originator": "agent_cli",
    "session_id": "0199a213-81c0-7800-8aa1-bbab2a035a53",
    "conversation_id": "0199a213-81c0-7800-8aa1-bbab2a035a53",
    "accept": "text/event-stream",
    "user-agent": "agent_cli/0.50 (linux; x86_64)",
}
