"""The page a team shows its customers: the limits of every tier, what a refusal looks like, which headers say what.

Written from the rules that are in force and from the errors that callers get, so that it cannot say anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from headgate.config.rules import DEFAULT_BURST_SECONDS, tier_rules
from headgate.config.schema import Config
from headgate.config.tiers import TenantConfig, TierConfig
from headgate.errors import NotFound
from headgate.gateway import refusing
from headgate.metering import Admission, Refusal, Verdict
from headgate.policy import metered
from headgate.policy.calendar import zone_of
from headgate.policy.pricing import format_usd
from headgate.types import Measure, MeterKind, Route, Rule, Scope
from headgate.wire.speakers import speaker

_EXAMPLE_AT = 1_790_000_000.0  # some moment: the page says the same whenever it is written
_WHOSE = {
    Scope.TENANT: "all your keys together",
    Scope.KEY: "each key",
    Scope.USER: "each user",
    Scope.MODEL: "each model, all your keys together",
    Scope.SESSION: "each session",
    Scope.TAG: "each tag",
    Scope.REQUEST: "each request",
    Scope.GLOBAL: "everybody",
}
_TRIAL = " (being tried: nothing is refused yet)"
_WINDOWS = {"day": "a day", "week": "a week", "month": "a month", "": "in all"}
_KINDS = {
    MeterKind.RATE: "in any minute",
    MeterKind.CONCURRENCY: "at the same time",
}
_INTRODUCTION = """\
Every API key has a tier, and these are its limits. Each line says what is counted together.

- A minute is any sixty seconds, not the minute of the clock.
- Days begin at midnight, weeks on Monday and months on the first, in the time zone {timezone}.
- Tokens are those of prompts and answers together.
- What a request may need at most is set aside when it comes in. What it did not need is given back when it is over.
"""
_ASKING = """\
## What is left

Every answer says in its headers how the tightest limits stand:

| header | says |
|---|---|
| `x-ratelimit-limit-requests`, `x-ratelimit-limit-tokens` | the limit |
| `x-ratelimit-remaining-requests`, `x-ratelimit-remaining-tokens` | what is left of it now |
| `x-ratelimit-reset-requests`, `x-ratelimit-reset-tokens` | in how long it is as if nothing had been used |
| `x-headgate-max-output-tokens` | the answer's length was limited to so many tokens, because no more is left |
| `x-headgate-degraded-from` | a cheaper model answered, because the budget for this one is spent |
| `x-headgate-cost-usd` | what the request cost |

On `/v1/messages` the first six are `anthropic-ratelimit-requests-limit` and so on, as Anthropic's clients know them.
`GET /v1/usage` with your key tells all limits: what is used, what requests under way hold, what is left, and when it
resets.
"""
_REFUSING = """\
## When a request is refused

| status | code | what it means | what to do |
|---|---|---|---|
| 429 | `rate_limit_exceeded` | a limit on requests, tokens or concurrency is used up | wait as `retry-after` says |
| 429 | `budget_held` | the budget would do, but requests under way hold it | wait as `retry-after` says |
| 429 | `spend_velocity` | money is being spent unusually fast | wait as `retry-after` says |
| 402 | `budget_exceeded` | a budget is spent | do not try again before it resets; ask for a higher one |
| 400 | `request_too_large` | the request needs more than the whole limit | make it smaller |
| 403 | `loop_detected` | a session seems to go in circles | look at the agent; begin another session |
| 403 | `feature_not_allowed` | your tier has no tools, or no images | ask for another tier |
| 404 | `model_not_found` | there is no such model in your tier | `GET /v1/models` lists yours |

