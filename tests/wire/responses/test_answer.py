"""Whole answers: what a provider's response object means, and the one that a client gets."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response

from headgate.errors import StreamFailed
from headgate.types import Counted, Usage
from headgate.wire.neutral import (
    Answer,
    Choice,
    Citation,
    Finish,
    Image,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from headgate.wire.responses.answer import read_answer, write_answer
from tests.wire.responses.talk import Json, answer_of, context

MESSAGE = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "now", "arguments": "{}"}


def read(*output: Any, **members: Any) -> Answer:
    response = {"id": "resp_1", "model": "gpt", "created_at": 5, "status": "completed", "output": output, **members}
    return read_answer(json.dumps(response).encode())


def written(answer: Answer, **members: Any) -> Json:
    """The object, which the SDK's own types must take."""
    response = json.loads(write_answer(answer, context(**members)))
    Response.model_validate(response)
    return dict(response)


# --- a provider's ---


def test_a_plain_answer() -> None:
    answer = read(MESSAGE)
    assert (answer.id, answer.model, answer.created, answer.usage) == ("resp_1", "gpt", 5, None)
    assert answer.choices == (Choice((Text("hi"),), Finish.STOP),)


def test_every_kind_of_item() -> None:
    url = {"type": "url_citation", "url": "https://a.test", "title": "A", "start_index": 0, "end_index": 2}
    file = {"type": "file_citation", "file_id": "file-1", "filename": "a.pdf", "index": 2}
    texts = [
        {"type": "output_text", "text": "hi", "annotations": [url, file]},
        {"type": "refusal", "refusal": "no"},
        {"type": "output_text", "text": ""},
    ]
    search = {"type": "web_search_call", "id": "ws_1"}
    answer = read(
        {"type": "reasoning", "id": "rs_1", "summary": [{"text": "a"}, {"text": "b"}], "encrypted_content": "gAAA"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gBBB"},
        {"type": "reasoning", "id": "rs_3", "summary": []},
        {"type": "reasoning", "id": "rs_4", "summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]},
        search,
        {**MESSAGE, "content": texts},
        CALL,
    )
    assert answer.choices[0] == Choice(
        (
            Thinking("a\n\nb", "gAAA", "", "openai", "rs_1"),
            Thinking("", "", "gBBB", "openai", "rs_2"),
            Thinking("raw", "reasoning_text", "", "openai"),
            Opaque("responses", "web_search_call", json.dumps(search).encode()),
            Text("hi", (Citation("https://a.test", "A", "", 0, 2), Citation("", "a.pdf", "", 2, -1))),
            Refusal("no"),
            ToolCall("call_1", "now", "{}"),
        ),
        Finish.TOOL_CALLS,
    )


def test_annotations_that_cannot_be_read_do_not_cost_the_text() -> None:
    text = {"type": "output_text", "text": "hi", "annotations": [{"type": "url_citation", "start_index": "first"}]}
    assert read({**MESSAGE, "content": [text]}).choices[0].parts == (Text("hi"),)


@pytest.mark.parametrize(
    ("members", "finish"),
    [
        ({}, Finish.STOP),
        ({"status": None}, Finish.STOP),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, Finish.LENGTH),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, Finish.CONTENT_FILTER),
        ({"status": "incomplete", "incomplete_details": {"reason": "of tomorrow"}}, Finish.LENGTH),
        ({"status": "incomplete", "incomplete_details": None}, Finish.LENGTH),
    ],
)
def test_why_it_stopped(members: Json, finish: Finish) -> None:
    assert read(MESSAGE, **members).choices[0].finish is finish


@pytest.mark.parametrize("kind", ["custom_tool_call", "local_shell_call", "mcp_approval_request"])
def test_other_calls_are_nothing_that_clients_of_other_dialects_could_answer(kind: str) -> None:
    assert read({"type": kind}).choices[0].finish is Finish.STOP


def test_a_refusal_in_words_is_why_it_stopped() -> None:
    refusal = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert read(refusal).choices[0].finish is Finish.REFUSAL


