"""Recorded exchanges as texts and the tokens that the provider says they had. Reads files, counts nothing.

An exchange is read as the gateway would: the request by the dialect of headgate's URL (or, where no caller speaks the
provider's, by its texts), the answer and its usage by the dialect of the provider.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from headgate.errors import HeadgateError
from headgate.types import Call, Route, Usage
from headgate.wire import neutral, prompts
from headgate.wire.chat.dialect import PROVIDER as CHAT
from headgate.wire.chunks import (
    Chunk,
    Metered,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.converse.dialect import PROVIDER as CONVERSE
from headgate.wire.dialect import ProviderDialect
from headgate.wire.gemini.dialect import PROVIDER as GEMINI
from headgate.wire.messages.dialect import PROVIDER as MESSAGES
from headgate.wire.openai import read_answer
from headgate.wire.responses.dialect import PROVIDER as RESPONSES
from headgate.wire.speakers import speaker

Json = Any

DIALECTS: Mapping[str, ProviderDialect] = {
    "chat.completions": CHAT,
    "messages": MESSAGES,
    "responses": RESPONSES,
    "generateContent": GEMINI,
    "converse": CONVERSE,
}
OLDER_ROUTES = {"completions": Route.COMPLETIONS, "embeddings": Route.EMBEDDINGS}
ROUTES = {"chat.completions": Route.CHAT, "messages": Route.MESSAGES, "responses": Route.RESPONSES}

# Prompts with these have more in them than texts: media, what a provider keeps, what its own tools bring in.
BEYOND_TEXT = (
    "image", "input_audio", "inlineData", "fileData", "file", "document", "video", "previous_response_id",
    "web_search", "googleSearch", "google_search", "urlContext", "codeExecution", "code_execution", "code_interpreter",
    "mcp_servers", "cachedContent", "bash_2", "text_editor_2", "computer_2", "memory_2", "web_fetch", "tool_search",
    "image_generation", "mcp", "search_", "container", "context_management", "guardrail",
)  # fmt: skip
SPOKEN = ("text",)  # members of Gemini's and Bedrock's prompts that are texts
AS_JSON = (
    "args",
    "response",
    "input",
    "json",
    "functionDeclarations",
    "toolSpec",
    "responseJsonSchema",
    "responseSchema",
)


DESCRIPTIONS = {"tools", "functions", "response_format", "toolConfig", "output_config"}  # of tools, or of the answer


class Recorded(msgspec.Struct, frozen=True):
    """One exchange. `answer` is empty when it says less than was generated (hidden thoughts)."""

    provider: str
    model: str
    prompt: list[str]
    overhead_tokens: int  # of the prompt that are in no text
    tools: bool
    answer: str
    calls_tools: bool  # in the answer
    usage: Usage


class _Said(msgspec.Struct):
    """What an answer is made of."""

    usage: Usage | None = None
    text: str = ""
    thought: bool = False
    calls_tools: bool = False


def read(row: Mapping[str, Json]) -> Recorded | None:
    """None for what is not the generation of a text out of texts, or has no usage."""
    body, api = row.get("request_body"), str(row.get("api"))
    if api not in DIALECTS or row.get("status") != 200 or not isinstance(body, dict):
        return None
    if any(f'"{word}' in json.dumps(body) for word in BEYOND_TEXT):
        return None
    try:
        said = _answer(row, DIALECTS[api])
    except (HeadgateError, ValueError):
        return None
    if said.usage is None:
        return None
    texts, overhead = _prompt(api, body)
    return Recorded(
        provider=row["provider"],
        model=str(row["model"]),
        prompt=texts,
        overhead_tokens=overhead,
        tools=bool(DESCRIPTIONS & set(body)),
        answer="" if said.thought or said.usage.reasoning else said.text,
        calls_tools=said.calls_tools,
        usage=said.usage,
    )


def reported_usage(row: Mapping[str, Json]) -> Usage | None:
    """What the provider says an exchange of any kind used; None if it does not say, or not in a way that is known."""
    api = str(row.get("api"))
    try:
        if api in DIALECTS:
            return _answer(row, DIALECTS[api]).usage
        return read_answer(OLDER_ROUTES[api], json.dumps(row["response_body"]).encode()).usage
    except (HeadgateError, ValueError, KeyError):
        return None


def _prompt(api: str, body: dict[str, Json]) -> tuple[list[str], int]:
    """The texts of a prompt, and its tokens that are in none of them."""
    if api in ROUTES:
        fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()}
        call = Call(id="", route=ROUTES[api], model="", stream=False, fields=fields, body_bytes=0)
        return speaker(call.route).prompt_texts(call), speaker(call.route).overhead_tokens(call)
    messages = len(body.get("contents") or body.get("messages") or ())
    return list(_strings(body)), prompts.TOKENS_PER_REPLY + prompts.TOKENS_PER_MESSAGE * messages


def _strings(value: Json) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, dict):
        for name, member in value.items():
            if name in SPOKEN and isinstance(member, str):
                yield member
            elif name in AS_JSON:
                yield json.dumps(member, ensure_ascii=False, separators=(",", ":"))
            else:
                yield from _strings(member)


def _answer(row: Mapping[str, Json], dialect: ProviderDialect) -> _Said:
    if not row.get("stream"):
        answer = dialect.read_answer(json.dumps(row["response_body"]).encode())
        parts = [part for choice in answer.choices for part in choice.parts]
        said = [part for part in parts if not isinstance(part, neutral.Thinking)]
        calls = any(isinstance(part, neutral.ToolCall) for part in parts)
        return _Said(answer.usage, "".join(neutral.texts(said)), len(said) < len(parts), calls)
    splitter, listener = dialect.splitter(), dialect.listener()
    heard = _Said()
    for frame in [*splitter.feed(str(row.get("response_text") or "").encode()), splitter.take_rest() + b"\n\n"]:
        for chunk in listener.read(frame) if frame.strip() else ():
            _hear(heard, chunk)
    return heard


def _hear(heard: _Said, chunk: Chunk) -> None:
    match chunk:
        case Metered(usage=usage):
            heard.usage = usage
        case TextDelta(text=text):
            heard.text += text
        case ToolCallStarted(name=text) | ToolCallDelta(arguments=text):
            heard.text += text
            heard.calls_tools = True
        case ThinkingDelta() | ThinkingSigned():
            heard.thought = True
