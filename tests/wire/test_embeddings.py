"""Embeddings: a caller of OpenAI's API and a provider that speaks Gemini's."""

from __future__ import annotations

import base64
import json
import math
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from headgate.errors import InvalidRequest, StreamFailed, Untranslatable
from headgate.types import Counted, Usage
from headgate.wire import embeddings
from headgate.wire.neutral import Leftover

Json = dict[str, Any]
ONE = embeddings.Request(("Hello",))
TWO = embeddings.Request(("Hello", "there"))


def read(**members: Any) -> embeddings.Request:
    body = {"model": "m", "input": "Hello", **members}
    return embeddings.read_request({name: msgspec.Raw(json.dumps(value).encode()) for name, value in body.items()})


def vectors(*values: list[float], tokens: int | None = None) -> embeddings.Vectors:
    usage = None if tokens is None else Usage(tokens, counted=Counted.REPORTED)
    return embeddings.Vectors(tuple(msgspec.Raw(json.dumps(value).encode()) for value in values), usage)


# --- requests ---


@pytest.mark.parametrize(
    ("members", "means"),
    [
        ({}, ONE),
        ({"input": ["Hello", "there"]}, TWO),
        ({"dimensions": 256}, embeddings.Request(("Hello",), dimensions=256)),
        ({"dimensions": None, "encoding_format": None}, ONE),
        ({"encoding_format": "float"}, ONE),
        ({"encoding_format": "base64"}, embeddings.Request(("Hello",), in_base64=True)),
        ({"user": "ann"}, embeddings.Request(("Hello",), leftovers=(Leftover("user", is_hint=True),))),
        ({"input_type": "query"}, embeddings.Request(("Hello",), leftovers=(Leftover("input_type"),))),
        ({"input_type": None}, ONE),
    ],
)
def test_requests(members: Json, means: embeddings.Request) -> None:
    assert read(**members) == means


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]], ["Hello", [1]], ["Hello", 1]])
def test_token_ids_are_refused_by_name(tokens: object) -> None:
    with pytest.raises(Untranslatable, match="token ids") as caught:
        read(input=tokens)
    assert caught.value.param == "input"


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["Hello", ""]}, "input"),
        ({"input": None}, "input"),
        ({"input": {"text": "Hello"}}, "input"),
        ({"input": [True]}, "input[0]"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "many"}, "dimensions"),
        ({"encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_what_is_wrong_is_named(members: Json, place: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**members)
    assert caught.value.param == place


def test_a_request_needs_an_input() -> None:
    with pytest.raises(InvalidRequest, match="'input' is missing"):
        embeddings.read_request({})


def test_what_gemini_is_asked() -> None:
    assert json.loads(embeddings.write_batch_embed_contents(TWO, "gemini-embedding-001")) == {
        "requests": [
            {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "Hello"}]}},
            {"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "there"}]}},
        ]
    }
    sized = embeddings.Request(("Hello",), dimensions=768)
    assert json.loads(embeddings.write_embed_content(sized)) == {
        "content": {"parts": [{"text": "Hello"}]},
        "outputDimensionality": 768,
    }
    (asked,) = json.loads(embeddings.write_batch_embed_contents(sized, "tunedModels/mine"))["requests"]
    assert (asked["model"], asked["outputDimensionality"]) == ("tunedModels/mine", 768)


def test_embed_content_takes_one_text() -> None:
    with pytest.raises(Untranslatable, match="one text"):
        embeddings.write_embed_content(TWO)


# --- answers ---


def test_what_gemini_answers() -> None:
    body = b'{"embeddings":[{"values":[0.1,-2e-3]},{"values":[1]}]}'
    assert embeddings.read_embeddings(body, TWO) == embeddings.Vectors(
        (msgspec.Raw(b"[0.1,-2e-3]"), msgspec.Raw(b"[1]"))
    )
    counted = b'{"embedding":{"values":[0.5]},"usageMetadata":{"promptTokenCount":4,"promptTokenDetails":[]}}'
    assert embeddings.read_embeddings(counted, ONE) == vectors([0.5], tokens=4)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"embeddings":[]}', b'{"embeddings":[{}]}', b"[" * 100_000]
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(ValueError):
        embeddings.read_embeddings(body, ONE)


def test_a_vector_that_is_missing_is_noticed() -> None:
    with pytest.raises(ValueError, match="1 vectors for 2 texts"):
        embeddings.read_embeddings(b'{"embeddings":[{"values":[1]}]}', TWO)


def test_an_error_inside_a_200() -> None:
    with pytest.raises(StreamFailed, match="Resource has been exhausted"):
        embeddings.read_embeddings(b'{"error":{"message":"Resource has been exhausted"}}', ONE)


def test_what_a_client_is_answered() -> None:
    data = embeddings.write_answer(vectors([0.5, 1.0], [2.0], tokens=4), TWO, "m")
    assert json.loads(data) == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, 1.0]},
            {"object": "embedding", "index": 1, "embedding": [2.0]},
        ],
        "model": "m",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    CreateEmbeddingResponse.model_validate_json(data)


def test_usage_that_nobody_counted_is_zero() -> None:
    assert json.loads(embeddings.write_answer(vectors([0.5]), ONE, "m"))["usage"] == {
        "prompt_tokens": 0,
        "total_tokens": 0,
    }


def test_numbers_pass_as_they_were_written() -> None:
    answered = embeddings.write_answer(embeddings.Vectors((msgspec.Raw(b"[0.10, 1E-7]"),)), ONE, "m")
    assert b"[0.10, 1E-7]" in answered


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20))
def test_base64_holds_the_same_numbers(numbers: list[float]) -> None:
    request = embeddings.Request(("Hello",), in_base64=True)
    packed = json.loads(embeddings.write_answer(vectors(numbers), request, "m"))["data"][0]["embedding"]
    unpacked = struct.unpack(f"<{len(numbers)}f", base64.b64decode(packed))
    assert all(math.isclose(before, after) for before, after in zip(numbers, unpacked, strict=True))


@pytest.mark.parametrize("vector", [b'["a"]', b"5", b"[1e300]"])
def test_what_cannot_be_packed_is_no_vector(vector: bytes) -> None:
    request = embeddings.Request(("Hello",), in_base64=True)
    with pytest.raises(ValueError):
        embeddings.write_answer(embeddings.Vectors((msgspec.Raw(vector),)), request, "m")
