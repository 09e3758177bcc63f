"""Documents read in a process beside this one, which a bad one may end or hold up."""

from __future__ import annotations

import asyncio
import io

import pytest

from headgate.document_errors import DocumentBroken, DocumentEmpty
from headgate.documents import child
from headgate.documents.apart import ReaderApart
from tests.documents.samples import pdf


def test_documents_one_after_the_other_and_one_that_ends_the_process() -> None:
    async def scenario() -> None:
        reader = ReaderApart()
        texts = await asyncio.gather(*(reader.read(f"{name}.pdf", pdf(f"Page {name}")) for name in "abc"))
        assert texts == ["Page a", "Page b", "Page c"]
        with pytest.raises(DocumentEmpty):
            await reader.read("a.txt", b"")
        assert reader._child is not None
        reader._child.kill()
        with pytest.raises(DocumentBroken, match="ended the process"):
            await reader.read("a.txt", b"words")
        assert await reader.read("a.txt", b"words") == "words"
        await reader.aclose()

    asyncio.run(scenario())


def test_a_document_that_takes_too_long_is_given_up() -> None:
    async def scenario() -> None:
        reader = ReaderApart(limit_seconds=0.0)
        with pytest.raises(DocumentBroken, match="within 0 seconds"):
            await reader.read("a.txt", b"words")
        assert reader._child is None

    asyncio.run(scenario())


def test_a_document_that_takes_too_much_memory_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def text_of(name: str, content: bytes) -> str:
        raise MemoryError

    monkeypatch.setattr(child, "text_of", text_of)
    answers = io.BytesIO()
    request = child.msgspec.msgpack.encode(("a.pdf", b"x"))
    child.serve(io.BytesIO(child.LENGTH.pack(len(request)) + request), answers)
    assert b"document_broken" in answers.getvalue() and b"memory" in answers.getvalue()
