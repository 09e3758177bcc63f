"""What queues may say; rows of the error table, as those in `errors.py`."""

from __future__ import annotations

from headgate.errors import HeadgateError, InvalidRequest


class QueueUnavailable(HeadgateError):
    """A message broker did not answer, or refused us."""

    status, code, should_retry = 503, "queue_unavailable", True


class MessageRefused(InvalidRequest):
    """A message that its queue will never take, such as one that is too long for it."""

    code = "message_refused"
