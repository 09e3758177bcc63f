"""The ports of files and batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from headgate.file_types import Batch, BatchPage, FileFilter, StoredFile


class Files(Protocol):
    """Files in pieces. Another tenant's file is not found, nor is one whose time is over. Raises DatabaseUnavailable.

    A file is there when it is finished. Pieces that belong to no file are forgotten after a while, or by `drop`.
    """

    async def write(self, file_id: str, number: int, piece: bytes) -> None:
        """A piece of a file that is not finished yet, from number 0; in place of one with the same number."""

    async def finish(self, file: StoredFile, tenant_bytes: int | None = None) -> None:
        """All pieces are written: the file is there from now on. One that is there already stays as it is.

        Raises FileQuotaExceeded if the tenant would have more than so many bytes.
        """

    async def drop(self, file_id: str) -> None:
        """Forget the pieces of a file that is not there."""

    async def get(self, file_id: str, tenant: str | None = None) -> StoredFile:
        """Raises NotFound."""

    async def page(self, wanted: FileFilter, limit: int, after: str | None = None) -> tuple[list[StoredFile], bool]:
        """Files in the order in which they came, and whether there are more."""

    async def piece(self, file_id: str, number: int) -> bytes:
        """A piece of a file, b"" after the last."""

    async def delete(self, file_id: str, tenant: str | None = None) -> None:
        """Raises NotFound."""


class FileUpkeep(Protocol):
    """What files take, and what of them can go. Raises DatabaseUnavailable."""

    async def used(self, tenant: str) -> int:
        """Bytes of a tenant's files."""

    async def sweep(self) -> int:
        """Forget files whose time is over, and pieces without a file; a bounded number at once, and how many."""


class Batches(Protocol):
    """Batches. Another tenant's is not found. Raises DatabaseUnavailable."""

    async def add(self, batch: Batch) -> None:
        """Enter a batch; one that is there already stays as it is."""

    async def get(self, batch_id: str, tenant: str | None = None) -> Batch:
        """Raises NotFound."""

    async def page(self, wanted: BatchPage) -> tuple[list[Batch], bool]:
        """Batches, the newest first, and whether there are more in that direction."""

    async def change(self, batch_id: str, change: Callable[[Batch], Batch], token: int | None = None) -> Batch:
        """Put what `change` makes of a batch in its place; nobody changes it meanwhile. With the token of a lease of
        its item only as long as that holds. Raises NotFound, Conflict, and what `change` raises: then nothing is
        changed."""

    async def delete(self, batch_id: str) -> None:
        """Forget a batch. Raises NotFound."""
