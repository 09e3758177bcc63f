"""How much of a prompt may be written to a provider's cache: only that can cost what a write costs.

A point caches all that stands before it. Anthropic's prompt is the tools, then the system prompt, then the messages, so
points that stand in the first two leave the messages at the price of plain input. Of prompts in other dialects, which
may become anything, all may be written.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from headgate.gateway.fleet import ServedModel
from headgate.policy.preflight import prompt_bound
from headgate.types import Call, Route

_MARKS = (b"cache_control", b"cachePoint", b"prompt_cache_breakpoint")
_MARKED_FIELDS = ("system", "tools", "messages", "input")
_AUTOMATIC_MARK = "cache_control"  # beside the messages: the provider chooses where
_PREFIX = ("tools", "system")  # of an Anthropic prompt, in its order
_FOR_AN_HOUR = re.compile(rb'"(?:1|\\u0031)(?:h|\\u0068)"')


class CacheWrites(NamedTuple):
    """Tokens of a prompt at most, and whether they may be kept for an hour, which may cost more than five minutes."""

    tokens: int
    for_an_hour: bool


NOTHING = CacheWrites(0, False)


def cache_writes(call: Call, model: ServedModel, input_tokens: int) -> CacheWrites:
    """What a prompt of so many tokens may write, by its caller's points and those of the model's deployments."""
    fields = call.fields
    marked = [name for name in _MARKED_FIELDS if name in fields and _has_mark(bytes(fields[name]))]
    if _AUTOMATIC_MARK in fields:
        marked.append(_AUTOMATIC_MARK)
    for_an_hour = any(_FOR_AN_HOUR.search(bytes(fields[name])) is not None for name in marked)
    for rules in model.cache_points:
        for_an_hour = for_an_hour or rules.ttl == "1h"
        wanted = (("tools", rules.tools), ("system", rules.system), ("messages", rules.history))
        marked += [name for name, is_wanted in wanted if is_wanted]
    if not marked:
        return NOTHING
    if call.route is Route.MESSAGES and set(marked) <= set(_PREFIX):
        prefix = _PREFIX if "system" in marked else _PREFIX[:1]
        before = msgspec.structs.replace(call, fields={name: fields[name] for name in prefix if name in fields})
        written = prompt_bound(before, model.prompt_rules).tokens
        return CacheWrites(min(written, input_tokens), for_an_hour)
    return CacheWrites(input_tokens, for_an_hour)


def _has_mark(member: bytes) -> bool:
    return any(mark in member for mark in _MARKS)
