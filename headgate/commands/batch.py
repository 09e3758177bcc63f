"""`headgate batch`: many documents through a running server, with an estimate before, and a report after."""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import msgspec

from headgate.admin.job_shapes import EstimateView, JobView
from headgate.admin.report_views import ReportView
from headgate.commands import batch_documents
from headgate.commands.asking import Server, segment
from headgate.commands.jobs import server_options, watch_job
from headgate.commands.options import json_option
from headgate.commands.request_files import submit_file
from headgate.commands.tables import show
from headgate.errors import InvalidRequest

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TIMES = ("max_cost", "deadline", "nightly", "timezone")


@click.group()
def batch() -> None:
    """Many documents or requests at once: estimate, submit, follow, report, let it cost more."""


def _limits(command: Callable[..., None]) -> Callable[..., None]:
    """Adds what a job may cost, when it must be done, and when it may work."""
    for option in reversed((
        click.option("--max-cost", type=float, metavar="USD", help="Pause the job before it costs more."),
        click.option("--deadline", metavar="TIME", help="When it must be done: 90m, 6h or 2d from when it may begin."),
        click.option("--nightly", metavar="HOURS", help="Work within these hours only, as 01:00-06:00."),
        click.option("--timezone", help="Of --nightly, as Europe/Berlin; default: the tenant's."),
        click.option("--watch/--no-watch", "watches", default=True, help="Follow it to its end."),
    )):  # fmt: skip
        command = option(command)
    return command


