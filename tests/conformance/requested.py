"""What a request asks for, in words that belong to no dialect, read with nothing but a JSON parser.

Where one dialect puts a text, and how it cuts it, is left out of account: what must not happen is that something the
caller said does not reach the provider and nobody is told.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.conformance.meaning import Call, Json, arguments_of

WRAPS = {"result", "output", "error"}


@dataclass
class Asked:
    """Texts by who says them, whatever is in between; `media` counts pictures, sounds and documents."""

    system: str = ""
    user: str = ""
    assistant: str = ""
    results: str = ""
    calls: list[Call] = field(default_factory=list)
    media: int = 0
    tools: dict[str, str] = field(default_factory=dict)  # name -> description
    must_call: str = ""  # "any", "none", or the name of the tool
    schema: Any = None
    settings: Counter[str] = field(default_factory=Counter)  # names of those that are set

    def say(self, role: str, text: str) -> None:
        """Spaces, and the order of the members of JSON, mean nothing."""
        if role == "results" and text.startswith("{"):
            value = arguments_of(text)
            text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        setattr(self, role, getattr(self, role) + "".join(text.split()))

    def set(self, **values: object) -> None:
        """Note which settings the caller made; an empty list is none, nor is what is so anyway."""
        made = {name for name, value in values.items() if value not in (None, [], "", "none", "auto")}
        self.settings.update(made - {name for name in ("temperature", "top_p") if values.get(name) == 1})


def lost(recorded: Asked, sent: Asked) -> list[str]:
    """What the caller said and the provider did not hear."""
    if recorded.must_call == "none" and not sent.tools:
        recorded = replace(recorded, tools={}, must_call="")  # a model without tools calls none
    found = [
        f"{name}: {getattr(sent, name)!r:.150} instead of {getattr(recorded, name)!r:.150}"
        for name in ("system", "user", "assistant", "results", "calls", "media", "tools", "must_call", "schema")
        if getattr(sent, name) != getattr(recorded, name)
    ]
    return found + [f"setting {name}" for name in sorted(recorded.settings - sent.settings)]


def chat(body: Json) -> Asked:
    """A chat completion."""
    asked = Asked()
    for message in body["messages"]:
        role = {"developer": "system", "tool": "results", "function": "results"}.get(message["role"], message["role"])
        for part in _parts(message.get("content")):
            if part["type"] in ("text", "refusal"):
                asked.say(role, part[part["type"]])
            elif part["type"] != "thinking":
                asked.media += 1
        asked.say(role, message.get("refusal") or "")
        functions = [call["function"] for call in message.get("tool_calls") or []]
        functions += [message["function_call"]] if message.get("function_call") else []
        asked.calls += [Call(function["name"], arguments_of(function["arguments"])) for function in functions]
    functions = [tool["function"] for tool in body.get("tools") or [] if "function" in tool]
    asked.tools = _described([*functions, *(body.get("functions") or [])])
    choice = body.get("tool_choice")
    asked.must_call = (
        choice["function"]["name"] if isinstance(choice, dict) else _any(choice in ("required", "any"), choice)
    )
    asked.schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    asked.set(
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=body.get("stop"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        seed=body.get("seed"),
        frequency_penalty=body.get("frequency_penalty") or None,
        presence_penalty=body.get("presence_penalty") or None,
        effort=body.get("reasoning_effort"),
    )
    return asked


def responses(body: Json) -> Asked:
    """A response."""
    asked = Asked()
    asked.say("system", body.get("instructions") or "")
    given = body["input"]
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        if item.get("type", "message") == "message":
            role = "system" if item["role"] == "developer" else item["role"]
            _say_parts(asked, role, item["content"])
        elif item["type"] == "function_call":
            asked.calls.append(Call(item["name"], arguments_of(item["arguments"])))
        elif item["type"] == "function_call_output":
            _say_parts(asked, "results", item["output"])
    asked.tools = _described(tool for tool in body.get("tools") or [] if tool["type"] == "function")
    choice = body.get("tool_choice")
    asked.must_call = (
        choice.get("name", "") if isinstance(choice, dict) else _any(choice in ("required", "any"), choice)
    )
    asked.schema = ((body.get("text") or {}).get("format") or {}).get("schema")
    asked.set(
        max_tokens=body.get("max_output_tokens"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        effort=(body.get("reasoning") or {}).get("effort"),
    )
    return asked


def messages(body: Json) -> Asked:
    """Anthropic's."""
    asked = Asked()
    asked.say("system", "".join(part["text"] for part in _parts(body.get("system"))))
    for message in body["messages"]:
        for block in _parts(message["content"]):
            if block["type"] == "text":
                asked.say(message["role"], block["text"])
            elif block["type"] == "tool_use":
                asked.calls.append(Call(block["name"], block["input"]))
            elif block["type"] == "tool_result":
                _say_parts(asked, "results", block.get("content"))
            elif block["type"] in ("image", "document"):
                asked.media += 1
    functions = [tool for tool in body.get("tools") or [] if tool.get("type", "custom") == "custom"]
    asked.tools = _described(functions)
    choice = body.get("tool_choice") or {}
    asked.must_call = choice.get("name", "") or _any(choice.get("type") == "any", choice.get("type"))
    asked.schema = (body.get("output_format") or (body.get("output_config") or {}).get("format") or {}).get("schema")
    asked.set(
        max_tokens=body.get("max_tokens"),
        stop=body.get("stop_sequences"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        effort=(body.get("output_config") or {}).get("effort") or (body.get("thinking") or {}).get("budget_tokens"),
    )
    return asked


def gemini(body: Json) -> Asked:
    """Google's."""
    asked = Asked()
    for part in (body.get("systemInstruction") or {"parts": []})["parts"]:
        asked.say("system", part["text"])
    for content in body["contents"]:
        for part in content["parts"]:
            if "functionCall" in part:
                asked.calls.append(Call(part["functionCall"]["name"], part["functionCall"].get("args") or {}))
            elif "functionResponse" in part:
                asked.say("results", _only_text(part["functionResponse"]["response"]))
                asked.media += len(part["functionResponse"].get("parts") or [])
            elif "inlineData" in part or "fileData" in part:
                asked.media += 1
            elif "text" in part and not part.get("thought"):
                asked.say("assistant" if content["role"] == "model" else "user", part["text"])
    declared = [each for tool in body.get("tools") or [] for each in tool.get("functionDeclarations") or []]
    asked.tools = _described(declared)
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    names = calling.get("allowedFunctionNames") or []
    asked.must_call = names[0] if len(names) == 1 else _any(calling.get("mode") == "ANY", calling.get("mode"))
    config = body.get("generationConfig") or {}
    asked.schema = config.get("responseJsonSchema")
    thinking = config.get("thinkingConfig") or {}
    asked.set(
        max_tokens=config.get("maxOutputTokens"),
        stop=config.get("stopSequences"),
        temperature=config.get("temperature"),
        top_p=config.get("topP"),
        seed=config.get("seed"),
        frequency_penalty=config.get("frequencyPenalty"),
        presence_penalty=config.get("presencePenalty"),
        effort=thinking.get("thinkingLevel") or thinking.get("thinkingBudget"),
    )
    return asked


def converse(body: Json) -> Asked:
    """Bedrock's."""
    asked = Asked()
    asked.say("system", "".join(block.get("text", "") for block in body.get("system") or []))
    for message in body["messages"]:
        for block in message["content"]:
            if "text" in block:
                asked.say(message["role"], block["text"])
            elif "toolUse" in block:
                asked.calls.append(Call(block["toolUse"]["name"], block["toolUse"]["input"]))
            elif "toolResult" in block:
                for part in block["toolResult"]["content"]:
                    asked.media += not {"text", "json"} & part.keys()
                    asked.say("results", part.get("text") or (json.dumps(part["json"]) if "json" in part else ""))
            elif not {"cachePoint", "reasoningContent"} & block.keys():
                asked.media += 1
    config = body.get("toolConfig") or {"tools": []}
    asked.tools = _described(tool["toolSpec"] for tool in config["tools"] if "toolSpec" in tool)
    choice = config.get("toolChoice") or {}
    asked.must_call = choice["tool"]["name"] if "tool" in choice else _any("any" in choice, "")
    text = ((body.get("outputConfig") or {}).get("textFormat") or {}).get("structure") or {}
    schema = (text.get("jsonSchema") or {}).get("schema")
    asked.schema = json.loads(schema) if isinstance(schema, str) else schema
    inference = body.get("inferenceConfig") or {}
    asked.set(
        max_tokens=inference.get("maxTokens"),
        stop=inference.get("stopSequences"),
        temperature=inference.get("temperature"),
        top_p=inference.get("topP"),
        effort=body.get("additionalModelRequestFields"),
    )
    return asked


READERS: dict[str, Callable[[Json], Asked]] = {
    "chat": chat,
    "responses": responses,
    "messages": messages,
    "gemini": gemini,
    "converse": converse,
}


def _parts(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _say_parts(asked: Asked, role: str, content: Any) -> None:
    for part in _parts(content):
        if "text" in part or "refusal" in part:
            asked.say(role, part.get("text") or part.get("refusal") or "")
        else:
            asked.media += 1


def _described(functions: Iterable[Json]) -> dict[str, str]:
    return {function["name"]: function.get("description") or "" for function in functions}


def _any(must: bool, word: str | None) -> str:
    return "any" if must else "none" if (word or "").lower() == "none" else ""


def _only_text(response: Json) -> str:
    """Google wants an object: a tool's text is the only member of one."""
    texts = list(response.values())
    return texts[0] if len(texts) == 1 and isinstance(texts[0], str) and set(response) & WRAPS else json.dumps(response)
