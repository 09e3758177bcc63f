"""What `headgate route` asks a running server: what routers lose, what they would choose, closing and opening them."""

from __future__ import annotations

from urllib.parse import quote

import click
import msgspec

from headgate.admin.routers import ExplainedRoute, JudgementPage, LossFigures, RouterState, RouteStats
from headgate.commands.asking import ask, url_option
from headgate.commands.options import config_option, json_option
from headgate.commands.tables import show


@click.command()
@json_option
@url_option
@config_option
def stats(as_json: bool, url: str | None, config_path: str | None) -> None:
    """Print what routers lose by choosing cheaper models, by week, and which are closed.

    The running server is asked, with its key in HEADGATE_ADMIN_KEY.
    """
    answer = ask("GET", "/admin/route/stats", url=url, config_path=config_path)
    if as_json:
        click.echo(answer)
        return
    told = msgspec.json.decode(answer, type=RouteStats)
    numbers = ("judged", "loss", "from", "to")
    state = ((one.router, _word(one), *_figures(one.losses)) for one in told.routers)
    show(("router", "state", *numbers), state, numbers=numbers)
    if told.weeks:
        weeks = (
            (one.week, one.router, *map(str, (one.wins, one.ties, one.losses)), *_figures(one.loss), one.cost_usd)
            for one in told.weeks
        )
        counts = ("better", "as good", "worse")
        show(("week", "router", *counts, *numbers, "USD"), weeks, numbers=(*counts, *numbers, "USD"))


@click.command()
@click.argument("router")
@click.argument("question")
@click.option("--tenant", metavar="NAME", help="Whose request it would be; default: nothing is forbidden.")
@json_option
@url_option
@config_option
def explain(
    router: str, question: str, tenant: str | None, as_json: bool, url: str | None, config_path: str | None
) -> None:
    """Print which model a router would choose for a question, and why. Nothing is sent to a provider."""
    body = {"model": router, "messages": [{"role": "user", "content": question}]}
    command = {"body": body, "tenant": tenant}
    answer = ask("POST", "/admin/route/explain", command, url=url, config_path=config_path)
    if as_json:
        click.echo(answer)
        return
    told = msgspec.json.decode(answer, type=ExplainedRoute)
    click.echo(f"{told.model or 'no model'}: {told.reason}")
    click.echo(f"difficulty {told.difficulty:.2f} ({', '.join(told.signs)})")
    rows = ((one.model, f"{one.quality:.3f}", one.cost_usd, one.excluded) for one in told.candidates)
    show(("model", "quality", "USD", "cannot because"), rows, numbers=("quality", "USD"))


def turning(name: str, words: str, *, closed: bool) -> click.Command:
    """The command that closes a router, or the one that opens it."""

    @click.command(name=name, help=words)
    @click.argument("router")
    @click.option("--reason", default="by hand", show_default=True, help="For whoever looks later.")
    @url_option
    @config_option
    def turn(router: str, reason: str, url: str | None, config_path: str | None) -> None:
        command = {"router": router, "closed": closed, "reason": reason}
        answer = ask("POST", "/admin/route/gate", command, url=url, config_path=config_path)
        click.echo(f"{router}: {_word(msgspec.json.decode(answer, type=RouterState))}", err=True)

    return turn


@click.command()
@url_option
@config_option
def judgements(url: str | None, config_path: str | None) -> None:
    """Print what judges and users said of cheaper models' answers: rows for headgate route train, one a line."""
    path: str | None = "/admin/route/judgements?limit=1000"
    while path is not None:
        page = msgspec.json.decode(ask("GET", path, url=url, config_path=config_path), type=JudgementPage)
        for row in page.data:
            if row.prompt:
                click.echo(msgspec.json.encode(row))
        path = f"/admin/route/judgements?limit=1000&after={quote(page.next)}" if page.next else None


def _word(state: RouterState) -> str:
    return f"closed: {state.reason}" if state.closed else "open"


def _figures(found: LossFigures) -> tuple[str, ...]:
    if not found.judged:
        return ("0", "-", "-", "-")
    return (f"{found.judged:,}", *(f"{share:.1%}" for share in (found.loss, found.low, found.high)))
