"""Cache points in a body for Converse (Bedrock, "Prompt caching"): blocks of their own behind what is to be cached."""

from __future__ import annotations

import msgspec

from headgate.cache_types import ProviderCacheRules
from headgate.wire.converse.families import Family, family_of
from headgate.wire.prefixes import points_in_history, size_bytes

_NAME = "cachePoint"
_NONE = msgspec.Raw(b"[]")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_blocks = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def put_points(body: bytes, model: str, rules: ProviderCacheRules) -> bytes:
    """The body with cache points; the same body where there are some already, and for a model that has no cache.

    A model that keeps nothing for an hour is asked for five minutes. `body` is as `request.py` writes it.
    """
    family = family_of(model)
    if not family.cache_points:
        return body
    fields = _members.decode(body)
    tool_config = _members.decode(fields["toolConfig"]) if "toolConfig" in fields else {}
    tools, system = tool_config.get("tools", _NONE), fields.get("system", _NONE)
    turns = _list.decode(fields["messages"])
    if _NAME.encode() in body and _has_points(tools, system, turns):
        return body
    point = _point(family, rules)
    marked: dict[str, object] = {}
    length = size_bytes(tools)
    if rules.tools and family.cache_tools and tool_config and length >= rules.least_bytes:
        marked["toolConfig"] = tool_config | {"tools": _followed(tools, point)}
    length += size_bytes(system)
    if rules.system and "system" in fields and length >= rules.least_bytes:
        marked["system"] = _followed(system, point)
    for index in points_in_history(turns, length, rules.least_bytes) if rules.history else ():
        turn = _members.decode(turns[index])
        turns[index] = _raw(turn | {"content": _followed(turn["content"], point)})
        marked["messages"] = turns
    return msgspec.json.encode(fields | marked) if marked else body


def _point(family: Family, rules: ProviderCacheRules) -> msgspec.Raw:
    ttl = {"ttl": rules.ttl} if rules.ttl == "1h" and family.cache_1h else {}
    return _raw({_NAME: {"type": "default", **ttl}})


def _followed(blocks: msgspec.Raw, point: msgspec.Raw) -> msgspec.Raw:
    return _raw([*_list.decode(blocks), point])


def _has_points(tools: msgspec.Raw, system: msgspec.Raw, turns: list[msgspec.Raw]) -> bool:
    places = [tools, system, *[_members.decode(turn)["content"] for turn in turns]]
    return any(_NAME in block for place in places for block in _blocks.decode(place))


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
