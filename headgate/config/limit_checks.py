"""Checks of limits and budgets: that each can count something, can let something pass, and counts for all processes.

Pure: reads the typed configuration, adds to the findings.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from headgate.config.catalogue import Catalogue
from headgate.config.problems import Findings, Place, nearest
from headgate.config.rules import global_rules, picousd, tier_rules, tried_in_vain
from headgate.config.schema import Config
from headgate.config.tiers import BudgetsConfig, CapConfig, LimitsConfig, TierConfig

SLIDING_SECONDS = 60  # no more than a minute's worth passes in any minute, whatever the burst
COUNTS_APART = "with several workers each would count by itself, so that limits and budgets would be multiplied"
MOST_USD = 9_000_000  # counted in pico-dollars, more would not fit into the 64 bits of every store
_PER_NAME = ("model", "tag")  # what `only` can name


def check_limits(config: Config, findings: Findings, catalogue: Catalogue, workers: int = 1) -> None:
    """Add an error for what cannot be counted, and a warning for what would refuse everything or have no effect."""
    for limits, at in _all_limits(config):
        if limits.burst_seconds is not None and limits.burst_seconds > SLIDING_SECONDS:
            message = f"above {SLIDING_SECONDS} has no effect: a minute never takes more than its limit"
            findings.warning((*at, "burst_seconds"), message, f"write {SLIDING_SECONDS} or less")
    prices = _prices(config, catalogue)
    for name, tier in config.tiers.items():
        place: Place = ("tiers", name)
        usable = {model: price for model, price in prices.items() if "*" in tier.models or model in tier.models}
        _check_budgets(config, tier.budgets, (*place, "budgets"), findings, usable)
        for rule in tried_in_vain(tier):
            message = f"{rule} is only tried, and has no effect beside one that counts the same and is enforced"
            findings.warning(place, message, "try it with another window, or change the one that is enforced")
        _check_degrading(tier, place, findings, usable, prices)
        _check_countable(tier.velocity.usd_per_5_minutes, (*place, "velocity", "usd_per_5_minutes"), findings)
        _check_countable(tier.loop_guard.usd_per_session, (*place, "loop_guard", "usd_per_session"), findings)
    for name, tenant in config.tenants.items():
        own = config.tiers.get(tenant.tier)
        names = own.models if own is not None else ["*"]
        usable = {model: price for model, price in prices.items() if "*" in names or model in names}
        _check_budgets(config, tenant.budgets, ("tenants", name, "budgets"), findings, usable)
    _check_store(config, findings, workers)


def counts_apart(config: Config, workers: int) -> bool:
    """Whether something is limited and each of several processes would count it by itself."""
    return workers > 1 and config.store == "memory" and _has_rules(config)


def _has_rules(config: Config) -> bool:
    tenants = [None, *config.tenants.values()]
    return bool(global_rules(config.limits)) or any(
        tier_rules(tier, tenant) for tier in config.tiers.values() for tenant in tenants
    )


def _all_limits(config: Config) -> Iterator[tuple[LimitsConfig, Place]]:
    yield config.limits, ("limits",)
    for name, tier in config.tiers.items():
        yield tier, ("tiers", name)
        for block in ("per_key", "per_user", "per_model"):
            yield getattr(tier, block), ("tiers", name, block)
    for name, tenant in config.tenants.items():
        yield tenant.limits, ("tenants", name, "limits")


def _check_budgets(
    config: Config, budgets: BudgetsConfig, place: Place, findings: Findings, prices: dict[str, int]
) -> None:
    """`prices` are those of a token of the prompt and one of the answer together, by the models that may be used."""
    least = min((price for price in prices.values() if price), default=0)
    for name in BudgetsConfig.__struct_fields__:
        usd = getattr(budgets, name)
        if name != "more":
            _check_countable(usd, (*place, name), findings)
            if usd is not None and picousd(usd) < least:
                _warn_too_little((*place, name), findings)
    for index, cap in enumerate(budgets.more):
        where: Place = (*place, "more", index)
        if not findings.is_broken(where):
            _check_cap(config, cap, where, findings)
            _check_countable(cap.usd, (*where, "usd"), findings)
            if cap.usd is not None and picousd(cap.usd) < least:
                _warn_too_little((*where, "usd"), findings)


def _check_countable(usd: Decimal | None, place: Place, findings: Findings) -> None:
    if usd is not None and usd > MOST_USD:
        findings.error(place, f"more than {MOST_USD:,} USD cannot be counted exactly", "lower it, or leave it out")


def _warn_too_little(place: Place, findings: Findings) -> None:
    message = "less than a single token costs: every request that costs something would be refused"
    findings.warning(place, message, "raise it, or remove the models from the tier")


def _check_cap(config: Config, cap: CapConfig, place: Place, findings: Findings) -> None:
    if cap.usd is None and cap.tokens is None:
        findings.error(place, "a budget without an amount", "add usd: .. or tokens: ..")
    if cap.window == "rolling" and cap.seconds is None:
        findings.error(
            (*place, "window"), "a rolling window without a length", "add seconds: .., e.g. 86_400 for a day"
        )
    if cap.window != "rolling" and cap.seconds is not None:
        findings.warning((*place, "seconds"), "has no effect without window: rolling", "remove it")
    if cap.per == "request" and cap.window != "ever":
        findings.warning((*place, "window"), "has no effect: a request is counted by itself", "remove it")
    if cap.only and cap.per not in _PER_NAME:
        findings.error((*place, "only"), f"names models or tags, and this counts per {cap.per}", "remove it")
    elif cap.per == "model":
        for index, name in enumerate(cap.only):
            if name not in config.models:
                where: Place = (*place, "only", index)
                message = f"there is no model {findings.quoted(where, name)}"
                findings.error(where, message, nearest(name, config.models, "models"))


def _check_degrading(
    tier: TierConfig, place: Place, findings: Findings, usable: dict[str, int], prices: dict[str, int]
) -> None:
    cheaper = tier.on_exceed.get("degrade", "") if isinstance(tier.on_exceed, dict) else ""
    where: Place = (*place, "on_exceed", "degrade")
    if not cheaper and tier.velocity.action == "degrade":
        message = "there is no model to go on with, so that requests are refused as with block"
        findings.warning((*place, "velocity", "action"), message, "add on_exceed: {degrade: MODEL} to the tier")
    others = [price for name, price in usable.items() if name != cheaper]
    if cheaper in prices and others and prices[cheaper] >= max(others):
        shown = findings.quoted(where, cheaper)
        message = f"{shown} is no cheaper than any other model of the tier: nothing would be saved"
        findings.warning(where, message, "choose a cheaper model, or on_exceed: reject")


def _prices(config: Config, catalogue: Catalogue) -> dict[str, int]:
    """What a token of the prompt and one of the answer cost together, of each model's dearest deployment."""
    found: dict[str, int] = {}
    for name, model in config.models.items():
        priced = [
            price.input + price.output
            for deployment in model.deployments
            if (provider := config.providers.get(deployment.provider)) is not None
            and (price := catalogue.price_of(deployment, model, provider)) is not None
        ]
        if priced:
            found[name] = max(priced)
    return found


def _check_store(config: Config, findings: Findings, workers: int) -> None:
    if counts_apart(config, workers):
        findings.error(("store",), COUNTS_APART, "write store: redis://HOST:6379/0, or serve with one worker")
