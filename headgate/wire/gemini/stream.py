"""Reads a stream of Gemini: each event is a GenerateContentResponse with more of its candidates.

There is no event that says "the end": the stream is complete when each candidate has its finish reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial

from headgate.errors import StreamFailed
from headgate.wire import sse
from headgate.wire.chunks import Chunk, Finished, Metered, Started
from headgate.wire.gemini.choice import ChoiceReader
from headgate.wire.gemini.finish import is_finish
from headgate.wire.gemini.response import NULL, may_be_cut, read_raw_parts, read_response, split_responses
from headgate.wire.gemini.usage import read_usage
from headgate.wire.neutral import Finish
from headgate.wire.surrogates import Mender


class StreamListener:
    """Implements `dialect.Listener`. `read_data` takes an event's data, whatever it came in."""

    __slots__ = ("_calls", "_choices", "_id", "_mender", "_usage")

    def __init__(self) -> None:
        self._id = ""
        self._calls = 0  # of all choices
        self._choices: dict[int, ChoiceReader] = {}
        self._mender = Mender()
        self._usage = b""  # the newest usageMetadata

    def read(self, frame: bytes) -> Sequence[Chunk]:
        """What a frame means. Raises ValueError for what is not the dialect, StreamFailed for an error in it.

        Google tells some errors between the events, as JSON that is no event.
        """
        data = sse.payload(frame)
        if data is None and (bare := frame.strip()).startswith((b"{", b"[")):
            data = bare
        if not data:
            return ()
        chunks: list[Chunk] = []
        try:
            for response in split_responses(self._mender.mend(data) if may_be_cut(data) else data):
                chunks += self.read_data(response)
        except StreamFailed as error:
            raise StreamFailed(f"The provider reported an error in the stream: {error.message}") from None
        return chunks

    def read_data(self, data: bytes) -> Sequence[Chunk]:
        """What one response means. Raises ValueError, or StreamFailed with the provider's own words."""
        response = read_response(data)
        chunks: list[Chunk] = []
        if not self._id and (response.response_id or response.candidates or response.prompt_feedback):
            self._id = response.response_id or hashlib.sha256(data).hexdigest()[:24]
            chunks.append(Started(self._id, response.model_version or ""))
        for position, candidate in enumerate(response.candidates or ()):
            self._choice(candidate.index or 0).read(candidate, partial(read_raw_parts, data, position), chunks)
        if response.prompt_feedback is not None and is_finish(response.prompt_feedback.block_reason):
            chunks += self._block()
        if (usage := bytes(response.usage_metadata)) not in (self._usage, NULL):
            self._usage = usage
            if (value := read_usage(usage)) is not None:
                chunks.append(Metered(value))
        return chunks

    def more_text(self, data: bytes) -> str:
        """Nothing: every event of Gemini's counts tokens too."""
        return ""

    def missing(self) -> str:
        """What the stream lacks to be complete."""
        complete = self._choices and all(choice.finished for choice in self._choices.values())
        return "" if complete else "a finish reason"

    def _choice(self, index: int) -> ChoiceReader:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = ChoiceReader(index, self._new_call_id)
        return choice

    def _block(self) -> Iterator[Chunk]:
        """The prompt itself was refused: an answer without content, and complete."""
        if not self._choices:
            self._choice(0)
        for index, choice in self._choices.items():
            if not choice.finished:
                choice.finished = True
                yield Finished(Finish.CONTENT_FILTER, index)

    def _new_call_id(self) -> str:
        """A call's id where Gemini gives none: the same whenever the same answer is read, and in no other answer."""
        self._calls += 1
        return f"call_{self._id}_{self._calls - 1}"
