"""Lines of results, in both shapes and for every end that a request may come to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate.errors import InvalidRequest, MalformedJson
from headgate.file_types import Dialect, LineProblem, NewBatch
from headgate.job_types import Item, ItemState, Refusal
from headgate.wire.batches import anthropic, openai
from headgate.wire.batches.reading import BatchLine
from headgate.wire.lines import Line

ASKED = NewBatch(Dialect.ANTHROPIC, "/v1/messages", "messages", "file-1", 0.0, 1.0)


def item(state: ItemState, **more: Any) -> Item:
    facts = {"result": b'{"id": "x"}' if state is ItemState.SUCCEEDED else b"", "error_code": "", "error": ""} | more
    return Item("batch_7-requests", 3, state, 1, finished_at=1.0, label="mine", request_id="req_1", **facts)


def refused(body: str) -> Item:
    return item(ItemState.DEAD, error_code="upstream_error", error="It failed.", refusal=Refusal(502, body))


def test_openais_lines() -> None:
    def line(made: Item) -> dict[str, Any]:
        written, is_error = openai.result_line("batch_7", made)
        assert written.endswith(b"}\n") and is_error == (made.state is not ItemState.SUCCEEDED)
        told: dict[str, Any] = json.loads(written)
        assert (told.pop("id"), told.pop("custom_id")) == ("batch_req_7_3", "mine")
        return told

    response = {"status_code": 200, "request_id": "req_1", "body": {"id": "x"}}
    assert line(item(ItemState.SUCCEEDED)) == {"response": response, "error": None}
    assert line(refused('{"error": {}}'))["response"] == response | {"status_code": 502, "body": {"error": {}}}
    broken = line(refused("<html>"))["response"]["body"]
    assert broken == {"error": {"message": "It failed.", "code": "upstream_error"}}
    poison = line(item(ItemState.DEAD, error_code="poison", error="3 workers were lost with it"))
    assert poison == {"response": None, "error": {"code": "poison", "message": "3 workers were lost with it"}}
    for state, code in ((ItemState.CANCELLED, "batch_cancelled"), (ItemState.EXPIRED, "batch_expired")):
        told = line(item(state))
        assert told["response"] is None and told["error"]["code"] == code


def test_anthropics_lines() -> None:
    def result(made: Item) -> dict[str, Any]:
        written, is_error = anthropic.result_line("msgbatch_7", made)
        told: dict[str, Any] = json.loads(written)
        assert told["custom_id"] == "mine" and not is_error
        return dict(told["result"])

    assert result(item(ItemState.SUCCEEDED)) == {"type": "succeeded", "message": {"id": "x"}}
    assert result(item(ItemState.CANCELLED)) == {"type": "canceled"}
    assert result(item(ItemState.EXPIRED)) == {"type": "expired"}
    body = '{"type": "error", "error": {"type": "api_error", "message": "No."}, "request_id": "req_1"}'
    assert result(refused(body)) == {"type": "errored", "error": json.loads(body)}
    for poison in (refused("<html>"), item(ItemState.DEAD, error="lost")):
        told = result(poison)["error"]
        assert told["error"]["type"] == "api_error" and told["error"]["message"] and told["request_id"] == "req_1"
    left = json.loads(anthropic.problem_line("", LineProblem("batch_cancelled", "", 3, None, "mine")))
    assert left == {"custom_id": "mine", "result": {"type": "canceled"}}
    large = json.loads(anthropic.problem_line("", LineProblem("request_too_large", "Too large.", 3, None, "mine")))
    assert large["result"]["error"]["error"] == {"type": "invalid_request_error", "message": "Too large."}


def test_a_request_of_anthropics_is_kept_on_one_line() -> None:
    name, line = anthropic.kept_line(b'{\n "params": {\n  "a": "\\n \xc3\xa4"},\n "custom_id": "m-1"}', 0)
    assert name == "m-1" and line.count(b"\n") == 1
    assert anthropic.read_line(Line(4, line), ASKED) == BatchLine(4, "m-1", b'{"a":"\\n \xc3\xa4"}')


@pytest.mark.parametrize(
    "element, error",
    [
        (b'{"custom_id": "a"}', InvalidRequest),
        (b'{"custom_id": "", "params": {}}', InvalidRequest),
        (b'{"custom_id": "' + b"a" * 65 + b'", "params": {}}', InvalidRequest),
        (b'{"custom_id": "a", "params": {"a": tru}}', MalformedJson),
        (b'{"custom_id": "a" "params": {}}', MalformedJson),
    ],
)
def test_what_is_no_request_of_anthropics(element: bytes, error: type[InvalidRequest]) -> None:
    with pytest.raises(error, match=r"requests\[7\]"):
        anthropic.kept_line(element, 7)
