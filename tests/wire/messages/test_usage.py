"""Anthropic's usage objects, one or several of a stream."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.types import Counted, Usage
from headgate.wire.messages.usage import read_usage, write_usage


def usage(*objects: Any) -> Usage | None:
    return read_usage([msgspec.json.encode(value) for value in objects])


def counted(**members: Any) -> Usage:
    return Usage(counted=Counted.REPORTED, **members)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"input_tokens": 3, "output_tokens": 2}, counted(input=3, output=2)),
        (
            {"input_tokens": 3, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 5, "output_tokens": 2},
            counted(input=18, cached_input=10, cache_write=5, output=2),
        ),
        (
            {
                "input_tokens": 0,
                "cache_creation_input_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
                "output_tokens": 1,
            },
            counted(input=5, cache_write=2, cache_write_1h=3, output=1),
        ),
        (
            {"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}},
            counted(input=1, output=9, reasoning=4),
        ),
        ({"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 40}},
         counted(input=1, output=9, reasoning=9)),
        ({"input_tokens": -1, "cache_read_input_tokens": None, "output_tokens": 9}, counted(output=9)),
        ({"input_tokens": 1, "output_tokens": 1, "service_tier": "standard", "inference_geo": "global",
          "server_tool_use": {"web_search_requests": 0}}, counted(input=1, output=1)),
    ],
)  # fmt: skip
def test_figures(value: dict[str, Any], expected: Usage) -> None:
    assert usage(value) == expected


@pytest.mark.parametrize("value", [None, {}, {"input_tokens": None}, {"input_tokens": "3"}, 7, []])
def test_no_figures(value: object) -> None:
    assert usage(value) is None


def test_a_later_object_replaces_what_it_names() -> None:
    start = {
        "input_tokens": 8,
        "cache_creation_input_tokens": 5,
        "cache_creation": {"ephemeral_1h_input_tokens": 5},
        "output_tokens": 1,
    }
    delta = {"input_tokens": None, "cache_read_input_tokens": 2, "output_tokens": 30}
    assert usage(start, delta) == counted(input=15, cached_input=2, cache_write_1h=5, output=30)
    assert usage(start, {"output_tokens": 30}, {"output_tokens": 31}) == counted(input=13, cache_write_1h=5, output=31)


@pytest.mark.parametrize(
    "more",
    [
        {"server_tool_use": {"web_search_requests": 2}},
        {"service_tier": "priority"},
        {"iterations": [{"type": "message"}]},
    ],
)
def test_what_has_no_class_is_kept_as_it_came(more: dict[str, Any]) -> None:
    told = usage({"input_tokens": 1, "output_tokens": 1, **more})
    assert told is not None and json.loads(told.raw) == {"input_tokens": 1, "output_tokens": 1, **more}


TOKENS = st.integers(0, 10**6)


@given(TOKENS, TOKENS, TOKENS, TOKENS, TOKENS, st.floats(0, 1))
def test_what_is_written_is_read_back(plain: int, read: int, five: int, hour: int, output: int, share: float) -> None:
    told = counted(
        input=plain + read + five + hour,
        cached_input=read,
        cache_write=five,
        cache_write_1h=hour,
        output=output,
        reasoning=int(output * share),
    )
    assert usage(write_usage(told)) == told
