"""The configuration in force: the file's, with what was changed at run time in its place.

Pure. A change that cannot be used any more, because the file has moved on, is left out and told, never forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from headgate.change_types import Change, Setting, Target
from headgate.config.blocks import Block
from headgate.config.catalogue import Catalogue
from headgate.config.limit_checks import COUNTS_APART, check_limits, counts_apart
from headgate.config.problems import NOWHERE, Findings, nearest, written
from headgate.config.references import check_references
from headgate.config.schema import Config
from headgate.config.settable import RUN_TIME, as_json, place_of, read_value, sentence, settable
from headgate.config.tiers import TenantConfig
from headgate.config.values import check_values
from headgate.errors import InvalidRequest
from headgate.types import Frozen, Problem, Severity

Named = TypeVar("Named", bound=Block)
_FIELDS = {Target.TIER: "tiers", Target.TENANT: "tenants"}


class Ignored(Frozen, frozen=True):
    """A change that is kept and has no effect, and why."""

    change: Change
    reason: str


class Effective(msgspec.Struct, frozen=True):
    """What is in force. `warnings` are about changed values."""

    config: Config
    ignored: tuple[Ignored, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def reason(self, setting: Setting) -> str:
        """Why a change has no effect; empty if it has."""
        return next((one.reason for one in self.ignored if one.change.setting == setting), "")

    def warned(self, setting: Setting) -> list[str]:
        """What is worth saying about a changed value."""
        return [sentence(problem) for problem in self.warnings if _is_within(problem, setting)]


def effective(config: Config, changes: Sequence[Change], workers: int = 1) -> Effective:
    """Put changes in place of a file's values. A tenant that the file does not have is made by a change of its tier.

    `workers`: how many processes serve with it.
    """
    if not changes:
        return Effective(config)
    # A tenant's tier first: it is what makes the tenant, if the file does not.
    pending = sorted(changes, key=lambda change: change.setting.path != "tier")
    ignored: list[Ignored] = []
    catalogue = Catalogue.packaged()
    while True:
        made, wrong = _applied(config, pending)
        findings = Findings(RUN_TIME, NOWHERE)
        check_references(made, findings)
        check_values(made, findings)
        check_limits(made, findings, catalogue)
        wrong += _contradicted(pending, findings) or _uncountable(config, made, pending, workers)
        ignored += wrong
        if not wrong:
            return Effective(made, tuple(ignored), _warnings(findings))
        out = {one.change.setting for one in ignored}
        pending = [change for change in pending if change.setting not in out]


def value_in(config: Config, setting: Setting) -> str | None:
    """A setting's value as JSON; None if there is no such tier or tenant."""
    block = _block(config, setting)
    return None if block is None else value_at(block, setting.path)


def value_at(block: Any, path: str) -> str:
    """A setting's value in its block, as JSON."""
    for step in path.split("."):
        block = getattr(block, step)
    return as_json(block)


def _applied(config: Config, changes: Sequence[Change]) -> tuple[Config, list[Ignored]]:
    wrong: list[Ignored] = []
    limits, tiers, tenants = config.limits, dict(config.tiers), dict(config.tenants)
    for change in changes:
        setting = change.setting
        try:
            value = _value(change)
            match setting.target:
                case Target.EVERYBODY:
                    limits = _replaced(limits, setting.path.split("."), value)
                case Target.TIER:
                    tiers[setting.name] = _replaced(_found(tiers, setting, None), setting.path.split("."), value)
                case Target.TENANT:
                    made = TenantConfig(tier=str(value)) if setting.path == "tier" else None
                    tenants[setting.name] = _replaced(_found(tenants, setting, made), setting.path.split("."), value)
        except InvalidRequest as error:
            wrong.append(Ignored(change, error.message))
    return msgspec.structs.replace(config, limits=limits, tiers=tiers, tenants=tenants), wrong


def _value(change: Change) -> object:
    """Raises InvalidRequest if it is none of its setting's."""
    setting = change.setting
    kind = settable(setting.target).get(setting.path)
    if kind is None:
        raise InvalidRequest(f"This version has no setting '{setting.path}' of a {setting.target}.", param="setting")
    return read_value(kind, change.value, place_of(setting))


def _found(blocks: Mapping[str, Named], setting: Setting, made: Named | None) -> Named:
    """Raises InvalidRequest if there is no such block."""
    block = blocks.get(setting.name, made)
    if block is None:
        raise InvalidRequest(_nobody(setting, blocks), param=str(setting.target))
    return block


def _nobody(setting: Setting, names: Iterable[str]) -> str:
    if setting.target is Target.TENANT:
        return (
            f"The tenant '{setting.name}' is not in the configuration. Make it by giving it a tier: "
            f"headgate limits set --tenant {setting.name} tier TIER."
        )
    return f"The tier '{setting.name}' is not in the configuration; {nearest(setting.name, names, 'tiers')}"


def _block(config: Config, setting: Setting) -> Any:
    if setting.target is Target.EVERYBODY:
        return config.limits
    return getattr(config, _FIELDS[setting.target]).get(setting.name)


def _replaced(block: Any, steps: Sequence[str], value: object) -> Any:
    first, *rest = steps
    inner = _replaced(getattr(block, first), rest, value) if rest else value
    return msgspec.structs.replace(block, **{first: inner})


def _contradicted(changes: Sequence[Change], findings: Findings) -> list[Ignored]:
    """Changes whose values lead nowhere by now: a model or tier that has left the file."""
    found = []
    for change in changes:
        problem = next((one for one in findings.errors() if _is_within(one, change.setting)), None)
        if problem is not None:
            found.append(Ignored(change, sentence(problem)))
    return found


def _uncountable(config: Config, made: Config, changes: Sequence[Change], workers: int) -> list[Ignored]:
    """Changes that limit something where processes do not count together."""
    if not counts_apart(made, workers):
        return []
    reason = f"{COUNTS_APART.capitalize()}. Set store: redis://HOST:6379/0 in the file, or serve with one worker."
    limiting = [change for change in changes if counts_apart(_applied(config, [change])[0], workers)]
    return [Ignored(change, reason) for change in limiting or changes]


def _warnings(findings: Findings) -> tuple[Problem, ...]:
    return tuple(problem for problem in findings.all() if problem.severity is Severity.WARNING)


def _is_within(problem: Problem, setting: Setting) -> bool:
    """Whether a problem is about a setting's value, or a part of it."""
    where = written(place_of(setting))
    return problem.where == where or problem.where.startswith((f"{where}.", f"{where}["))
