"""OpenAI's organization usage and costs, page by page (API reference, "Usage"; both are told in buckets of a day).

- `/organization/usage/completions` and `/embeddings` tell tokens by model and API key. `input_tokens` has the cached
  ones and those written to the cache in it.
- `/organization/costs` tells money by line item, such as `gpt-4o-mini-2024-07-18, cached input`, or
  `priority | gpt-5.2, output, long context`, or `web search tool calls`. The API takes no grouping by key, whatever its
  description says, so money is known by model only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from headgate.bills import StatementLine, Tokens
from headgate.errors import BillMalformed
from headgate.wire.bills.numbers import count, day_of_unix, decoded, picousd, quoted
from headgate.wire.bills.pages import Page

NO_KEY = "none"  # the key of usage that has none
_MODALITIES = (" text", " audio", " image")
_TOKEN_WORDS = re.compile(r"\b(input|output|tokens|training)\b")


class UsageResult(msgspec.Struct, frozen=True):
    """Tokens of one group. Embeddings have no output."""

    input_tokens: int
    num_model_requests: int
    output_tokens: int = 0
    input_cached_tokens: int | None = None
    input_cache_write_tokens: int | None = None
    model: str | None = None
    api_key_id: str | None = None


class Money(msgspec.Struct, frozen=True):
    """As a number or as a text, as it comes."""

    value: Decimal
    currency: str = "usd"


class CostResult(msgspec.Struct, frozen=True):
    """Money of one group."""

    amount: Money
    line_item: str | None = None


class UsageBucket(msgspec.Struct, frozen=True):
    """One day."""

    start_time: int
    results: list[UsageResult]


class CostBucket(msgspec.Struct, frozen=True):
    """One day."""

    start_time: int
    results: list[CostResult]


def usage_page(body: bytes, source: str, *, by_key: bool) -> tuple[list[StatementLine], str | None]:
    """The lines of a page, and the cursor of the next one or None. Raises BillMalformed."""
    page = decoded(body, Page[UsageBucket], source)
    lines = [
        _usage_line(result, day_of_unix(bucket.start_time, source), source, by_key)
        for bucket in page.data
        for result in bucket.results
    ]
    return lines, page.cursor


def cost_page(body: bytes, source: str) -> tuple[list[StatementLine], str | None]:
    """The lines of a page, and the cursor of the next one or None. Raises BillMalformed."""
    page = decoded(body, Page[CostBucket], source)
    return list(_cost_lines(page, source)), page.cursor


def _usage_line(result: UsageResult, day: int, source: str, by_key: bool) -> StatementLine:
    if result.model is None:
        raise BillMalformed(f"{source}: usage without a model: it must be grouped by model.")
    tokens = Tokens(
        input=count(result.input_tokens, "input tokens", source),
        cached_input=count(result.input_cached_tokens or 0, "cached input tokens", source),
        cache_write=count(result.input_cache_write_tokens or 0, "cache write tokens", source),
        output=count(result.output_tokens, "output tokens", source),
    )
    requests = count(result.num_model_requests, "requests", source)
    return StatementLine(day, result.model, (result.api_key_id or NO_KEY) if by_key else "", requests, tokens)


def _cost_lines(page: Page[CostBucket], source: str) -> Iterator[StatementLine]:
    for bucket in page.data:
        day = day_of_unix(bucket.start_time, source)
        for result in bucket.results:
            if result.amount.currency.lower() != "usd":
                raise BillMalformed(f"{source}: amounts in {quoted(result.amount.currency)}: only USD can be compared.")
            model, other = model_of(result.line_item or "")
            yield StatementLine(day, model, cost_picousd=picousd(result.amount.value, source), other=other)


def model_of(line_item: str) -> tuple[str, str]:
    """The model of a line item, or, for a charge that is not for tokens, its name."""
    name, comma, rest = line_item.rpartition("|")[2].strip().partition(",")
    if not comma or not _TOKEN_WORDS.search(rest):
        return "", line_item.strip() or "without a line item"
    for modality in _MODALITIES:
        name = name.removesuffix(modality)
    return name.strip(), ""
