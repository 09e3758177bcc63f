"""Anthropic's usage and cost reports, page by page (Admin API, "Usage and Cost"; buckets of a day).

- `/v1/organizations/usage_report/messages` tells tokens by model and API key, every class by itself and requests not
  at all.
- `/v1/organizations/cost_report` tells money as decimal texts in cents, by description; it cannot be grouped by key,
  and does not have Priority Tier.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from headgate.bills import StatementLine, Tokens
from headgate.errors import BillMalformed
from headgate.wire.bills.numbers import count, day_of_text, decimal, decoded, picousd, quoted
from headgate.wire.bills.pages import Page

NO_KEY = "none"  # the key of usage in the console
DEFAULT_WORKSPACE = "default"  # what the workspace without an id is called in the configuration
CENTS_PER_USD = 100


class CacheCreation(msgspec.Struct, frozen=True):
    """Tokens written to the cache."""

    ephemeral_1h_input_tokens: int = 0
    ephemeral_5m_input_tokens: int = 0


class UsageResult(msgspec.Struct, frozen=True):
    """Tokens of one group."""

    uncached_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int
    cache_creation: CacheCreation | None = None
    model: str | None = None
    api_key_id: str | None = None
    workspace_id: str | None = None


class CostResult(msgspec.Struct, frozen=True):
    """Money of one group."""

    amount: str
    currency: str = "USD"
    model: str | None = None
    cost_type: str | None = None
    description: str | None = None
    workspace_id: str | None = None


class UsageBucket(msgspec.Struct, frozen=True):
    """One day."""

    starting_at: str
    results: list[UsageResult]


class CostBucket(msgspec.Struct, frozen=True):
    """One day."""

    starting_at: str
    results: list[CostResult]


def usage_page(
    body: bytes, source: str, *, by_key: bool, workspace: str = ""
) -> tuple[list[StatementLine], str | None]:
    """The lines of a page, and the cursor of the next one or None; only of a workspace, if named.

    Raises BillMalformed.
    """
    page = decoded(body, Page[UsageBucket], source)
    lines = [
        _usage_line(result, day_of_text(bucket.starting_at, source), source, by_key)
        for bucket in page.data
        for result in bucket.results
        if _is_wanted(result.workspace_id, workspace)
    ]
    return lines, page.cursor


def cost_page(body: bytes, source: str, *, workspace: str = "") -> tuple[list[StatementLine], str | None]:
    """The lines of a page, and the cursor of the next one or None; only of a workspace, if named.

    Raises BillMalformed.
    """
    page = decoded(body, Page[CostBucket], source)
    return list(_cost_lines(page, source, workspace)), page.cursor


def _is_wanted(workspace_id: str | None, workspace: str) -> bool:
    return not workspace or (workspace_id or DEFAULT_WORKSPACE) == workspace


def _usage_line(result: UsageResult, day: int, source: str, by_key: bool) -> StatementLine:
    if result.model is None:
        raise BillMalformed(f"{source}: usage without a model: it must be grouped by model.")
    written = result.cache_creation or CacheCreation()
    classes = (
        result.uncached_input_tokens,
        result.cache_read_input_tokens,
        written.ephemeral_5m_input_tokens,
        written.ephemeral_1h_input_tokens,
    )
    plain, cached, short, long = (count(number, "input tokens", source) for number in classes)
    output = count(result.output_tokens, "output tokens", source)
    tokens = Tokens(plain + cached + short + long, cached, short, long, output)
    return StatementLine(day, result.model, (result.api_key_id or NO_KEY) if by_key else "", None, tokens)


def _cost_lines(page: Page[CostBucket], source: str, workspace: str) -> Iterator[StatementLine]:
    for bucket in page.data:
        day = day_of_text(bucket.starting_at, source)
        for result in bucket.results:
            if not _is_wanted(result.workspace_id, workspace):
                continue
            if result.currency.upper() != "USD":
                raise BillMalformed(f"{source}: amounts in {quoted(result.currency)}: only USD can be compared.")
            cost = picousd(decimal(result.amount, source) / CENTS_PER_USD, source)
            if result.model is not None and result.cost_type in (None, "tokens"):
                yield StatementLine(day, result.model, cost_picousd=cost)
            else:
                other = result.description or result.cost_type or "without a description"
                yield StatementLine(day, "", cost_picousd=cost, other=other)
