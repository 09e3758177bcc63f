"""Reads one candidate of an answer, piece by piece, into neutral chunks."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headgate.wire.chunks import (
    Chunk,
    Cited,
    Finished,
    LogprobsDelta,
    PartDone,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ToolCallDelta,
    ToolCallStarted,
)
from headgate.wire.gemini.arguments import Arguments
from headgate.wire.gemini.finish import finish_of, is_finish
from headgate.wire.gemini.grounding import read_citations, read_grounding
from headgate.wire.gemini.logprobs import read_logprobs
from headgate.wire.gemini.response import ABSENT, NULL, Blob, Candidate, FileData, FunctionCall, Part, RawParts
from headgate.wire.neutral import Audio, Citation, File, Image, Opaque

ORIGIN = "gemini"
_MAX_KEPT_CHARACTERS = 4_000_000  # of the text, to find the places of citations in
_ABOUT_A_PART = ("thought", "thoughtSignature", "partMetadata", "mediaResolution", "videoMetadata")


class ChoiceReader:
    """One candidate of one answer. `new_call_id` names a call that Gemini has not named."""

    __slots__ = (
        "_arguments", "_calls", "_cited", "_in_text", "_index", "_kept", "_new_call_id", "_part_start", "_texts",
        "finished",
    )  # fmt: skip

    def __init__(self, index: int, new_call_id: Callable[[], str]) -> None:
        self.finished = False
        self._index = index
        self._new_call_id = new_call_id
        self._calls = 0
        self._arguments: Arguments | None = None  # of a call that comes in pieces
        self._texts: list[str] = []
        self._kept = 0
        self._in_text = False
        self._part_start = 0  # where the text part that is being written begins in the whole text
        self._cited: set[Citation] = set()

    def read(self, candidate: Candidate, raw_parts: Callable[[], RawParts], chunks: list[Chunk]) -> None:
        """Append what a candidate adds. `raw_parts` gives its parts as they came, for those headgate has no name for.

        Raises ValueError for what is not the dialect, StreamFailed if the model gave up.
        """
        content = candidate.content
        for position, part in enumerate((content.parts if content else None) or ()):
            self._read_part(part, chunks, raw_parts, position)
        if candidate.grounding_metadata is not ABSENT or candidate.citation_metadata is not ABSENT:
            self._cite(candidate, chunks)
        if candidate.logprobs_result is not ABSENT and bytes(candidate.logprobs_result) != NULL:
            logprobs = read_logprobs(bytes(candidate.logprobs_result))
            if logprobs is not None:
                chunks.append(LogprobsDelta(logprobs, self._index))
        reason = candidate.finish_reason
        if is_finish(reason) and reason is not None and not self.finished:
            self._end_call(chunks)
            self.finished = True
            finish = finish_of(reason, candidate.finish_message or "", self._calls > 0)
            chunks.append(Finished(finish, self._index))

    def _read_part(self, part: Part, chunks: list[Chunk], raw_parts: Callable[[], RawParts], position: int) -> None:
        if part.function_call is not None:
            self._call(part.function_call, part.thought_signature or "", chunks)
            return
        if part.text is not None:
            self._say(part.text, bool(part.thought), chunks)
        elif part.inline_data is not None:
            self._whole(_media(part.inline_data), chunks)
        elif part.file_data is not None:
            self._whole(_linked(part.file_data), chunks)
        elif kinds := [name for name in raw_parts()[position] if name not in _ABOUT_A_PART]:
            raw = msgspec.json.encode(raw_parts()[position])
            self._whole(Opaque(ORIGIN, kinds[0], raw), chunks)  # its signature is inside
            return
        if part.thought_signature:
            chunks.append(ThinkingSigned(part.thought_signature, origin=ORIGIN, choice=self._index))
            self._in_text = False

    def _say(self, text: str, is_thought: bool, chunks: list[Chunk]) -> None:
        if not text:
            return
        if is_thought:
            self._in_text = False
            chunks.append(ThinkingDelta(text, self._index))
            return
        if not self._in_text:
            self._in_text, self._part_start = True, self._kept
        if self._kept < _MAX_KEPT_CHARACTERS:
            self._kept += len(text)
            self._texts.append(text)
        chunks.append(TextDelta(text, self._index))

    def _whole(self, part: Image | Audio | File | Opaque, chunks: list[Chunk]) -> None:
        self._in_text = False
        chunks.append(PartDone(part, self._index))

    def _call(self, call: FunctionCall, signature: str, chunks: list[Chunk]) -> None:
        self._in_text = False
        if call.name:
            self._end_call(chunks)
            call_id, origin = call.id or self._new_call_id(), ORIGIN if signature else ""
            chunks.append(ToolCallStarted(self._calls, call_id, call.name, signature, origin, self._index))
            self._calls += 1
            self._arguments = Arguments()
        if self._arguments is None:
            return  # the rest of a call that never began
        if call.partial_args:
            self._arguments.add(call.partial_args)
        if call.args is not ABSENT and bytes(call.args) != NULL:
            arguments = msgspec.json.format(bytes(call.args), indent=-1).decode()
            chunks.append(ToolCallDelta(self._calls - 1, arguments, self._index))
            self._arguments = None
        elif not call.will_continue:
            self._end_call(chunks)

    def _end_call(self, chunks: list[Chunk]) -> None:
        """The arguments of a call in pieces are all there."""
        if self._arguments is not None:
            chunks.append(ToolCallDelta(self._calls - 1, self._arguments.json(), self._index))
            self._arguments = None

    def _cite(self, candidate: Candidate, chunks: list[Chunk]) -> None:
        text = "".join(self._texts)
        grounding, recited = bytes(candidate.grounding_metadata), bytes(candidate.citation_metadata)
        citations = [
            *(read_grounding(grounding, text) if grounding != NULL else ()),
            *(read_citations(recited, text) if recited != NULL else ()),
        ]
        for citation in citations:
            if citation not in self._cited:  # later events repeat what earlier ones said
                self._cited.add(citation)
                chunks.append(Cited(self._in_this_part(citation), self._index))

    def _in_this_part(self, citation: Citation) -> Citation:
        """Offsets count from the text part that is being written; -1 for what is said of an earlier one."""
        if self._part_start == 0 or citation.start < 0:
            return citation
        start = citation.start - self._part_start
        end = citation.end - self._part_start if start >= 0 else -1
        return msgspec.structs.replace(citation, start=max(start, -1), end=end)


def _media(blob: Blob) -> Image | Audio | File:
    kind, _, form = blob.mime_type.partition("/")
    if kind == "image":
        return Image(media_type=blob.mime_type, data=blob.data)
    if kind == "audio":
        return Audio(data=blob.data, format=form.partition(";")[0])
    return File(media_type=blob.mime_type, data=blob.data)


def _linked(file: FileData) -> Image | File:
    if file.mime_type.startswith("image/"):
        return Image(media_type=file.mime_type, url=file.file_uri)
    return File(media_type=file.mime_type, url=file.file_uri)
