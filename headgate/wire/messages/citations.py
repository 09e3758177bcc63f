"""Citations, in answers and in the history that callers send back."""

from __future__ import annotations

import msgspec

from headgate.wire.neutral import Citation


class CitationView(msgspec.Struct):
    """The members that its kinds (search results, characters, pages and blocks of documents) have in common.

    Their offsets are places in the document, not in the answer, so they are no offsets of a neutral citation.
    """

    cited_text: str | None = None
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None

    def value(self) -> Citation:
        """The neutral form."""
        return Citation(
            url=self.url or self.source or "",
            title=self.title or self.document_title or "",
            cited_text=self.cited_text or "",
        )


def write_citation(citation: Citation) -> dict[str, object]:
    """A web search result if it has a URL, else a place in the first document."""
    if citation.url:
        return {
            "type": "web_search_result_location",
            "cited_text": citation.cited_text,
            "url": citation.url,
            "title": citation.title or None,
            "encrypted_index": "",
        }
    return {
        "type": "char_location",
        "cited_text": citation.cited_text,
        "document_index": 0,
        "document_title": citation.title or None,
        "start_char_index": max(0, citation.start),
        "end_char_index": max(0, citation.end),
        "file_id": None,
    }
