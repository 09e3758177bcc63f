"""What is wrong with whom a job's submitter wants told; rows of the error table, as those in `errors.py`."""

from __future__ import annotations

from headgate.errors import InvalidRequest, Unauthenticated


class WebhookRefused(InvalidRequest):
    """The URL in `webhook` cannot be called, or leads to where callers may not send headgate."""

    code = "webhook_refused"


class MailRefused(InvalidRequest):
    """Nobody can be written to at the address in `mail`, or this gateway sends no mail there."""

    code = "mail_refused"


class ReplyRefused(InvalidRequest):
    """The address in `reply_to` is none that `jobs.reply_to` allows."""

    code = "reply_to_refused"


class LinkExpired(Unauthenticated):
    """The link's time is over, or its signature is not headgate's."""

    status, code, kind = 403, "link_expired", "permission_error"
