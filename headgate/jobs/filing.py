"""Files of callers: taking them in and giving them out in pieces, so that no size of theirs fills the memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import msgspec

from headgate.errors import BodyTooLarge, HeadgateError, InvalidRequest, NotFound, SlowSender
from headgate.file_errors import FileQuotaExceeded
from headgate.file_ports import Files, FileUpkeep
from headgate.file_types import PIECE_BYTES, StoredFile
from headgate.jobs.uploads import FileData, FormReader
from headgate.policy.batches import MAX_BYTES
from headgate.ports import Clock
from headgate.types import Caller, Frozen

UPLOAD_SECONDS = 3600.0  # that an upload may take
SWEEP_SECONDS = 60.0
MOST_SWEEPS = 1000  # each is a transaction
CREATED_AT = "created_at"  # from when on a caller may count
SHORTEST_SECONDS, LONGEST_SECONDS = 3600, 30 * 86_400  # that a caller may ask for
LONGEST_NAME = 255
FORM_BYTES = 1_000_000  # of a form beside its file
UPLOADED = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")
OUTPUT = "batch_output"
SHOWN = (*UPLOADED, OUTPUT)  # purposes of files that callers see
REQUESTS, RESULTS = "message_batch", "message_batch_results"  # of files that are part of a batch

log = logging.getLogger(__name__)


class FileSettings(Frozen, frozen=True):
    """What files may be."""

    tenant_bytes: int = 10_000_000_000
    file_bytes: int = 512_000_000
    keep_seconds: float = 30 * 86_400.0
    line_bytes: int = 10_000_000  # of a request in a batch


class FileWriter:
    """Writes a file piece by piece, under an id that nobody else has."""

    def __init__(self, files: Files, file_id: str) -> None:
        self.id = file_id
        self.size = 0
        self._files = files
        self._buffer = bytearray()
        self._number = 0

    async def write(self, data: bytes) -> None:
        """More of the file."""
        self.size += len(data)
        self._buffer += data
        while len(self._buffer) >= PIECE_BYTES:
            await self._write(bytes(memoryview(self._buffer)[:PIECE_BYTES]))

    async def finish(self, file: StoredFile, tenant_bytes: int | None = None) -> StoredFile:
        """The file is there, with the size that was written. Raises FileQuotaExceeded."""
        if self._buffer:
            await self._write(bytes(self._buffer))
        whole = msgspec.structs.replace(file, bytes=self.size)
        await self._files.finish(whole, tenant_bytes)
        return whole

    async def _write(self, piece: bytes) -> None:
        await self._files.write(self.id, self._number, piece)
        self._number += 1
        del self._buffer[: len(piece)]


async def pieces_of(files: Files, file: StoredFile) -> AsyncIterator[bytes]:
    """A file in pieces. Raises NotFound if it is deleted meanwhile: half of it must not pass for all of it."""
    number = read = 0
    while read < file.bytes:
        piece = await files.piece(file.id, number)
        if not piece:
            raise NotFound(f"The file '{file.id}' is not there any more.", param="file_id")
        yield piece
        number, read = number + 1, read + len(piece)


class FileDesk:
    """Takes files in, and gives them out."""

    def __init__(self, files: Files, upkeep: FileUpkeep, clock: Clock, settings: Callable[[], FileSettings]) -> None:
        self.files = files
        self.settings = settings
        self._upkeep = upkeep
        self._clock = clock

    def new_id(self) -> str:
        """As OpenAI writes ids of files. They sort by time."""
        return self._clock.new_id("file").replace("_", "-", 1)

    async def receive(self, caller: Caller, body: AsyncIterator[bytes], content_type: str) -> StoredFile:
        """A form with `purpose`, `file` and what may stand beside them. Raises InvalidRequest, BodyTooLarge, SlowSender
        or FileQuotaExceeded: then nothing of it is kept."""
        form = FormReader(content_type)
        writer = FileWriter(self.files, self.new_id())
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                await self._require_room(caller)
                filename = await self._write_all(form, writer, body)
            file = self._file_of(form, caller, writer, filename)
            return await writer.finish(file, self.settings().tenant_bytes)
        except TimeoutError:
            await self.files.drop(writer.id)
            raise SlowSender(f"The file did not arrive within {UPLOAD_SECONDS:g} seconds.") from None
        except Exception:
            await self.files.drop(writer.id)
            raise

    async def get(self, file_id: str, tenant: str) -> StoredFile:
        """A file that callers see. Raises NotFound."""
        file = await self.files.get(file_id, tenant)
        if file.purpose not in SHOWN:
            raise NotFound(f"There is no file '{file_id}'.", param="file_id")
        return file

    def content(self, file: StoredFile) -> AsyncIterator[bytes]:
        """The file in pieces. Raises NotFound, as `pieces_of`."""
        return pieces_of(self.files, file)

    async def sweep_forever(self) -> None:
        """Forget what is too old."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS * (0.5 + self._clock.random.random()))
            try:
                for _ in range(MOST_SWEEPS):
                    if not await self._upkeep.sweep():
                        break
            except HeadgateError as error:
                log.warning("old files could not be deleted: %s", error.message)

    async def _require_room(self, caller: Caller) -> None:
        most = self.settings().tenant_bytes
        if await self._upkeep.used(caller.tenant) >= most:
            raise FileQuotaExceeded(f"The tenant's files have the {most} bytes they may have: delete some first.")

    async def _write_all(self, form: FormReader, writer: FileWriter, body: AsyncIterator[bytes]) -> str:
        """The name of the file, whose content is written."""
        filename, received, most = None, 0, self.settings().file_bytes
        async for piece in body:
            received += len(piece)
            for found in form.feed(piece):
                if isinstance(found, FileData):
                    await writer.write(found.data)
                elif filename is not None or found.field != "file":
                    raise InvalidRequest("Send one file, as the field 'file'.", param=found.field or "file")
                else:
                    filename = found.filename
            if max(writer.size, received - FORM_BYTES) > most:
                raise BodyTooLarge(f"The file is larger than {most} bytes.", param="file")
        form.end()
        if filename is None:
            raise InvalidRequest("The form has no file: send it as the field 'file' with a filename.", param="file")
        return filename

    def _file_of(self, form: FormReader, caller: Caller, writer: FileWriter, filename: str) -> StoredFile:
        fields = dict(form.fields)
        purpose = fields.pop("purpose", "")
        if purpose not in UPLOADED:
            raise InvalidRequest(f"'purpose' must be one of {', '.join(UPLOADED)}.", param="purpose")
        if purpose == "batch" and writer.size > MAX_BYTES:
            raise BodyTooLarge(f"A file for a batch has at most {MAX_BYTES} bytes.", param="file")
        anchor, seconds = fields.pop("expires_after[anchor]", CREATED_AT), fields.pop("expires_after[seconds]", "")
        if fields:
            raise InvalidRequest(f"There is no parameter '{next(iter(fields))}'.", param=next(iter(fields)))
        is_asked = bool(seconds) or anchor != CREATED_AT
        kept = float(asked_seconds(anchor, seconds)) if is_asked else self.settings().keep_seconds
        now, name = self._clock.now(), filename[:LONGEST_NAME]
        return StoredFile(writer.id, caller.tenant, caller.user, purpose, name, writer.size, now, now + kept)


def asked_seconds(anchor: str, seconds: str | int) -> int:
    """How long a caller wants a file kept. Raises InvalidRequest."""
    if anchor != CREATED_AT:
        raise InvalidRequest("A file expires after it was created: 'anchor' must be created_at.", param="expires_after")
    number = int(seconds) if isinstance(seconds, int) or seconds.isdecimal() else 0
    if not SHORTEST_SECONDS <= number <= LONGEST_SECONDS:
        raise InvalidRequest(
            f"'seconds' must be between {SHORTEST_SECONDS} and {LONGEST_SECONDS}.", param="expires_after"
        )
    return number
