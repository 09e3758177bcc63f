"""The block about files; part of `schema.py`."""

from __future__ import annotations

from headgate.config.blocks import Block, Count, Positive


class FilesConfig(Block, frozen=True):
    """Files that callers keep under /v1/files, and those with the answers of batches."""

    tenant_bytes: Count = 10_000_000_000  # of all files of a tenant; answers of batches count, and are kept in any case
    file_bytes: Count = 512_000_000  # of one file; one for a batch has at most 200 MiB
    keep_days: Positive = 30.0  # how long a file is kept unless who uploads it says something else
