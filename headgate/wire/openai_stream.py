"""OpenAI's dialect, streams: raw bytes in, raw bytes out, and on the way what headgate must know of them.

A reader never raises: it forwards what was good, and says in `failure` why the rest is not.
"""

from __future__ import annotations

import msgspec

from headgate.errors import HeadgateError, StreamFailed, StreamIncomplete, StreamMalformed, UpstreamEmpty
from headgate.types import Usage
from headgate.wire import sse
from headgate.wire.members import says_nothing
from headgate.wire.openai import ABSENT, FAILED_FINISHES, as_text, error_body, error_message, is_json
from headgate.wire.openai_usage import UsageView, words_beyond

MAX_FRAME_BYTES = 16_000_000  # an image in base64 may be one event
MAX_PREAMBLE_BYTES = 16_384
_MAX_KEPT_CHARACTERS = 4_000_000  # of the text kept for counting tokens
_NULL = b"null"


class _Delta(msgspec.Struct, gc=False):
    """What is generated is text, or, from some servers, any JSON: a list of content parts, say."""

    content: object = None
    reasoning_content: object = None
    reasoning: object = None
    refusal: object = None
    tool_calls: msgspec.Raw = ABSENT


class _Choice(msgspec.Struct, gc=False):
    index: int | None = 0
    delta: _Delta | None = None
    text: object = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: UsageView | None = None
    error: msgspec.Raw = ABSENT


class _UnknownChoice(msgspec.Struct):
    delta: dict[str, msgspec.Raw] | None = None


class _UnknownChunk(msgspec.Struct):
    """A chunk of which nothing was understood."""

    choices: list[_UnknownChoice] | msgspec.UnsetType | None = msgspec.UNSET
    usage: msgspec.Raw = ABSENT


_chunk = msgspec.json.Decoder(_Chunk)
_unknown = msgspec.json.Decoder(_UnknownChunk)


