"""Usage objects as providers write them, in one neutral form."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.types import Counted, Route, Usage
from headgate.wire.openai import read_answer
from headgate.wire.openai_stream import StreamReader
from headgate.wire.openai_usage import read_usage


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
    usage = read_usage(msgspec.Raw(json.dumps(usage_object).encode()))
    assert usage is None or usage.raw in (b"", json.dumps(usage_object).encode())
    return usage and msgspec.structs.replace(usage, raw=b"")


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
        ({"prompt_tokens": 41, "completion_tokens": 15, "cached_tokens": 32}, Usage(41, 32, 15)),  # Together
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3}},
            Usage(9, 4, cache_write=3),
        ),  # OpenRouter
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 30}},
            Usage(9, 4, cache_write=5),
        ),
    ],
)
def test_known_shapes(usage_object: dict[str, object], read_as: Usage) -> None:
    assert read(usage_object) == msgspec.structs.replace(read_as, counted=Counted.REPORTED)


@pytest.mark.parametrize("usage_object", [{}, reported(None, None), {"total_tokens": 5}, {"credits": 3}])
def test_an_object_that_says_nothing_is_no_usage(usage_object: dict[str, object]) -> None:
    assert read(usage_object) is None


counts = st.none() | st.integers(-(2**63), 2**70)


# One of each kind from recorded exchanges, cut to what matters.
SAYS_NO_MORE = [
    {"prompt_tokens": 20, "total_tokens": 20},
    {"prompt_tokens": 3702, "completion_tokens": 257, "total_tokens": 3959,
     "prompt_tokens_details": {"cached_tokens": 3584, "audio_tokens": 0},
     "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                                   "rejected_prediction_tokens": 0}},
    {"prompt_tokens": 976, "completion_tokens": 61, "prompt_cache_hit_tokens": 896, "prompt_cache_miss_tokens": 80},
    {"prompt_tokens": 269, "completion_tokens": 27, "completion_tokens_details": None, "prompt_tokens_details": None},
]  # fmt: skip
SAYS_MORE = {
    "xai": {"prompt_tokens": 11, "completion_tokens": 1, "num_sources_used": 2, "cost_in_usd_ticks": 160708500},
    "xai images": {"prompt_tokens": 270, "completion_tokens": 1, "total_tokens": 271,
                   "prompt_tokens_details": {"text_tokens": 14, "audio_tokens": 0, "image_tokens": 256}},
    "openrouter": {"prompt_tokens": 7, "completion_tokens": 3, "cost": 1.4e-07, "is_byok": False},
    "perplexity": {"prompt_tokens": 45, "completion_tokens": 482, "search_context_size": "low",
                   "cost": {"request_cost": 0.006, "total_cost": 0.00995}},
    "openai sound": {"prompt_tokens": 70, "completion_tokens": 3, "prompt_tokens_details": {"audio_tokens": 60}},
}  # fmt: skip


@pytest.mark.parametrize("usage_object", SAYS_NO_MORE, ids=str)
def test_what_the_classes_say_is_not_kept_twice(usage_object: dict[str, object]) -> None:
    for usage in (in_an_answer(usage_object), in_a_stream(usage_object)):
        assert usage is not None and usage.raw == b""


@pytest.mark.parametrize("usage_object", SAYS_MORE.values(), ids=SAYS_MORE)
def test_what_has_no_class_is_kept_as_it_came(usage_object: dict[str, object]) -> None:
    for usage in (in_an_answer(usage_object), in_a_stream(usage_object)):
        assert usage is not None and json.loads(usage.raw) == usage_object
        assert (usage.input, usage.output) == (usage_object["prompt_tokens"], usage_object["completion_tokens"])


def in_an_answer(usage_object: dict[str, object]) -> Usage | None:
    answer = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage_object}
    return read_answer(Route.CHAT, json.dumps(answer).encode()).usage


def in_a_stream(usage_object: dict[str, object]) -> Usage | None:
    """Told twice, as some servers do: the last one counts."""
    first = {"choices": [{"index": 0, "delta": {"content": "x"}}], "usage": {"prompt_tokens": 1, "more": 2}}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage_object}
    reader = StreamReader(strip_usage=False)
    for chunk in (first, last):
        reader.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    reader.feed(b"data: [DONE]\n\n")
    reader.finish()
    assert reader.failure is None
    return reader.usage


@given(counts, counts, counts, counts, counts)
def test_no_part_is_larger_than_its_whole(
    tokens_in: int | None, tokens_out: int | None, total: int | None, cached: int | None, reasoning: int | None
) -> None:
    usage = read(reported(tokens_in, tokens_out, total, cached=cached, reasoning=reasoning))
    if usage is not None:
        assert 0 <= usage.cached_input <= usage.input
        assert 0 <= usage.reasoning <= usage.output
        assert usage.output >= (tokens_out or 0)
