"""How a call is put to a deployment and its answer to the client: passed on, or through the neutral model.

A `Dialogue` pairs what a client speaks with what a deployment speaks. Same dialect: bytes pass untouched and
are only looked at. Otherwise they are read into neutral values and written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from headgate.errors import (
    HeadgateError,
    InvalidRequest,
    StreamFailed,
    StreamIncomplete,
    StreamMalformed,
    Untranslatable,
    UpstreamEmpty,
)
from headgate.types import Api, Call, Frozen, Usage
from headgate.wire import neutral, sse
from headgate.wire.chunks import (
    CONTENT,
    Chunk,
    Ended,
    Metered,
    PartDone,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from headgate.wire.dialect import ClientDialect, Listener, ProviderDialect, ReplyContext, Splitter, Writer
from headgate.wire.naming import callers_name
from headgate.wire.neutral import Leftover, Part, Target, Written
from headgate.wire.openai import NOTHING, WholeAnswer, is_json

_MAX_KEPT_CHARACTERS = 4_000_000  # of the text kept for counting tokens
_DONE = b"[DONE]"
_TEXTS = (TextDelta, ThinkingDelta, RefusalDelta)


class Asked(Frozen, frozen=True):
    """What a deployment is sent, and which members of the caller's body are not in it."""

    body: bytes
    dropped: tuple[str, ...] = ()


class Ask(Frozen, frozen=True):
    """How a call is to be put. `max_output_tokens` is the ceiling to set, None: as the caller says."""

    target: Target
    max_output_tokens: int | None
    may_drop: bool  # leave out what the deployment's dialect cannot say
    now: int  # Unix seconds


class StreamReading(Protocol):
    """A stream on its way through: `feed` takes what the provider sends and returns what the client gets."""

    content_events: int
    failure: HeadgateError | None
    usage: Usage | None  # of the whole answer
    usage_so_far: Usage | None  # what was reported before the end, if the dialect does that
    texts: list[str]  # what was generated, to count tokens by
    tail: bytes  # the end of a complete stream, withheld so that it follows the ledger's record
    saw_done: bool

    @property
    def committed(self) -> bool:
        """The first content-bearing event has been seen."""

    def feed(self, data: bytes) -> bytes:
        """Never raises: it returns what was good, and says in `failure` why the rest is not."""

    def finish(self) -> None:
        """The HTTP message ended cleanly: decide whether the stream was complete."""


class Dialogue(Protocol):
    """One pairing."""

    api: Api
    same_dialect: bool
    stream_type: str  # the media type of the deployment's streams

    def ask(self, call: Call, ask: Ask) -> Asked:
        """The request for the deployment. Raises Untranslatable or InvalidRequest, naming the member."""

    def read_whole(self, call: Call, ask: Ask, body: bytes) -> WholeAnswer:
        """A JSON answer of status 200. Raises ValueError if it is not what the dialect says."""

    def read_stream(self, call: Call, ask: Ask) -> StreamReading:
        """A reader for a stream that begins."""


class SameDialect:
    """Passes bytes on and observes them. `put` makes the body for the deployment out of the caller's."""

    same_dialect = True

    def __init__(self, provider: ProviderDialect, put: PutBody) -> None:
        self.api = provider.api
        self.stream_type = provider.stream_type
        self._provider = provider
        self._put = put

    def ask(self, call: Call, ask: Ask) -> Asked:
        put = self._put(call, ask.target.model, max_output_tokens=ask.max_output_tokens)
        return Asked(put.body, tuple([leftover.field for leftover in put.leftovers]))

    def read_whole(self, call: Call, ask: Ask, body: bytes) -> WholeAnswer:
        try:
            if not body.isascii():
                body.decode()  # a client could not read what nobody has looked at
            answer = self._provider.read_answer(body)
        except StreamFailed as error:
            return WholeAnswer(empty=False, failed=error.message, usage=None, texts=())
        except ValueError:
            if not is_json(body):
                raise
            # A shape headgate does not know: valid JSON passes as it is, and counts as unmetered.
            return WholeAnswer(empty=body.strip() in NOTHING, failed="", usage=None, texts=())
        return _metered(answer)

    def read_stream(self, call: Call, ask: Ask) -> StreamReading:
        return TranslatedStream(self._provider.splitter(), self._provider.listener(), None)


