"""`headgate dlq`: dead letters, through a running server. Messages are sent again from here: their queue's password is
in nobody's database."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import click
import msgspec

from headgate.admin.dead_letters import MESSAGE, DeadLetterList, DeadLetterView, MovedDeadLetters, body_of
from headgate.admin.moments import written
from headgate.commands.asking import ask, segment, url_option
from headgate.commands.options import config_option, json_option
from headgate.commands.tables import show
from headgate.errors import InvalidRequest

_ROOT = "/admin/dead-letters"
_MOST_REASON = 80


def which_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds --job, --tenant, --code, --url and --config, the first three of which reach the command as `which`."""

    @click.option("--job", "job_id", metavar="ID", help="All of this job.")
    @click.option("--tenant", metavar="NAME", help="All of this tenant's jobs.")
    @click.option("--code", metavar="CODE", help="All that died of this error, e.g. upstream_rejected or poison.")
    @url_option
    @config_option
    @functools.wraps(command)
    def with_which(url: str | None, config_path: str | None, **others: Any) -> None:
        which = {name: others.pop(name) for name in ("job_id", "tenant", "code")}
        command(which={name: value for name, value in which.items() if value}, asked=Asked(url, config_path), **others)

    return with_which


class Asked(NamedTuple):
    """Which server is asked."""

    url: str | None
    config_path: str | None

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """As `asking.ask`."""
        return ask(method, f"{_ROOT}{path}", body, url=self.url, config_path=self.config_path)

    def move(self, name: str, ids: Sequence[str], which: Mapping[str, str]) -> int:
        """Redrive or drop; how many."""
        answer = self.ask("POST", f"/{name}", {**which, "ids": list(ids) or None})
        return msgspec.json.decode(answer, type=MovedDeadLetters).count


@click.group()
def dlq() -> None:
    """Dead letters: look at them, try them again, give them up.

    The running server is asked, with its key in HEADGATE_ADMIN_KEY.
    """


@dlq.command("list")
@click.option("--messages", is_flag=True, help="Messages of topics that could not be used, instead of items of jobs.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@json_option
@which_options
def list_letters(messages: bool, limit: int, as_json: bool, which: Mapping[str, str], asked: Asked) -> None:
    """List dead letters, those that died last first."""
    query = {**which, "limit": limit, "source": "messages" if messages else "jobs"}
    answer = asked.ask("GET", f"?{urlencode(query)}")
    if as_json:
        click.echo(answer)
        return
    page = msgspec.json.decode(answer, type=DeadLetterList)
    rows = [
        (one.id, one.tenant or one.source or "", one.code or "", _short(one.reason), written(one.at))
        for one in page.data
    ]
    show(("id", "of", "code", "reason", "died"), rows)
    if page.next is not None:
        click.echo("There are more: --limit shows up to 1000, --job, --tenant and --code narrow it down.", err=True)


@dlq.command("show")
@click.argument("letter_id", metavar="ID")
@url_option
@config_option
def show_letter(letter_id: str, url: str | None, config_path: str | None) -> None:
    """Print a dead letter as JSON, with what it asked for."""
    click.echo(Asked(url, config_path).ask("GET", f"/{segment(letter_id)}"))


@dlq.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--to", "address", metavar="ADDRESS", help="The queue that messages are sent to again: redis://host ...")
@which_options
def redrive(ids: tuple[str, ...], address: str | None, which: Mapping[str, str], asked: Asked) -> None:
    """Let items of jobs begin anew, or send messages to a queue again."""
    from headgate.assembly.offline import send_again  # a while to load, and all else asks the server

    messages = [one for one in ids if one.startswith(MESSAGE)]
    items = [one for one in ids if not one.startswith(MESSAGE)]
    if messages and address is None:
        raise InvalidRequest("Say with --to which queue the messages are sent to again.", param="to")
    moved = asked.move("redrive", items, which) if items or which or not messages else 0
    for one in messages:
        letter = msgspec.json.decode(asked.ask("GET", f"/{segment(one)}"), type=DeadLetterView)
        asyncio.run(send_again(str(address), body_of(letter), one))
        moved += asked.move("drop", [one], {})
    click.echo(f"{moved} begin anew")


@dlq.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@which_options
def drop(ids: tuple[str, ...], which: Mapping[str, str], asked: Asked) -> None:
    """Give dead letters up: items of jobs have failed for good, messages are forgotten."""
    click.echo(f"{asked.move('drop', ids, which)} given up")


def _short(reason: str) -> str:
    return reason if len(reason) <= _MOST_REASON else f"{reason[: _MOST_REASON - 3]}..."
