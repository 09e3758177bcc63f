"""The blocks of limits and budgets, tiers and tenants; the comment beside a field is its documentation."""

from __future__ import annotations

from typing import Literal

from headgate.config.blocks import Block, Count, Positive, Usd
from headgate.config.jobs_schema import JobsQuotaConfig


class FeaturesConfig(Block, frozen=True):
    """What a tier's requests may use."""

    tools: bool = True  # tool calls
    images: bool = True  # images in the prompt


class LimitsConfig(Block, frozen=True):
    """How much at a time. A token bucket and a sliding minute: both must let a request pass."""

    requests_per_minute: Count | None = None  # default: no limit
    tokens_per_minute: Count | None = None  # of prompts and answers together; default: no limit
    concurrent_requests: Count | None = None  # default: no limit
    burst_seconds: Positive | None = None  # how much of a minute may be used at once; default: the tier's, else 60
    enforce: bool | None = None  # false: only try these limits; default: the tier's, else true


class CapConfig(Block, frozen=True):
    """A budget of any kind: so much, for each of these, in such a window."""

    # whose requests are counted together; each user, key, model (of a tenant), tag and session by itself
    per: Literal["request", "session", "user", "key", "model", "tag", "tenant"]
    # a calendar window in the tenant's time zone, the last so many seconds, or all of it
    window: Literal["day", "week", "month", "rolling", "ever"] = "ever"
    seconds: Positive | None = None  # for window: rolling
    usd: Usd | None = None  # at most so much money
    tokens: Count | None = None  # at most so many tokens of prompts and answers
    only: list[str] = []  # for these models or tags only; default: for each of them
    enforce: bool | None = None  # false: only try this budget; default: the tier's


class BudgetsConfig(Block, frozen=True):
    """USD, calendar windows in the tenant's time zone. `more` has room for every other kind of budget."""

    request: Usd | None = None  # a single request; default: no cap
    session: Usd | None = None  # all requests with one x-headgate-session; default: no cap
    user_day: Usd | None = None  # a user's calendar day; default: no cap
    user_month: Usd | None = None  # a user's calendar month; default: no cap
    key_day: Usd | None = None  # a key's calendar day; default: no cap
    key_month: Usd | None = None  # a key's calendar month; default: no cap
    tenant_day: Usd | None = None  # a tenant's calendar day; default: no cap
    tenant_month: Usd | None = None  # a tenant's calendar month; default: no cap
    more: list[CapConfig] = []  # budgets per model or tag, in tokens, in rolling windows


class VelocityConfig(Block, frozen=True):
    """A trip wire for money that is spent unusually fast, for each key, each user and the tenant."""

    usd_per_5_minutes: Usd | None = None  # default: no limit
    baseline_factor: Positive | None = None  # so many times what was usual until now; default: no limit
    action: Literal["block", "degrade", "alert"] = "block"  # what happens when it trips


class LoopGuardConfig(Block, frozen=True):
    """A trip wire for agents that run in circles; for requests with x-headgate-session."""

    requests_per_session: Count | None = None  # default: no limit
    tokens_per_session: Count | None = None  # default: no limit
    usd_per_session: Usd | None = None  # default: no limit
    same_request_in_a_row: Count | None = None  # default: no limit
    enforce: bool | None = None  # false: only try these limits; default: the tier's


class TierConfig(LimitsConfig, frozen=True, kw_only=True):
    """A named set of limits and features. Limits are for a tenant, all its keys together."""

    models: list[str]  # public names of models and routers, or ["*"]
    features: FeaturesConfig = FeaturesConfig()  # what requests may use
    max_output_tokens: Count | None = None  # a higher request is lowered, and x-headgate-max-output-tokens says so
    per_key: LimitsConfig = LimitsConfig()  # of each key
    per_user: LimitsConfig = LimitsConfig()  # of each user
    per_model: LimitsConfig = LimitsConfig()  # of a tenant, for each model
    budgets: BudgetsConfig = BudgetsConfig()  # USD, calendar windows in the tenant's time zone
    # when money is spent: reject, or go on with a cheaper model ({degrade: MODEL})
    on_exceed: Literal["reject"] | dict[Literal["degrade"], str] = "reject"
    velocity: VelocityConfig = VelocityConfig()  # a trip wire for money that is spent unusually fast
    loop_guard: LoopGuardConfig = LoopGuardConfig()  # a trip wire for agents that run in circles
    jobs: JobsQuotaConfig | None = None  # how much a tenant's jobs may take; default: jobs.quota
    enforce: bool = True  # false: count and report what would have been refused


class KeyConfig(Block, frozen=True):
    """A virtual key that the file declares; others are created at run time."""

    key: str  # the virtual key itself, from the environment or a file: hg- and at least 13 more characters
    user: str | None = None  # whose requests these are; default: what the request says
    name: str = ""  # to recognise it by
    tier: str = ""  # default: the tenant's


class TenantConfig(Block, frozen=True):
    """Who pays."""

    tier: str  # a name from the block `tiers`
    timezone: str = "UTC"  # an IANA name such as Europe/Berlin: where its days and months begin
    keys: list[KeyConfig] = []  # virtual keys; more can be created at run time
    # what its webhooks are signed with: whsec_ and the base64 of 24 to 64 bytes; default: GET /v1/webhooks/secret
    webhook_secret: str = ""
    limits: LimitsConfig = LimitsConfig()  # this tenant's own, in place of its tier's
    budgets: BudgetsConfig = BudgetsConfig()  # this tenant's own, in place of its tier's