class AcrossDialects:
    """Reads what one side says into neutral values and writes them for the other."""

    same_dialect = False

    def __init__(self, client: ClientDialect, provider: ProviderDialect) -> None:
        self.api = provider.api
        self.stream_type = provider.stream_type
        self._client = client
        self._provider = provider

    def ask(self, call: Call, ask: Ask) -> Asked:
        request = self._client.read_request(call.fields)
        target = _with_ceiling(ask, call)
        names = self._client.names
        try:
            written = self._provider.write_request(request, target)
        except InvalidRequest as error:
            error.param = error.param and callers_name(error.param, request, call.fields, names)
            raise
        if not request.leftovers and not written.leftovers:
            return Asked(written.body)
        told = [
            Leftover(callers_name(leftover.field, request, call.fields, names), leftover.is_hint)
            for leftover in written.leftovers
        ]
        leftovers = (*request.leftovers, *told)
        if not ask.may_drop:
            refuse_leftovers(leftovers, target.model)
        return Asked(written.body, tuple(dict.fromkeys(leftover.field for leftover in leftovers)))

    def read_whole(self, call: Call, ask: Ask, body: bytes) -> WholeAnswer:
        try:
            answer = self._provider.read_answer(body)
        except StreamFailed as error:
            return WholeAnswer(empty=False, failed=error.message, usage=None, texts=())
        metered = _metered(answer)
        if metered.empty:
            return metered
        written = self._client.write_answer(answer, _context(call, ask))
        parts = [part for choice in answer.choices for part in choice.parts if not self._client.shows(part)]
        dropped = tuple(dict.fromkeys(map(_answers_name, parts)))
        return WholeAnswer(False, "", metered.usage, metered.texts, written, dropped)

    def read_stream(self, call: Call, ask: Ask) -> StreamReading:
        writer = self._client.writer(_context(call, ask))
        return TranslatedStream(self._provider.splitter(), self._provider.listener(), writer, self._client.shows)


class PutBody(Protocol):
    """Makes the body for a deployment out of the caller's: its own model name and ceiling, the rest untouched.

    Only others' thoughts are taken out, which are hints.
    """

    def __call__(self, call: Call, upstream_model: str, *, max_output_tokens: int | None) -> Written: ...


