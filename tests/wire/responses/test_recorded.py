"""Streams that providers sent: read as the vendor's types read their end, and written so that they mean the same.

Each line of `recorded.jsonl` names the public repository it comes from, and its licence.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from openai.types.responses import Response

from headgate.types import Usage
from headgate.wire.folding import fold
from headgate.wire.neutral import Answer, Finish, Text, Thinking, ToolCall
from tests.wire.responses.talk import Json, context, events, listen, write

LINES = (Path(__file__).parent / "recorded.jsonl").read_bytes().split(b"\n")
RECORDED = [json.loads(line) for line in LINES if line]
SEAM = "\n\n"


@pytest.fixture(params=RECORDED, ids=lambda recording: recording["name"])
def stream(request: pytest.FixtureRequest) -> bytes:
    return str(request.param["stream"]).encode()


def by_the_vendor(response: Json) -> Response:
    return Response.construct(**response)


def last_response(stream: bytes) -> Json:
    data = [line[6:] for line in stream.decode().split("\n") if line.startswith("data: {")]
    return dict(json.loads(data[-1])["response"])


def meaning(response: Response) -> tuple[object, ...]:
    """What was said, thought and called, why it ended and what it cost, as the vendor's types have it."""
    calls = [(item.call_id, item.name, item.arguments) for item in response.output if item.type == "function_call"]
    thoughts = [
        SEAM.join(part.text for part in [*item.summary, *(item.content or [])])
        for item in response.output
        if item.type == "reasoning"
    ]
    reason = response.incomplete_details and response.incomplete_details.reason
    assert response.usage is not None
    usage = response.usage
    counts = usage.input_tokens, usage.output_tokens, usage.output_tokens_details.reasoning_tokens
    return response.output_text, [thought for thought in thoughts if thought], calls, reason, counts


def ours(answer: Answer) -> tuple[object, ...]:
    (choice,) = answer.choices
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    thoughts = [part.text for part in choice.parts if isinstance(part, Thinking) and part.text]
    calls = [(part.id, part.name, part.arguments) for part in choice.parts if isinstance(part, ToolCall)]
    assert (choice.finish is Finish.TOOL_CALLS) == bool(calls)
    usage = answer.usage or Usage()
    counts = usage.input, usage.output, usage.reasoning
    return text, thoughts, calls, "max_output_tokens" if choice.finish is Finish.LENGTH else None, counts


def test_a_recorded_stream_means_what_the_vendor_reads(stream: bytes) -> None:
    assert ours(fold(listen([stream]))) == meaning(by_the_vendor(last_response(stream)))


def test_written_for_a_client_it_still_does(stream: bytes) -> None:
    written = events(write(listen([stream]), context()))
    assert meaning(by_the_vendor(written[-1]["response"])) == meaning(by_the_vendor(last_response(stream)))


def test_in_any_pieces_it_means_the_same(stream: bytes) -> None:
    whole = listen([stream])
    for size in (1, 7, 100):
        assert listen([stream[start : start + size] for start in range(0, len(stream), size)]) == whole
