"""`headgate keys`: virtual keys, straight in the database, with a server running or without one."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click
import msgspec

from headgate.admin.endpoint import take
from headgate.admin.keys import CreatedKey, CreateKey, Key, KeyDesk, KeyList, RevokeKey, RotateKey
from headgate.admin.moments import duration_seconds, written
from headgate.assembly.offline import open_books
from headgate.assembly.where import Where
from headgate.commands.auditing import audited
from headgate.commands.options import database_options, json_option
from headgate.commands.tables import show

Result = TypeVar("Result")


@click.group()
def keys() -> None:
    """Virtual keys: create, list, revoke, expire, rotate. A running server sees changes within 2 seconds."""


@keys.command()
@click.option("--tenant", required=True, help="Who pays.")
@click.option("--user", help="Whose requests these are; default: what the request says.")
@click.option("--tier", help="Its limits and features; default: the tenant's.")
@click.option("--name", default="", help="To recognise it by.")
@click.option("--expires-in", metavar="TIME", help="When it ends, such as 12h or 30d; default: never.")
@database_options
def create(where: Where, tenant: str, user: str | None, tier: str | None, name: str, expires_in: str | None) -> None:
    """Make a key and print it, this once. A tenant that is not in the configuration is made by naming a tier."""
    seconds = None if expires_in is None else duration_seconds(expires_in, "expires_in_seconds")
    named = {"tenant": tenant, "user": user, "tier": tier, "name": name}
    command = take(CreateKey, {**named, "expires_in_seconds": seconds})
    _print_created(_at_desk(where, lambda desk: desk.create(command)))


@keys.command("list")
@json_option
@database_options
def list_keys(where: Where, as_json: bool) -> None:
    """List all keys, those of the configuration first."""

    async def all_keys(desk: KeyDesk) -> KeyList:
        return desk.all()

    listed = _at_desk(where, all_keys, must_exist=True)
    if as_json:
        click.echo(msgspec.json.encode(listed))
        return
    rows = [_row(key) for key in listed.data]
    show(("id", "state", "tenant", "user", "tier", "name", "hint", "source", "ends"), rows)


@keys.command()
@click.argument("key_id", metavar="ID")
@database_options
def revoke(where: Where, key_id: str) -> None:
    """End a key now."""
    _print_state(_at_desk(where, lambda desk: desk.revoke(RevokeKey(key_id=key_id))))


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--in", "ends_in", metavar="TIME", help="After this time, such as 12h or 30d; default: never.")
@database_options
def expire(where: Where, key_id: str, ends_in: str | None) -> None:
    """Set when a key ends, or that it does not."""
    seconds = None if ends_in is None else duration_seconds(ends_in, "expires_at")
    _print_state(_at_desk(where, lambda desk: desk.expire_in(key_id, seconds)))


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--overlap", metavar="TIME", default="1d", show_default=True, help="How long the old key still works.")
@database_options
def rotate(where: Where, key_id: str, overlap: str) -> None:
    """Make a key like another one, which ends after the overlap, and print it, this once."""
    command = RotateKey(key_id=key_id, overlap_seconds=duration_seconds(overlap, "overlap_seconds"))
    _print_created(_at_desk(where, lambda desk: desk.rotate(command)))


def _at_desk(where: Where, command: Callable[[KeyDesk], Awaitable[Result]], *, must_exist: bool = False) -> Result:
    """Carry out a command on the keys."""

    async def run() -> Result:
        async with open_books(where, os.environ, must_exist=must_exist) as books:
            with audited(books) as auditor:
                return await command(KeyDesk(books.accounts, books.settings.in_force.config, books.clock, auditor))

    return asyncio.run(run())


def _row(key: Key) -> tuple[str, ...]:
    named = (key.id, key.state, key.tenant, key.user or "", key.tier, key.name)
    return (*named, key.hint, key.source, written(key.expires_at))


def _print_created(made: CreatedKey) -> None:
    """Programs get the key and nothing else; people are told what it is."""
    click.echo(made.key)
    if sys.stdout.isatty():
        ends = f", ends {written(made.expires_at)}" if made.expires_at else ""
        click.echo(f"{made.id} of {made.tenant} ({made.tier}{ends}). It is shown this once; keep it.", err=True)


def _print_state(key: Key) -> None:
    if sys.stdout.isatty():
        at = key.revoked_at if key.state == "revoked" else key.expires_at
        click.echo(f"{key.id} of {key.tenant} is {key.state}{f', {written(at)}' if at else ''}", err=True)
