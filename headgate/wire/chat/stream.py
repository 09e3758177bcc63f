"""Listens to a server's stream of chat completion chunks."""

from __future__ import annotations

from collections.abc import Sequence

from headgate.errors import StreamFailed
from headgate.wire import sse
from headgate.wire.chat import answer_shapes, reasoning
from headgate.wire.chat.annotations import citations_of, sources_of
from headgate.wire.chat.answer import call_id, content_parts, whole_parts
from headgate.wire.chat.answer_shapes import Said, plain_chunk
from headgate.wire.chat.finish import read_finish
from headgate.wire.chat.request_shapes import ABSENT, ReasoningDetail
from headgate.wire.chunks import (
    Chunk,
    Cited,
    Ended,
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
from headgate.wire.neutral import Citation, Text, Thinking
from headgate.wire.openai import error_message
from headgate.wire.openai_usage import read_usage
from headgate.wire.surrogates import Mender

_DONE = b"[DONE]"


class StreamListener:
    """Reads one stream, whatever the server's variant of it is."""

    __slots__ = ("_choices", "_id", "_in_text", "_mender", "_sources", "_started")

    def __init__(self) -> None:
        self._in_text = False  # the last event was text of the first choice, and nothing else
        self._id = ""
        self._started = False
        self._choices: dict[int, _Choice] = {}
        self._sources: tuple[Citation, ...] = ()
        self._mender = Mender()

    def read(self, frame: bytes) -> Sequence[Chunk]:
        """What a frame means. Raises ValueError for what is no chunk, StreamFailed for an error."""
        data = sse.payload(frame)
        if not data:
            return ()
        if data.strip() == _DONE:
            return (Ended(),)
        chunk = answer_shapes.decode(data, self._mender)
        if chunk.error != ABSENT:
            raise StreamFailed(f"The provider reported an error in the stream: {error_message(data)}")
        chunks: list[Chunk] = []
        if chunk.choices:
            self._read_choices(chunk, chunks)
        usage = chunk.x_groq.usage if chunk.usage == ABSENT and chunk.x_groq else chunk.usage
        if usage != ABSENT and (counted := read_usage(usage)) is not None:
            chunks.append(Metered(counted))
        self._in_text = len(chunks) == 1 and isinstance(chunks[0], TextDelta) and chunks[0].choice == 0
        return chunks

    def more_text(self, data: bytes) -> str:
        if not self._in_text or not data.startswith(b"data: {") or data.find(b"\n") != len(data) - 2:
            return ""
        try:
            return plain_chunk.decode(data[6:-2]).choices[0].delta.content if data.endswith(b"\n\n") else ""
        except (ValueError, RecursionError):
            return ""

    def missing(self) -> str:
        """What the stream lacks: a choice, or the finish reason of one."""
        if not self._choices:
            return "any choice"
        return "" if all(choice.finished for choice in self._choices.values()) else "a finish reason"

    def _read_choices(self, chunk: answer_shapes.Answer, chunks: list[Chunk]) -> None:
        if not self._started:
            self._started, self._id = True, chunk.id or ""
            chunks.append(Started(self._id, chunk.model or "", int(chunk.created or 0)))
        if chunk.citations or chunk.search_results:
            self._sources = sources_of(chunk)  # Perplexity repeats them in every chunk
        for piece in chunk.choices or ():
            index = piece.index or 0
            choice = self._choices.get(index)
            if choice is None:
                choice = self._choices[index] = _Choice(index, self._id)
            choice.read(piece, self._sources, chunks)


class _Call:
    """A tool call that is being written; what comes before its name is held back."""

    __slots__ = ("held", "id", "number", "started")

    def __init__(self, number: int) -> None:
        self.number = number
        self.id = ""
        self.held = ""
        self.started = False


class _Choice:
    """One alternative of the answer that is being written."""

    __slots__ = (
        "_answer_id", "_calls", "_count", "_detail", "_index", "_latest", "_member", "_refuses", "_thinks", "finished",
    )  # fmt: skip

    def __init__(self, index: int, answer_id: str) -> None:
        self._index = index
        self._answer_id = answer_id
        self._calls: dict[int | str, _Call] = {}
        self._latest: _Call | None = None
        self._count = 0
        self._thinks = False  # a thought is being written
        self._member = ""  # the member it comes in
        self._detail: ReasoningDetail | None = None  # OpenRouter's, of this thought
        self._refuses = False
        self.finished = False

    def read(self, piece: answer_shapes.Choice, sources: tuple[Citation, ...], chunks: list[Chunk]) -> None:
        """Take the next piece. Raises StreamFailed if the model gave up, ValueError for a call without a name."""
        said = piece.delta
        if said is not None:
            self._read_delta(said, chunks)
        if piece.logprobs != ABSENT:
            chunks.append(LogprobsDelta(piece.logprobs, self._index))
        if not piece.reason() or self.finished:
            return
        self._end_thought(chunks)
        if any(call.held for call in self._calls.values()):
            raise ValueError("a tool call has no name")
        finish = read_finish(piece, calls_tools=self._count > 0, refuses=self._refuses)
        chunks += [Cited(source, self._index) for source in sources]
        chunks.append(Finished(finish, self._index, piece.stop_sequence()))
        self.finished = True

    def _read_delta(self, said: Said, chunks: list[Chunk]) -> None:
        if said.reasoning_content or said.reasoning or said.reasoning_details:
            self._read_thought(said, chunks)
        if said.content:
            self._read_content(said, chunks)
        if said.refusal:
            self._end_thought(chunks)
            self._refuses = True
            chunks.append(RefusalDelta(said.refusal, self._index))
        if said.tool_calls or said.function_call:
            self._end_thought(chunks)
            for call in said.tool_calls or ():
                self._read_call(call, chunks)
            if said.function_call:
                self._read_call(answer_shapes.ToolCall(index=0, function=said.function_call), chunks)
        if said.annotations:
            chunks += [Cited(citation, self._index) for citation in citations_of(said)]
        if said.images or said.audio != ABSENT:
            self._end_thought(chunks)
            chunks += [PartDone(part, self._index) for part in whole_parts(said)]

    def _read_content(self, said: Said, chunks: list[Chunk]) -> None:
        if isinstance(said.content, str):
            self._end_thought(chunks)
            chunks.append(TextDelta(said.content, self._index))
            return
        for part in content_parts(said):
            if isinstance(part, Thinking):
                self._think(part.text, reasoning.THINKING_PART, chunks)
                continue
            self._end_thought(chunks)
            chunks.append(TextDelta(part.text, self._index) if isinstance(part, Text) else PartDone(part, self._index))

    # --- thoughts ---

    def _read_thought(self, said: Said, chunks: list[Chunk]) -> None:
        plain, member = said.reasoning_content, reasoning.CONTENT
        if not plain:
            plain, member = said.reasoning or "", reasoning.REASONING
        pending = plain
        for detail in said.reasoning_details or ():
            text = detail.text or detail.summary or ""
            if detail.data:
                self._think(pending, member, chunks)
                self._end_thought(chunks)
                hidden = reasoning.proof_of(detail)
                chunks.append(ThinkingSigned(redacted=hidden, origin=reasoning.ORIGIN, choice=self._index))
            else:
                self._add_detail(detail, chunks)
                self._think(pending if plain else text, member, chunks)
            pending = ""
        self._think(pending, member, chunks)

    def _add_detail(self, detail: ReasoningDetail, chunks: list[Chunk]) -> None:
        """What has to come back of a thought grows piece by piece; another index, or more text after the signature,
        begins another thought."""
        before = self._detail
        if before is not None and (
            detail.index != before.index or (before.signature and (detail.text or detail.summary))
        ):
            self._end_thought(chunks)
        detail.text = detail.summary = None
        self._detail = detail if self._detail is None else reasoning.joined(self._detail, detail)

    def _think(self, text: str, member: str, chunks: list[Chunk]) -> None:
        if text:
            chunks.append(ThinkingDelta(text, self._index))
            self._thinks, self._member = True, member

    def _end_thought(self, chunks: list[Chunk]) -> None:
        """Say what has to come back of a thought that is over."""
        detail, self._detail = self._detail, None
        if detail is not None and detail.signature:
            proof = reasoning.proof_of(detail)
        elif self._thinks:
            proof = self._member
        else:
            return
        self._thinks = False
        chunks.append(ThinkingSigned(proof, origin=reasoning.ORIGIN, choice=self._index))

    # --- tool calls ---

    def _read_call(self, piece: answer_shapes.ToolCall, chunks: list[Chunk]) -> None:
        if piece.function is None:
            return  # of a tool that is no function, which nobody could have asked for across dialects
        call = self._call_of(piece)
        call.id = call.id or piece.id or ""
        arguments = piece.function.argument_text()
        if not call.started and piece.function.name:
            call.started = True
            identity = call.id or call_id(self._answer_id, self._index, call.number)
            signature = piece.signature()
            origin = reasoning.ORIGIN if signature else ""
            chunks.append(ToolCallStarted(call.number, identity, piece.function.name, signature, origin, self._index))
            arguments, call.held = call.held + arguments, ""
        if not call.started:
            call.held += arguments
        elif arguments:
            chunks.append(ToolCallDelta(call.number, arguments, self._index))

    def _call_of(self, piece: answer_shapes.ToolCall) -> _Call:
        """The call a piece belongs to: by its index, else by its id, else the latest.

        Some servers give all calls one index: another id with a name begins a new call all the same.
        """
        named = bool(piece.function and piece.function.name)
        key: int | str | None = (piece.id or None) if piece.index is None else piece.index
        call = self._calls.get(key) if key is not None else None if named else self._latest
        if call is not None and named and piece.id and call.id and piece.id != call.id:
            call = self._calls.get(piece.id)
        if call is None:
            call = _Call(self._count)
            self._count += 1
        for name in (key, piece.id):
            if name is not None:
                self._calls[name] = call
        self._latest = call
        return call
