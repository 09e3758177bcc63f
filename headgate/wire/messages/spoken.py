"""The shapes of what is said in a caller's messages: text, calls of tools, their results, and thoughts.

Nearly every message is made of these alone, with no member that is not known, and one decoder takes it at once. It
refuses all others: those are read block by block in `parts.py`.
"""

from __future__ import annotations

import msgspec

from headgate.wire.messages.blocks import ABSENT
from headgate.wire.messages.citations import CitationView


class CacheControl(msgspec.Struct, gc=False):
    """A cache mark: up to here, for five minutes or an hour."""

    type: str = "ephemeral"
    ttl: str | None = None

    def value(self) -> str:
        """ "5m" or "1h"."""
        return self.ttl or "5m"


class _Block(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, gc=False):
    pass


class _Markable(_Block):
    cache_control: CacheControl | None = None

    @property
    def cache(self) -> str:
        """The cache mark, as the neutral model has it."""
        return self.cache_control.value() if self.cache_control else ""


class TextBlock(_Markable, tag="text", kw_only=True):
    text: str | None
    citations: list[CitationView] | None = None


class CallBlock(_Markable, tag="tool_use", kw_only=True):
    name: str | None
    id: str | None = None
    input: msgspec.Raw = ABSENT


class ResultBlock(_Markable, tag="tool_result", kw_only=True):
    tool_use_id: str | None
    content: msgspec.Raw = ABSENT
    is_error: bool | None = None


class ThoughtBlock(_Block, tag="thinking"):
    thinking: str | None
    signature: str | None = None


class HiddenBlock(_Block, tag="redacted_thinking"):
    data: str | None


SpokenBlock = TextBlock | CallBlock | ResultBlock | ThoughtBlock | HiddenBlock
SpokenContent = str | list[SpokenBlock] | None
MEMBERS = {
    str(kind.__struct_config__.tag): {"type", *kind.__struct_fields__}
    for kind in (TextBlock, CallBlock, ResultBlock, ThoughtBlock, HiddenBlock)
}
spoken_content: msgspec.json.Decoder[SpokenContent] = msgspec.json.Decoder(SpokenContent)
spoken_block = msgspec.json.Decoder(SpokenBlock)
