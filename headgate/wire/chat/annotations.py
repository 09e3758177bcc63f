"""Citations as chat completions have them: annotations of a message, or Perplexity's list of sources."""

from __future__ import annotations

from headgate.wire.chat.answer_shapes import Answer, Said
from headgate.wire.neutral import Citation


def citations_of(said: Said) -> tuple[Citation, ...]:
    """The URLs that a message or a delta cites. OpenRouter writes 0 to 0 for a place it does not know."""
    cited = [annotation.url_citation for annotation in said.annotations or () if annotation.url_citation]
    return tuple(
        Citation(
            url=citation.url or "",
            title=citation.title or "",
            cited_text=citation.content or "",
            start=citation.start_index or 0 if citation.end_index else -1,
            end=citation.end_index or -1,
        )
        for citation in cited
    )


def sources_of(answer: Answer) -> tuple[Citation, ...]:
    """Perplexity's sources, which the text cites by number: the results with titles, or their URLs alone."""
    if answer.search_results:
        return tuple(Citation(result.url, result.title or "", result.snippet or "") for result in answer.search_results)
    return tuple(Citation(url) for url in answer.citations or ())


def annotation(citation: Citation, start: int, end: int) -> dict[str, object]:
    """A citation for a client. `start` and `end` are those of the text part it belongs to, inside the whole content:
    what it cites if it does not say."""
    cited: dict[str, object] = {
        "url": citation.url,
        "title": citation.title,
        "start_index": start + citation.start if citation.start >= 0 else start,
        "end_index": start + citation.end if citation.end >= 0 else end,
    }
    if citation.cited_text:
        cited["content"] = citation.cited_text
    return {"type": "url_citation", "url_citation": cited}