class StreamReader:
    """Reads one stream of chat or text completion chunks.

    `feed` returns the bytes to forward. `[DONE]`, or what else `finish` finds unsaid, is withheld in `tail`, so that it
    can follow the ledger's record. The usage chunk is taken out when headgate asked for it and the caller did not.
    """

    __slots__ = (
        "_choices", "_frames", "_kept", "_strip_usage", "_usage_data", "content_events", "failure", "saw_done", "tail",
        "texts", "usage", "usage_so_far",
    )  # fmt: skip

    def __init__(self, *, strip_usage: bool) -> None:
        self._frames = sse.FrameSplitter(MAX_FRAME_BYTES)
        self._strip_usage = strip_usage
        self._choices: dict[int, bool] = {}  # index -> has its finish reason
        self._kept = 0
        self._usage_data = b""  # the newest event with usage
        self.content_events = 0
        self.usage: Usage | None = None  # of all that has been said
        self.usage_so_far: Usage | None = None
        self.texts: list[str] = []
        self.tail = b""
        self.saw_done = False
        self.failure: HeadgateError | None = None

    @property
    def committed(self) -> bool:
        """The first content-bearing event has been seen."""
        return self.content_events > 0

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they arrive and return those to forward now."""
        if self._is_more_text(data):
            return data
        try:
            frames = self._frames.feed(data)
        except sse.FrameTooLong as error:
            self.failure = StreamMalformed(f"The provider's stream is malformed: {error}.")
            return b""
        if len(frames) == 1:
            return frames[0] if self._forward(frames[0]) else b""
        forwarded: list[bytes] = []
        for frame in frames:
            if self._forward(frame):
                forwarded.append(frame)
            elif self.failure:
                break
        return b"".join(forwarded)

    def _is_more_text(self, data: bytes) -> bool:
        """Meter one whole event with text of one choice, and nothing else: almost every event is that, and this takes
        half the time of the general way, which takes it if this says no."""
        if not data.startswith(b"data: {") or data.find(b"\n") != len(data) - 2 or not self._frames.is_empty:
            return False
        try:
            if not data.isascii():
                data.decode()  # msgspec does not look into members that nobody reads
            chunk = _chunk.decode(data[6:-2])
        except (ValueError, RecursionError):
            return False
        choices = chunk.choices
        if not choices or len(choices) > 1 or chunk.usage is not None or chunk.error is not ABSENT or self.saw_done:
            return False
        choice = choices[0]
        delta, index = choice.delta, choice.index or 0
        if delta is None or choice.finish_reason is not None or choice.text is not None or self.usage is not None:
            return False
        text = delta.content
        if type(text) is not str or not text or not data.endswith(b"\n\n"):
            return False
        if index not in self._choices:
            self._choices[index] = False
        if self._kept < _MAX_KEPT_CHARACTERS:
            self._kept += len(text)
            self.texts.append(text)
        self.content_events += 1
        return True

    def finish(self) -> None:
        """The HTTP message ended cleanly: decide whether the stream was complete."""
        if self.failure:
            return
        if rest := self._frames.take_rest().strip():
            last = rest + b"\n\n"  # some servers forget the last blank line; nothing else may be lost by it
            if self._forward(last) and not self.saw_done:
                self.tail = last
        if self.failure:
            return
        if not self._choices:
            self.failure = UpstreamEmpty("The provider's stream ended without any content.")
        elif not all(self._choices.values()):
            self.failure = StreamIncomplete("The provider's stream ended without a finish reason.")
        else:
            self.usage = self.usage or self.usage_so_far
        if self.usage is not None and (raw := words_beyond(self._usage_data)):  # once, however many events had usage
            self.usage = msgspec.structs.replace(self.usage, raw=raw)

    def _forward(self, frame: bytes) -> bool:
        if not frame.isascii() and not self.saw_done and not sse.is_text(frame):
            self.failure = StreamMalformed("The provider sent an event that is not valid UTF-8.")
            return False
        data = sse.payload(frame)
        if data is None or not data:
            return True  # a comment or another field: passes, means nothing
        if self.saw_done:
            return False  # after [DONE] there is nothing to say
        if data == b"[DONE]":
            self.saw_done, self.tail = True, frame
            return False
        try:
            chunk = _chunk.decode(data)
        except (ValueError, RecursionError):
            return self._pass_unread(data)
        if chunk.usage is not None and (usage := chunk.usage.value()) is not None:
            self.usage, self._usage_data = usage, data
        elif self.usage is not None and chunk.choices:
            self.usage, self.usage_so_far = None, self.usage  # more has been said since
        if chunk.error is not ABSENT and bytes(chunk.error) != _NULL:
            self.failure = StreamFailed(f"The provider reported an error in the stream: {error_message(data)}")
            return False
        if chunk.usage is not None and not chunk.choices and self._strip_usage:
            return False
        return self._meter(chunk, data)

    def _pass_unread(self, data: bytes) -> bool:
        """A shape headgate does not know passes untouched, if it is JSON."""
        if not is_json(data):
            self.failure = StreamMalformed("The provider sent an event that is not valid JSON.")
            return False
        self.content_events += 1
        return True

    def _meter(self, chunk: _Chunk, data: bytes) -> bool:
        content = False
        for choice in chunk.choices or ():
            reason = choice.finish_reason
            if reason in FAILED_FINISHES:
                self.failure = StreamFailed(f"The provider gave up: finish_reason is '{reason}'.")
                return False
            index = choice.index or 0
            self._choices[index] = self._choices.get(index, False) or reason is not None
            content = self._read_choice(choice) or reason is not None or content
        if not content and not self.content_events:
            content = _has_unknown_content(data)
        self.content_events += content
        return True

    def _read_choice(self, choice: _Choice) -> bool:
        if choice.text:
            self._keep(choice.text)
            return True
        delta = choice.delta
        if delta is None:
            return False
        if delta.content:
            self._keep(delta.content)
            return True
        if (calls := bytes(delta.tool_calls)) not in (_NULL, b"[]"):
            self._keep(calls.decode(errors="replace"))
            return True
        if text := delta.reasoning_content or delta.reasoning or delta.refusal:
            self._keep(text)
            return True
        return False

    def _keep(self, generated: object) -> None:
        if self._kept < _MAX_KEPT_CHARACTERS:
            text = as_text(generated)
            self._kept += len(text)
            self.texts.append(text)


def _has_unknown_content(data: bytes) -> bool:
    """Whether a chunk before the commit point carries content in a member headgate has no name for."""
    chunk = _unknown.decode(data)
    if not chunk.choices:
        return chunk.choices is msgspec.UNSET and says_nothing(chunk.usage)
    members = (member for choice in chunk.choices for member in (choice.delta or {}).items())
    return any(name != "role" and not says_nothing(value) for name, value in members)


def error_event(error: HeadgateError, request_id: str) -> bytes:
    """The typed last event of a stream that could not be completed; clients' SDKs raise it as an API error."""
    return sse.frame(error_body(error, request_id))
