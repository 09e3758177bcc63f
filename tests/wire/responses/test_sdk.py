"""The vendor's own SDK reads what we write: helpers, structured outputs, tool loops, and errors that it raises."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pydantic
import pytest

from headgate.errors import HeadgateError, StreamStalled, UpstreamAuth
from headgate.types import Counted, Usage
from headgate.wire.chunks import Chunk, Started, TextDelta
from headgate.wire.neutral import Answer, Choice, Finish, Message, Refusal, Role, Text, Thinking, ToolCall, ToolResult
from headgate.wire.responses.answer import write_answer
from headgate.wire.responses.errors import error_body, error_event
from headgate.wire.responses.request import read_request
from headgate.wire.responses.writer import StreamWriter
from tests.wire.responses.talk import chunks_of, context, fields, write

Reply = Callable[[bytes], tuple[int, str, bytes]]

JSON, EVENTS = "application/json", "text/event-stream"
NOW = {
    "type": "function",
    "name": "now",
    "description": "The time.",
    "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    "strict": True,
}
USAGE = Usage(9, 4, 5, 2, Counted.REPORTED)


class Point(pydantic.BaseModel):
    x: int
    y: int


class _Server:
    """Answers every request as `reply` says, and keeps what was asked."""

    def __init__(self) -> None:
        self.reply: Reply = lambda body: (500, JSON, b"{}")
        self.asked: list[bytes] = []
        self.port = 0


@pytest.fixture
def server() -> Iterator[_Server]:
    kept = _Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.asked.append(body)
            status, media_type, answer = kept.reply(body)
            self.send_response(status)
            self.send_header("content-type", media_type)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        kept.port = listening.server_address[1]
        yield kept
        listening.shutdown()
        thread.join()


@pytest.fixture
def client(server: _Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="hg-x", max_retries=0) as sdk:
        yield sdk


def answer(*parts: Any, finish: Finish = Finish.STOP) -> Answer:
    return Answer("msg_01", "claude", (Choice(parts, finish),), USAGE, 7)


def says(told: Answer) -> Reply:
    """Replies to anything with an answer, streamed if that was asked for."""

    def reply(body: bytes) -> tuple[int, str, bytes]:
        asked = json.loads(body)
        if asked.get("stream"):
            return 200, EVENTS, write(chunks_of(told), context(**asked))
        return 200, JSON, write_answer(told, context(**asked))

    return reply


def breaks(error: HeadgateError) -> Reply:
    """Replies with a stream that ends in an error."""

    def reply(body: bytes) -> tuple[int, str, bytes]:
        begun: list[Chunk] = [Started("a", "b"), TextDelta("Hel")]
        writer = StreamWriter(context(**json.loads(body)))
        return 200, EVENTS, writer.write(begun) + error_event(error, "req_1")

    return reply


def test_create(server: _Server, client: openai.OpenAI) -> None:
    server.reply = says(answer(Thinking("hm", "sig", "", "anthropic"), Text("Hello"), Text(", world")))
    response = client.responses.create(model="small", input="hi", instructions="Be brief.", metadata={"a": "b"})
    assert response.output_text == "Hello, world"
    assert response.status == "completed" and response.error is None
    assert (response.instructions, response.metadata, response.store) == ("Be brief.", {"a": "b"}, False)
    assert response.usage is not None
    assert (response.usage.total_tokens, response.usage.output_tokens_details.reasoning_tokens) == (14, 2)


def test_structured_outputs(server: _Server, client: openai.OpenAI) -> None:
    server.reply = says(answer(Text('{"x": 1, "y": 2}')))
    parsed = client.responses.parse(model="small", input="hi", text_format=Point)
    assert parsed.output_parsed == Point(x=1, y=2)
    output = read_request(fields(**json.loads(server.asked[0]))).output
    assert output is not None and output.name == "Point" and output.strict
    with client.responses.stream(model="small", input="hi", text_format=Point) as stream:
        assert stream.get_final_response().output_parsed == Point(x=1, y=2)


def test_stream(server: _Server, client: openai.OpenAI) -> None:
    call = ToolCall("call_1", "now", '{"zone": "UTC"}')
    server.reply = says(answer(Thinking("hm"), Text("One moment"), call, Refusal("no"), finish=Finish.TOOL_CALLS))
    with client.responses.stream(model="small", input="hi", tools=[NOW]) as stream:
        told = list(stream)
        final = stream.get_final_response()
    assert "".join(event.delta for event in told if event.type == "response.output_text.delta") == "One moment"
    snapshots = [event.snapshot for event in told if event.type == "response.function_call_arguments.delta"]
    assert snapshots[-1] == '{"zone": "UTC"}'
    assert final.output_text == "One moment"
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "message"]
    assert final.output[2].parsed_arguments == {"zone": "UTC"}
    assert [event.sequence_number for event in told] == list(range(len(told)))


def test_a_tool_loop(server: _Server, client: openai.OpenAI) -> None:
    """Agents send the items back as they came, with the results."""
    thought = Thinking("hm", "sig", "", "anthropic")
    calls = ToolCall("call_1", "now", '{"zone": "UTC"}', "gsig", "gemini"), ToolCall("call_2", "now", '{"zone": "CET"}')
    server.reply = says(answer(thought, Text("One moment"), *calls, finish=Finish.TOOL_CALLS))
    prompt: list[Any] = [{"role": "user", "content": "What time is it?"}]
    response = client.responses.create(model="small", input=prompt, tools=[NOW])
    prompt += response.output
    prompt += [
        {"type": "function_call_output", "call_id": item.call_id, "output": "noon"}
        for item in response.output
        if item.type == "function_call"
    ]
    server.reply = says(answer(Text("Noon.")))
    assert client.responses.create(model="small", input=prompt, tools=[NOW]).output_text == "Noon."
    asked = read_request(fields(**json.loads(server.asked[1])))
    assert asked.leftovers == ()
    turn, results = asked.messages[1:]
    assert turn.parts[1:] == (Text("One moment"), *calls)
    assert turn.parts[0] == Thinking("hm", "sig", "", "anthropic", "rs_hg0_msg_01")
    noon = (Text("noon"),)
    assert results == Message(
        Role.USER, (ToolResult("call_1", noon, name="now"), ToolResult("call_2", noon, name="now"))
    )


def test_an_answer_that_is_not_complete(server: _Server, client: openai.OpenAI) -> None:
    server.reply = says(answer(Text("Hel"), finish=Finish.LENGTH))
    response = client.responses.create(model="small", input="hi")
    assert response.status == "incomplete" and response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    last = list(client.responses.create(model="small", input="hi", stream=True))[-1]
    assert last.type == "response.incomplete" and last.response.output_text == "Hel"


def test_an_error_before_the_answer(server: _Server, client: openai.OpenAI) -> None:
    error = UpstreamAuth("The provider refused headgate's key.")
    server.reply = lambda body: (error.status, JSON, error_body(error, "req_1"))
    with pytest.raises(openai.InternalServerError) as raised:
        client.responses.create(model="small", input="hi")
    assert (raised.value.status_code, raised.value.code) == (502, "upstream_auth")
    assert "refused headgate's key" in raised.value.message


def test_an_error_in_the_stream_is_raised(server: _Server, client: openai.OpenAI) -> None:
    server.reply = breaks(StreamStalled("The provider stopped sending."))
    with pytest.raises(openai.APIError, match="The provider stopped sending") as raised:
        for _ in client.responses.create(model="small", input="hi", stream=True):
            pass
    assert (raised.value.code, raised.value.type) == ("stream_stalled", "upstream_error")
    with (
        pytest.raises(openai.APIError, match="The provider stopped sending"),
        client.responses.stream(model="small", input="hi") as stream,
    ):
        stream.get_final_response()


def test_the_error_event_is_the_documented_one_too() -> None:
    event = error_event(StreamStalled("It stopped."), "req_1")
    assert event.startswith(b"event: error\ndata: ") and event.endswith(b"\n\n")
    told = json.loads(event.partition(b"data: ")[2])
    documented = {name: told[name] for name in ("type", "code", "message", "param", "sequence_number")}
    assert documented == {
        "type": "error",
        "code": "stream_stalled",
        "message": "It stopped.",
        "param": None,
        "sequence_number": 0,
    }
