"""`headgate check` and `headgate config`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping

import click
import msgspec

from headgate.admin.difference import Change, SettingChange, difference, setting_difference
from headgate.admin.moments import written
from headgate.assembly.offline import Where, open_books
from headgate.commands.options import database_options, json_option
from headgate.config.json_schema import json_schema
from headgate.config.load import load
from headgate.config.problems import report
from headgate.errors import ConfigInvalid, InvalidRequest
from headgate.types import Problem, Severity

_WORDS = {"created": "was created on", "revoked": "was revoked on", "expires": "ends on"}


@click.command()
@click.argument("file")
@click.option("--workers", type=click.IntRange(1, 256), default=1, help="For so many processes; default: 1.")
def check(file: str, workers: int) -> None:
    """Check a configuration file: exit code 0 if it can be used, 1 if it has errors."""
    try:
        loaded = load(file, os.environ, workers)
        problems = (*loaded.notes, *_pipeline_problems(file, loaded.config.jobs.pipelines))
    except ConfigInvalid as error:
        problems = tuple(error.problems)
    click.echo(report(problems))
    sys.exit(any(problem.severity is Severity.ERROR for problem in problems))


def _pipeline_problems(file: str, named: Mapping[str, str]) -> list[Problem]:
    """Those that only show when the modules are imported."""
    found = []
    if named:
        from headgate.jobs.built_in import NAMES  # a while to load
        from headgate.pipelines import load_pipelines
    for name, place in named.items():
        try:
            load_pipelines({name: place}, NAMES)
        except InvalidRequest as error:
            where = f"jobs.pipelines.{name}"
            found.append(Problem(file, 0, 0, where, error.message.removeprefix(f"{where}: ")))
    return found


@click.group()
def config() -> None:
    """The configuration: its schema, and what was changed at run time."""


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    click.echo(msgspec.json.format(msgspec.json.encode(json_schema())))


@config.command()
@json_option
@database_options
def diff(where: Where, as_json: bool) -> None:
    """Show what run-time commands changed against the file."""
    keys, settings = asyncio.run(_changes(where))
    if as_json:
        click.echo(msgspec.json.encode([*keys, *settings]))
        return
    for key in keys:
        name = f" '{key.name}'" if key.name else ""
        click.echo(f"key {key.key_id}{name} of {key.tenant} ({key.tier}) {_WORDS[key.change]} {written(key.at)}")
    for setting in settings:
        click.echo(_sentence(setting))
    if not keys and not settings:
        click.echo("Nothing was changed at run time.")


async def _changes(where: Where) -> tuple[list[Change], list[SettingChange]]:
    async with open_books(where, os.environ, must_exist=True) as books:
        return difference(books.accounts.keys()), setting_difference(books.settings)


def _sentence(change: SettingChange) -> str:
    whose = " ".join(word for word in (change.target, change.name) if word)
    in_file = "not in the file" if change.in_file is None else f"{bytes(change.in_file).decode()} in the file"
    text = f"{whose}: {change.setting} is {bytes(change.value).decode()} ({in_file}), set on {written(change.at)} by "
    return f"{text}{change.by}" + (f"; it has no effect: {change.ignored}" if change.ignored else "")