def test_a_failed_response_is_an_error_in_the_providers_words() -> None:
    with pytest.raises(StreamFailed, match="the server had an error"):
        read(status="failed", error={"code": "server_error", "message": "the server had an error"})
    with pytest.raises(StreamFailed, match="it broke"):
        read(status="failed", error="it broke")
    with pytest.raises(StreamFailed, match="it broke"):
        read_answer(b'{"error": {"message": "it broke"}}')
    with pytest.raises(StreamFailed, match="cancelled"):
        read(MESSAGE, status="cancelled")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"output": 5}', b'{"id": "x"}', b"[" * 100_000])
def test_what_is_no_response_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_answer(body)


def test_a_response_that_goes_on_is_no_answer() -> None:
    with pytest.raises(ValueError, match="queued"):
        read(status="queued")


def test_half_a_character_does_not_cost_the_answer() -> None:
    message = b'{"type":"message","content":[{"type":"output_text","text":"a\\ud83d b"}]}'
    assert read_answer(b'{"status":"completed","output":[%s]}' % message).choices[0].parts == (Text("a\ufffd b"),)


def test_log_probabilities_of_all_texts() -> None:
    token = {"token": "hi", "logprob": -0.1, "bytes": [104, 105], "top_logprobs": []}
    text = {"type": "output_text", "text": "hi", "logprobs": [token]}
    logprobs = read({**MESSAGE, "content": [text, text]}).choices[0].logprobs
    assert logprobs is not None and json.loads(bytes(logprobs)) == {"content": [token, token]}


# --- usage ---

PLAIN = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 15,
}


def test_usage() -> None:
    usage = read(MESSAGE, usage=PLAIN).usage
    assert usage == Usage(10, 4, 5, 2, Counted.REPORTED, cache_write=3)


def test_what_usage_says_beyond_our_classes_is_kept() -> None:
    more = {**PLAIN, "cost_in_usd_ticks": 7}
    usage = read(MESSAGE, usage=more).usage
    assert usage is not None and json.loads(usage.raw) == more
    details = {**PLAIN, "input_tokens_details": {"cached_tokens": 4, "audio_tokens": 1}}
    usage = read(MESSAGE, usage=details).usage
    assert usage is not None and usage.cached_input == 4 and json.loads(usage.raw) == details


def test_a_part_is_never_larger_than_its_whole() -> None:
    odd = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 12, "cache_write_tokens": 5},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 50},
        "total_tokens": 18,
    }
    assert read(MESSAGE, usage=odd).usage == Usage(10, 10, 8, 8, Counted.REPORTED)


def test_usage_may_be_missing_or_empty() -> None:
    assert read(MESSAGE, usage={}).usage is None
    assert read(MESSAGE, usage={"input_tokens": 3, "output_tokens": 1}).usage == Usage(3, 0, 1, 0, Counted.REPORTED)


# --- a client's ---


def test_the_object_a_client_gets() -> None:
    usage = Usage(10, 4, 5, 2, Counted.REPORTED, cache_write=1, cache_write_1h=2)
    answer = msgspec.structs.replace(answer_of(Text("hi"), finish=Finish.STOP), usage=usage)
    assert written(answer) == {
        "id": "resp_msg_01",
        "object": "response",
        "created_at": 1_700_000_000,
        "model": "claude",
        "status": "completed",
        "output": [
            {
                "type": "message",
                "id": "msg_hg0_msg_01",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []}],
            }
        ],
        "incomplete_details": None,
        "usage": PLAIN,
        "background": False,
        "error": None,
        "previous_response_id": None,
        "service_tier": "default",
        "store": False,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "parallel_tool_calls": True,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": None,
        "truncation": "disabled",
        "user": None,
        "metadata": {},
    }


def test_it_repeats_what_the_caller_said() -> None:
    asked: Json = {
        "instructions": "Be brief.",
        "max_output_tokens": 16,
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "reasoning": {"effort": "low"},
        "temperature": 0.2,
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "now"},
        "tools": [{"type": "function", "name": "now", "parameters": None, "strict": None}],
        "top_p": 0.9,
        "truncation": "auto",
        "user": "u",
        "metadata": {"a": "b"},
    }
    response = written(answer_of(Text("hi"), finish=Finish.STOP), **asked, store=True, top_logprobs=None)
    assert {name: response[name] for name in asked} == asked
    assert response["store"] is False, "nothing is kept, whatever was asked for"
    assert response["top_logprobs"] == 0