class TranslatedStream:
    """A stream that a listener understands: forwarded frame by frame, or, with a writer, written anew.

    What the writer has no words for is told in a comment before the end: headers have been sent by then.
    """

    __slots__ = (
        "_dropped", "_ended", "_kept", "_listener", "_shows", "_splitter", "_writer", "content_events", "failure",
        "saw_done", "tail", "texts", "usage", "usage_so_far",
    )  # fmt: skip

    def __init__(
        self, splitter: Splitter, listener: Listener, writer: Writer | None, shows: Callable[[Part], bool] = bool
    ) -> None:
        self._splitter = splitter
        self._listener = listener
        self._writer = writer
        self._shows = shows
        self._dropped: dict[str, None] = {}  # in the order in which it came
        self._ended = False
        self._kept = 0
        self.content_events = 0
        self.usage: Usage | None = None
        self.usage_so_far: Usage | None = None
        self.texts: list[str] = []
        self.tail = b""
        self.saw_done = True  # only OpenAI's dialect has a [DONE] that may be missing
        self.failure: HeadgateError | None = None

    @property
    def committed(self) -> bool:
        return self.content_events > 0

    def feed(self, data: bytes) -> bytes:
        if self._splitter.is_empty and not self._ended and (text := self._listener.more_text(data)):
            self.content_events += 1
            self._keep(text)
            return data if self._writer is None else self._writer.more_text(text)
        try:
            frames = self._splitter.feed(data)
        except ValueError as error:
            self.failure = StreamMalformed(f"The provider's stream is malformed: {error}.")
            return b""
        if len(frames) == 1:
            return self._take(frames[0])
        forwarded: list[bytes] = []
        for frame in frames:
            forwarded.append(self._take(frame))
            if self.failure is not None:
                break
        return b"".join(forwarded)

    def finish(self) -> None:
        if self.failure is None:
            self._take_rest()
        if self.failure is not None:
            return
        if missing := self._listener.missing():
            if self.content_events:
                self.failure = StreamIncomplete(f"The provider's stream ended without {missing}.")
            else:
                self.failure = UpstreamEmpty("The provider's stream ended without any content.")
            return
        self.usage = self.usage_so_far
        if self._writer is not None:
            self.tail += self._writer.end()
        if self._dropped:
            self.tail = sse.comment(f"x-headgate-dropped={', '.join(self._dropped)}") + self.tail

    def _take_rest(self) -> None:
        """Some servers forget the last blank line."""
        try:
            rest = self._splitter.take_rest().strip()
        except ValueError as error:
            if not self._ended:
                self.failure = StreamIncomplete(f"The provider's stream broke off: {error}.")
            return
        if rest:
            self.tail = self._take(rest + b"\n\n") or self.tail

    def _take(self, frame: bytes) -> bytes:
        if self._ended:  # nothing more is said, but for OpenRouter's way to end responses
            if self._writer is None and sse.payload(frame) == _DONE and not self.tail.endswith(frame):
                self.tail += frame
            return b""
        if self._writer is None and not frame.isascii() and not sse.is_text(frame):
            self.failure = StreamMalformed("The provider sent an event that is not valid UTF-8.")
            return b""
        try:
            chunks = self._listener.read(frame)
        except StreamFailed as error:
            self.failure = error
            return b""
        except ValueError as error:
            self.failure = StreamMalformed(f"The provider sent an event that cannot be read: {error}.")
            return b""
        if chunks:
            self._observe(chunks)
        if self._writer is not None:
            return self._writer.write(chunks) if chunks else b""
        if self._ended:
            self.tail = frame
            return b""
        return frame

    def _observe(self, chunks: Sequence[Chunk]) -> None:
        content = False
        for chunk in chunks:
            if isinstance(chunk, _TEXTS):
                content = self._keep(chunk.text) or content
            elif isinstance(chunk, ToolCallDelta):
                content = self._keep(chunk.arguments) or content
            elif isinstance(chunk, CONTENT):
                content = True
                if isinstance(chunk, PartDone) and self._writer is not None and not self._shows(chunk.part):
                    self._dropped[_answers_name(chunk.part)] = None
            elif isinstance(chunk, Metered):
                self.usage_so_far = chunk.usage
            elif isinstance(chunk, Ended):
                self._ended, self.usage = True, self.usage_so_far
        self.content_events += content

    def _keep(self, text: str) -> bool:
        if text and self._kept < _MAX_KEPT_CHARACTERS:
            self._kept += len(text)
            self.texts.append(text)
        return bool(text)


def _metered(answer: neutral.Answer) -> WholeAnswer:
    texts = () if answer.usage else tuple(text for choice in answer.choices for text in neutral.texts(choice.parts))
    return WholeAnswer(empty=not answer.choices, failed="", usage=answer.usage, texts=texts)


def _answers_name(part: Part) -> str:
    """What a part of an answer is called that its reader is not shown. A provider's own word may be anything."""
    kind = part.kind if isinstance(part, neutral.Opaque) else type(part).__name__.lower()
    return f"answer.{kind}" if kind.isascii() and kind.isprintable() else "answer.part"


def _with_ceiling(ask: Ask, call: Call) -> Target:
    ceiling = call.max_output_tokens if ask.max_output_tokens is None else ask.max_output_tokens
    return msgspec.structs.replace(ask.target, max_output_tokens=ceiling)


def _context(call: Call, ask: Ask) -> ReplyContext:
    return ReplyContext(request_id=call.id, created=ask.now, fields=call.fields, wants_usage=call.wants_usage)


def refuse_leftovers(leftovers: tuple[Leftover, ...], model: str) -> None:
    """Raises Untranslatable for the first that is more than a hint."""
    for leftover in leftovers:
        if not leftover.is_hint:
            raise Untranslatable(
                f"'{leftover.field}' cannot be expressed in the API of the deployment '{model}'. Leave it out, use "
                "another model, or let the operator allow it with on_untranslatable: drop.",
                param=leftover.field,
            )
