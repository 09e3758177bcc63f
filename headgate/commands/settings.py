"""What `headgate limits` and `headgate budgets` have in common: list, show, set and unset settings of one family."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import click
import msgspec

from headgate.admin.endpoint import take
from headgate.admin.limits import (
    LimitDesk,
    SetBudget,
    SetLimit,
    SettingList,
    SettingsQuery,
    SettingState,
    UnsetBudget,
    UnsetLimit,
    Whose,
)
from headgate.admin.moments import written
from headgate.assembly.offline import open_books
from headgate.assembly.where import Where
from headgate.commands.auditing import audited
from headgate.commands.options import database_options, json_option
from headgate.commands.tables import show
from headgate.config.settable import Family

Result = TypeVar("Result")
_NOTHING = ("none", "null", "~", "")


def whose_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds --tier and --tenant."""
    tier = click.option("--tier", metavar="NAME", help="Of this tier.")
    return tier(click.option("--tenant", metavar="NAME", help="Of this tenant.")(command))


def add_commands(group: click.Group, family: Family) -> None:
    """The four commands of a family."""

    @group.command("list")
    @click.option("--all", "unset", is_flag=True, help="Those too that nobody has set.")
    @json_option
    @database_options
    def list_settings(where: Where, unset: bool, as_json: bool) -> None:
        """Show what is in force, of everybody, every tier and every tenant."""
        _print(at_desk(where, family, lambda desk: desk.all(SettingsQuery(unset=unset))), as_json)

    @group.command("show")
    @whose_options
    @json_option
    @database_options
    def show_settings(where: Where, tier: str | None, tenant: str | None, as_json: bool) -> None:
        """Show every setting of a tier or a tenant, set or not."""
        query = SettingsQuery(tier=tier, tenant=tenant, unset=True)
        _print(at_desk(where, family, lambda desk: desk.found(query)), as_json)

    @group.command("set", context_settings={"ignore_unknown_options": True})
    @click.argument("setting")
    @click.argument("value")
    @whose_options
    @database_options
    def set_setting(where: Where, setting: str, value: str, tier: str | None, tenant: str | None) -> None:
        """Set SETTING to VALUE, written as in the configuration file; `none` limits nothing."""

        async def run(desk: LimitDesk) -> SettingState:
            read = desk.read(Whose(tier=tier, tenant=tenant), setting, "null" if value in _NOTHING else value)
            told = {"tier": tier, "tenant": tenant, "setting": setting, "value": read}
            return await desk.set(take(SetLimit, told) if family is Family.LIMITS else take(SetBudget, told))

        _say(at_desk(where, family, run))

    @group.command("unset")
    @click.argument("setting")
    @whose_options
    @database_options
    def unset_setting(where: Where, setting: str, tier: str | None, tenant: str | None) -> None:
        """Give SETTING back to the configuration file."""
        kind = UnsetLimit if family is Family.LIMITS else UnsetBudget
        command = kind(tier=tier, tenant=tenant, setting=setting)
        _say(at_desk(where, family, lambda desk: desk.unset(command)))


def at_desk(where: Where, family: Family, command: Callable[[LimitDesk], Awaitable[Result]]) -> Result:
    """Carry out a command on settings."""

    async def run() -> Result:
        async with open_books(where, os.environ) as books:
            with audited(books) as auditor:
                return await command(LimitDesk(family, books.settings, books.clock, auditor))

    return asyncio.run(run())


def _print(listed: SettingList, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(listed))
        return
    show(("of", "name", "setting", "value", "in the file", "changed"), _rows(listed))
    for one in listed.ignored:
        whose = " ".join(word for word in (one.target, one.name) if word)
        click.echo(f"No effect: {one.setting} of {whose} was set to {_text(one.value)}. {one.reason}", err=True)


def _rows(listed: SettingList) -> Iterator[tuple[str, ...]]:
    for group in listed.data:
        for state in group.settings:
            changed = f"{written(state.changed_at)} by {state.changed_by}" if state.changed_at is not None else ""
            in_file = _text(state.in_file) if changed else ""
            yield group.target, group.name, state.setting, _text(state.value), in_file, changed


def _say(state: SettingState | None) -> None:
    """Programs need no more than the exit code; people are told what is in force now."""
    if state is None:
        return
    for warning in state.warnings:
        click.echo(f"Note: {warning}", err=True)
    if sys.stdout.isatty():
        click.echo(f"{state.setting} is {_text(state.value)} now, in every process within 2 seconds.", err=True)


def _text(value: msgspec.Raw | None) -> str:
    text = "" if value is None else bytes(value).decode()
    return "none" if text == "null" else text.strip('"')
