"""`headgate batch`: many documents through a running server, with an estimate before, and a report after."""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import click
import msgspec

from headgate.admin.job_documents import EstimateView
from headgate.admin.jobs import JobView
from headgate.commands.asking import Server
from headgate.commands.jobs import server_options, watch_job
from headgate.commands.tables import show
from headgate.documents.sources import documents
from headgate.errors import InvalidRequest
from headgate.jobs.documents import Document
from headgate.policy.estimating import estimate_tokens
from headgate.policy.mapreduce import chunks, map_requests

PORTION_BYTES = 4_000_000
MOST_DOCUMENT_BYTES = 8_000_000  # that go to a server in one piece
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.group()
def batch() -> None:
    """Many documents at once: summarize them, report on a job, let it cost more."""


@batch.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--model", required=True, help="Reads the documents.")
@click.option("--reduce-model", default="", help="Puts summaries together; default: the same.")
@click.option("--instructions", default="", help="Added to every prompt.")
@click.option("--max-cost", type=float, metavar="USD", help="Pause the job before it costs more.")
@click.option("--deadline", metavar="TIME", help="When it must be done, as 90m, 6h or 2d from when it may begin.")
@click.option("--nightly", metavar="HOURS", help="Work within these hours only, as 01:00-06:00.")
@click.option("--timezone", help="Of --nightly, as Europe/Berlin; default: the tenant's.")
@click.option("--confirm-above", type=float, default=1.0, help="Ask before a job that may cost more USD; default: 1.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--watch/--no-watch", "watches", default=True, help="Follow it to its end.")
@server_options
def summarize(server: Server, source: Path, **wanted: Any) -> None:
    """Make one summary of the documents in SOURCE: a folder, a file, or JSONL with a document on each line.

    Doing it again with the same documents and options finds the same job, at no cost.
    """
    options = {name: wanted[name] for name in ("model", "reduce_model", "instructions") if wanted[name]}
    asked = {"request": {**options, "open": True}}
    plan = _estimate(server, asked)
    with tempfile.TemporaryFile() as spool:
        times = (wanted["max_cost"], wanted["deadline"], wanted["nightly"], wanted["timezone"])
        digest = hashlib.sha256(msgspec.json.encode((options, times)))
        load = _read(source, spool, plan, digest)
        found = _estimate(server, {**asked, **load})
        _tell(found, load["documents"])
        is_dear = Decimal(found.cost_usd) > Decimal(str(wanted["confirm_above"]))
        if is_dear and not wanted["yes"] and not click.confirm(f"It may cost up to {found.cost_usd} USD. Go on?"):
            raise InvalidRequest("Nothing was submitted.")
        fixed = {"chunk_tokens": plan.chunk_tokens, "context_tokens": plan.context_tokens}
        body = {
            "kind": "summarize", "request": {**asked["request"], **fixed}, "max_cost_usd": wanted["max_cost"],
            "deadline_seconds": _seconds(wanted["deadline"]), "window": wanted["nightly"],
            "timezone": wanted["timezone"],
        }  # fmt: skip
        job = _job(server.ask("POST", "/v1/jobs", body, {"idempotency-key": digest.hexdigest()}))
        if job.finished_at is None:
            _send(server, job.id, spool)
    click.echo(job.id)
    if wanted["watches"]:
        watch_job(server, job.id)


@batch.command()
@click.argument("job_id", metavar="ID")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page instead of JSON.")
@server_options
def report(server: Server, job_id: str, page: Path | None) -> None:
    """Say where a job's money went, what failed and what was slow."""
    kind = "json" if page is None else "html"
    answer = server.ask("GET", f"/v1/jobs/{job_id}/report?format={kind}")
    if page is None:
        click.echo(answer)
    else:
        page.write_bytes(answer)


@batch.command()
@click.argument("job_id", metavar="ID")
@click.option("--max-cost", type=float, required=True, metavar="USD", help="What the job may cost in all.")
@server_options
def resume(server: Server, job_id: str, max_cost: float) -> None:
    """Let a job that was paused because its money was spent cost more, and go on."""
    job = _job(server.ask("POST", f"/v1/jobs/{job_id}/budget", {"max_cost_usd": max_cost}))
    click.echo(f"{job.id} is {job.state}; it may cost {job.max_cost_usd} USD")


def _read(source: Path, spool: IO[bytes], plan: EstimateView, digest: Any) -> dict[str, int]:
    """Read every document once, into a file: they may be more than fit into memory."""
    load = {"documents": 0, "requests": 0, "text_tokens": 0}
    for found in documents(source):
        document = Document(found.name, found.text, found.error_code, found.error)
        line = msgspec.json.encode(document)
        if len(line) > MOST_DOCUMENT_BYTES:
            why = f"'{found.name}' has more than {MOST_DOCUMENT_BYTES} bytes of text. Split it."
            document = Document(found.name, error_code="document_too_large", error=why)
            line = msgspec.json.encode(document)
        spool.write(line + b"\n")
        digest.update(line)
        load["documents"] += 1
        if document.error_code:
            click.echo(f"{found.name}: {document.error}", err=True)
            continue
        tokens = estimate_tokens(document.text)
        pieces = 1 if tokens < plan.chunk_tokens else sum(1 for _ in chunks(document.text, plan.chunk_tokens))
        load["text_tokens"] += tokens
        load["requests"] += map_requests(pieces, plan.fan_in)
    return load


def _send(server: Server, job_id: str, spool: IO[bytes]) -> None:
    """Documents that are there already stay as they are: whoever was stopped in the middle begins again."""
    first = 1
    for portion in _portions(spool):
        server.ask("POST", f"/v1/jobs/{job_id}/documents", {"documents": portion, "first": first})
        first += len(portion)
    server.ask("POST", f"/v1/jobs/{job_id}/documents", {"documents": [], "first": first, "last": True})


def _portions(spool: IO[bytes]) -> Iterator[list[msgspec.Raw]]:
    spool.seek(0)
    portion: list[msgspec.Raw] = []
    size = 0
    for line in spool:
        if portion and size + len(line) > PORTION_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(msgspec.Raw(line.rstrip(b"\n")))
        size += len(line)
    if portion:
        yield portion


def _tell(found: EstimateView, count: int) -> None:
    rows = [
        (each.model, str(each.requests), str(each.input_tokens), str(each.output_tokens), each.cost_usd)
        for each in found.models
    ]
    columns = ("model", "requests", "input tokens", "output tokens", "USD")
    show(columns, rows, numbers=columns[1:])
    click.echo(f"{count} documents, at most {found.cost_usd} USD", err=True)


def _estimate(server: Server, asked: dict[str, Any]) -> EstimateView:
    return msgspec.json.decode(server.ask("POST", "/v1/jobs/estimate", asked), type=EstimateView)


def _job(told: bytes) -> JobView:
    return msgspec.json.decode(told, type=JobView)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if not found:
        sys.exit(f"'{text}' is no time: write 90m, 6h or 2d.")
    return float(found.group(1)) * _UNITS[found.group(2)]
