"""Gemini's usageMetadata in neutral classes.

Four counts stand side by side and make the total: the prompt (of which some was cached), what Google's own tools
brought in, the candidates, and the thoughts. The first two are our input, the last two our output.
"""

from __future__ import annotations

import msgspec

from headgate.types import Counted, Usage
from headgate.wire.believing import believed


class _ModalityCount(msgspec.Struct, gc=False):
    modality: str | int | None = None


class _UsageMetadata(msgspec.Struct, rename="camel", gc=False):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: tuple[_ModalityCount, ...] | None = None
    candidates_tokens_details: tuple[_ModalityCount, ...] | None = None
    service_tier: str | None = None
    traffic_type: str | int | None = None


_metadata = msgspec.json.Decoder(_UsageMetadata)
_PLAIN_TEXT = ("TEXT", 1)
_USUAL_TRAFFIC = (None, "ON_DEMAND", 1)
_USUAL_TIERS = (None, "standard")


def read_usage(raw: bytes) -> Usage | None:
    """None if it counts nothing, as in the first events of a stream on Vertex, or nothing that can be believed.

    Raises ValueError.
    """
    metadata = _metadata.decode(raw)
    prompt = max(0, metadata.prompt_token_count or 0)
    tools = max(0, metadata.tool_use_prompt_token_count or 0)
    thoughts = max(0, metadata.thoughts_token_count or 0)
    candidates = max(0, metadata.candidates_token_count or 0)
    if not (prompt or tools or thoughts or candidates):
        return None
    usage = Usage(
        input=prompt + tools,
        cached_input=min(max(0, metadata.cached_content_token_count or 0), prompt),
        output=candidates + thoughts,
        reasoning=thoughts,
        counted=Counted.REPORTED,
        raw=raw if _says_more(metadata) else b"",
    )
    return believed(usage)


def _says_more(metadata: _UsageMetadata) -> bool:
    """Whether it tells of something that may have a price of its own: pictures, sound, tools, a tier."""
    if metadata.tool_use_prompt_token_count:
        return True
    if metadata.traffic_type not in _USUAL_TRAFFIC or metadata.service_tier not in _USUAL_TIERS:
        return True
    for details in (metadata.prompt_tokens_details, metadata.candidates_tokens_details):
        for detail in details or ():
            if detail.modality not in _PLAIN_TEXT:
                return True
    return False
