"""Thoughts in chat completions. Nobody agreed on them: they come as `reasoning_content` (DeepSeek, vLLM, xAI), as
`reasoning` (Groq, Cerebras), as parts of the content (Mistral) or with `reasoning_details` (OpenRouter).

A chat client is shown `reasoning_content` to read, and OpenRouter's details, if there is a signature, to send back.

A chat server gets its thoughts back in the member they came in, which travels as the signature of their origin "chat";
some demand them in a tool loop (DeepSeek, Kimi), others refuse a member that is not theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from headgate.wire.chat.request_shapes import Message, ReasoningDetail
from headgate.wire.neutral import Thinking
from headgate.wire.seals import seal, unseal

ORIGIN = "chat"
CONTENT, REASONING = "reasoning_content", "reasoning"  # members of a message
THINKING_PART = "thinking"  # a part of the content
BETWEEN_THOUGHTS = "\n\n"  # where a member has room for one alone
ENCRYPTED, SUMMARY, TEXT = "reasoning.encrypted", "reasoning.summary", "reasoning.text"  # types of details

_FORMATS = {
    "anthropic": "anthropic-claude-v1",
    "bedrock": "anthropic-claude-v1",
    "gemini": "google-gemini-v1",
    "openai": "openai-responses-v1",
}
_ORIGINS = {"anthropic-claude-v1": "anthropic", "google-gemini-v1": "gemini", "openai-responses-v1": "openai"}
_detail = msgspec.json.Decoder(ReasoningDetail)


# --- towards clients -------------------------------------------------------------------------------------------------


def detail_of(thought: Thinking, index: int) -> ReasoningDetail | None:
    """What a client must send back of a thought; None if it is only there to be read."""
    if not (thought.signature or thought.redacted or thought.id):
        return None
    return ReasoningDetail(
        type=ENCRYPTED if thought.redacted else TEXT,
        text=thought.text or None,
        data=seal(thought.origin, thought.redacted) or None,
        signature=seal(thought.origin, thought.signature) or None,
        format=_FORMATS.get(thought.origin, "unknown"),
        index=index,
        id=thought.id or None,
    )


def thoughts_of(message: Message) -> list[Thinking]:
    """The thoughts in a message that a client sends back."""
    plain = message.reasoning_content or message.reasoning or ""
    thoughts = [_thought(detail) for detail in merged(message.reasoning_details or ())]
    if plain and not any(thought.text for thought in thoughts):
        readable = bool(thoughts) and not thoughts[0].redacted
        thoughts[: int(readable)] = [msgspec.structs.replace(thoughts[0], text=plain) if readable else Thinking(plain)]
    return thoughts


def _thought(detail: ReasoningDetail) -> Thinking:
    own = _ORIGINS.get(detail.format or "", "")  # of a signature that did not come through headgate
    proven_by, signature = unseal(detail.signature or "", own)
    hidden_by, redacted = unseal(detail.data or "", own)
    return Thinking(
        text=detail.text or detail.summary or "",
        signature=signature,
        redacted=redacted,
        origin=proven_by or hidden_by or own,
        id=detail.id or "",
    )


def merged(details: Sequence[ReasoningDetail]) -> list[ReasoningDetail]:
    """Details that came in the pieces of a stream, put together; a signature ends one."""
    whole: list[ReasoningDetail] = []
    for detail in details:
        last = whole[-1] if whole else None
        is_next = last is None or last.signature or last.data or detail.data
        if last is None or is_next or (last.type, last.index) != (detail.type, detail.index):
            whole.append(detail)
        else:
            whole[-1] = joined(last, detail)
    return whole


def joined(first: ReasoningDetail, second: ReasoningDetail) -> ReasoningDetail:
    """Two pieces of one detail."""
    return ReasoningDetail(
        type=second.type or first.type,
        text=((first.text or "") + (second.text or "")) or None,
        summary=((first.summary or "") + (second.summary or "")) or None,
        data=second.data or first.data,
        signature=second.signature or first.signature,
        format=second.format or first.format,
        index=first.index if second.index is None else second.index,
        id=second.id or first.id,
    )


# --- from and to servers ---------------------------------------------------------------------------------------------


def proof_of(detail: ReasoningDetail) -> str:
    """A server's detail as what has to come back of it: all but the text, which every client keeps."""
    rest = msgspec.structs.replace(detail, text=None, summary=None)
    return msgspec.json.encode(rest).decode()


def server_thoughts(details: Iterable[ReasoningDetail], plain: str, member: str) -> list[Thinking]:
    """The thoughts of a whole answer; `plain` is the text of `member`."""
    details = merged(list(details))
    proven = any(detail.signature or detail.data for detail in details)
    if not proven:
        text = plain or "".join(detail.text or detail.summary or "" for detail in details)
        return [Thinking(text, signature=member, origin=ORIGIN)] if text else []
    thoughts = []
    for detail in details:
        text, proof = detail.text or detail.summary or "", proof_of(detail)
        thoughts.append(
            Thinking(text, redacted=proof, origin=ORIGIN) if detail.data else Thinking(text, proof, origin=ORIGIN)
        )
    if plain and not any(thought.text for thought in thoughts):
        thoughts.insert(0, Thinking(plain, signature=member, origin=ORIGIN))
    return thoughts


def send_back(thought: Thinking, message: dict[str, object]) -> bool:
    """Put a thought where the server it came from had it. False if it is another's and cannot be put anywhere."""
    if thought.origin != ORIGIN:
        return False
    proof = thought.redacted or thought.signature
    if proof in (CONTENT, REASONING):
        message[proof] = f"{message.get(proof, '')}{thought.text}"
        return True
    try:
        detail = _detail.decode(proof)
    except (ValueError, RecursionError):
        return False  # a client made it up
    if detail.type == SUMMARY:
        detail.summary = thought.text or None
    else:
        detail.text = thought.text or None
    details = message.setdefault("reasoning_details", [])
    assert isinstance(details, list)
    details.append(detail)
    return True
