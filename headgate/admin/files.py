"""Files over HTTP, for callers, as OpenAI serves them. Each sees its tenant's own."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from headgate.admin.endpoint import Input, Name, Nothing, Reply, Visit
from headgate.file_types import FileFilter, StoredFile
from headgate.jobs.filing import SHOWN
from headgate.types import Frozen


class FileId(Input, frozen=True):
    """Which file."""

    file_id: Name


class FilesQuery(Input, frozen=True):
    """Which files, after the id of the last one of the page before."""

    purpose: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 10_000
    order: Literal["asc", "desc"] = "desc"
    after: Name | None = None


class FileView(Frozen, frozen=True):
    """A file. Times are Unix seconds."""

    id: str
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    object: str = "file"
    status: str = "processed"
    status_details: str | None = None


class Files(Frozen, frozen=True):
    """A page of files."""

    data: list[FileView]
    has_more: bool
    first_id: str | None
    last_id: str | None
    object: str = "list"


class DeletedFile(Frozen, frozen=True):
    """A file that is not there any more."""

    id: str
    object: str = "file"
    deleted: bool = True


async def upload_file(visit: Visit, _: Nothing) -> FileView:
    """Keep a file: a form with `purpose`, `file`, and how long if not as the configuration says."""
    assert visit.body is not None
    content_type = visit.headers.get("content-type", "")
    return _view(await visit.services.batches.files.receive(visit.caller(), visit.body, content_type))


async def list_files(visit: Visit, query: FilesQuery) -> Files:
    """The tenant's files, the newest first unless `order` is asc."""
    purposes = SHOWN if query.purpose is None else tuple(each for each in SHOWN if each == query.purpose)
    wanted = FileFilter(visit.caller().tenant, purposes, query.order == "asc")
    found, more = await visit.services.batches.files.files.page(wanted, query.limit, query.after)
    data = [_view(file) for file in found]
    return Files(data, more, data[0].id if data else None, data[-1].id if data else None)


async def get_file(visit: Visit, query: FileId) -> FileView:
    """What a file is, but for its content."""
    return _view(await visit.services.batches.files.get(query.file_id, visit.caller().tenant))


async def file_content(visit: Visit, query: FileId) -> Reply:
    """What is in a file."""
    file = await visit.services.batches.files.get(query.file_id, visit.caller().tenant)
    content = visit.services.batches.files.content(file)
    return Reply(b"", content_type="application/octet-stream", stream=content)


async def delete_file(visit: Visit, query: FileId) -> DeletedFile:
    """Forget a file. A batch that has not read it yet fails."""
    file = await visit.services.batches.files.get(query.file_id, visit.caller().tenant)
    await visit.services.batches.files.files.delete(file.id, file.tenant)
    return DeletedFile(file.id)


def _view(file: StoredFile) -> FileView:
    expires_at = None if file.expires_at is None else int(file.expires_at)
    return FileView(file.id, file.bytes, int(file.created_at), expires_at, file.filename, file.purpose)
