"""What jobs may be refused for; rows of the error table, as those in `errors.py`."""

from __future__ import annotations

from headgate.errors import HeadgateError, InvalidRequest


class JobQuotaExceeded(HeadgateError):
    """The tenant's jobs would have more bytes, or more items that are not over, than `jobs.quota` or its tier allow."""

    status, code, kind = 429, "job_quota_exceeded", "rate_limit_error"


class PipelineFailed(InvalidRequest):
    """A pipeline of yours raised an error or returned what is no JSON. The operator finds where in the log."""

    code = "pipeline_failed"


class PipelineTriesAgain(HeadgateError):
    """A pipeline of yours raised `TryAgain`: its item is tried again after a pause, as often as others that failed."""

    status, code, kind = 503, "pipeline_tries_again", "server_error"
