"""How limits and budgets stand: what is used, held and left of each that a caller's requests must pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import isfinite

from headgate.admin.audit import auditor
from headgate.admin.endpoint import Input, Name, Visit
from headgate.admin.services import Services
from headgate.config.rules import tier_rules
from headgate.errors import DatabaseUnavailable, InvalidRequest, NotFound, StoreUnavailable
from headgate.metering import Meter, Reading
from headgate.policy import metered
from headgate.policy.access import may_use
from headgate.policy.calendar import zone_of
from headgate.policy.metered import Subject
from headgate.policy.pricing import format_usd
from headgate.types import Caller, Frozen, Measure, MeterKind, Rule, Scope

MOST_MODELS = 200  # of which limits for each model are shown


class LimitsQuery(Input, frozen=True):
    """Whose limits: of a key, or of a tenant and, if named, one of its users."""

    tenant: Name | None = None
    user: Name | None = None
    key: Name | None = None


class ResetVelocity(Input, frozen=True, kw_only=True):
    """Let requests pass again that a spend velocity stops: of a user, a key, or the tenant as a whole."""

    tenant: Name
    user: Name | None = None
    key: Name | None = None


class LimitStanding(Frozen, frozen=True):
    """One limit or budget. Amounts in `unit`: requests, tokens, or USD as decimal text. Times are ISO 8601, UTC."""

    name: str  # as the configuration calls it
    scope: str
    subject: str  # whom or what it counts for, where there are several
    unit: str
    limit: int | str | None  # null: only what is unusual
    used: int | str
    held: int | str  # by requests under way
    remaining: int | str | None
    window: str  # day, week, month, or empty
    period_seconds: float | None  # of a limit on the last so many seconds
    resets_at: str | None  # of a calendar window
    frees_at: str | None  # when some of it comes free; of a rate: when it is as if nothing had been used
    tripped: bool  # a velocity that stops requests
    enforced: bool  # false: it counts and refuses nothing


class LimitStandings(Frozen, frozen=True):
    """Every limit and budget of somebody."""

    tenant: str
    user: str | None
    key_id: str
    tier: str
    timezone: str
    data: list[LimitStanding]


async def standings(services: Services, caller: Caller) -> list[LimitStanding]:
    """What the caller's requests must pass, besides the caps of sessions and tags, which a request has to name.

    Raises StoreUnavailable or DatabaseUnavailable.
    """
    setup, now = services.running().setup, services.clock.now()
    rules = (*caller.tier.rules, *setup.global_rules)
    models = [name for name in setup.models if may_use(caller.tier, name)][:MOST_MODELS]
    meters = list(_meters(rules, caller, models, now))
    if not meters:
        return []
    await services.admissions.ready(caller)
    read = await services.counters.read(caller.tenant, [meter for meter in meters if _is_counted(meter)])
    by_name = {reading.meter.name: reading for reading in read}
    return [_shown(by_name.get(meter.name, Reading(meter, 0, 0))) for meter in meters]


async def own_standings(services: Services, caller: Caller) -> list[LimitStanding] | None:
    """As `standings`; None while the store does not answer."""
    try:
        return await standings(services, caller)
    except (StoreUnavailable, DatabaseUnavailable):
        return None


async def limits_of(visit: Visit, query: LimitsQuery) -> LimitStandings:
    """Every limit and budget of a key, or of a tenant and one of its users: what is used, held and left."""
    accounts = visit.services.accounts
    if query.key is not None:
        caller = accounts.caller(query.key)
        if query.tenant not in (None, caller.tenant):
            raise NotFound(f"The key {query.key} is not one of the tenant '{query.tenant}'.", param="key")
        if query.user is not None:
            caller = _as_user(caller, query.user)
    elif query.tenant is None:
        raise InvalidRequest("Say whose limits: key=ID, or tenant=NAME with or without user=NAME.", param="tenant")
    else:
        caller = accounts.representative(query.tenant, query.user)
    data = await standings(visit.services, caller)
    return LimitStandings(caller.tenant, caller.user, caller.key_id, caller.tier.name, caller.timezone, data)


async def reset_velocity(visit: Visit, command: ResetVelocity) -> LimitStandings:
    """Let requests pass again that a spend velocity stops. What is spent from now on can trip it again."""
    services = visit.services
    caller = services.accounts.representative(command.tenant, command.user)
    scopes = _scopes(command, services)
    config, now, zone = services.settings.in_force.config, services.clock.now(), zone_of(caller.timezone)
    own = config.tenants.get(command.tenant)
    rules = [rule for tier in config.tiers.values() for rule in tier_rules(tier, own)]
    wanted = {
        meter.name: meter
        for rule in rules
        if rule.kind is MeterKind.VELOCITY and rule.scope in scopes
        for meter in [metered.meter(rule, scopes[rule.scope], zone, now)]
    }
    if not wanted:
        raise NotFound(f"No tier limits how fast '{command.tenant}' may spend.", param="tenant")
    await services.admissions.ready(caller)
    before = await services.counters.read(command.tenant, list(wanted.values()))
    for meter in wanted.values():
        await services.counters.reset(command.tenant, meter)
    after = await services.counters.read(command.tenant, list(wanted.values()))
    subject = " ".join([command.tenant, *(f"{scope} {name}".strip() for scope, name in scopes.items())])
    await auditor(visit).note(command, subject, _tripped(before), _tripped(after))
    data = [_shown(reading) for reading in after]
    return LimitStandings(command.tenant, command.user, command.key or "", caller.tier.name, caller.timezone, data)


def _scopes(command: ResetVelocity, services: Services) -> dict[Scope, str]:
    """Which meters, by their scopes. A key without a user is a user of its own."""
    if command.key is None:
        return {Scope.TENANT: ""} if command.user is None else {Scope.USER: command.user}
    if command.user is not None:
        raise InvalidRequest("Name either a user or a key, not both.", param="key")
    caller = services.accounts.caller(command.key)
    if caller.tenant != command.tenant:
        raise NotFound(f"The key {command.key} is not one of the tenant '{command.tenant}'.", param="key")
    scopes = {Scope.KEY: command.key}
    return scopes if caller.user is not None else {**scopes, Scope.USER: Subject(command.key, None, "").who}


def _tripped(readings: Sequence[Reading]) -> str:
    return "true" if any(reading.tripped for reading in readings) else "false"


def _as_user(caller: Caller, user: str) -> Caller:
    if caller.user not in (None, user):
        raise NotFound(f"The key {caller.key_id} acts for '{caller.user}' alone.", param="user")
    return Caller(caller.key_id, caller.tenant, user, caller.tier, caller.timezone)


def _meters(rules: Sequence[Rule], caller: Caller, models: Sequence[str], now: float) -> Iterator[Meter]:
    zone = zone_of(caller.timezone)
    for rule in rules:
        if not caller.key_id and (rule.scope is Scope.KEY or (rule.scope is Scope.USER and caller.user is None)):
            continue  # of a tenant as a whole: there is no key, and perhaps no user
        for model in models if rule.scope is Scope.MODEL else [""]:
            yield from metered.meters([rule], Subject(caller.key_id, caller.user, model), zone, now)


def _is_counted(meter: Meter) -> bool:
    """The cap on a single request counts nothing."""
    return meter.rule.scope is not Scope.REQUEST


def _shown(reading: Reading) -> LimitStanding:
    meter, rule = reading.meter, reading.meter.rule
    is_velocity = rule.kind is MeterKind.VELOCITY
    limit = reading.trips_above if is_velocity else meter.limit
    remaining = max(0, limit - reading.used - reading.held)
    unlimited = is_velocity and not limit  # nothing is known yet of what is usual
    lasts = rule.kind in (MeterKind.RATE, MeterKind.ROLLING, MeterKind.VELOCITY)
    return LimitStanding(
        name=rule.name,
        scope=rule.scope,
        subject=metered.told(rule.scope, meter.subject),
        unit=rule.measure,
        limit=None if unlimited else _amount(rule, limit),
        used=_amount(rule, reading.used),
        held=_amount(rule, reading.held),
        remaining=None if unlimited else _amount(rule, remaining),
        window=rule.window,
        period_seconds=rule.period_seconds if lasts else None,
        resets_at=_moment(meter.resets_at),
        frees_at=_moment(reading.frees_at),
        tripped=reading.tripped,
        enforced=rule.enforce,
    )


def _amount(rule: Rule, amount: int) -> int | str:
    return format_usd(amount) if rule.measure is Measure.USD else amount


def _moment(at: float | None) -> str | None:
    if at is None or not isfinite(at):
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
