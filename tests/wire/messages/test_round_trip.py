"""What the dialect can say survives it: written and read again, it is the same."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from headgate.types import Counted, Usage
from headgate.wire.chunks import Chunk
from headgate.wire.dialect import ReplyContext
from headgate.wire.folding import fold
from headgate.wire.messages.dialect import CLIENT, PROVIDER
from headgate.wire.neutral import (
    Answer,
    Choice,
    Citation,
    Effort,
    File,
    Finish,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Request,
    Role,
    Target,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tests.wire.chunking import cuts

CONTEXT = ReplyContext(request_id="req_1", created=0, fields={})
MODEL = "claude-opus-4-8"

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])

words = st.text(min_size=1, max_size=12).filter(lambda text: text.strip() == text)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
ids = st.text(max_size=12)
caches = st.sampled_from(["", "5m", "1h"])
arguments = st.dictionaries(words, st.integers() | words | st.none(), max_size=3).map(
    lambda value: json.dumps(value, ensure_ascii=False)
)
citations = st.builds(Citation, words, words, words)
texts = st.builds(Text, words, cache=caches)
cited = st.builds(Text, words, st.lists(citations, max_size=2).map(tuple))
images = st.builds(Image, st.just("image/png"), words, cache=caches) | st.builds(Image, url=words, cache=caches)
files = st.builds(File, st.just("text/plain"), text=words, name=words, cache=caches) | st.builds(
    File, file_id=words, name=words, cache=caches
)
thoughts = st.builds(Thinking, words, words, origin=st.just("anthropic")) | st.builds(
    Thinking, redacted=words, origin=st.just("anthropic")
)
opaque = words.map(lambda word: Opaque("messages", "tomorrow", json.dumps({"type": "tomorrow", "x": word}).encode()))
calls = st.builds(ToolCall, ids, names, arguments)
results = st.builds(
    ToolResult, ids, st.lists(texts | images, max_size=2).map(tuple), is_error=st.booleans(), cache=caches
)


@st.composite
def user_turns(draw: st.DrawFn) -> Message:
    """Tool results first."""
    rest = draw(st.lists(texts | images | files | opaque, min_size=1, max_size=3))
    return Message(Role.USER, (*draw(st.lists(results, max_size=2)), *rest))


assistant_turns = st.lists(texts | thoughts | calls | opaque, min_size=1, max_size=3).map(
    lambda parts: Message(Role.ASSISTANT, tuple(parts))
)
conversations = st.lists(st.tuples(user_turns(), assistant_turns), min_size=1, max_size=2).map(
    lambda pairs: tuple(message for pair in pairs for message in pair)
)
systems = st.lists(texts, max_size=2).map(lambda parts: (Message(Role.SYSTEM, tuple(parts)),) if parts else ())
schemas = st.just(msgspec.Raw(b'{"type":"object"}'))
tools = st.builds(Tool, names, st.just("") | words, schemas, st.sampled_from([None, True]), caches) | opaque
requests = st.builds(
    Request,
    messages=st.tuples(systems, conversations).map(lambda both: both[0] + both[1]),
    tools=st.lists(tools, min_size=1, max_size=2).map(tuple),
    tool_choice=st.sampled_from(
        [ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("named", "f")]
    ),
    output=st.none() | st.builds(OutputFormat, schemas, strict=st.just(True)),
    max_output_tokens=st.integers(1, 10**6),
    stop=st.lists(words, max_size=2).map(tuple),
    user=st.just("") | words,
    service_tier=st.sampled_from(["", "default"]),
    stream=st.booleans(),
)


def without_names(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """A reader learns the names of tools from their calls."""
    return tuple(replace(message, parts=tuple(_without_name(part) for part in message.parts)) for message in messages)


def _without_name(part: Part) -> Part:
    return replace(part, name="") if isinstance(part, ToolResult) else part


@given(requests)
def test_requests(request: Request) -> None:
    written = PROVIDER.write_request(request, Target(MODEL))
    read = CLIENT.read_request(_fields.decode(written.body))
    assert written.leftovers == read.leftovers == ()
    assert replace(read, messages=without_names(read.messages), places=()) == request


@given(st.sampled_from(["low", "medium", "high", "xhigh", "max", ""]), st.sampled_from(["", "auto"]))
def test_efforts(level: str, summary: str) -> None:
    request = Request(messages=(Message(Role.USER, (Text("Hi"),)),), effort=Effort(level, -1, summary))
    written = PROVIDER.write_request(request, Target(MODEL))
    assert CLIENT.read_request(_fields.decode(written.body)).effort == request.effort


tokens = st.integers(0, 1000)
usages = st.builds(
    lambda plain, read, five, hour, output: Usage(
        plain + read + five + hour, read, output, output // 2, Counted.REPORTED, five, hour
    ),
    tokens, tokens, tokens, tokens, tokens,
)  # fmt: skip
signed_calls = st.builds(ToolCall, ids, names, arguments)
answer_parts = st.lists(cited | thoughts | signed_calls | opaque, min_size=1, max_size=4).map(tuple)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    parts: tuple[Part, ...] = draw(answer_parts)
    waits = any(isinstance(part, ToolCall) for part in parts)
    finishes = [Finish.LENGTH, Finish.PAUSE, Finish.REFUSAL, Finish.TOOL_CALLS if waits else Finish.STOP]
    return Answer(draw(words), draw(words), (Choice(parts, draw(st.sampled_from(finishes))),), draw(usages))


def original_ids(answer: Answer) -> Answer:
    """What a caller sends back of the ids it was shown."""
    (choice,) = answer.choices
    content = json.loads(CLIENT.write_answer(answer, CONTEXT))["content"]
    body = {"messages": [{"role": "assistant", "content": content}]}
    parts = CLIENT.read_request(_fields.decode(json.dumps(body))).messages[0].parts
    read = iter([part.id for part in parts if isinstance(part, ToolCall)])
    own = tuple(replace(part, id=next(read)) if isinstance(part, ToolCall) else part for part in choice.parts)
    return replace(answer, choices=(replace(choice, parts=own),))


@given(answers())
def test_ids_come_back_from_callers_as_they_were(answer: Answer) -> None:
    assert original_ids(answer) == answer


def with_plain_ids(answer: Answer) -> Answer:
    (choice,) = answer.choices
    parts = tuple(replace(part, id="t") if isinstance(part, ToolCall) else part for part in choice.parts)
    return replace(answer, choices=(replace(choice, parts=parts),))


@given(answers().map(with_plain_ids))
def test_answers(answer: Answer) -> None:
    assert PROVIDER.read_answer(CLIENT.write_answer(answer, CONTEXT)) == answer


def chunks_of(pieces: list[bytes]) -> list[Chunk]:
    splitter, listener = PROVIDER.splitter(), PROVIDER.listener()
    chunks = [chunk for piece in pieces for frame in splitter.feed(piece) for chunk in listener.read(frame)]
    assert listener.missing() == "" and splitter.take_rest() == b""
    return chunks


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """An answer as the provider would stream it."""
    message = json.loads(CLIENT.write_answer(draw(answers().map(with_plain_ids)), CONTEXT))
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}}
    ]
    for index, block in enumerate(message["content"]):
        events += [
            {"type": "content_block_start", "index": index, "content_block": block},
            {"type": "content_block_stop", "index": index},
        ]
    events.append(
        {"type": "message_delta", "delta": {"stop_reason": message["stop_reason"]}, "usage": message["usage"]}
    )
    events.append({"type": "message_stop"})
    frames = [f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events]
    return "".join(frames).encode()


@given(cuts(streams()))
def test_streams_cut_anywhere_and_written_anew(stream: tuple[bytes, list[bytes]]) -> None:
    whole, pieces = stream
    chunks = chunks_of([whole])
    assert chunks_of(pieces) == chunks
    writer = CLIENT.writer(CONTEXT)
    written = b"".join([writer.write([chunk]) for chunk in chunks]) + writer.end()
    assert fold(chunks_of([written])) == fold(chunks)
