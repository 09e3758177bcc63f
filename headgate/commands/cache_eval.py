"""`headgate cache eval`: what the semantic cache would do with a file of questions, and how wrong it would be."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

import click
import msgspec

from headgate.commands.options import config_option
from headgate.commands.tables import show
from headgate.config.load import load
from headgate.errors import MissingExtra

if TYPE_CHECKING:
    from headgate.evaluating.caching import CacheReport
    from headgate.evaluating.thresholds import Point


@click.command(name="eval")
@click.argument("file")
@click.option(
    "--bound",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.01,
    show_default=True,
    help="The share of false answers among the hits that is accepted.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Questions of a stream; default: all of the file.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="The order of the questions, and which are verified."
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="K",
    help="So many streams, from --seed on; hits and false hits are pooled.",
)
@click.option(
    "--shadow-share",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="The share of the hits that is verified.",
)
@click.option("--curves", is_flag=True, help="Beside it cosine alone, with guards, and with a simulated verifier.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@config_option
def evaluate(file: str, as_json: bool, config_path: str | None, seed: int, seeds: int, **options: object) -> None:
    """Replay the questions of a file, shuffled, through a semantic cache that is empty at first.

    An answer enters on a miss. The cache learns whether a candidate was right only where it verifies: after misses, and
    for a share of the hits. Rows are clusters (cluster, questions), intents (text, intent) or pairs (a, b, dup), one
    JSON object on a line, plain or .zst. The local embedder makes the vectors.
    """
    if importlib.util.find_spec("numpy") is None:
        raise MissingExtra("headgate cache eval needs numpy. Install headgate[embeddings].")
    from headgate.embedding.offline import embed_texts
    from headgate.evaluating import caching
    from headgate.evaluating.questions import read_questions

    directory = load(config_path, os.environ).config.embedder.directory
    plan = msgspec.convert({**options, "seeds": tuple(range(seed, seed + seeds))}, caching.CachePlan)
    report = caching.evaluate(read_questions(file), plan, lambda texts: embed_texts(texts, directory))
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        _show(report)


def _show(report: CacheReport) -> None:
    static, until = report.static_best, [count for count in report.verified_until_paid if count is not None]
    click.echo(f"questions     {report.questions:,} in {len(report.seeds)} streams, {report.answerable:.1%} answerable")
    click.echo(f"hits          {report.hits:,} ({report.hit_rate:.1%})")
    interval = f"{report.false_hit_low:.2%} to {report.false_hit_high:.2%}; bound {report.bound:.2%}"
    click.echo(f"false hits    {report.false_hits:,} ({report.false_hit_rate:.2%} of the hits, {interval})")
    counts = f"{report.verified_misses:,} after misses, {report.verified_hits:,} of hits"
    click.echo(f"verified      {report.verified:,}: {counts}")
    paid = f"after {min(until):,} to {max(until):,} verifications" if until else "not in these streams"
    click.echo(f"pays          {paid}, if each cost as much as an answer")
    at = f"at a cosine of {static.threshold}, {static.false_hit_rate:.2%} false"
    click.echo(f"static best   {static.hit_rate:.1%} {at}")
    click.echo(f"decisions     {', '.join(f'{count:,} {reason}' for reason, count in report.reasons.items())}")
    if report.curves is not None:
        for name in ("cosine", "guards", "learned", "verifier"):
            click.echo(f"\n{name}")
            points: tuple[Point, ...] = getattr(report.curves, name)
            _table("bound" if name in ("learned", "verifier") else "threshold", points)


def _table(at: str, points: tuple[Point, ...]) -> None:
    shown = points if at == "bound" else points[::10]
    rows = [(f"{one.at:g}", f"{one.hit_rate:.1%}", f"{one.false_hit_rate:.2%}", f"{one.hits:,}") for one in shown]
    show((at, "hits", "false", "number"), rows, numbers=("hits", "false", "number"))
