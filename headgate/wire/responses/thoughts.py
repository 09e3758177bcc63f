"""Signatures in `encrypted_content`: the one place where a reasoning item carries what its provider must get back.

OpenAI's own are shown as they are. Others are sealed with their origin, and with what they are, because an item without
text would not tell: a thought that nobody may read, the signature of a thought, or the signature of the call that
follows.
"""

from __future__ import annotations

from headgate.wire.neutral import Thinking
from headgate.wire.seals import seal, unseal

OWN = "openai"
READABLE = "reasoning_text"  # the signature of a thought whose own text is what the provider wants back
_REDACTED = "redacted:"
_OF_A_CALL = "call:"


def sealed_thought(thought: Thinking) -> str:
    """The `encrypted_content` of a thought, empty if it has none."""
    if thought.redacted and thought.origin != OWN:
        return seal(thought.origin, _REDACTED + thought.redacted)
    return _sealed(thought.origin, thought.redacted or thought.signature)


def sealed_call(origin: str, signature: str) -> str:
    """The `encrypted_content` of the item that precedes a signed tool call."""
    return seal(origin, _OF_A_CALL + signature)


def read_thought(text: str, encrypted: str, item_id: str) -> Thinking:
    """The thought in a reasoning item."""
    origin, signature = unseal(encrypted, OWN)
    if not signature:
        return Thinking(text=text, id=item_id)
    if origin != OWN and not signature.startswith(_REDACTED):
        return Thinking(text=text, signature=signature, origin=origin, id=item_id)
    if origin == OWN and text:
        return Thinking(text=text, signature=signature, origin=OWN, id=item_id)
    return Thinking(text=text, redacted=signature.removeprefix(_REDACTED), origin=origin, id=item_id)


def signature_of_call(thought: Thinking) -> str:
    """The signature of the tool call that follows, if the thought is there for it alone; else empty."""
    is_for_call = not thought.text and thought.signature.startswith(_OF_A_CALL)
    return thought.signature.removeprefix(_OF_A_CALL) if is_for_call else ""


def _sealed(origin: str, signature: str) -> str:
    return signature if origin in ("", OWN) else seal(origin, signature)
