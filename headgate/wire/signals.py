"""What a router looks at in a call: read from a body of any dialect by what all of them share.

Messages have a role and a content, which is a text or a list of parts with texts. Whatever has another shape is passed
over: the provider will say what is wrong with it. Nothing here raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from headgate.route_types import Signals
from headgate.types import Call, Route
from headgate.wire.media import may_have_media, read_prompt
from headgate.wire.prompts import PROMPT_MEMBERS
from headgate.wire.speakers import speaker

MAX_TEXT_CHARACTERS = 8_000  # of what is judged
_INSTRUCTIONS = ("system", "instructions")  # members that say how to answer
_SYSTEM_ROLES = ("system", "developer")
_FORMATS = ("response_format", "text", "output_config", "output_format")
_NOT_SAID = (b"null", b"false")


class _Part(msgspec.Struct, gc=False):
    type: str | None = ""
    text: str | None = None


class _Turn(msgspec.Struct, gc=False):
    role: str | None = ""
    content: str | list[_Part] | None = None


_turns = msgspec.json.Decoder(str | list[_Turn | str | int] | None)
_content = msgspec.json.Decoder(str | list[_Part] | None)


def read_signals(call: Call) -> Signals:
    """10 us for a short call, 60 us for a conversation of 20 kB."""
    raw = read_prompt(call).text if may_have_media(call) else bytes(call.fields.get(PROMPT_MEMBERS[call.route], b""))
    system, spoken = _spoken(call, raw)
    asked = [text for role, text in spoken if role == "user"] or [""]
    used = speaker(call.route).features(call)
    format_said = b"".join(bytes(call.fields[name]) for name in _FORMATS if name in call.fields)
    digest = hashlib.blake2b(asked[0].encode(errors="replace"), digest_size=16)
    for text in system:
        digest.update(b"\0" + text.encode(errors="replace"))
    return Signals(
        text=_cut(asked[-1]),
        prior_text=_cut(asked[-2]) if len(asked) > 1 else "",
        first_text=_cut(asked[0]),
        turn=len(asked),
        characters=sum([len(text) for _, text in spoken]),
        tools=used.tools,
        images=used.images,
        wants_json=b"json_" in format_said,
        json_schema=b'"json_schema"' in format_said,
        logprobs=bytes(call.fields.get("logprobs", b"null")) not in _NOT_SAID or b"output_text.logprobs" in bytes(
            call.fields.get("include", b"")
        ),
        beginning=digest.digest(),
    )  # fmt: skip


def _spoken(call: Call, raw: bytes) -> tuple[list[str], list[tuple[str, str]]]:
    """The instructions, and what was said by whom."""
    system = [text for name in _INSTRUCTIONS if name in call.fields for text in _texts_of(bytes(call.fields[name]))]
    try:
        turns = _turns.decode(raw) if raw else None
    except (ValueError, RecursionError):
        return system, [("user", raw[:MAX_TEXT_CHARACTERS].decode(errors="replace"))]
    if turns is None or isinstance(turns, str):
        return system, [("user", turns or "")]
    if call.route in (Route.COMPLETIONS, Route.EMBEDDINGS):
        return system, [("user", " ".join(text for text in turns if isinstance(text, str)))]
    spoken: list[tuple[str, str]] = []
    for turn in turns:
        if not isinstance(turn, _Turn):
            continue
        text = "\n".join(_texts(turn.content))
        if turn.role in _SYSTEM_ROLES:
            system.append(text)
        elif text and turn.role:
            spoken.append((turn.role, text))
    return system, spoken


def _texts_of(raw: bytes) -> list[str]:
    try:
        return list(_texts(_content.decode(raw)))
    except (ValueError, RecursionError):
        return []


def _texts(content: str | list[_Part] | None) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    else:
        yield from (part.text for part in content or () if part.text)


def _cut(text: str) -> str:
    """The beginning and the end of a long text: the question stands in one of them."""
    if len(text) <= MAX_TEXT_CHARACTERS:
        return text
    half = MAX_TEXT_CHARACTERS // 2
    return f"{text[:half]}\n{text[-half:]}"