def _documents(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the sources, and what is asked before a job is submitted."""
    kind = click.Path(exists=True, path_type=Path)
    for option in reversed((
        click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=kind),
        click.option("--model", required=True, help="Reads the documents."),
        click.option("--instructions", default="", help="Added to every prompt."),
        click.option("--confirm-above", type=float, default=1.0, help="Ask before what may cost more USD; default: 1."),
        click.option("--yes", is_flag=True, help="Do not ask."),
    )):  # fmt: skip
        command = option(command)
    return _limits(command)


@batch.command()
@_documents
@click.option("--reduce-model", default="", help="Puts summaries together; default: the same.")
@server_options
def summarize(server: Server, sources: Sequence[Path], reduce_model: str, **wanted: Any) -> None:
    """Make one summary of the documents in each SOURCE: a folder, a file, or JSONL with a document on each line.

    Doing it again with the same documents and options goes on with the same job, at no cost.
    """
    options = {"model": wanted["model"], "reduce_model": reduce_model, "instructions": wanted["instructions"]}
    _work(server, "summarize", {name: value for name, value in options.items() if value}, sources, wanted)


@batch.command()
@_documents
@click.option(
    "--schema", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the JSON schema that each answer fits.",
)  # fmt: skip
@server_options
def extract(server: Server, sources: Sequence[Path], schema: Path, **wanted: Any) -> None:
    """Take the same facts out of each document, as JSON that fits a schema.

    `headgate jobs result ID-documents` prints what was found.
    """
    try:
        shape = msgspec.json.decode(schema.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{schema} is not valid JSON: {error}.") from None
    options = {"model": wanted["model"], "schema": shape}
    if wanted["instructions"]:
        options["instructions"] = wanted["instructions"]
    _work(server, "extract", options, sources, wanted)


@batch.command("run")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kind", type=click.Choice(["chat", "embed", "messages", "responses"]), default="chat")
@_limits
@server_options
def run_requests(server: Server, file: Path, kind: str, **wanted: Any) -> None:
    """Have the requests in FILE answered, one JSON object on each line.

    Doing it again with the same file and options goes on with the same job, at no cost.
    """
    job = submit_file(server, file, {"kind": kind, **_bounds(wanted)}, once=True)
    _follow(server, job.id, wanted)


@batch.command()
@click.argument("job_id", metavar="ID")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write it as a page.")
@click.option("--link", is_flag=True, help="Print the address of a page that follows the job, good for a day.")
@json_option
@server_options
def report(server: Server, job_id: str, page: Path | None, link: bool, as_json: bool) -> None:
    """Say where a job's money went, what failed and what was slow."""
    kind = "link" if link else "json" if page is None else "html"
    answer = server.ask("GET", f"/v1/jobs/{segment(job_id)}/report?format={kind}")
    if page is not None:
        page.write_bytes(answer)
    elif link:
        click.echo(server.url.rstrip("/") + answer.decode())
    elif as_json:
        click.echo(answer)
    else:
        _show_report(msgspec.json.decode(answer, type=ReportView))


@batch.command()
@click.argument("job_id", metavar="ID")
@click.argument("max_cost", type=float, metavar="USD")
@server_options
def budget(server: Server, job_id: str, max_cost: float) -> None:
    """Let a job cost so much in all; if it was paused because its money was spent it goes on."""
    job = _job(server.ask("POST", f"/v1/jobs/{segment(job_id)}/budget", {"max_cost_usd": max_cost}))
    click.echo(f"{job.id} is {job.state}; it may cost {job.max_cost_usd} USD")


def _work(server: Server, kind: str, options: dict[str, Any], sources: Sequence[Path], wanted: dict[str, Any]) -> None:
    """Read, estimate, ask, submit, send, follow."""
    asked: dict[str, Any] = {"kind": kind, "request": {**options, "open": True}}
    plan = _estimate(server, asked)
    times = tuple(wanted[name] for name in _TIMES)
    digest = hashlib.sha256(msgspec.json.encode((kind, options, times)))
    with tempfile.TemporaryFile() as spool:
        load = batch_documents.read(sources, spool, plan, digest)
        found = _estimate(server, {**asked, **load})
        _tell(found, load["documents"])
        is_dear = Decimal(found.cost_usd) > Decimal(str(wanted["confirm_above"]))
        if is_dear and not wanted["yes"] and not click.confirm(f"It may cost up to {found.cost_usd} USD. Go on?"):
            raise InvalidRequest("Nothing was submitted.")
        if plan.chunk_tokens:  # the tree stays as it is whatever happens to the configuration
            asked["request"] |= {"chunk_tokens": plan.chunk_tokens, "context_tokens": plan.context_tokens}
        job = _job(server.ask("POST", "/v1/jobs", asked | _bounds(wanted), {"idempotency-key": digest.hexdigest()}))
        try:
            if job.finished_at is None:
                batch_documents.send(server, job.id, spool)
        except (InvalidRequest, KeyboardInterrupt) as error:
            why = str(error) or "You stopped it."
            again = f"Not all documents of {job.id} were sent. Give the same command again: it goes on."
            raise InvalidRequest(f"{why} {again}") from None
    _follow(server, job.id, wanted)


def _follow(server: Server, job_id: str, wanted: dict[str, Any]) -> None:
    click.echo(job_id)
    if wanted["watches"]:
        watch_job(server, job_id)


def _bounds(wanted: dict[str, Any]) -> dict[str, Any]:
    return {
        "max_cost_usd": wanted["max_cost"], "deadline_seconds": _seconds(wanted["deadline"]),
        "window": wanted["nightly"], "timezone": wanted["timezone"],
    }  # fmt: skip


def _show_report(told: ReportView) -> None:
    """As a page has it, without the slowest."""
    job = told.job
    standing = "paused" if job.paused else job.state.value
    click.echo(f"{job.id} is {standing}: {job.progress.done} of {job.progress.total} items, {job.cost_usd} USD")
    costs = [
        (row.model, row.day, str(row.shard), str(row.requests), str(row.input_tokens), str(row.output_tokens),
         row.cost_usd)
        for row in told.costs
    ]  # fmt: skip
    columns = ("model", "day", "shard", "requests", "input tokens", "output tokens", "USD")
    show(columns, costs, numbers=columns[2:])
    if told.failure_count:
        failures = [(each.label or str(each.number), each.code, each.message) for each in told.failures]
        show(("did not succeed", "code", "why"), failures)
    result = bytes(told.result)
    if result != b"null":
        click.echo(result)


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
