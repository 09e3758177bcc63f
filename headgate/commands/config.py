"""`headgate config`."""

from __future__ import annotations

import asyncio
import os

import click
import msgspec

from headgate.admin.difference import Change, SettingChange, difference, setting_difference
from headgate.admin.moments import written
from headgate.assembly.offline import open_books
from headgate.assembly.where import Where
from headgate.commands.options import database_options, json_option
from headgate.config.json_schema import json_schema

_WORDS = {"created": "was created on", "revoked": "was revoked on", "expires": "ends on"}


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
