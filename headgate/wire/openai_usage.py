"""OpenAI's usage object of chat, completions and embeddings, and what servers that speak OpenAI's API made of it.

The object is decoded once, by a type that knows every member that has a class in `Usage` (or repeats one) and refuses
all others: what it takes says no more than our classes. What it refuses is decoded again without them, and kept as it
came. Typical for that: xAI's `num_sources_used` and `cost_in_usd_ticks`, OpenRouter's `cost`, Perplexity's searches,
Groq's times, sound and images by themselves.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from headgate.types import Counted, Usage
from headgate.wire.believing import MAX_RAW_BYTES, believed

Nothing = Literal[0] | None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class UsageView(msgspec.Struct):
    """OpenAI's usage object, with DeepSeek's and Together's names for cached input."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None

    def value(self, raw: bytes = b"") -> Usage | None:
        """The neutral form, or None if the object says nothing that can be believed."""
        tokens_in, tokens_out, total = self.prompt_tokens, self.completion_tokens, self.total_tokens
        if tokens_in is None and tokens_out is None:
            return None
        tokens_in, tokens_out = tokens_in or 0, tokens_out or 0
        cached, written, reasoning = self.prompt_cache_hit_tokens or self.cached_tokens or 0, 0, 0
        if prompt := self.prompt_tokens_details:
            cached, written = prompt.cached_tokens or cached, prompt.cache_write_tokens or 0
        if completion := self.completion_tokens_details:
            reasoning = completion.reasoning_tokens or 0
        usage = Usage(tokens_in, cached, tokens_out, reasoning, Counted.REPORTED, written, 0, raw)
        within = cached >= 0 <= written and cached + written <= tokens_in and 0 <= reasoning <= tokens_out
        return believed(usage if within and (total or 0) <= tokens_in + tokens_out else _corrected(usage, total or 0))


def _corrected(usage: Usage, total_tokens: int) -> Usage:
    """A part is never taken for larger than its whole: xAI reports more cached tokens than the prompt has.

    Gemini and xAI leave what the model thought out of the completion, and count it in the total alone.
    """
    tokens_in, answered = max(0, usage.input), max(0, usage.output)
    thought_beside = max(0, total_tokens - tokens_in - answered)
    cached = min(max(0, usage.cached_input), tokens_in)
    return msgspec.structs.replace(
        usage,
        input=tokens_in,
        cached_input=cached,
        output=answered + thought_beside,
        reasoning=min(max(usage.reasoning, thought_beside), answered + thought_beside),
        cache_write=min(max(0, usage.cache_write), tokens_in - cached),
    )


class _PlainPromptDetails(_PromptDetails, forbid_unknown_fields=True):
    text_tokens: int | None = None
    audio_tokens: Nothing = None
    image_tokens: Nothing = None
    video_tokens: Nothing = None


class _PlainCompletionDetails(_CompletionDetails, forbid_unknown_fields=True):
    text_tokens: int | None = None
    audio_tokens: Nothing = None
    image_tokens: Nothing = None
    accepted_prediction_tokens: Nothing = None
    rejected_prediction_tokens: Nothing = None


class PlainUsage(UsageView, forbid_unknown_fields=True):
    """A usage object that says no more than `Usage` can."""

    prompt_tokens_details: _PlainPromptDetails | None = None
    completion_tokens_details: _PlainCompletionDetails | None = None
    prompt_cache_miss_tokens: int | None = None


class _PlainEvent(msgspec.Struct):
    usage: PlainUsage | None = None


class _Event(msgspec.Struct):
    usage: msgspec.Raw


_plain = msgspec.json.Decoder(PlainUsage | None)
_view = msgspec.json.Decoder(UsageView)
_plain_event = msgspec.json.Decoder(_PlainEvent)
_event = msgspec.json.Decoder(_Event)


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """The neutral form with what it has no class for, None if the object says nothing.

    Raises ValueError for what is no usage object.
    """
    try:
        plain = _plain.decode(raw)
    except msgspec.ValidationError:
        return _view.decode(raw).value(bytes(raw))
    return None if plain is None else plain.value()


def words_beyond(event: bytes) -> bytes:
    """The usage object in an event that has one, if it says more than `Usage` can, and not too much; else b""."""
    try:
        _plain_event.decode(event)
    except msgspec.ValidationError:
        raw = bytes(_event.decode(event).usage)
        return raw if len(raw) <= MAX_RAW_BYTES else b""
    return b""
