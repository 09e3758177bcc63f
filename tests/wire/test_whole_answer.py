"""JSON answers: what headgate knows of them, and which are no answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.types import Route
from headgate.wire.openai import WholeAnswer, read_answer

USAGE = {"prompt_tokens": 7, "completion_tokens": 3}


def read(value: object, route: Route = Route.CHAT) -> WholeAnswer:
    return read_answer(route, value if isinstance(value, bytes) else json.dumps(value).encode())


def answer(content: object = "Hello", finish_reason: str | None = "stop", **members: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "message": {"content": content}, "finish_reason": finish_reason}], **members}


def test_an_answer_with_usage_needs_no_texts() -> None:
    found = read(answer(usage=USAGE))
    assert (found.empty, found.failed, found.texts) == (False, "", ())
    assert found.usage is not None and (found.usage.input, found.usage.output) == (7, 3)


def test_without_usage_the_texts_are_kept() -> None:
    assert read(answer()).texts == ("Hello",)
    thought = {"choices": [{"message": {"content": "Hello", "reasoning_content": "Hm"}}, {"text": "bye"}]}
    assert read(thought).texts == ("Hello", "Hm", "bye")


def test_calls_of_tools_and_parts_of_content_are_generated_too() -> None:
    calls = [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]
    found = read({"choices": [{"message": {"content": [{"type": "text", "text": "a"}], "tool_calls": calls}}]})
    assert [json.loads(text) for text in found.texts] == [[{"type": "text", "text": "a"}], calls]
    assert read(answer([{"type": "thinking", "thinking": []}], usage=USAGE)).usage is not None


@pytest.mark.parametrize("value", [{}, [], {"choices": []}, {"choices": None}, {"object": "x"}, None, b'""', b" {} "])
def test_an_answer_of_nothing(value: object) -> None:
    found = read(value)
    assert found.empty and not found.failed


@pytest.mark.parametrize("value", [{}, {"data": []}, {"data": None}])
def test_embeddings_of_nothing(value: object) -> None:
    assert read(value, Route.EMBEDDINGS).empty


def test_embeddings() -> None:
    found = read({"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 7}}, Route.EMBEDDINGS)
    assert not found.empty and found.usage is not None and found.usage.input == 7
    as_base64 = read({"data": [{"embedding": "AAAA"}]}, Route.EMBEDDINGS)
    assert not as_base64.empty and as_base64.usage is None


@pytest.mark.parametrize("error", [{"message": "no luck"}, "no luck", {"error": {"message": "no luck"}}])
def test_a_200_with_an_error_is_a_failure_in_the_providers_words(error: object) -> None:
    assert read({"error": error}).failed
    assert "no luck" in read(answer(error=error)).failed


@pytest.mark.parametrize("error", [None, {}, "", []])
def test_an_error_of_nothing_is_none(error: object) -> None:
    assert not read(answer(error=error)).failed


@pytest.mark.parametrize("reason", ["abort", "error"])
def test_a_finish_reason_of_failure(reason: str) -> None:
    assert reason in read(answer(finish_reason=reason)).failed


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter", "eos", None])
def test_other_finish_reasons_are_answers(reason: str | None) -> None:
    found = read(answer(finish_reason=reason))
    assert not found.failed and not found.empty


@pytest.mark.parametrize("value", [b'{"choices": 5}', b"[1]", b"5", b'"text"', b'{"choices": [[]]}', b'{"usage": 7}'])
def test_unknown_shapes_are_answers_that_count_nothing(value: bytes) -> None:
    found = read(value)
    assert (found.empty, found.failed, found.usage) == (False, "", None)


def test_halves_of_surrogate_pairs_are_json() -> None:
    assert not read(b'{"choices": [{"message": {"content": "\\ud83d"}}]}').empty


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"<html>", b'{"choices": "\xff"}', b'{"choices": 5} x', b""])
def test_what_is_not_json_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        read(body)


@given(st.binary(max_size=60), st.sampled_from(Route))
def test_nothing_else_is_ever_raised(body: bytes, route: Route) -> None:
    try:
        read(body, route)
    except ValueError:
        return
    json.loads(body.decode())
