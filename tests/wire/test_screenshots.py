"""An agent that looks at screenshots, as coding agents of Messages do: each kind of provider sees them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from headgate.wire.chat.dialect import PROVIDER as CHAT
from headgate.wire.dialect import ProviderDialect
from headgate.wire.gemini.dialect import PROVIDER as GEMINI
from headgate.wire.messages.dialect import CLIENT
from headgate.wire.neutral import Target
from headgate.wire.responses.dialect import PROVIDER as RESPONSES

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
Json = dict[str, Any]


def shot(call: str, data: str, *texts: str) -> Json:
    """The result of a call that took a screenshot."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    said = [{"type": "text", "text": text} for text in texts]
    return {"type": "tool_result", "tool_use_id": call, "content": [*said, image]}


def use(call: str) -> Json:
    return {"type": "tool_use", "id": call, "name": "screenshot", "input": {}}


LOOP: Json = {
    "model": "m",
    "max_tokens": 99,
    "tools": [{"name": "screenshot", "input_schema": {"type": "object"}}],
    "messages": [
        {"role": "user", "content": "What is on my screens?"},
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, use("t1"), use("t2")]},
        {"role": "user", "content": [shot("t1", "QQ==", "1024x768")]},  # results of one turn in two messages
        {"role": "user", "content": [shot("t2", "Qg==")]},
        {"role": "assistant", "content": [use("t3")]},
        {"role": "user", "content": [shot("t3", "Qw=="), {"type": "text", "text": "Go on."}]},
    ],
}


def asked(provider: ProviderDialect, target: Target) -> tuple[Json, list[str]]:
    """What a provider gets, and what is not a hint of what it does not."""
    request = CLIENT.read_request(_fields.decode(json.dumps(LOOP)))
    written = provider.write_request(request, target)
    return json.loads(written.body), [leftover.field for leftover in written.leftovers if not leftover.is_hint]


def seen(call: str, data: str) -> list[Json]:
    return [
        {"type": "text", "text": f"What the tool call {call} (screenshot) returned:"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
    ]


def test_a_chat_server_is_shown_them_after_the_last_result_of_the_turn() -> None:
    body, lost = asked(CHAT, Target("gpt-5"))
    assert lost == []
    later = "It follows in the next message."
    assert [message["role"] for message in body["messages"]] == [
        "user", "assistant", "tool", "tool", "user", "assistant", "tool", "user",
    ]  # fmt: skip
    assert body["messages"][2:5] == [
        {"role": "tool", "tool_call_id": "t1", "content": "1024x768"},
        {"role": "tool", "tool_call_id": "t2", "content": later},
        {"role": "user", "content": [*seen("t1", "QQ=="), *seen("t2", "Qg==")]},
    ]
    assert body["messages"][6:] == [
        {"role": "tool", "tool_call_id": "t3", "content": later},
        {"role": "user", "content": [*seen("t3", "Qw=="), {"type": "text", "text": "Go on."}]},
    ]


def test_a_chat_model_that_sees_nothing_is_not_asked() -> None:
    body, lost = asked(CHAT, Target("blind", images=False))
    assert len(lost) == 3 and "image_url" not in json.dumps(body)


def test_the_responses_api_takes_them_in_the_output_of_the_call() -> None:
    body, lost = asked(RESPONSES, Target("gpt-5"))
    outputs = [item for item in body["input"] if item.get("type") == "function_call_output"]
    assert lost == [] and [[part["type"] for part in item["output"]] for item in outputs] == [
        ["input_text", "input_image"], ["input_image"], ["input_image"],
    ]  # fmt: skip
    assert outputs[0]["output"][1]["image_url"] == "data:image/png;base64,QQ=="


def test_gemini_takes_them_in_the_response_of_the_function() -> None:
    body, lost = asked(GEMINI, Target("gemini-3-pro-preview"))
    results = [part for turn in body["contents"] for part in turn["parts"] if "functionResponse" in part]
    assert lost == [] and [part["functionResponse"]["parts"] for part in results] == [
        [{"inlineData": {"mimeType": "image/png", "data": data}}] for data in ("QQ==", "Qg==", "Qw==")
    ]


def test_an_older_gemini_is_shown_them_after_it() -> None:
    body, lost = asked(GEMINI, Target("gemini-2.5-flash"))
    kinds = [[next(iter(part)) for part in turn["parts"]] for turn in body["contents"]]
    assert lost == [] and kinds[2] == ["functionResponse", "inlineData"] * 2
