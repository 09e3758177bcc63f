"""Writes a stream of chat completion chunks for a client, as OpenAI's SDK and the ones like it put them together."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headgate.types import Usage
from headgate.wire.chat import reasoning
from headgate.wire.chat.annotations import annotation
from headgate.wire.chat.answer import Json, head, speaks_of_functions, written_call, written_image
from headgate.wire.chat.finish import write_finish
from headgate.wire.chat.messages import DIALECT
from headgate.wire.chat.request_shapes import ReasoningDetail
from headgate.wire.chat.usage import write_usage
from headgate.wire.chunks import (
    Chunk,
    Cited,
    Finished,
    LogprobsDelta,
    Metered,
    PartDone,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.dialect import ReplyContext
from headgate.wire.neutral import Image, Opaque, Thinking, ToolCall

_encoder = msgspec.json.Encoder()
_DONE = b"data: [DONE]\n\n"


class StreamWriter:
    """Writes one stream. Its first delta names the role, its last frames are the usage, if asked for, and [DONE]."""

    __slots__ = (
        "_choices",
        "_context",
        "_delta",
        "_head",
        "_legacy",
        "_text_head",
        "_text_tail",
        "_usage",
        "_usage_member",
    )

    def __init__(self, context: ReplyContext) -> None:
        self._context = context
        self._legacy = speaks_of_functions(context.fields)
        self._usage: Usage | None = None
        self._usage_member = b',"usage":null' if context.wants_usage else b""  # in every chunk but the last
        self._choices: dict[int, _Choice] = {}
        self._begin(Started("", ""))

    def write(self, chunks: Sequence[Chunk]) -> bytes:
        """The frames for these chunks, a frame each; b"" if they say nothing to a client yet."""
        return b"".join([self._write(chunk) for chunk in chunks])

    def more_text(self, text: str) -> bytes:
        choice = self._choices.get(0)
        if choice is None or not choice.in_text:
            return self._write(TextDelta(text))
        choice.length += len(text)
        return b"%b%b%b" % (self._text_head, _encoder.encode(text), self._text_tail)

    def end(self) -> bytes:
        """The usage chunk, if the client asked for one and it is known, and [DONE]."""
        if self._usage is None or not self._context.wants_usage:
            return _DONE
        usage = _encoder.encode(write_usage(self._usage))
        return b"data: " + self._head + b'"choices":[],"usage":' + usage + b"}\n\n" + _DONE

    def _begin(self, started: Started) -> None:
        """All chunks have the same head, so that it is written once."""
        members = {
            **head(started.id, started.model, started.created, self._context),
            "object": "chat.completion.chunk",
        }
        self._head = _encoder.encode(members)[:-1] + b","
        self._text_head = b'data: %b"choices":[{"index":0,"delta":{"content":' % self._head
        self._text_tail = b'},"logprobs":null,"finish_reason":null}]%b}\n\n' % self._usage_member

    def _write(self, chunk: Chunk) -> bytes:
        match chunk:
            case TextDelta(text=text, choice=index):
                choice = self._choice(index)
                choice.add_text(chunk)
                return self._frame(choice, b'"content":' + _encoder.encode(text))
            case ThinkingDelta(choice=index):
                choice = self._choice(index)
                return self._frame(choice, b'"reasoning_content":' + _encoder.encode(choice.add_thought(chunk)))
            case ToolCallDelta(index=number, arguments=arguments, choice=index):
                return self._frame(self._choice(index), self._arguments(number, arguments))
            case Started():
                self._begin(chunk)
                return b""
            case Metered(usage=usage):
                self._usage = usage
                return b""
            case Finished(finish=finish, choice=index):
                choice = self._choice(index)
                word = write_finish(finish, refuses=choice.refuses, legacy=self._legacy)
                return self._frame(choice, b"", finish=b'"%s"' % word.encode())
            case LogprobsDelta(logprobs=logprobs, choice=index):
                return self._frame(self._choice(index), b"", logprobs=bytes(logprobs))
            case _:
                return self._write_rare(chunk)

    def _write_rare(self, chunk: Chunk) -> bytes:
        """What does not come by the hundred."""
        match chunk:
            case RefusalDelta(text=text, choice=index):
                choice = self._choice(index)
                choice.refuses = True
                return self._frame(choice, b'"refusal":' + _encoder.encode(text))
            case ToolCallStarted(choice=index):
                choice = self._choice(index)
                choice.end_part()
                return self._members(choice, self._call(chunk))
            case ThinkingSigned(choice=index):
                choice = self._choice(index)
                detail = choice.end_thought(chunk)
                return self._members(choice, {"reasoning_details": [detail]}) if detail else b""
            case Cited(citation=citation, choice=index):
                choice = self._choice(index)
                cited = annotation(citation, choice.part_start, choice.length)
                return self._members(choice, {"annotations": [cited]})
            case PartDone(part=Image() as image, choice=index):
                choice = self._choice(index)
                choice.end_part()
                choice.images += 1
                return self._members(choice, {"images": [written_image(image, choice.images - 1)]})
            case PartDone(part=Opaque(dialect=dialect, kind="audio", raw=raw), choice=index) if dialect == DIALECT:
                return self._members(self._choice(index), {"audio": msgspec.Raw(raw)})
            case _:
                return b""

    def _call(self, started: ToolCallStarted) -> Json:
        if self._legacy and started.index == 0:
            return {"function_call": {"name": started.name, "arguments": ""}}
        call = ToolCall(started.id, started.name, "", started.signature, started.origin)
        return {"tool_calls": [{"index": started.index, **written_call(call)}]}

    def _arguments(self, number: int, arguments: str) -> bytes:
        function = b'{"arguments":' + _encoder.encode(arguments) + b"}"
        if self._legacy and number == 0:
            return b'"function_call":' + function
        return b'"tool_calls":[{"index":%d,"function":%b}]' % (number, function)

    def _choice(self, index: int) -> _Choice:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice(index)
        return choice

    def _members(self, choice: _Choice, members: Json) -> bytes:
        return self._frame(choice, _encoder.encode(members)[1:-1])

    def _frame(self, choice: _Choice, delta: bytes, *, finish: bytes = b"null", logprobs: bytes = b"null") -> bytes:
        """One chunk; `delta` are the members of its delta."""
        if not choice.has_role:
            choice.has_role = True
            role = b'"role":"assistant"' if delta.startswith(b'"content":') else b'"role":"assistant","content":null'
            delta = role + b"," + delta if delta else role
        return b'data: %b"choices":[{"index":%d,"delta":{%b},"logprobs":%b,"finish_reason":%b}]%b}\n\n' % (
            self._head, choice.index, delta, logprobs, finish, self._usage_member,
        )  # fmt: skip


class _Choice:
    """How far one alternative is. Places are characters of its content."""

    __slots__ = (
        "_details",
        "_thought",
        "_thoughts",
        "has_role",
        "images",
        "in_text",
        "index",
        "length",
        "part_start",
        "refuses",
    )

    def __init__(self, index: int) -> None:
        self.index = index
        self.has_role = False
        self.refuses = False
        self.images = 0
        self.length = 0
        self.part_start = 0  # where the text part begins that is being written
        self.in_text = False
        self._thought: list[str] = []  # the thought that is being written
        self._thoughts = 0
        self._details = 0

    def add_text(self, delta: TextDelta) -> None:
        """More text is written."""
        if delta.starts_part or not self.in_text:
            self.part_start = self.length
            self.in_text = True
            self._thought.clear()
        self.length += len(delta.text)

    def end_part(self) -> None:
        """Something that is neither text nor a thought is written."""
        self.in_text = False
        self._thought.clear()

    def add_thought(self, delta: ThinkingDelta) -> str:
        """What to show of a thought: it is set apart from the one before."""
        self.in_text = False
        if delta.starts_part:
            self._thought.clear()
        is_new = not self._thought
        self._thought.append(delta.text)
        if not is_new:
            return delta.text
        self._thoughts += 1
        return delta.text if self._thoughts == 1 else reasoning.BETWEEN_THOUGHTS + delta.text

    def end_thought(self, signed: ThinkingSigned) -> ReasoningDetail | None:
        """What the client has to send back of the thought, the whole of it, so that it need not put pieces together."""
        text = "" if signed.redacted else "".join(self._thought)
        self.in_text = False
        self._thought.clear()
        self._details += 1
        thought = Thinking(text, signed.signature, signed.redacted, signed.origin, signed.id)
        return reasoning.detail_of(thought, self._details - 1)
