"""Usage: what Bedrock counts beside `inputTokens` is part of the input, whichever way it is told."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.types import Counted, Usage
from headgate.wire.converse.usage import read_usage


def usage(**members: object) -> Usage | None:
    return read_usage(json.dumps(members).encode())


def test_cached_input_is_counted_beside_the_rest() -> None:
    read = usage(inputTokens=12, outputTokens=185, cacheReadInputTokens=1028, cacheWriteInputTokens=0, totalTokens=1225)
    assert read == Usage(input=1040, cached_input=1028, output=185, counted=Counted.REPORTED)


def test_or_in_it_where_the_total_says_so() -> None:
    read = usage(inputTokens=1040, outputTokens=185, cacheReadInputTokens=1028, totalTokens=1225)
    assert read == Usage(input=1040, cached_input=1028, output=185, counted=Counted.REPORTED)


def test_cache_writes_by_how_long_they_hold() -> None:
    details = [{"ttl": "1h", "inputTokens": 300}, {"ttl": "5m", "inputTokens": 100}]
    read = usage(inputTokens=10, outputTokens=1, cacheWriteInputTokens=400, cacheDetails=details, totalTokens=411)
    assert read == Usage(input=410, output=1, cache_write=100, cache_write_1h=300, counted=Counted.REPORTED)
    read = usage(inputTokens=10, outputTokens=1, cacheWriteInputTokens=400, totalTokens=411)
    assert read == Usage(input=410, output=1, cache_write=400, counted=Counted.REPORTED)
    read = usage(inputTokens=10, outputTokens=1, cacheDetails=details)
    assert read == Usage(input=410, output=1, cache_write=100, cache_write_1h=300, counted=Counted.REPORTED)


@pytest.mark.parametrize("raw", [b"null", b"{}", b'{"totalTokens": 5}', b'{"inputTokens": null}'])
def test_an_object_that_says_nothing(raw: bytes) -> None:
    assert read_usage(raw) is None


@pytest.mark.parametrize("raw", [b"[]", b'"x"', b'{"inputTokens": "5"}', b'{"cacheDetails": 5}', b"x"])
def test_what_is_no_usage(raw: bytes) -> None:
    with pytest.raises(ValueError):
        read_usage(raw)


def test_what_has_no_class_is_kept_raw() -> None:
    counts = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3, "cacheReadInputTokenCount": 0}
    plain = usage(**counts, serverToolUsage={})
    assert plain is not None and plain.raw == b""
    more = {**counts, "serverToolUsage": {"webSearchRequests": 2}}
    told = usage(**more)
    assert told is not None and json.loads(told.raw) == more


counts = st.none() | st.integers(-5, 1000)


@given(
    st.fixed_dictionaries(
        {
            "inputTokens": counts, "outputTokens": counts, "totalTokens": counts, "cacheReadInputTokens": counts,
            "cacheWriteInputTokens": counts,
            "cacheDetails": st.lists(
                st.fixed_dictionaries({"ttl": st.sampled_from(["5m", "1h", None]), "inputTokens": counts}), max_size=3
            ),
        }
    )
)  # fmt: skip
def test_no_part_is_larger_than_the_whole(members: dict[str, object]) -> None:
    read = usage(**members)
    if read is not None:
        parts = (read.cached_input, read.cache_write, read.cache_write_1h)
        assert min(parts) >= 0 and sum(parts) <= read.input and read.output >= 0
