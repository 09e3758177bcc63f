"""Usage objects as providers write them, in one neutral form."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.types import Counted, Usage
from headgate.wire.openai import UsageView


def reported(
    tokens_in: int | None, tokens_out: int | None, total: int | None = None, *, cached: int | None = None,
    reasoning: int | None = None,
) -> dict[str, object]:  # fmt: skip
    """A usage object with each number where OpenAI has it."""
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
        "cost": 0.25,
    }


def read(usage_object: dict[str, object]) -> Usage | None:
    return msgspec.json.decode(json.dumps(usage_object), type=UsageView).value()


@pytest.mark.parametrize(
    ("usage_object", "read_as"),
    [
        (reported(7, 3), Usage(7, 0, 3)),
        (reported(7, 3, 10, cached=5), Usage(7, 5, 3)),
        ({"prompt_tokens": 7, "completion_tokens": 3, "prompt_cache_hit_tokens": 5}, Usage(7, 5, 3)),  # DeepSeek
        (reported(7, 3, reasoning=2), Usage(7, 0, 3, 2)),
        (reported(7, None), Usage(7)),
        ({"prompt_tokens": 7, "prompt_tokens_details": None, "completion_tokens_details": {}}, Usage(7)),
        (reported(10, 3, 13, cached=161), Usage(10, 10, 3)),  # recorded from xAI: more cached than there was
        (reported(66, 6, 100), Usage(66, 0, 34, 28)),  # recorded from Gemini: what it thought is in the total alone
        (reported(5, 2, 10, reasoning=3), Usage(5, 0, 5, 3)),  # reasoning beside the completion
        (reported(43, 10, 53, reasoning=11), Usage(43, 0, 10, 10)),  # recorded from OpenRouter: more than the output
        (reported(-7, -3, -10), Usage()),
        (reported(7, 3, 0), Usage(7, 0, 3)),
    ],
)
def test_known_shapes(usage_object: dict[str, object], read_as: Usage) -> None:
    assert read(usage_object) == msgspec.structs.replace(read_as, counted=Counted.REPORTED)


@pytest.mark.parametrize("usage_object", [{}, reported(None, None), {"total_tokens": 5}, {"credits": 3}])
def test_an_object_that_says_nothing_is_no_usage(usage_object: dict[str, object]) -> None:
    assert read(usage_object) is None


counts = st.none() | st.integers(-(2**63), 2**70)


@given(counts, counts, counts, counts, counts)
def test_no_part_is_larger_than_its_whole(
    tokens_in: int | None, tokens_out: int | None, total: int | None, cached: int | None, reasoning: int | None
) -> None:
    usage = read(reported(tokens_in, tokens_out, total, cached=cached, reasoning=reasoning))
    if usage is not None:
        assert 0 <= usage.cached_input <= usage.input
        assert 0 <= usage.reasoning <= usage.output
        assert usage.output >= (tokens_out or 0)
