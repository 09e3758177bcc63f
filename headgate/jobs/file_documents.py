"""Uploaded files as documents of jobs. A text, HTML or PDF file is a document, and its item has no more than its id: it
is read when it is its turn. A file of JSONL has a document on each line, and each of those is an item as it stands.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import PurePath

import msgspec

from headgate.document_errors import DocumentBinary, DocumentEmpty, DocumentMissing
from headgate.documents.reading import MAX_BYTES, too_large
from headgate.documents.sources import JSONL, document_of_line
from headgate.errors import HeadgateError, InvalidRequest, NotFound
from headgate.file_ports import Files
from headgate.file_types import StoredFile
from headgate.job_types import Job, NewItem
from headgate.jobs.documents import MOST_DOCUMENTS, PORTION, Document, Options, add_all, items_of, open_documents
from headgate.jobs.filing import SHOWN
from headgate.jobs.tasks import Task
from headgate.types import Frozen
from headgate.wire.lines import LineReader

PORTION_BYTES = 4 * 2**20

ReadFile = Callable[[str, bytes], Awaitable[str]]  # the text of a file by name; raises errors of `document_errors`


class FileDocument(Document, frozen=True, omit_defaults=True):
    """A document that is still to be read, out of a file."""

    file_id: str = ""


class Found(Frozen, frozen=True):
    """A file of a job, as it was when the job began. Names are unique within the job."""

    id: str
    name: str
    has_lines: bool = False  # with a document on each


_document = msgspec.json.Decoder(FileDocument)


class FileDocuments:
    """Reads documents out of the files that callers keep. Another tenant's file is not there."""

    def __init__(self, files: Files, read: ReadFile) -> None:
        self._files = files
        self._read = read

    async def size(self, file_ids: Sequence[str], tenant: str) -> int:
        """Bytes of files that a job is to read. Raises NotFound, naming the place, for one that is not there."""
        total = 0
        for place, file_id in enumerate(file_ids):
            try:
                total += (await self._get(file_id, tenant)).bytes
            except NotFound as error:
                error.param = f"files[{place}]"
                raise
        return total

    async def document(self, task: Task) -> Document:
        """The document of an item, read if it is in a file. Raises an error of `document_errors`, or MissingExtra."""
        found = _document.decode(task.lease.request)
        if found.file_id:
            return Document(found.name, await self._text(found.file_id, found.name, task.lease.owner.tenant))
        found.check()
        return found

    async def below(self, task: Task, options: Options, kind: str) -> Job:
        """The job of a coordinator's documents, with those that came with the request and those of its files in it;
        sealed unless more come."""
        root, now = await task.jobs.get(task.lease.job_id), task.clock.now()
        job = await open_documents(task.jobs, root, kind, now, is_fed=options.open)
        if job.sealed:
            return job
        await add_all(task, job, items_of(options.documents))
        number = len(options.documents) + 1
        waiting: list[NewItem] = []
        for place, file in enumerate(await self._find(task, options.files), start=1):
            if file.has_lines:
                number = int(await task.step(f"file {place}", partial(self._add_lines, task, job, file, number)))
            else:
                waiting.append(
                    NewItem(number, msgspec.json.encode(FileDocument(file.name, file_id=file.id)), file.name)
                )
                number += 1
            if len(waiting) == PORTION:
                await add_all(task, job, waiting)
                waiting = []
        await add_all(task, job, waiting)
        if not options.open:
            await task.seal(job)
        return job

    async def documents(self, task: Task, options: Options) -> AsyncIterator[Document]:
        """All of a job that reads them itself. Those that cannot be read say why."""
        tenant = task.lease.owner.tenant
        for document in options.documents:
            yield document
        for file in await self._find(task, options.files):
            try:
                if not file.has_lines:
                    yield Document(file.name, await self._text(file.id, file.name, tenant))
                    continue
                async for document in self._lines(file, tenant):
                    yield document
            except InvalidRequest as error:
                yield _bad(file.name, error)

    async def _find(self, task: Task, file_ids: Sequence[str]) -> tuple[Found, ...]:
        """What the files are, once and for all: one that is erased later keeps its place."""
        if not file_ids:
            return ()

        async def find() -> bytes:
            found: list[Found] = []
            names = set[str]()
            for file_id in file_ids:
                try:
                    name = (await self._get(file_id, task.lease.owner.tenant)).filename or file_id
                except NotFound:
                    name = file_id
                name = f"{name} ({file_id})" if name in names else name
                names.add(name)
                found.append(Found(file_id, name, PurePath(name.removesuffix(f" ({file_id})")).suffix.lower() in JSONL))
            return msgspec.json.encode(found)

        return msgspec.json.decode(await task.step("files", find), type=tuple[Found, ...])

    async def _add_lines(self, task: Task, job: Job, file: Found, first: int) -> bytes:
        """Items for the documents of a file, in portions; the number of the next document. To be repeated at will."""
        number, size = first, 0
        portion: list[Document] = []
        try:
            async for document in self._lines(file, task.lease.owner.tenant):
                portion.append(document)
                size += len(document.text)
                if len(portion) == PORTION or size >= PORTION_BYTES:
                    await add_all(task, job, items_of(portion, number))
                    number += len(portion)
                    portion, size = [], 0
                if number + len(portion) > MOST_DOCUMENTS:
                    break
        except InvalidRequest as error:  # it may have been read in part before it was erased: what is there stays
            await add_all(task, job, items_of(portion, number))
            number = max(number + len(portion), (await task.jobs.get(job.id)).counts.total + 1)
            portion = [_bad(file.name, error)]
        await add_all(task, job, items_of(portion, number))
        return b"%d" % (number + len(portion))

    async def _lines(self, file: Found, tenant: str) -> AsyncIterator[Document]:
        """The documents of a file of JSONL. Raises DocumentMissing, DocumentBinary, DocumentEmpty."""
        reader, is_empty, first = LineReader(MAX_BYTES), True, True
        async for piece in self._pieces(file.id, file.name, tenant):
            if first and b"\x00" in piece:
                raise DocumentBinary(f"'{file.name}' is no text: JSONL has a JSON value on each line.")
            first = False
            for line in (*reader.feed(piece),) if piece else (*reader.end(),):
                is_empty = False
                place = f"line {line.number}"
                if line.body is None:
                    yield _bad(f"{file.name}:{place}", too_large(place, MAX_BYTES + 1))
                else:
                    read = document_of_line(line.body, place)
                    yield Document(f"{file.name}:{read.name}", read.text, read.error_code, read.error)
        if is_empty:
            raise DocumentEmpty(f"'{file.name}' is empty.")

    async def _text(self, file_id: str, name: str, tenant: str) -> str:
        try:
            size = (await self._get(file_id, tenant)).bytes
        except NotFound:
            raise _missing(name) from None
        if size > MAX_BYTES:
            raise too_large(name, size)
        content = b"".join([piece async for piece in self._pieces(file_id, name, tenant)])
        return await self._read(name, content)

    async def _pieces(self, file_id: str, name: str, tenant: str) -> AsyncIterator[bytes]:
        """A file in pieces, then b"". Raises DocumentMissing, also if it is erased meanwhile."""
        try:
            left = (await self._get(file_id, tenant)).bytes
        except NotFound:
            raise _missing(name) from None
        number = 0
        while piece := await self._files.piece(file_id, number):
            left -= len(piece)
            number += 1
            yield piece
        if left:
            raise _missing(name)
        yield b""

    async def _get(self, file_id: str, tenant: str) -> StoredFile:
        """A file that callers see. Raises NotFound."""
        file = await self._files.get(file_id, tenant)
        if file.purpose not in SHOWN:
            raise NotFound(f"There is no file '{file_id}'.")
        return file


def _bad(name: str, error: HeadgateError) -> Document:
    return Document(name, error_code=error.code, error=error.message)


def _missing(name: str) -> DocumentMissing:
    return DocumentMissing(f"'{name}' was erased, or its time was over, before it was read.")
