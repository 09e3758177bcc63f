"""What jobs may be refused for; rows of the error table, as those in `errors.py`."""

from __future__ import annotations

from headgate.errors import HeadgateError


class JobQuotaExceeded(HeadgateError):
    """The tenant's jobs would have more bytes, or more items that are not over, than `jobs.quota` or its tier allow."""

    status, code, kind = 429, "job_quota_exceeded", "rate_limit_error"
