"""Limits, budgets and tiers as operators see and change them. The admin API and the command line both come in here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from headgate.admin import audit
from headgate.admin.audit import Auditor, auditor
from headgate.admin.endpoint import Input, Name, Text, Visit
from headgate.admin.settings import Settings
from headgate.change_types import Change, Setting, Target
from headgate.config.effective import value_at, value_in
from headgate.config.problems import nearest
from headgate.config.schema import Config
from headgate.config.settable import Family, as_json, family_of, find, place_of, read_value, settable, short, usual
from headgate.errors import Conflict, InvalidRequest
from headgate.ports import Clock
from headgate.types import Frozen

TRIES = 5  # when others change settings at the same moment

SettingValue = bool | int | float | str | list[Any] | dict[str, Any] | None


class Whose(Input, frozen=True):
    """Of a tier, of a tenant, or with neither of everybody together."""

    tier: Name | None = None
    tenant: Name | None = None

    def target(self) -> tuple[Target, str]:
        """Raises InvalidRequest if both are named."""
        if self.tier is not None and self.tenant is not None:
            raise InvalidRequest("Name either a tier or a tenant, not both.", param="tenant")
        if self.tier is not None:
            return Target.TIER, self.tier
        return (Target.TENANT, self.tenant) if self.tenant is not None else (Target.EVERYBODY, "")


class SettingsQuery(Whose, frozen=True):
    """Which settings: of one tier or tenant, or of all. `unset` shows those too that nobody has set."""

    unset: bool = False


class SetLimit(Whose, frozen=True, kw_only=True):
    """Set a limit, or what else a tier or tenant has besides budgets. A null limits nothing."""

    setting: Text
    value: SettingValue


class UnsetLimit(Whose, frozen=True, kw_only=True):
    """Give a limit back to the configuration file."""

    setting: Text


class SetBudget(Whose, frozen=True, kw_only=True):
    """Set a budget, in USD, or what happens when it is spent (`on_exceed`). A null limits nothing."""

    setting: Text
    value: SettingValue


class UnsetBudget(Whose, frozen=True, kw_only=True):
    """Give a budget back to the configuration file."""

    setting: Text


class SettingState(Frozen, frozen=True):
    """A setting with the value that is in force. `changed_at` is Unix seconds."""

    setting: str
    value: msgspec.Raw
    in_file: msgspec.Raw | None  # what the configuration file says; null as well if it has no such tier or tenant
    changed_at: float | None  # at run time; null: it is as in the file
    changed_by: str
    warnings: list[str]


class SettingGroup(Frozen, frozen=True):
    """The settings of a tier, a tenant or everybody (without a name)."""

    target: str
    name: str
    settings: list[SettingState]


class IgnoredChange(Frozen, frozen=True):
    """A change that is kept and has no effect: the configuration has moved on. `at` is Unix seconds."""

    target: str
    name: str
    setting: str
    value: msgspec.Raw
    at: float
    by: str
    reason: str


class SettingList(Frozen, frozen=True):
    """What is in force, and which changes are not."""

    data: list[SettingGroup]
    ignored: list[IgnoredChange]


class LimitDesk:
    """Shows settings of one family and carries out commands on them.

    Every command raises DatabaseUnavailable if the database does not answer.
    """

    def __init__(self, family: Family, settings: Settings, clock: Clock, auditor: Auditor) -> None:
        self._family = family
        self._settings = settings
        self._clock = clock
        self._auditor = auditor

    async def all(self, query: SettingsQuery) -> SettingList:
        """Settings of everybody, tiers and tenants, in the order of the file. Raises InvalidRequest."""
        await self._settings.refresh()
        wanted = query.target() if query.tier or query.tenant else None
        groups = [
            SettingGroup(target, name, states)
            for target, name in _groups(self._settings.in_force.config)
            if wanted in (None, (target, name)) and (states := self._states(target, name, unset=query.unset))
        ]
        ignored = [
            _ignored(one.change, one.reason)
            for one in self._settings.in_force.ignored
            if family_of(one.change.setting.path) is self._family
            and wanted in (None, (one.change.setting.target, one.change.setting.name))
        ]
        return SettingList(groups, ignored)

    async def found(self, query: SettingsQuery) -> SettingList:
        """As `all`. Raises InvalidRequest too for a tier or tenant that there is not."""
        listed = await self.all(query)
        if not listed.data and not listed.ignored and (query.tier or query.tenant):
            target, name = query.target()
            names = [each for kind, each in _groups(self._settings.in_force.config) if kind is target]
            raise InvalidRequest(
                f"The {target} '{name}' is not in the configuration; {nearest(name, names, f'{target}s')}", param=target
            )
        return listed

    def read(self, whose: Whose, word: str, text: str) -> SettingValue:
        """A value as it is written in the configuration file, for a command. Raises as `set`."""
        setting = self._setting(whose, word)
        value = read_value(settable(setting.target)[setting.path], text, place_of(setting))
        plain: SettingValue = msgspec.json.decode(as_json(value))
        return plain

    async def set(self, command: SetLimit | SetBudget) -> SettingState:
        """Raises NotFound for an unknown setting, InvalidRequest for a value that cannot be used."""
        setting = self._setting(command, command.setting)
        value = read_value(
            settable(setting.target)[setting.path], as_json(command.value), place_of(setting)
        )  # fmt: skip
        for tried in range(TRIES):
            await self._settings.refresh()
            change = Change(setting, as_json(value), self._clock.now(), self._auditor.by)
            reason = self._settings.tried(change).reason(setting)
            if reason:
                raise InvalidRequest(reason, param="value")
            before = value_in(self._settings.in_force.config, setting)
            entry = self._auditor.entry(command, setting.written, before or "", change.value)
            try:
                await self._settings.put(change, entry)
            except Conflict:
                if tried == TRIES - 1:
                    raise
                continue
            audit.record(entry)
            break
        return self._state(setting)

    async def unset(self, command: UnsetLimit | UnsetBudget) -> SettingState | None:
        """Raises NotFound if it was not changed. None: the file has no such tier or tenant."""
        setting = self._setting(command, command.setting)
        for tried in range(TRIES):
            await self._settings.refresh()
            before = next((one.value for one in self._settings.changes if one.setting == setting), "")
            after = value_in(self._settings.file, setting)
            entry = self._auditor.entry(command, setting.written, before, after or "")
            try:
                await self._settings.remove(setting, entry)
            except Conflict:
                if tried == TRIES - 1:
                    raise
                continue
            audit.record(entry)
            break
        return None if value_in(self._settings.in_force.config, setting) is None else self._state(setting)

    def _setting(self, whose: Whose, word: str) -> Setting:
        target, name = whose.target()
        if target is Target.EVERYBODY and self._family is Family.BUDGETS:
            raise InvalidRequest("Budgets are a tier's or a tenant's: name one of them.", param="tier")
        return Setting(target, name, find(target, self._family, word))

    def _states(self, target: Target, name: str, *, unset: bool) -> list[SettingState]:
        paths = [path for path in settable(target) if family_of(path) is self._family]
        states = [(path, self._state(Setting(target, name, path))) for path in paths]
        plain = usual(target)
        return [
            state
            for path, state in states
            if unset or state.changed_at is not None or bytes(state.value).decode() != value_at(plain, path)
        ]

    def _state(self, setting: Setting) -> SettingState:
        in_force = self._settings.in_force
        change = next((one for one in self._settings.changes if one.setting == setting), None)
        value = value_in(in_force.config, setting)
        in_file = value_in(self._settings.file, setting)
        if change is not None and in_force.reason(setting):
            change = None
        return SettingState(
            setting=short(setting.path),
            value=msgspec.Raw((value or "null").encode()),
            in_file=None if in_file is None else msgspec.Raw(in_file.encode()),
            changed_at=change.at if change is not None else None,
            changed_by=change.by if change is not None else "",
            warnings=in_force.warned(setting) if change is not None else [],
        )


def _groups(config: Config) -> Iterator[tuple[Target, str]]:
    yield Target.EVERYBODY, ""
    yield from ((Target.TIER, name) for name in config.tiers)
    yield from ((Target.TENANT, name) for name in config.tenants)


def _ignored(change: Change, reason: str) -> IgnoredChange:
    setting = change.setting
    return IgnoredChange(
        target=setting.target,
        name=setting.name,
        setting=short(setting.path),
        value=msgspec.Raw(change.value.encode()),
        at=change.at,
        by=change.by,
        reason=reason,
    )


def _desk(visit: Visit, family: Family) -> LimitDesk:
    return LimitDesk(family, visit.services.settings, visit.services.clock, auditor(visit))


async def list_limits(visit: Visit, query: SettingsQuery) -> SettingList:
    """Limits and features of everybody, tiers and tenants: what is in force, what the file says, who changed it."""
    return await _desk(visit, Family.LIMITS).found(query)


async def set_limit(visit: Visit, command: SetLimit) -> SettingState:
    """Set a limit of everybody, a tier or a tenant. It is in force in every worker within 2 seconds."""
    return await _desk(visit, Family.LIMITS).set(command)


async def unset_limit(visit: Visit, command: UnsetLimit) -> SettingList:
    """Give a limit back to the configuration file."""
    desk = _desk(visit, Family.LIMITS)
    await desk.unset(command)
    return await desk.all(SettingsQuery(tier=command.tier, tenant=command.tenant))


async def list_budgets(visit: Visit, query: SettingsQuery) -> SettingList:
    """Budgets of tiers and tenants: what is in force, what the file says, who changed it."""
    return await _desk(visit, Family.BUDGETS).found(query)


async def set_budget(visit: Visit, command: SetBudget) -> SettingState:
    """Set a budget of a tier or a tenant. It is in force in every worker within 2 seconds."""
    return await _desk(visit, Family.BUDGETS).set(command)


async def unset_budget(visit: Visit, command: UnsetBudget) -> SettingList:
    """Give a budget back to the configuration file."""
    desk = _desk(visit, Family.BUDGETS)
    await desk.unset(command)
    return await desk.all(SettingsQuery(tier=command.tier, tenant=command.tenant))
