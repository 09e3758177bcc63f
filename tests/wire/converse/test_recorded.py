"""Answers that Bedrock gave, long texts cut short: read as the vendor's library reads them, whole and as streams."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.parsers import create_parser

from headgate.wire.converse.answer import read_answer
from headgate.wire.converse.stream import StreamListener
from headgate.wire.folding import fold
from headgate.wire.neutral import Answer, Finish, Part, Text, Thinking, ToolCall
from tests.wire.converse import events
from tests.wire.converse.referee import service

RECORDED = [line for line in (Path(__file__).parent / "recorded.jsonl").read_bytes().split(b"\n") if line]


@pytest.fixture(params=RECORDED, ids=lambda body: json.loads(body)["stopReason"])
def body(request: pytest.FixtureRequest) -> bytes:
    return bytes(request.param)


def by_the_vendor(body: bytes) -> dict[str, Any]:
    """The answer as botocore parses it."""
    shape = service().operation_model("Converse").output_shape
    response = {"body": body, "headers": {}, "status_code": 200}
    return dict(create_parser("rest-json").parse(response, shape))


def in_their_words(part: Part) -> object:
    """A part as a Converse block, as far as both sides carry it."""
    match part:
        case Text(text=text):
            return text
        case Thinking():
            return (part.text, part.signature)
        case ToolCall():
            return (part.id, part.name, json.loads(part.arguments))
    raise AssertionError(part)


def theirs(block: dict[str, Any]) -> object:
    if "toolUse" in block:
        return (block["toolUse"]["toolUseId"], block["toolUse"]["name"], block["toolUse"]["input"])
    if "reasoningContent" in block:
        thought = block["reasoningContent"]["reasoningText"]
        return (thought["text"], thought.get("signature", ""))
    if "citationsContent" in block:
        return "".join(piece["text"] for piece in block["citationsContent"]["content"])
    return block["text"]


def test_whole_answers_mean_what_the_vendor_reads(body: bytes) -> None:
    ours, vendor = read_answer(body), by_the_vendor(body)
    assert [in_their_words(part) for part in ours.choices[0].parts] == [
        theirs(block) for block in vendor["output"]["message"]["content"]
    ]
    assert ours.usage is not None
    assert ours.usage.input + ours.usage.output == vendor["usage"]["totalTokens"]
    assert ours.usage.raw == b""


def streamed(body: bytes) -> bytes:
    """The same answer as ConverseStream would send it, in small pieces."""
    told = json.loads(body)
    sent = [events.START]
    for index, block in enumerate(told["output"]["message"]["content"]):
        if "toolUse" in block:
            sent.append(events.tool_start(index, block["toolUse"]["toolUseId"], block["toolUse"]["name"]))
            arguments = json.dumps(block["toolUse"]["input"])
            sent += [events.delta(index, toolUse={"input": piece}) for piece in pieces(arguments)]
        elif "reasoningContent" in block:
            thought = block["reasoningContent"]["reasoningText"]
            sent += [events.delta(index, reasoningContent={"text": piece}) for piece in pieces(thought["text"])]
            if "signature" in thought:
                sent.append(events.delta(index, reasoningContent={"signature": thought["signature"]}))
        elif "citationsContent" in block:
            cited = block["citationsContent"]
            sent += [events.delta(index, text=piece["text"]) for piece in cited["content"]]
            sent += [events.delta(index, citation=citation) for citation in cited["citations"]]
        else:
            sent += [events.delta(index, text=piece) for piece in pieces(block["text"])]
        sent.append(events.stop(index))
    sent.append(events.message_stop(told["stopReason"]))
    sent.append(events.event("metadata", {"usage": told["usage"], "metrics": {}}))
    return b"".join(sent)


def pieces(text: str) -> list[str]:
    return [text[place : place + 7] for place in range(0, len(text), 7)]


def plainly(answer: Answer) -> object:
    """What is left when arguments are compared as JSON."""
    return [in_their_words(part) for part in answer.choices[0].parts], answer.choices[0].finish, answer.usage


def test_a_stream_means_the_same_as_the_whole_answer(body: bytes) -> None:
    chunks, listener = events.listen(streamed(body))
    assert plainly(fold(chunks)) == plainly(read_answer(body))
    assert listener.missing() == ""


class Arriving:
    """A body that botocore can read."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def stream(self) -> list[bytes]:
        return [self.data]

    def close(self) -> None:
        pass


def test_the_vendor_reads_the_same_text_in_the_same_stream(body: bytes) -> None:
    data = streamed(body)
    shape = service().operation_model("ConverseStream").output_shape
    response = {"body": Arriving(data), "headers": {}, "status_code": 200, "context": {"operation_name": "any"}}
    stream = create_parser("rest-json").parse(response, shape)["stream"]
    deltas = [told["contentBlockDelta"]["delta"] for told in stream if "contentBlockDelta" in told]
    chunks, _ = events.listen(data)
    texts = "".join(part.text for part in fold(chunks).choices[0].parts if isinstance(part, Text))
    assert texts == "".join(delta.get("text", "") for delta in deltas)


def test_what_a_guardrail_has_changed_says_so() -> None:
    finishes = [read_answer(body).choices[0].finish for body in RECORDED]
    assert Finish.CONTENT_FILTER in finishes and Finish.LENGTH in finishes and Finish.TOOL_CALLS in finishes
    assert StreamListener().missing()
