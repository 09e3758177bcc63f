"""`headgate cache`: what the cache of a running server keeps and finds, and dropping answers."""

from __future__ import annotations

import click
import msgspec

from headgate.admin.cache import CacheEntry, CacheStats, Flushed
from headgate.cache_types import SemanticActivity
from headgate.commands.asking import ask, segment, url_option
from headgate.commands.cache_eval import evaluate
from headgate.commands.options import config_option, json_option


@click.group()
def cache() -> None:
    """Answers that are given again. The running server is asked, with its key in HEADGATE_ADMIN_KEY; eval asks none."""


cache.add_command(evaluate)


@cache.command()
@json_option
@url_option
@config_option
def stats(as_json: bool, url: str | None, config_path: str | None) -> None:
    """Print what is kept, what was found, and what that has saved."""
    answer = ask("GET", "/admin/cache", url=url, config_path=config_path)
    if as_json:
        click.echo(answer)
        return
    told = msgspec.json.decode(answer, type=CacheStats)
    rate = "" if told.hit_rate is None else f" ({told.hit_rate:.1%} of requests that were looked for)"
    click.echo(f"kept      {told.entries:,} of at most {told.max_entries:,} answers")
    click.echo(f"bytes     {told.bytes:,} of at most {told.max_bytes:,}, {told.evicted:,} answers dropped for room")
    click.echo(f"hits      {_counts(told.hits)}{rate}")
    click.echo(f"misses    {told.misses:,}")
    click.echo(f"put in    {told.kept:,}; not kept: {_counts(told.not_kept)}")
    click.echo(f"saved     {told.saved_usd} USD")
    for model, found in told.semantic.items():
        click.echo(_semantic(model, found))


@cache.command()
@click.option("--tenant", metavar="NAME", help="Only this tenant's.")
@click.option("--model", metavar="NAME", help="Only those that were asked of this name, or that this model gave.")
@click.option("--prompt-version", metavar="VERSION", help="Only those to requests of this prompt version.")
@click.option("--all", "everything", is_flag=True, help="Everything.")
@url_option
@config_option
def flush(everything: bool, url: str | None, config_path: str | None, **scope: str | None) -> None:
    """Drop answers: those that agree in all that is given."""
    if not everything and not any(scope.values()):
        raise click.UsageError("Say which: --tenant, --model, --prompt-version, or --all.")
    answer = ask("POST", "/admin/cache/flush", scope, url=url, config_path=config_path)
    click.echo(f"{msgspec.json.decode(answer, type=Flushed).flushed:,} answers dropped.", err=True)


@cache.command()
@click.argument("request_id")
@json_option
@url_option
@config_option
def show(request_id: str, as_json: bool, url: str | None, config_path: str | None) -> None:
    """Print what is kept of the answer to a request."""
    answer = ask("GET", f"/admin/cache/entries/{segment(request_id)}", url=url, config_path=config_path)
    if as_json:
        click.echo(answer)
        return
    kept = msgspec.structs.asdict(msgspec.json.decode(answer, type=CacheEntry))
    words = kept.pop("answer")
    for name, value in kept.items():
        click.echo(f"{name:<15} {value}")
    click.echo(words)


def _semantic(model: str, found: SemanticActivity) -> str:
    rate = "no hit was verified yet"
    if found.false_hit_rate is not None:
        rate = f"{found.false_hit_rate:.2%} of {found.verified:,} verified hits were false"
        rate += f" (95 % sure, at any time: between {found.low:.2%} and {found.high:.2%})"
    compared = f"{found.compared_misses:,} misses were compared"
    return f"meaning   {model}: {rate}; decisions: {_counts(found.decisions)}; {compared}"


def _counts(counts: object) -> str:
    assert isinstance(counts, dict)
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"
