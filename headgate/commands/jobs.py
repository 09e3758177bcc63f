"""`headgate jobs`: a caller's jobs, through a running server."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from headgate.admin.deliveries import DeliveryList, WebhookSecret
from headgate.admin.erasing import ErasedView
from headgate.admin.job_shapes import ItemList, JobList, JobView
from headgate.admin.moments import duration_seconds, written
from headgate.commands.asking import Server, ask, segment, server_url, url_option
from headgate.commands.options import config_option, json_option
from headgate.commands.request_files import submit_file
from headgate.commands.tables import show
from headgate.job_types import JobState

_PAGE = 1000
_ENDED_WELL = JobState.SUCCEEDED
_INTERRUPTED = 130  # as shells have it


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds --key, --url and --config, which reach the command together as `server`."""

    @click.option(
        "--key", metavar="KEY", envvar="HEADGATE_API_KEY", show_envvar=True, required=True,
        help="The virtual key whose jobs they are.",
    )  # fmt: skip
    @url_option
    @config_option
    @functools.wraps(command)
    def with_server(key: str, url: str | None, config_path: str | None, **others: object) -> None:
        command(server=Server(server_url(url, config_path), key), **others)

    return with_server


@click.group()
def jobs() -> None:
    """Work that is done later: submit, follow, take the results, cancel, try again."""


@jobs.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--kind", metavar="NAME", default="chat",
    help="chat, embed, messages, responses, summarize, extract, report, or a pipeline of yours.",
)  # fmt: skip
@click.option("--priority", type=int, default=0, help="Higher goes first.")
@click.option("--max-cost", "max_cost_usd", type=float, metavar="USD", help="Pause the job before it costs more.")
@click.option(
    "--deadline", metavar="TIME",
    help="90m, 6h or 2d from when it may begin, or Unix seconds; what is not done by then expires.",
)  # fmt: skip
@click.option("--window", metavar="HOURS", help="Items begin within these hours only: 01:00-06:00.")
@click.option("--timezone", metavar="NAME", help="Of the window; default: the tenant's.")
@click.option("--webhook", metavar="URL", help="Is called when the job ends, signed.")
@click.option("--mail", "mail", multiple=True, metavar="ADDRESS", help="Is written to when the job ends.")
@click.option("--reply-to", metavar="ADDRESS", help="A topic or queue that the answer is sent to.")
@click.option("--watch", "watches", is_flag=True, help="Follow it to its end.")
@server_options
def submit(
    server: Server, file: Path, watches: bool, mail: tuple[str, ...], deadline: str | None, **wanted: object
) -> None:
    """Submit a FILE of requests, one JSON object on each line, and print the job's id."""
    job = submit_file(server, file, {"mail": list(mail) or None, **deadline_of(deadline), **wanted})
    click.echo(job.id)
    if watches:
        watch_job(server, job.id)


@jobs.command()
@click.argument("job_id", metavar="ID")
@json_option
@server_options
def status(server: Server, job_id: str, as_json: bool) -> None:
    """Print how far a job is and what it has cost."""
    job = _job(server.ask("GET", f"/v1/jobs/{segment(job_id)}"))
    click.echo(msgspec.json.encode(job) if as_json else sentence(job))


@jobs.command("list")
@click.option("--state", type=click.Choice([state.value for state in JobState]))
@json_option
@server_options
def list_jobs(server: Server, state: str | None, as_json: bool) -> None:
    """List the newest jobs of the key's tenant."""
    query = f"?{urlencode({'state': state})}" if state else ""
    answer = server.ask("GET", f"/v1/jobs{query}")
    if as_json:
        click.echo(answer)
        return
    rows = [
        (job.id, job.kind, _standing(job), f"{job.progress.done}/{job.progress.total}", job.cost_usd,
         written(job.created_at))
        for job in msgspec.json.decode(answer, type=JobList).data
    ]  # fmt: skip
    show(("id", "kind", "state", "done", "cost USD", "created"), rows, numbers=("done", "cost USD"))


@jobs.command()
@click.argument("job_id", metavar="ID")
@server_options
def watch(server: Server, job_id: str) -> None:
    """Follow a job to its end: exit code 1 if it did not succeed."""
    watch_job(server, job_id)


@jobs.command()
@click.argument("job_id", metavar="ID")
@server_options
def result(server: Server, job_id: str) -> None:
    """Print the answers of a job, one line for each item that has one; whatever is there if it is not over."""
    after: int | None = 0
    while after is not None:
        query = urlencode({"limit": _PAGE, "after": after})
        page = server.ask("GET", f"/v1/jobs/{segment(job_id)}/partial?{query}")
        items = msgspec.json.decode(page, type=ItemList)
        for item in items.data:
            click.echo(msgspec.json.encode(item))
        after = items.next


def _command(name: str, about: str) -> click.Command:
    @click.argument("job_id", metavar="ID")
    @server_options
    def command(server: Server, job_id: str) -> None:
        click.echo(sentence(_job(server.ask("POST", f"/v1/jobs/{segment(job_id)}/{name}"))))

    command.__doc__ = about
    return jobs.command(name)(command)


_command("cancel", "End a job: what waits is not begun, what is under way is stopped. Results that are there stay.")
_command("pause", "Begin nothing more of a job until it is resumed.")
_command("resume", "Go on with a job that was paused.")
_command("retry", "Begin anew what did not succeed: dead letters, failed, expired and cancelled items.")


@jobs.command()
@click.argument("job_id", metavar="ID")
@server_options
def deliveries(server: Server, job_id: str) -> None:
    """Print who was or will be told that a job has ended, and what came of it."""
    _show_deliveries(server.ask("GET", f"/v1/jobs/{segment(job_id)}/deliveries"))


