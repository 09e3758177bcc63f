"""Thoughts of other vendors in a chat completion that is passed on.

A conversation may have begun with another vendor behind the same model. What headgate wrote into its messages for that
is sealed with a name: no chat server can use it, and some refuse members they do not know. It is taken out; the rest
passes as it came.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.wire.chat.reasoning import CONTENT, ORIGIN
from headgate.wire.neutral import Leftover
from headgate.wire.seals import ORIGINS, unseal

_DETAILS, _CALLS, _EXTRA = "reasoning_details", "tool_calls", "extra_content"
# The members whose values headgate seals. Almost every request passes here and has none: both names have a byte that
# most prompts have not, `find` takes half the time of `in`, and names without quotation marks a tenth of it.
_UNDERSCORE = ord("_")
_OF_THOUGHTS, _OF_CALLS = b"reasoning_details", b"thought_signature"
_SEALS = tuple(f'"{origin}:'.encode() for origin in ORIGINS if origin != ORIGIN)
_NOTHING = msgspec.Raw(b"null")

Members = dict[str, msgspec.Raw]


class _Detail(msgspec.Struct):
    signature: str | None = None
    data: str | None = None


class _Google(msgspec.Struct):
    thought_signature: str | None = None


class _ExtraContent(msgspec.Struct):
    google: _Google | None = None


class _Call(msgspec.Struct):
    extra_content: _ExtraContent | None = None


_messages = msgspec.json.Decoder(list[Members])
_items = msgspec.json.Decoder(list[msgspec.Raw] | None)
_members = msgspec.json.Decoder(Members)
_detail = msgspec.json.Decoder(_Detail)
_call = msgspec.json.Decoder(_Call)


def without_foreign_thoughts(messages: msgspec.Raw) -> tuple[msgspec.Raw, tuple[Leftover, ...]]:
    """The same messages, byte for byte if there is nothing to take out, and the places of what was taken out.

    What cannot be read stays as it is.
    """
    raw = bytes(messages)
    if _UNDERSCORE not in raw or (raw.find(_OF_THOUGHTS) < 0 and raw.find(_OF_CALLS) < 0):
        return messages, ()
    if not any(seal in raw for seal in _SEALS):
        return messages, ()
    places: list[str] = []
    try:
        own = [_own(message, f"messages[{index}]", places) for index, message in enumerate(_messages.decode(raw))]
    except (ValueError, RecursionError):
        return messages, ()
    if not places:
        return messages, ()
    return msgspec.Raw(msgspec.json.encode(own)), tuple(Leftover(place, is_hint=True) for place in places)


def _own(message: Members, where: str, places: list[str]) -> Members:
    """`reasoning_content` goes with the details it is the text of."""
    details = _items.decode(message.get(_DETAILS, _NOTHING)) or []
    foreign = [index for index, detail in enumerate(details) if _is_foreign(detail)]
    if foreign:
        places += [f"{where}.{_DETAILS}[{index}]" for index in foreign]
        message = _without(message, CONTENT, where, places)
        message = {**message, _DETAILS: _listed([raw for index, raw in enumerate(details) if index not in foreign])}
        if len(foreign) == len(details):
            del message[_DETAILS]
    calls = _items.decode(message.get(_CALLS, _NOTHING)) or []
    own = [_own_call(call, f"{where}.{_CALLS}[{index}]", places) for index, call in enumerate(calls)]
    return message if own == calls else {**message, _CALLS: _listed(own)}


def _own_call(raw: msgspec.Raw, where: str, places: list[str]) -> msgspec.Raw:
    extra = _call.decode(raw).extra_content
    if extra is None or extra.google is None or not _is_sealed(extra.google.thought_signature):
        return raw
    return msgspec.Raw(msgspec.json.encode(_without(_members.decode(raw), _EXTRA, where, places)))


def _without(members: Members, name: str, where: str, places: list[str]) -> Members:
    if name not in members:
        return members
    places.append(f"{where}.{name}")
    return {other: raw for other, raw in members.items() if other != name}


def _listed(items: Sequence[msgspec.Raw]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(items))


def _is_foreign(raw: msgspec.Raw) -> bool:
    detail = _detail.decode(raw)
    return _is_sealed(detail.signature) or _is_sealed(detail.data)


def _is_sealed(value: str | None) -> bool:
    """By another vendor than a chat server. An unsealed one is the server's own, which shows such things itself."""
    return unseal(value or "", ORIGIN)[0] not in ("", ORIGIN)
