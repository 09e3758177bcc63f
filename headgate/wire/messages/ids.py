"""Ids of tool calls: Anthropic takes letters, digits, "_" and "-" alone, others use dots and colons too."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

_ALLOWED = re.compile(r"[a-zA-Z0-9_-]+")
_MARK = "hgid-"


def allowed_id(call_id: str) -> str:
    """The id in letters that Anthropic takes; `original_id` gives it back."""
    if _ALLOWED.fullmatch(call_id) and not call_id.startswith(_MARK):
        return call_id
    return _MARK + urlsafe_b64encode(call_id.encode()).decode().rstrip("=")


def original_id(call_id: str) -> str:
    """What an id was before `allowed_id`."""
    if not call_id.startswith(_MARK):
        return call_id
    coded = call_id.removeprefix(_MARK)
    try:
        original = urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except ValueError:
        return call_id
    return original if allowed_id(original) == call_id else call_id
