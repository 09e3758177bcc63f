"""What is told, as the body of a webhook, a mail, and a message. `docs/deliveries.md` promises the members.

Pure. Money is decimal text in USD, times are RFC 3339.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime

import msgspec

from headgate.delivery_types import Delivery
from headgate.job_types import Job
from headgate.policy.pricing import format_usd
from headgate.types import Frozen

LARGEST_RESULT_BYTES = 200_000  # in a message; SQS takes 256 kB together


class Progress(Frozen, frozen=True):
    """How many items were over, of how many."""

    done: int
    total: int


class Problem(Frozen, frozen=True):
    """Why the last item that failed did."""

    code: str
    message: str


class Links(Frozen, frozen=True):
    """Where to ask for more, with the key that the job was submitted with."""

    job: str
    result: str


class Data(Frozen, frozen=True, omit_defaults=True):
    """What every event says. `result` is in messages only, for a job of one request whose answer fits."""

    id: str
    kind: str
    state: str
    progress: Progress
    cost_usd: str
    error: Problem | None
    links: Links
    tenant: str
    user: str | None
    idempotency_key: str | None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Event(Frozen, frozen=True):
    """The body. `id` is the delivery's: the same however often it comes."""

    id: str
    type: str
    timestamp: str
    data: Data


def message_id(delivery: Delivery) -> str:
    """A delivery's id as others see it."""
    return f"msg_{hashlib.sha256(delivery.id.encode()).hexdigest()[:32]}"


def event(delivery: Delivery, job: Job, public_url: str, result: bytes = b"") -> Event:
    """What happened to a job."""
    told, where = delivery.told, f"{public_url}/v1/jobs/{job.id}"
    data = Data(
        id=job.id,
        kind=job.kind,
        state=told.state,
        progress=Progress(told.done, told.total),
        cost_usd=format_usd(job.cost_picousd),
        error=Problem(told.error_code, told.error) if told.error_code else None,
        links=Links(where, f"{where}/result"),
        tenant=job.owner.tenant,
        user=job.owner.user,
        idempotency_key=job.idempotency_key,
        result=msgspec.Raw(result) if result else msgspec.UNSET,
    )
    return Event(message_id(delivery), f"job.{told.state}", _time(told.at), data)


def body(event: Event) -> bytes:
    """JSON: `{"id", "type", "timestamp", "data"}`."""
    return msgspec.json.encode(event)


def mail(event: Event, sender: str, recipient: str, link: str, link_until: float) -> EmailMessage:
    """A plain text message; sent twice, it has the same Message-ID."""
    data = event.data
    message = EmailMessage()
    message["Subject"] = f"[headgate] Job {data.id} has {_ENDED.get(data.state, data.state)}"
    message["From"] = sender
    message["To"] = recipient
    message["Date"] = format_datetime(datetime.fromisoformat(event.timestamp))
    message["Message-ID"] = f"<{event.id}@headgate>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice is wanted
    lines = [
        f"Your {data.kind} job {data.id} has {_ENDED.get(data.state, data.state)}: {data.progress.done} of "
        f"{data.progress.total} items are over, and it has cost {data.cost_usd} USD.",
    ]
    if data.error is not None:
        lines.append(f"The last item that failed: {' '.join(data.error.message.split())} ({data.error.code})")
    lines.append(f"The result, until {_time(link_until)}, for everybody who has this link:\n{link}")
    message.set_content("\n\n".join(lines) + "\n", cte="quoted-printable")
    return message


_ENDED = {
    "succeeded": "succeeded", "failed": "failed", "dead": "been given up", "cancelled": "been cancelled",
    "expired": "expired",
}  # fmt: skip


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
