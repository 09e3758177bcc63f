"""Cache points in a body for Anthropic's API ("Prompt caching"): at most four, here one behind the tools, one behind
the system prompt and two in the messages.

Nothing else of the body is touched, and a member without a point keeps its bytes. A text as a string is the same to
Anthropic as one block of text, so the turns of a conversation may have it in both ways.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headgate.cache_types import ProviderCacheRules
from headgate.wire.members import says_nothing
from headgate.wire.messages.blocks import ABSENT
from headgate.wire.messages.toolbox import cache_control
from headgate.wire.prefixes import points_in_history, size_bytes

_NAME = "cache_control"
_MAYBE_MARKED = (_NAME.encode(), b"\\u")  # an escaped name is the same name
# Thoughts cannot have a point, and what is not known might not.
_CARRIERS = frozenset({"text", "image", "document", "search_result", "tool_result"})


class _Marked(msgspec.Struct, gc=False):
    cache_control: msgspec.Raw = ABSENT
    content: msgspec.Raw = ABSENT  # of a message, or of what has blocks inside
    source: msgspec.Raw = ABSENT  # of a document, which may have blocks inside


class _Carrier(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    defer_loading: bool | None = None  # of a tool that is found when it is needed, and not in the prompt before


_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_text = msgspec.json.Decoder(str)
_marked = msgspec.json.Decoder(_Marked)
_carrier = msgspec.json.Decoder(_Carrier)


def put_points(body: bytes, model: str, rules: ProviderCacheRules) -> bytes:
    """The body with cache points; the same body where there are some already, and where there is nothing to mark."""
    try:
        fields = _members.decode(body)
        if any(mark in body for mark in _MAYBE_MARKED) and _has_points(fields):
            return body
        marked = _mark(fields, rules)
    except (ValueError, RecursionError):
        return body  # what is wrong with it, the provider says
    return msgspec.json.encode(fields | marked) if marked else body


def _mark(fields: dict[str, msgspec.Raw], rules: ProviderCacheRules) -> dict[str, msgspec.Raw]:
    marked: dict[str, msgspec.Raw] = {}
    length = 0
    for name, wanted, can_carry in (("tools", rules.tools, _is_loaded), ("system", rules.system, _can_carry)):
        if name not in fields:
            continue
        length += size_bytes(fields[name])
        if wanted and length >= rules.least_bytes and (pointed := _with_point(fields[name], rules.ttl, can_carry)):
            marked[name] = pointed
    if rules.history and "messages" in fields:
        turns = _list.decode(fields["messages"])
        for index in points_in_history(turns, length, rules.least_bytes):
            turn = _members.decode(turns[index])
            if pointed := _with_point(turn.get("content", ABSENT), rules.ttl, _can_carry):
                turns[index] = _raw(turn | {"content": pointed})
                marked["messages"] = _raw(turns)
    return marked


def _with_point(content: msgspec.Raw, ttl: str, can_carry: Callable[[_Carrier], bool]) -> msgspec.Raw | None:
    """Blocks or tools with a point at the last one that can have it, None if none can."""
    if bytes(content).startswith(b'"') and _text.decode(content).strip():
        return _raw([{"type": "text", "text": content, _NAME: cache_control(ttl)}])
    blocks = _items(content)
    for index in reversed(range(len(blocks))):
        if can_carry(_carrier.decode(blocks[index])):
            blocks[index] = _raw(_members.decode(blocks[index]) | {_NAME: _raw(cache_control(ttl))})
            return _raw(blocks)
    return None


def _can_carry(block: _Carrier) -> bool:
    return block.type in _CARRIERS and (block.type != "text" or bool((block.text or "").strip()))


def _is_loaded(tool: _Carrier) -> bool:
    return not tool.defer_loading


def _has_points(fields: dict[str, msgspec.Raw]) -> bool:
    """Whether the caller has set a point anywhere: in a tool, in a block, or in one inside a block."""
    places = [fields[name] for name in ("tools", "system", "messages") if name in fields]
    return any(_is_marked(item) for place in places for item in _items(place))


def _is_marked(raw: msgspec.Raw) -> bool:
    one = _marked.decode(raw)
    if not says_nothing(one.cache_control):
        return True
    inside = [*_items(one.content), *([one.source] if bytes(one.source).startswith(b"{") else [])]
    return any(map(_is_marked, inside))


def _items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    return _list.decode(raw) if bytes(raw).startswith(b"[") else []


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
