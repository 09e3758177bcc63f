"""Thoughts of other providers in a request that is passed on.

A conversation may have begun with another provider behind the same model. OpenAI refuses a request with thoughts that
it cannot find or decrypt, so those that headgate wrote into items are taken out; the rest passes as it came.
"""

from __future__ import annotations

import msgspec

from headgate.wire.neutral import Leftover
from headgate.wire.responses.reply import OUR_THOUGHTS
from headgate.wire.responses.thoughts import OWN
from headgate.wire.seals import ORIGINS, unseal

_REASONING = b'"reasoning"'
_MARKS = (
    f'"{OUR_THOUGHTS}'.encode(),
    *(f'"{origin}:'.encode() for origin in ORIGINS if origin != OWN),
)


class _Item(msgspec.Struct):
    type: str | None = None
    id: str | None = None
    encrypted_content: str | None = None


class _Kind(msgspec.Struct):
    type: str | None = None


_items = msgspec.json.Decoder(list[msgspec.Raw])
_kind = msgspec.json.Decoder(_Kind)
_item = msgspec.json.Decoder(_Item)


def without_foreign_thoughts(prompt: msgspec.Raw) -> tuple[msgspec.Raw, tuple[Leftover, ...]]:
    """The same `input`, byte for byte if there is nothing to take out, and the places of what was taken out.

    What cannot be read stays as it is.
    """
    raw = bytes(prompt)
    if _REASONING not in raw or not any(mark in raw for mark in _MARKS):
        return prompt, ()
    try:
        items = _items.decode(raw)
        foreign = [index for index, item in enumerate(items) if _is_foreign(item)]
    except (ValueError, RecursionError):
        return prompt, ()
    if not foreign:
        return prompt, ()
    own = [item for index, item in enumerate(items) if index not in foreign]
    return msgspec.Raw(msgspec.json.encode(own)), tuple(Leftover(f"input[{at}]", is_hint=True) for at in foreign)


def _is_foreign(raw: msgspec.Raw) -> bool:
    if _kind.decode(raw).type != "reasoning":
        return False
    item = _item.decode(raw)
    origin, _ = unseal(item.encrypted_content or "", OWN)
    return origin not in ("", OWN) or (item.id or "").startswith(OUR_THOUGHTS)
