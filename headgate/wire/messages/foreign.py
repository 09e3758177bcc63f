"""Thoughts of other providers in a request that is passed on.

A conversation may have begun with another provider behind the same model. Its thoughts are sealed with its name, and
Anthropic refuses a request that has them in it, so they are taken out; the rest passes as it came.
"""

from __future__ import annotations

import msgspec

from headgate.wire.messages.blocks import ABSENT, ORIGIN
from headgate.wire.neutral import Leftover
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


def without_foreign_thoughts(messages: msgspec.Raw) -> tuple[msgspec.Raw, tuple[Leftover, ...]]:
    """The same messages, byte for byte if there is nothing to take out, and the places of what was taken out.

    What cannot be read stays as it is.
    """
    raw = bytes(messages)
    if _THOUGHT not in raw or not any(seal in raw for seal in _SEALS):
        return messages, ()
    taken: list[Leftover] = []
    try:
        turns = [_own(turn, f"messages[{index}].content", taken) for index, turn in enumerate(_messages.decode(raw))]
    except (ValueError, RecursionError):
        return messages, ()
    if not taken:
        return messages, ()
    own = [turn for turn in turns if bytes(turn.get("content", ABSENT)) != b"[]"]
    return msgspec.Raw(msgspec.json.encode(own)), tuple(taken)


def _own(turn: dict[str, msgspec.Raw], where: str, taken: list[Leftover]) -> dict[str, msgspec.Raw]:
    content = turn.get("content", ABSENT)
    if not bytes(content).startswith(b"["):
        return turn
    blocks = _content.decode(content)
    foreign = [index for index, block in enumerate(blocks) if _is_foreign(block)]
    if not foreign:
        return turn
    taken += [Leftover(f"{where}[{index}]", is_hint=True) for index in foreign]
    own = [block for index, block in enumerate(blocks) if index not in foreign]
    return {**turn, "content": msgspec.Raw(msgspec.json.encode(own))}


def _is_foreign(raw: msgspec.Raw) -> bool:
    if _kind.decode(raw).type not in ("thinking", "redacted_thinking"):
        return False
    block = _block.decode(raw)
    origin, _ = unseal(block.signature or block.data or "", ORIGIN)
    return origin not in ("", ORIGIN)  # an unsigned one may be of a server that speaks this dialect and never signs