@jobs.command()
@click.argument("job_id", metavar="ID")
@server_options
def redeliver(server: Server, job_id: str) -> None:
    """Tell everybody again who is told that a job has ended."""
    _show_deliveries(server.ask("POST", f"/v1/jobs/{segment(job_id)}/redeliver"))


@jobs.command("webhook-secret")
@server_options
def webhook_secret(server: Server) -> None:
    """Print the secret that a receiver checks webhooks of the key's tenant with."""
    click.echo(msgspec.json.decode(server.ask("GET", "/v1/webhooks/secret"), type=WebhookSecret).secret)


@jobs.command()
@click.option("--job", metavar="ID", help="This job.")
@click.option("--tenant", metavar="NAME", help="Everything of this tenant.")
@click.option("--user", metavar="NAME", help="Only of this user of the tenant.")
@click.option("--cancel", is_flag=True, help="End first what is not over.")
@url_option
@config_option
def erase(url: str | None, config_path: str | None, **what: object) -> None:
    """Erase requests, results, files and kept answers; the ledger keeps its rows. Needs HEADGATE_ADMIN_KEY."""
    told = msgspec.json.decode(ask("POST", "/admin/erase", what, url=url, config_path=config_path), type=ErasedView)
    click.echo(
        f"Erased: {told.jobs:,} jobs, {told.files_and_keys:,} files and idempotency keys, {told.cached:,} kept answers."
    )


def _show_deliveries(answer: bytes) -> None:
    rows = [
        (told.kind.value, told.address, told.event, told.state.value, str(told.attempts), told.answer)
        for told in msgspec.json.decode(answer, type=DeliveryList).data
    ]
    show(("how", "to", "event", "state", "attempts", "answer"), rows, numbers=("attempts",))


def watch_job(server: Server, job_id: str) -> None:
    """Show a job until it is over. Exits with 1 if it did not succeed. Whoever stops looking (Ctrl-C) stops no job."""
    try:
        job = _followed(server, job_id)
    except KeyboardInterrupt:
        click.echo(f"The job goes on without you. Look again: headgate jobs watch {job_id}", err=True)
        sys.exit(_INTERRUPTED)
    click.echo(sentence(job), err=True)
    if _is_out_of_money(job):
        how = f"headgate batch budget {job_id} USD"
        click.echo(
            f"It may cost {job.max_cost_usd} USD, which is not enough. What is done stays. Go on: {how}", err=True
        )
    sys.exit(0 if job.state is _ENDED_WELL else 1)


def _followed(server: Server, job_id: str) -> JobView:
    """The job when it is over, or paused because its money is spent."""
    columns = (
        TextColumn("{task.fields[state]}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[cost]} USD{task.fields[rest]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        shown = bar.add_task("", total=None, state="", cost="0", rest="")
        for told in server.follow(f"/v1/jobs/{segment(job_id)}/events"):
            job = _job(told)
            done, total = job.progress.done, job.progress.total
            bar.update(shown, total=total, completed=done, state=_standing(job), cost=job.cost_usd, rest=_rest(job))
            if _is_out_of_money(job):
                break
    return job


def _is_out_of_money(job: JobView) -> bool:
    """It goes on when it may cost more."""
    return bool(job.paused and job.max_cost_usd and not job.items.get("leased"))


def _job(told: bytes) -> JobView:
    return msgspec.json.decode(told, type=JobView)


def _rest(job: JobView) -> str:
    """What stands behind the cost."""
    return f"{_provisional(job)}{_outlook(job)}"


def _provisional(job: JobView) -> str:
    """What of the cost is not certain."""
    if job.provisional_cost_usd == "0":
        return ""
    return f" ({job.provisional_cost_usd} of it provisional: for calls that were lost with their workers)"


def _outlook(job: JobView) -> str:
    """What is to come, for one line: `, 0.8 to 1.1 in the end, over at about 2026-11-01 04:10 UTC, 2/9 sections`."""
    parts = []
    if job.forecast_usd_between is not None:
        low, high = (f"{float(usd):.4g}" for usd in job.forecast_usd_between)  # more digits would promise too much
        parts.append(f"{low} to {high} in the end")
    if job.eta is not None:
        parts.append(f"over at about {written(job.eta)}")
    if job.queue_position is not None:
        parts.append(f"number {job.queue_position} in the queue")
    if job.progress.text:
        parts.append(job.progress.text)
    return "".join(f", {part}" for part in parts)


def deadline_of(text: str | None) -> dict[str, float]:
    """What a job is given for a deadline as it is written. Raises InvalidRequest."""
    if text is None:
        return {}
    if text.replace(".", "", 1).isdigit():
        return {"deadline_at": float(text)}
    return {"deadline_seconds": duration_seconds(text, "deadline")}


def _standing(job: JobView) -> str:
    return f"{job.state}, paused" if job.paused else job.state.value


def sentence(job: JobView) -> str:
    """How a job stands, for one line."""
    counts = ", ".join(f"{count} {state}" for state, count in job.items.items())
    why = f"; last error: {job.error.message}" if job.error else ""
    opens = f"; its window opens {written(job.opens_at)}" if job.opens_at else ""
    execution = job.execution
    where = f"; in a provider's batch: {execution.reason}" if execution and execution.by == "batch" else ""
    standing = f"{job.id} is {'paused' if job.paused else job.state}: {counts}; {job.cost_usd} USD"
    return f"{standing}{_rest(job)}{opens}{where}{why}"
