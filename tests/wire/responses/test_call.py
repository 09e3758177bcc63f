"""Calls that are passed on: what headgate reads of them, and the little it changes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headgate.errors import HeadgateError, InvalidRequest, MalformedJson
from headgate.types import Call, Features, Route
from headgate.wire.responses.call import CallView, features, read_call, upstream_body
from tests.wire.responses.talk import Json, fields


def read(**members: Any) -> CallView:
    return read_call(Route.RESPONSES, json.dumps({"model": "small", "input": "hi", **members}).encode())[1]


def refused(body: bytes) -> HeadgateError:
    with pytest.raises(InvalidRequest) as raised:
        read_call(Route.RESPONSES, body)
    return raised.value


def passed_on(ceiling: int | None = None, **members: Any) -> bytes:
    raw = fields(**members)
    call = Call("req_1", Route.RESPONSES, "small", False, raw, 0)
    return upstream_body(call, "gpt-5", max_output_tokens=ceiling).body


def test_what_is_read() -> None:
    view = read(stream=True, max_output_tokens=9, user="u", background=False)
    assert (view.model, view.stream, view.max_output_tokens, view.end_user) == ("small", True, 9, "u")
    assert read().end_user is None
    assert read(safety_identifier="s").end_user == "s"
    assert read(user="u" * 999).end_user == "u" * 256


@pytest.mark.parametrize("name", ["prompt", "previous_response_id", "conversation"])
def test_input_may_be_what_the_provider_keeps(name: str) -> None:
    body = json.dumps({"model": "small", name: "x"}).encode()
    assert read_call(Route.RESPONSES, body)[1].model == "small"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": "x" * 257}, "model"),
        ({"model": 5}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 10**10}, "max_output_tokens"),
        ({"background": True}, "background"),
    ],
)
def test_what_is_refused(members: Json, param: str) -> None:
    assert refused(json.dumps({"model": "small", "input": "hi", **members}).encode()).param == param


def test_what_is_missing_is_named() -> None:
    assert refused(b'{"input":"hi"}').param == "model"
    assert refused(b'{"model":"small"}').param == "input"


def test_jobs_come_later() -> None:
    error = refused(b'{"model":"small","input":"hi","background":true}')
    assert "'background' is not served at /v1/responses. Send the request to POST /v1/jobs" in error.message


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":' * 100_000])
def test_what_is_no_json(body: bytes) -> None:
    assert isinstance(refused(body), MalformedJson)


IMAGE = {"type": "input_image", "image_url": "https://a.test/b.png"}
TOOL = {"type": "function", "name": "now", "parameters": {}}


@pytest.mark.parametrize(
    ("members", "used"),
    [
        ({}, Features()),
        ({"tools": []}, Features()),
        ({"tools": [TOOL]}, Features(tools=True)),
        ({"input": "an image of a cat"}, Features()),
        ({"input": [{"role": "user", "content": "an image"}]}, Features()),
        ({"input": [{"role": "user", "content": [IMAGE]}]}, Features(images=True)),
        ({"input": [{"type": "function_call_output", "call_id": "a", "output": [IMAGE]}]}, Features(images=True)),
        ({"input": [{"type": "computer_call_output", "output": {"image_url": "data:"}}]}, Features(images=True)),
        ({"input": [5, "image"]}, Features(images=True)),
    ],
)
def test_features(members: Json, used: Features) -> None:
    assert features(fields(**{"model": "small", "input": "hi", **members})) == used


def test_an_escaped_image_is_one() -> None:
    raw = {"input": msgspec.Raw(b'[{"role":"user","content":[{"type":"input_\\u0069mage"}]}]')}
    assert features(raw).images


def test_only_the_model_changes() -> None:
    members = {"model": "small", "input": [{"role": "user", "content": "é\u2028"}], "of_tomorrow": {"a": [1.50]}}
    assert json.loads(passed_on(**members)) == {**members, "model": "gpt-5"}


@pytest.mark.parametrize(("given", "ceiling", "sent"), [(None, 5, 5), (9, 5, 5), (3, 5, 3), (9, None, 9)])
def test_the_ceiling_is_lowered_or_set(given: int | None, ceiling: int | None, sent: int) -> None:
    assert json.loads(passed_on(ceiling, input="hi", max_output_tokens=given))["max_output_tokens"] == sent


def test_no_ceiling_is_none() -> None:
    assert "max_output_tokens" not in json.loads(passed_on(input="hi"))


def thought(**members: Any) -> Json:
    return {"type": "reasoning", "summary": [], **members}


def test_thoughts_of_others_are_left_out() -> None:
    """A conversation that began with another provider of the same model."""
    own = [
        thought(id="rs_68c3", encrypted_content="gAAA"),
        thought(id="rs_68c4"),
        {"role": "user", "content": 'they said "anthropic: "reasoning" is hard'},
        {"type": "message", "id": "msg_hg1_msg_01", "role": "assistant", "content": []},
    ]
    others = [
        thought(id="rs_hg0_msg_01", encrypted_content="anthropic:sig"),
        thought(encrypted_content="gemini:call:sig"),
        thought(id="rs_hg0_msg_01"),
    ]
    assert json.loads(passed_on(input=[*others, *own]))["input"] == own
    call = Call("req_1", Route.RESPONSES, "small", False, fields(input=[*own[:1], *others, *own[1:]], model="m"), 0)
    leftovers = upstream_body(call, "gpt-5", max_output_tokens=None).leftovers
    assert [leftover.field for leftover in leftovers] == ["input[1]", "input[2]", "input[3]"]
    assert all(leftover.is_hint for leftover in leftovers)


def test_what_has_no_such_thoughts_passes_byte_for_byte() -> None:
    raw = msgspec.Raw(b'[ {"type":"reasoning", "summary":[], "encrypted_content":"gAAA"} , {"text":"\\"chat:"}]')
    call = Call("req_1", Route.RESPONSES, "small", False, {"model": msgspec.Raw(b'"small"'), "input": raw}, 0)
    assert bytes(raw) in upstream_body(call, "gpt-5", max_output_tokens=None).body
    for strange in (b'"reasoning \\"anthropic:"', b'[{"type":"reasoning","id":5,"x":"chat:"}]'):
        call.fields["input"] = msgspec.Raw(strange)
        assert strange in upstream_body(call, "gpt-5", max_output_tokens=None).body