def test_items_in_the_order_of_the_parts() -> None:
    answer = answer_of(
        Thinking("hm", "sig", "", "anthropic"),
        Thinking("", "", "data", "anthropic"),
        Text("one", (Citation("https://a.test", "A", "cited", 0, 3), Citation("", "doc", "x"))),
        Text("two"),
        Refusal("no"),
        ToolCall("call_1", "now", "", "gsig", "gemini"),
        Image("image/png", "AAAA"),
        finish=Finish.TOOL_CALLS,
    )
    thought, redacted, message, sealed, call, image = written(answer)["output"]
    assert thought == {
        "type": "reasoning",
        "id": "rs_hg0_msg_01",
        "summary": [{"type": "summary_text", "text": "hm"}],
        "encrypted_content": "anthropic:sig",
    }
    assert (redacted["summary"], redacted["encrypted_content"]) == ([], "anthropic:redacted:data")
    assert message["content"] == [
        {
            "type": "output_text",
            "text": "one",
            "annotations": [
                {
                    "type": "url_citation",
                    "url": "https://a.test",
                    "title": "A",
                    "start_index": 0,
                    "end_index": 3,
                    "cited_text": "cited",
                },
                {"type": "file_citation", "file_id": "", "filename": "doc", "index": 3, "cited_text": "x"},
            ],
            "logprobs": [],
        },
        {"type": "output_text", "text": "two", "annotations": [], "logprobs": []},
        {"type": "refusal", "refusal": "no"},
    ]
    assert sealed["encrypted_content"] == "gemini:call:gsig"
    assert call == {
        "type": "function_call",
        "id": "fc_hg4_msg_01",
        "status": "completed",
        "arguments": "{}",
        "call_id": "call_1",
        "name": "now",
    }
    assert (image["type"], image["result"], image["output_format"]) == ("image_generation_call", "AAAA", "png")


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        (Finish.STOP, "completed", None),
        (Finish.STOP_SEQUENCE, "completed", None),
        (Finish.TOOL_CALLS, "completed", None),
        (Finish.LENGTH, "incomplete", "max_output_tokens"),
        (Finish.PAUSE, "incomplete", "max_output_tokens"),
        (Finish.CONTENT_FILTER, "incomplete", "content_filter"),
        (Finish.REFUSAL, "incomplete", "content_filter"),
    ],
)
def test_statuses(finish: Finish, status: str, reason: str | None) -> None:
    response = written(answer_of(Text("hi"), finish=finish))
    assert (response["status"], (response["incomplete_details"] or {}).get("reason")) == (status, reason)


def test_a_refusal_in_the_models_own_words_is_a_complete_answer() -> None:
    assert written(answer_of(Refusal("no"), finish=Finish.REFUSAL))["status"] == "completed"


def test_the_last_item_is_cut_off_with_the_answer() -> None:
    response = written(answer_of(Text("hi"), ToolCall("a", "now", '{"x'), finish=Finish.LENGTH))
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


def test_log_probabilities() -> None:
    token = {"token": "hi", "logprob": -0.1, "bytes": [104, 105], "top_logprobs": []}
    logprobs = msgspec.Raw(json.dumps({"content": [token]}).encode())
    response = written(answer_of(Text("hi"), finish=Finish.STOP, logprobs=logprobs))
    assert response["output"][0]["content"][0]["logprobs"] == [token]


@pytest.mark.parametrize(
    ("answer_id", "expected"),
    [
        ("chatcmpl-7", "resp_chatcmpl-7"),
        ("resp_7", "resp_7"),
        ("", "resp_req_1"),
        ("gen/1:2 é", "resp_gen-1-2--"),
        ("x" * 99, "resp_" + "x" * 48),
    ],
)
def test_ids_come_from_the_answers(answer_id: str, expected: str) -> None:
    answer = msgspec.structs.replace(answer_of(Text("hi"), finish=Finish.STOP), id=answer_id)
    assert written(answer)["id"] == expected


def test_the_model_is_the_asked_one_when_nobody_says() -> None:
    answer = msgspec.structs.replace(answer_of(Text("hi"), finish=Finish.STOP), model="", created=7)
    response = written(answer)
    assert (response["model"], response["created_at"]) == ("small", 7)
