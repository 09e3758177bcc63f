"""Where an answer comes from: groundingMetadata and citationMetadata as neutral citations.

Google counts in bytes of the candidate's text, neutral offsets are characters.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from headgate.wire.neutral import Citation


class _Source(msgspec.Struct, gc=False):
    """A web page, a document that was looked up, or a place: each kind has these members, or some of them."""

    uri: str | None = None
    title: str | None = None
    text: str | None = None


class _GroundingChunk(msgspec.Struct, rename="camel"):
    web: _Source | None = None
    retrieved_context: _Source | None = None
    maps: _Source | None = None


class _Segment(msgspec.Struct, rename="camel", gc=False):
    start_index: int | None = None
    end_index: int | None = None


class _GroundingSupport(msgspec.Struct, rename="camel"):
    segment: _Segment | None = None
    grounding_chunk_indices: tuple[int, ...] | None = None


class _GroundingMetadata(msgspec.Struct, rename="camel"):
    grounding_chunks: tuple[_GroundingChunk, ...] | None = None
    grounding_supports: tuple[_GroundingSupport, ...] | None = None


class _CitationSource(msgspec.Struct, rename="camel", gc=False):
    start_index: int | None = None
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None


class _CitationMetadata(msgspec.Struct, rename="camel"):
    citation_sources: tuple[_CitationSource, ...] | None = None  # the Gemini API's name
    citations: tuple[_CitationSource, ...] | None = None  # Vertex's


_grounding = msgspec.json.Decoder(_GroundingMetadata)
_citations = msgspec.json.Decoder(_CitationMetadata)


def read_grounding(raw: bytes, text: str) -> Iterator[Citation]:
    """One citation for each source of each supported segment of `text`; for each source if no segment is named."""
    metadata = _grounding.decode(raw)
    chunks = metadata.grounding_chunks or ()
    for support in metadata.grounding_supports or ():
        segment = support.segment or _Segment()
        for index in support.grounding_chunk_indices or ():
            if 0 <= index < len(chunks):
                yield _citation(chunks[index], *characters(text, segment.start_index, segment.end_index))
    if not metadata.grounding_supports:
        for chunk in chunks:
            yield _citation(chunk, -1, -1)


def read_citations(raw: bytes, text: str) -> Iterator[Citation]:
    """What the model recited, and from where."""
    metadata = _citations.decode(raw)
    for source in (*(metadata.citation_sources or ()), *(metadata.citations or ())):
        start, end = characters(text, source.start_index, source.end_index)
        yield Citation(url=source.uri or "", title=source.title or "", start=start, end=end)


def characters(text: str, start_byte: int | None, end_byte: int | None) -> tuple[int, int]:
    """From offsets in the UTF-8 form of a text to offsets in the text; (-1, -1) for what is not in it.

    An absent start is the beginning.
    """
    start_byte, end_byte = start_byte or 0, end_byte or 0
    encoded = b"" if text.isascii() else text.encode()
    length = len(encoded) or len(text)
    if not 0 <= start_byte < end_byte <= length:
        return -1, -1
    if not encoded:
        return start_byte, end_byte
    start = len(encoded[:start_byte].decode(errors="ignore"))
    return start, start + len(encoded[start_byte:end_byte].decode(errors="ignore"))


def _citation(chunk: _GroundingChunk, start: int, end: int) -> Citation:
    source = chunk.web or chunk.retrieved_context or chunk.maps or _Source()
    return Citation(url=source.uri or "", title=source.title or "", cited_text=source.text or "", start=start, end=end)
