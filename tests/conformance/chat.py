"""Reads OpenAI's chat completions, with what other servers add to them."""

from __future__ import annotations

from typing import Any

from tests.conformance import frames
from tests.conformance.meaning import (
    CONTENT_FILTER,
    LENGTH,
    REFUSAL,
    STOP,
    TOOL_CALLS,
    Call,
    Choice,
    Json,
    Reading,
    Tokens,
    arguments_of,
    count,
)

FINISHES = {
    "stop": STOP,
    "eos": STOP,
    "length": LENGTH,
    "model_length": LENGTH,
    "max_tokens": LENGTH,
    "tool_calls": TOOL_CALLS,
    "function_call": TOOL_CALLS,
    "content_filter": CONTENT_FILTER,
}
GAVE_UP = ("error", "abort", "insufficient_system_resource")


def read_answer(value: Json) -> Reading:
    """A whole answer."""
    if value.get("error"):
        return Reading(failure=error_message(value))
    choices = [_choice(choice.get("message") or {}, _finish_word(choice)) for choice in value["choices"]]
    _cite(choices, value.get("citations"))
    gave_up = [choice.finish for choice in choices if choice.finish in GAVE_UP]
    failure = f"finish reason {gave_up[0]}" if gave_up else ""
    return Reading(choices, tokens(value.get("usage")), failure, value.get("model") or "")


def read_stream(stream: str) -> Reading:
    """A stream of chunks."""
    choices: dict[int, Json] = {}
    finishes: dict[int, str | None] = {}
    usage: Json | None = None
    model = ""
    cited: list[str] = []
    for chunk in frames.events(stream):
        if chunk.get("error"):
            return Reading(failure=error_message(chunk))
        model = model or chunk.get("model") or ""
        cited = chunk.get("citations") or cited
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") or usage
        for choice in chunk.get("choices") or []:
            index = choice.get("index", 0)
            _add(choices.setdefault(index, {}), choice.get("delta") or {})
            finishes[index] = finishes.get(index) or choice.get("finish_reason")
            if finishes[index] in GAVE_UP:
                return Reading(failure=f"finish reason {finishes[index]}")
    found = [_choice(choices[index], finishes[index]) for index in sorted(choices)]
    _cite(found, cited)
    missing = "" if found and all(choice.finish for choice in found) else "no finish reason"
    return Reading(found, tokens(usage), missing, model)


def tokens(usage: Json | None) -> Tokens | None:
    """Some count thoughts in the total alone, some cached tokens twice: a part is never larger than its whole."""
    if not usage or (usage.get("prompt_tokens") is None and usage.get("completion_tokens") is None):
        return None
    prompt, completion = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    tokens_in, said = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    beside = max(0, count(usage.get("total_tokens")) - tokens_in - said)
    cached = count(prompt.get("cached_tokens")) or count(usage.get("prompt_cache_hit_tokens"))
    reasoning = max(count(completion.get("reasoning_tokens")), beside)
    cached = min(cached, tokens_in)
    written = prompt.get("cache_write_tokens")
    written = None if written is None else min(count(written), tokens_in - cached)
    return Tokens(tokens_in, cached, said + beside, min(reasoning, said + beside), written)


def error_message(value: Any) -> str:
    """The sentence in an error, whatever its shape."""
    if isinstance(value, list) and value:
        value = value[0]
    for name in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(name):
            value = value[name]
    return value if isinstance(value, str) else str(value)


def _choice(message: Json, finish: str | None) -> Choice:
    choice = Choice(refusal=message.get("refusal") or "", finish=FINISHES.get(finish or "", finish or ""))
    choice.thoughts = _thoughts(message)
    cited = [note["url_citation"]["url"] for note in message.get("annotations") or [] if "url_citation" in note]
    choice.sources = set(cited) - {""}
    content = message.get("content")
    for part in [{"type": "text", "text": content}] if isinstance(content, str) else content or []:
        if part["type"] == "thinking":
            choice.thoughts += [inner["text"] for inner in part["thinking"] if inner["type"] == "text"]
        elif part["type"] == "text":
            choice.text += part["text"]
    choice.calls = [_call(call["function"], call.get("id") or "") for call in message.get("tool_calls") or []]
    if message.get("function_call"):
        choice.calls.append(_call(message["function_call"], "function_call"))
    if choice.refusal and choice.finish == STOP:
        choice.finish = REFUSAL
    return choice


def _call(function: Json, name: str) -> Call:
    return Call(function["name"], arguments_of(function.get("arguments")), name)


def _cite(choices: list[Choice], cited: list[str] | None) -> None:
    """Perplexity tells its sources beside the choices."""
    for choice in choices:
        choice.sources = choice.sources or set(cited or ())


def _finish_word(choice: Json) -> str | None:
    """OpenAI's first model with eyes told only the details."""
    return choice.get("finish_reason") or (choice.get("finish_details") or {}).get("type")


def _thoughts(message: Json) -> list[str]:
    """`reasoning_content` is DeepSeek's and headgate's, `reasoning` Groq's and OpenRouter's, who adds the details."""
    said = message.get("reasoning_content") or message.get("reasoning")
    if said:
        return [said]
    details = message.get("reasoning_details") or []
    return [text for detail in details if (text := detail.get("text") or detail.get("summary"))]


def _add(message: Json, delta: Json) -> None:
    """Put what a chunk adds to what was there."""
    for name in ("refusal", "reasoning_content", "reasoning"):
        if delta.get(name):
            message[name] = (message.get(name) or "") + delta[name]
    if content := delta.get("content"):
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        message.setdefault("content", []).extend(parts)
    for name in ("reasoning_details", "annotations"):
        message.setdefault(name, []).extend(delta.get(name) or [])
    if delta.get("function_call"):
        called = message.setdefault("function_call", {"name": "", "arguments": ""})
        called["name"] += delta["function_call"].get("name") or ""
        called["arguments"] += delta["function_call"].get("arguments") or ""
    for call in delta.get("tool_calls") or []:
        _add_call(message.setdefault("tool_calls", []), call)


def _add_call(calls: list[Json], call: Json) -> None:
    """Without an index, a call with a name is a new one and one without belongs to the last."""
    function, index = call.get("function") or {}, call.get("index")
    known = [known for known in calls if known["index"] == index] if index is not None else calls[-1:]
    if not known or (index is None and function.get("name")):
        known = [{"index": index, "id": call.get("id"), "function": {"name": "", "arguments": ""}}]
        calls += known
    known[0]["function"]["name"] += function.get("name") or ""
    known[0]["function"]["arguments"] += function.get("arguments") or ""
