"""Annotations of a text: where its statements come from."""

from __future__ import annotations

import msgspec

from headgate.wire.neutral import Citation


class Annotation(msgspec.Struct):
    """Any kind of annotation: of a URL, or of a file by its name."""

    url: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    filename: str | None = None
    file_id: str | None = None
    index: int | None = None
    cited_text: str | None = None

    def citation(self) -> Citation:
        """The neutral form. A file's id means nothing outside its provider: its name stands for it."""
        starts = [place for place in (self.start_index, self.index) if place is not None]
        return Citation(
            url=self.url or "",
            title=self.title or self.filename or self.file_id or "",
            cited_text=self.cited_text or "",
            start=starts[0] if starts else -1,
            end=-1 if self.end_index is None else self.end_index,
        )


class _UrlCitation(msgspec.Struct, tag_field="type", tag="url_citation"):
    url: str
    title: str
    start_index: int
    end_index: int
    cited_text: str | msgspec.UnsetType = msgspec.UNSET  # a member of ours


class _FileCitation(msgspec.Struct, tag_field="type", tag="file_citation"):
    file_id: str
    filename: str
    index: int
    cited_text: str | msgspec.UnsetType = msgspec.UNSET


_annotations = msgspec.json.Decoder(list[Annotation] | None)


def read_annotations(raw: msgspec.Raw) -> list[Citation]:
    """The neutral forms of a provider's annotations. None of a list that cannot be read: the text is worth more."""
    try:
        return [annotation.citation() for annotation in _annotations.decode(raw) or ()]
    except msgspec.DecodeError:
        return []


def write_annotation(citation: Citation, text_characters: int) -> msgspec.Raw:
    """The annotation of a text that has so many characters: of all of it when the citation has no offsets."""
    end = text_characters if citation.end < 0 else citation.end
    cited = citation.cited_text or msgspec.UNSET
    if citation.url:
        written: object = _UrlCitation(citation.url, citation.title, max(0, citation.start), end, cited)
    else:
        written = _FileCitation("", citation.title, end if citation.start < 0 else citation.start, cited)
    return msgspec.Raw(msgspec.json.encode(written))
