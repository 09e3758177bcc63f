"""`headgate route`: training and evaluating the model that says how hard a prompt is."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from headgate.commands import routers
from headgate.commands.tables import show
from headgate.errors import FileInvalid, MissingExtra
from headgate.evaluating.plan import Plan
from headgate.judgements import Judgement

if TYPE_CHECKING:
    from headgate.evaluating.routing import RoutingReport, SourceReport

FEW_PROMPTS = 500  # to learn from; `route eval` averages over sources of as many rows

no_embedding_option = click.option(
    "--no-embedding", is_flag=True, help="By what can be counted in a prompt alone, without the local embedder."
)
leave_out_option = click.option(
    "--leave-out", metavar="SOURCE", multiple=True, help="A source that is not trained on; may be repeated."
)


@click.group()
def route() -> None:
    """Routing by difficulty: will a cheap model do as well?"""


@route.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--out", required=True, metavar="MODEL", help="The file to write.")
@leave_out_option
@click.option(
    "--weight", "weights", type=(str, click.FloatRange(min=0, min_open=True)), multiple=True, metavar="SOURCE FACTOR",
    help="How much more or less than others a source counts, say your own 3; may be repeated.",
)  # fmt: skip
@no_embedding_option
def train(
    files: tuple[str, ...],
    out: str,
    leave_out: tuple[str, ...],
    weights: tuple[tuple[str, float], ...],
    no_embedding: bool,
) -> None:
    """Train a difficulty model on judgements: was the weak model's answer as good as the strong one's?

    A row is a JSON object on a line: prompt, weak, strong, weak_outcome (win, tie or lose), source.
    """
    _need_numpy()
    from headgate.training.exporting import encode
    from headgate.training.learning import learn

    rows = [row for row in _read(files) if row.source not in leave_out]
    if not rows:
        raise FileInvalid("There is nothing to learn from: every row's source is left out.")
    learned = learn(rows, dict(weights), embedded=not no_embedding)
    Path(out).write_bytes(encode(learned))
    prompts, numbers = sum(learned.trained_on.values()), ("prompts",)
    if prompts < FEW_PROMPTS:
        again = "headgate route eval FILE --cross-validate prompts"
        click.echo(f"{prompts:,} prompts are few: the model that ships may judge better. Compare: {again}", err=True)
    show(("source", *numbers), ((name, f"{count:,}") for name, count in learned.trained_on.items()), numbers=numbers)


def _plan_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say what is evaluated; they reach the command together as `plan`."""

    @click.option("--model", metavar="MODEL", help="The difficulty model; default: the one that ships with headgate.")
    @click.option(
        "--cross-validate",
        type=click.Choice(("prompts", "sources")),
        help="Judge models trained on the file itself, without the prompts that are judged, or without their source.",
    )
    @leave_out_option
    @no_embedding_option
    @click.option("--curves", is_flag=True, help="With what is recovered for each share of prompts.")
    @functools.wraps(command)
    def with_plan(
        model: str | None, cross_validate: str | None, leave_out: tuple[str, ...], no_embedding: bool, curves: bool,
        **others: object,
    ) -> None:  # fmt: skip
        command(plan=Plan(model, cross_validate, frozenset(leave_out), not no_embedding, curves), **others)

    return with_plan


@route.command(name="eval")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_plan_options
def evaluate(file: str, plan: Plan, as_json: bool) -> None:
    """Say how well a model orders judged prompts, source by source.

    APGR is the share of the quality gap between the two models that is recovered, over all shares of prompts for the
    strong one: 0.5 for an order by chance. Prompts that the model was trained on are counted as seen: figures on them
    flatter.
    """
    _need_numpy()
    from headgate.evaluating.judging import judge

    result = judge(_read((file,)), plan)
    if as_json:
        click.echo(msgspec.json.encode(result))
        return
    _show(result)


def _show(result: RoutingReport) -> None:
    numbers = ("APGR", "from", "to", "length only", "rows", "prompts", "seen")
    show(("source", *numbers), (_row(name, one) for name, one in result.by_source.items()), numbers=numbers)
    click.echo(f"Average over the sources with at least 500 rows: {_figure(result.macro_apgr)} (chance: 0.5)")
    for name, one in result.by_source.items():
        if one.curve:
            shown = ((f"{point.share:.2f}", _figure(point.pgr), _figure(point.length_only)) for point in one.curve)
            click.echo(f"\n{name}")
            show(("to the strong model", "recovered", "length only"), shown, numbers=("recovered", "length only"))


def _row(name: str, one: SourceReport) -> tuple[str, ...]:
    figures = (one.apgr, one.low, one.high, one.length_only)
    return (name, *map(_figure, figures), *(f"{count:,}" for count in (one.n, one.prompts, one.seen)))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _read(files: tuple[str, ...]) -> list[Judgement]:
    """All rows that say what was asked: rows of conversations that may not be kept have no prompt."""
    from headgate.evaluating.rows import read_rows

    rows = [row for file in files for row in read_rows(file, Judgement)]
    asked = [row for row in rows if row.prompt]
    if not asked:
        raise FileInvalid(f"No row of {', '.join(files)} has a prompt.")
    if len(asked) < len(rows):
        click.echo(f"{len(rows) - len(asked)} rows without a prompt are left out.", err=True)
    return asked


def _need_numpy() -> None:
    if importlib.util.find_spec("numpy") is None:
        raise MissingExtra("headgate route needs numpy. Install headgate[embeddings].")


route.add_command(routers.stats)
route.add_command(routers.explain)
route.add_command(routers.judgements)
route.add_command(routers.turning("close", "Let a router give everything to its best model.", closed=True))
route.add_command(routers.turning("open", "Let a router choose again.", closed=False))