`retry-after` is in whole seconds, `retry-after-ms` in milliseconds: a request that waits so long fits, if nothing else
came in between. `x-should-retry: false` tells the SDKs of OpenAI and Anthropic not to repeat what cannot succeed.
"""


def page(config: Config, tenant: str | None = None) -> str:
    """The page as Markdown: of all tiers, or of the tier of one tenant with its own limits. Raises NotFound."""
    if tenant is None:
        tiers = [(name, tier, tier_rules(tier, None)) for name, tier in config.tiers.items()]
        timezone = "of your contract, UTC if nothing else was agreed"
    else:
        own = _tenant(config, tenant)
        tiers = [(own.tier, config.tiers[own.tier], tier_rules(config.tiers[own.tier], own))]
        timezone = own.timezone
    parts = [
        "# Limits\n",
        _INTRODUCTION.format(timezone=timezone),
        *([_overview(tiers)] if len(tiers) > 1 else []),
        *(_tier(name, tier, rules, config) for name, tier, rules in tiers),
        _ASKING,
        _REFUSING,
        *_examples([rule for _, _, rules in tiers for rule in rules if rule.enforce]),
    ]
    return "\n".join(parts)


def _tenant(config: Config, name: str) -> TenantConfig:
    tenant = config.tenants.get(name)
    if tenant is None:
        known = ", ".join(config.tenants) or "none"
        raise NotFound(f"There is no tenant '{name}' in the configuration. Configured: {known}.", param="tenant")
    return tenant


def _overview(tiers: Sequence[tuple[str, TierConfig, tuple[Rule, ...]]]) -> str:
    """What all tiers have in a column each, for whoever compares them."""
    wanted = dict.fromkeys(
        (rule.kind, rule.measure, rule.scope, rule.window)
        for _, _, rules in tiers
        for rule in rules
        if rule.scope is Scope.TENANT and rule.kind in (MeterKind.RATE, MeterKind.CONCURRENCY, MeterKind.BUDGET)
    )
    rows = []
    for counted in wanted:
        found = [_first(rules, counted) for _, _, rules in tiers]
        example = next(rule for rule in found if rule is not None)
        rows.append([_what(example), *("no limit" if rule is None else _amount(rule) for rule in found)])
    rows.append(["tools", *("yes" if tier.features.tools else "no" for _, tier, _ in tiers)])
    rows.append(["images", *("yes" if tier.features.images else "no" for _, tier, _ in tiers)])
    return _table(["", *(name for name, _, _ in tiers)], rows)


def _first(rules: Iterable[Rule], counted: tuple[object, ...]) -> Rule | None:
    return next((rule for rule in rules if (rule.kind, rule.measure, rule.scope, rule.window) == counted), None)


def _tier(name: str, tier: TierConfig, rules: Sequence[Rule], config: Config) -> str:
    models = [*config.models, *config.routers] if "*" in tier.models else tier.models
    facts = [
        ["models", ", ".join(f"`{model}`" for model in models) or "none"],
        ["tools", "yes" if tier.features.tools else "no"],
        ["images in prompts", "yes" if tier.features.images else "no"],
    ]
    if tier.max_output_tokens is not None:
        facts.append(["longest answer", f"{tier.max_output_tokens:,} tokens"])
    parts = [f"## {_escaped(name)}\n", _table(["", ""], facts)]
    if not tier.enforce:
        parts.append("These limits are being tried: they are counted, and nothing is refused yet.\n")
    trial = _TRIAL if tier.enforce else ""
    at_most = [f"{_amount(rule)}{_burst(rule)}{'' if rule.enforce else trial}" for rule in rules]
    rows = [[_what(rule), _whom(rule), most] for rule, most in zip(rules, at_most, strict=True)]
    limits = [row for rule, row in zip(rules, rows, strict=True) if rule.kind in _KINDS]
    budgets = [row for rule, row in zip(rules, rows, strict=True) if _is_budget(rule)]
    if limits:
        parts.append(_table(["limit", "counts", "at most"], limits))
    if budgets:
        parts += [_table(["budget", "counts", "at most"], budgets), _spent(tier)]
    parts += _guards(tier, rules)
    if not rules:
        parts.append("No limits.\n")
    return "\n".join(parts)


def _is_budget(rule: Rule) -> bool:
    return rule.kind in (MeterKind.BUDGET, MeterKind.ROLLING) and not rule.name.startswith("loop_guard.")


def _spent(tier: TierConfig) -> str:
    if isinstance(tier.on_exceed, dict):
        cheaper = tier.on_exceed["degrade"]
        return f"When a budget is spent, `{cheaper}` answers instead as long as it can, and a header says so.\n"
    return "When a budget is spent, requests are refused until it resets.\n"


def _guards(tier: TierConfig, rules: Sequence[Rule]) -> Iterator[str]:
    """Trip wires, in a sentence each."""
    velocity = next((rule for rule in rules if rule.kind is MeterKind.VELOCITY), None)
    if velocity is not None and velocity.action != "alert":
        limits = [f"more than {_amount(velocity)} in five minutes"] if velocity.limit else []
        limits += [f"{velocity.factor:g} times what is usual for it"] if velocity.factor else []
        stopped = "is refused requests"
        if velocity.action == "degrade" and isinstance(tier.on_exceed, dict):
            stopped = f"is answered by `{tier.on_exceed['degrade']}`"
        yield f"A key, user or account that spends {' or '.join(limits)} {stopped} until it spends less.\n"
    session = [rule for rule in rules if rule.name.startswith("loop_guard.")]
    words = [
        f"the same request {_times(rule.limit)} in a row" if rule.kind is MeterKind.REPEAT else f"{_amount(rule)}"
        for rule in session
    ]
    if words:
        trial = _TRIAL if tier.enforce and not session[0].enforce else ""
        yield f"A session (`x-headgate-session`) is ended after {', or '.join(words)}{trial}.\n"


def _examples(rules: Sequence[Rule]) -> Iterator[str]:
    """Refusals as these rules would give them, made by what makes the real ones."""
    rate = next((rule for rule in rules if rule.kind is MeterKind.RATE), None)
    budget = next((rule for rule in rules if _is_budget(rule) and rule.window and rule.measure is Measure.USD), None)
    if rate is not None:
        yield from _example(rate, Verdict.RATE, "A limit that is used up", 1.2)
    if budget is not None:
        yield from _example(budget, Verdict.SPENT, "A budget that is spent", None)


def _example(rule: Rule, verdict: Verdict, title: str, wait_seconds: float | None) -> Iterator[str]:
    subject = "" if rule.scope is Scope.TENANT else "NAME"
    if rule.scope is Scope.SESSION:
        subject = metered.session_name("NAME", subject)
    meter = metered.meter(rule, subject, zone_of("UTC"), _EXAMPLE_AT)
    needed = 1 if rule.measure is Measure.REQUESTS else min(2_000, rule.limit)
    if rule.measure is Measure.USD:
        needed = min(5_000_000_000, rule.limit)
    refusal = Refusal(meter, verdict, rule.limit, 0, needed, wait_seconds)
    error = refusing.error(Admission(refusal, wait_seconds=wait_seconds))
    body = msgspec.json.format(speaker(Route.CHAT).error_body(error, "req_01jd2r9z6k"), indent=2).decode()
    yield f"{title}, HTTP {error.status}:\n\n```json\n{body}\n```\n"


def _what(rule: Rule) -> str:
    unit = "spending" if rule.measure is Measure.USD else str(rule.measure)
    if rule.kind in _KINDS:
        return f"{unit} {_KINDS[rule.kind]}"
    if rule.kind is MeterKind.ROLLING:
        return f"{unit} in any {_duration(rule.period_seconds)}"
    return unit if rule.scope is Scope.REQUEST else f"{unit} {_WINDOWS[rule.window]}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _whom(rule: Rule) -> str:
    if not rule.only:
        return _WHOSE[rule.scope]
    names = ", ".join(f"`{_escaped(name)}`" for name in sorted(rule.only))
    return f"the {rule.scope} {names}" if len(rule.only) == 1 else f"each of the {rule.scope}s {names}"


def _amount(rule: Rule) -> str:
    if rule.measure is Measure.USD:
        whole, _, cents = format_usd(rule.limit).partition(".")
        return f"${int(whole):,}" + (f".{cents:<02}" if cents else "")
    if rule.kind in _KINDS:
        return f"{rule.limit:,}"
    return f"{rule.limit:,} {rule.measure.removesuffix('s') if rule.limit == 1 else rule.measure}"


def _burst(rule: Rule) -> str:
    """Only where less than the whole limit may come at once."""
    if rule.kind is not MeterKind.RATE or rule.burst_seconds >= DEFAULT_BURST_SECONDS:
        return ""
    return f", no more than {max(1, int(rule.limit * rule.burst_seconds / rule.period_seconds)):,} of them at once"


def _duration(seconds: float) -> str:
    for length, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{int(seconds // length)} {name}s"
    return f"{seconds:g} seconds"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _escaped(text: str) -> str:
    return text.replace("`", "'").replace("<", "&lt;")
