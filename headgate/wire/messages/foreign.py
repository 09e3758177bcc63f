"""Thoughts of other providers in a request that is passed on.

A conversation may have begun with another provider behind the same model. Its thoughts are sealed with its name, and
Anthropic refuses a request that has them in it, so they are taken out; the rest passes as it came.
"""

from __future__ import annotations

import msgspec

from headgate.wire.messages.blocks import ABSENT, ORIGIN
from headgate.wire.seals import ORIGINS, unseal

_THOUGHT = b'thinking"'
_SEALS = tuple(f'"{origin}:'.encode() for origin in ORIGINS if origin != ORIGIN)


class _Block(msgspec.Struct):
    type: str | None = None
    signature: str | None = None
    data: str | None = None


class _Kind(msgspec.Struct):
    type: str | None = None


_messages = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_content = msgspec.json.Decoder(list[msgspec.Raw])
_kind = msgspec.json.Decoder(_Kind)
_block = msgspec.json.Decoder(_Block)


def without_foreign_thoughts(messages: msgspec.Raw) -> msgspec.Raw:
    """The same messages, byte for byte if there is nothing to take out. What cannot be read stays as it is."""
    raw = bytes(messages)
    if _THOUGHT not in raw or not any(seal in raw for seal in _SEALS):
        return messages
    try:
        turns = [_own(turn) for turn in _messages.decode(raw)]
    except (ValueError, RecursionError):
        return messages
    return msgspec.Raw(msgspec.json.encode([turn for turn in turns if bytes(turn.get("content", ABSENT)) != b"[]"]))


def _own(turn: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    content = turn.get("content", ABSENT)
    if not bytes(content).startswith(b"["):
        return turn
    blocks = _content.decode(content)
    own = [block for block in blocks if not _is_foreign(block)]
    if len(own) == len(blocks):
        return turn
    return {**turn, "content": msgspec.Raw(msgspec.json.encode(own))}


def _is_foreign(raw: msgspec.Raw) -> bool:
    if _kind.decode(raw).type not in ("thinking", "redacted_thinking"):
        return False
    block = _block.decode(raw)
    origin, _ = unseal(block.signature or block.data or "", ORIGIN)
    return origin not in ("", ORIGIN)  # an unsigned one may be of a server that speaks this dialect and never signs
