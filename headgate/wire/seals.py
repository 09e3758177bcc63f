"""Whose thought it is travels with its signature, because a client may send one provider's thought to another."""

from __future__ import annotations

# "chat" is any server of chat completions; its signature says in which member the thought came.
ORIGINS = ("anthropic", "gemini", "openai", "bedrock", "chat")


def seal(origin: str, signature: str) -> str:
    """A signature as a client of another dialect is shown it: to be sent back, not to be read."""
    return f"{origin}:{signature}" if signature else ""


def unseal(sealed: str, own: str) -> tuple[str, str]:
    """(origin, signature) of what a client sent back; `own` is the origin of one that is not sealed."""
    origin, colon, signature = sealed.partition(":")
    return (origin, signature) if colon and origin in ORIGINS else (own if sealed else "", sealed)
