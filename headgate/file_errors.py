"""What callers may be told of files and batches; rows of the error table, as those in `errors.py`."""

from __future__ import annotations

from headgate.errors import InvalidRequest


class FileQuotaExceeded(InvalidRequest):
    """The tenant's files would be larger than `files.tenant_bytes`: delete some, or let them expire sooner."""

    status, code = 413, "file_quota_exceeded"


class BatchFileInvalid(InvalidRequest):
    """The file of a batch as a whole is none: empty, too large, not text, or without a single request."""

    code = "batch_file_invalid"
