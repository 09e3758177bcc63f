"""The usage object as chat clients expect it. Servers' own are read by `openai_usage.py`."""

from __future__ import annotations

from headgate.types import Usage


def write_usage(usage: Usage) -> dict[str, object]:
    """OpenAI's usage object; what was written to a cache is named if anything was."""
    prompt = {"cached_tokens": usage.cached_input}
    if written := usage.cache_write + usage.cache_write_1h:
        prompt["cache_write_tokens"] = written
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
