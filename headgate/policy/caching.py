"""Which answers may be kept and given again, and what makes two requests the same.

Two requests are the same if every member of their bodies is, and everything else that an answer depends on: who may
share it, the URL, the prompt version, headers for the provider, the ceiling on output. Members are left out only where
the API says that no answer depends on them. Bodies are compared as canonical JSON: neither the order of members nor
white space matters. What is written in two ways without meaning two things (1 and 1.0) may be told apart, which costs
a hit; what could mean two things never is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import msgspec

from headgate.cache_types import Ending, ExactRules, NotKept, Question, Sampled, Sharing
from headgate.types import Call, Caller, Route

DIGEST_BYTES = 24
_FORMAT = 1  # of what is digested
_COMPACT = -1  # msgspec's word for no white space

# Members that no answer depends on, by the documentation of each API. Responses repeat theirs, so none there.
_OPENAI_IRRELEVANT = frozenset({"user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"})
_NONE: frozenset[str] = frozenset()
_IRRELEVANT: Mapping[Route, frozenset[str]] = {
    Route.CHAT: _OPENAI_IRRELEVANT,
    Route.COMPLETIONS: _OPENAI_IRRELEVANT,
    Route.EMBEDDINGS: _OPENAI_IRRELEVANT,
    Route.MESSAGES: frozenset({"metadata"}),
}
# Members that make an answer depend on more than the request, or mean more than an answer.
_STATEFUL = frozenset(
    {
        "store", "background", "previous_response_id", "conversation", "web_search_options", "search_parameters",
        "plugins", "data_sources", "mcp_servers", "container", "context_management",
    }
)  # fmt: skip
_OWN_TOOLS = ("function", "custom", None)  # that the caller runs itself
_ALWAYS_THE_SAME = (Route.EMBEDDINGS,)  # nothing is drawn
_COMPLETE: Mapping[Route, tuple[str, ...]] = {
    Route.CHAT: ("stop",),
    Route.COMPLETIONS: ("stop",),
    Route.RESPONSES: ("completed",),
    Route.MESSAGES: ("end_turn", "stop_sequence"),
    Route.EMBEDDINGS: ("stop",),
}
_SAID: Mapping[Route, str] = {
    Route.CHAT: "messages",
    Route.MESSAGES: "messages",
    Route.RESPONSES: "input",
    Route.COMPLETIONS: "prompt",
    Route.EMBEDDINGS: "input",
}
_INSTRUCTIONS = ("system", "developer")


def _literal(text: str) -> msgspec.Raw:
    """A number stays as it is written: two texts of one double are told apart."""
    return msgspec.Raw(text.encode())


_decoder = msgspec.json.Decoder(float_hook=_literal)
_encoder = msgspec.json.Encoder(order="deterministic")


def question(call: Call, caller: Caller, rules: ExactRules, ceiling: int | None) -> Question:
    """What a call asks. `ceiling` is what its tier lowers the output to, None if it does not."""
    irrelevant = _IRRELEVANT.get(call.route, _NONE)
    fields = call.fields
    if not irrelevant.isdisjoint(fields):
        fields = {name: raw for name, raw in fields.items() if name not in irrelevant}
    raw = msgspec.json.encode(fields)
    try:
        body = _decoder.decode(raw)
        if reason := _never_kept(call.route, body, rules.sampled):
            return Question(reason)
        message, left_bytes, is_single_turn = _take_message(call.route, body)
        canonical = _encoder.encode(body)
        length = len(canonical) + len(message) - left_bytes
        if length != len(raw) and _repeats_members(raw, length):
            return Question(NotKept.AMBIGUOUS)
    except (ValueError, RecursionError):
        return Question(NotKept.UNREADABLE)
    context = (
        _FORMAT, _holder(call, caller, rules.share), call.route, call.stream, ceiling, call.prompt_version,
        call.dialect_headers,
    )  # fmt: skip
    partition = _digest(msgspec.msgpack.encode(context), canonical)
    key = _digest(partition, message)
    if call.route is Route.EMBEDDINGS:
        message = b""  # texts to embed are no question
    return Question(None, key, partition, message, is_single_turn)


def part_key(partition: bytes, part: bytes) -> bytes:
    """The key of the answer to one input of a request for embeddings; `part` is canonical JSON."""
    return _digest(partition, b"part" + part)


def private(key: bytes, call: Call, caller: Caller) -> bytes:
    """The key of an answer that only the user may get who asked for it."""
    return _digest(key, msgspec.msgpack.encode(_holder(call, caller, Sharing.USER)))


def must_not_be_kept(route: Route, ending: Ending) -> NotKept | None:
    """Why an answer is not one to give again; None if it is."""
    if ending.calls_tools:
        return NotKept.TOOL_CALL
    if ending.refuses:
        return NotKept.REFUSAL
    complete = _COMPLETE.get(route, ())
    if ending.finishes and all(finish in complete for finish in ending.finishes):
        return None
    return NotKept.INCOMPLETE


def _holder(call: Call, caller: Caller, share: Sharing) -> tuple[str, ...]:
    """Who may share the answer."""
    if share is Sharing.TENANT:
        return ("tenant", caller.tenant)
    if share is Sharing.EVERYBODY:
        return ("everybody",)
    user = caller.user or call.user
    return ("user", caller.tenant, user) if user else ("key", caller.tenant, caller.key_id)


def _never_kept(route: Route, body: dict[str, Any], sampled: Sampled) -> NotKept | None:
    """Why no answer to the request may be kept, whatever it will be."""
    if route is Route.COUNT_TOKENS:
        return NotKept.STATEFUL
    if route not in _ALWAYS_THE_SAME and sampled is not Sampled.ALWAYS:
        temperature = body.get("temperature")
        if not _is_zero(temperature) and (temperature is not None or sampled is Sampled.NEVER):
            return NotKept.SAMPLED
    if not _STATEFUL.isdisjoint(body) and any(body.get(name) for name in _STATEFUL):
        return NotKept.STATEFUL
    if route is Route.RESPONSES and body.get("prompt") is not None:
        return NotKept.STATEFUL  # a template that is kept at the provider
    if tools := body.get("tools"):
        known = isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)
        if not known or any(tool.get("type") not in _OWN_TOOLS for tool in tools):
            return NotKept.HOSTED_TOOLS
    return None


def _is_zero(temperature: object) -> bool:
    if isinstance(temperature, msgspec.Raw):
        return float(bytes(temperature)) == 0
    return temperature == 0 and not isinstance(temperature, bool)


def _take_message(route: Route, body: dict[str, Any]) -> tuple[bytes, int, bool]:
    """Take the last user message out of the body, if it is the last word.

    Also tells how many bytes of JSON stand in its place, and whether nothing was said before it.
    """
    name = _SAID.get(route, "")
    said = body.get(name)
    if route is Route.EMBEDDINGS:
        body[name] = None
        return _encoder.encode(said), len("null"), False
    if isinstance(said, str):
        body[name] = None
        return _encoder.encode(said), len("null"), True
    if not isinstance(said, list) or not said or not isinstance(said[-1], dict) or said[-1].get("role") != "user":
        return b"", 0, False
    message = _encoder.encode(said.pop())
    is_single_turn = all(isinstance(each, dict) and each.get("role") in _INSTRUCTIONS for each in said)
    return message, -1 if said else 0, is_single_turn  # a comma went with it, unless it was alone


def _repeats_members(raw: bytes, canonical_length: int) -> bool:
    """Whether an object has two members of one name: servers differ in which of them they read.

    Decoding drops one of them, so the text gets shorter; white space and escapes make it shorter too.
    """
    if len(msgspec.json.format(raw, indent=_COMPACT)) == canonical_length:
        return False
    repeated: list[str] = []

    def look(members: list[tuple[str, Any]]) -> None:
        if len(dict(members)) != len(members):
            repeated.append(members[0][0])

    json.loads(raw, object_pairs_hook=look)
    return bool(repeated)


def _digest(first: bytes, second: bytes) -> bytes:
    """`first` tells its own length, or always has the same, so that no two pairs are the same bytes."""
    return hashlib.blake2b(first + second, digest_size=DIGEST_BYTES).digest()
