"""What providers billed for recorded answers, beside what headgate's price list and rules make of the same usage.

    python -m benchmarks.recorded_bills exchanges.jsonl.zst

Two providers tell the price of each answer: xAI in `cost_in_usd_ticks` (1e-10 USD), OpenRouter in `cost` (USD). What
OpenRouter sells costs as much as at its maker.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.token_estimates import rows
from headgate.config.catalogue import Catalogue
from headgate.policy.pricing import cost_picousd, format_usd
from headgate.types import PICO_PER_USD
from headgate.wire import openai_usage
from headgate.wire.responses.usage import read_usage as read_responses_usage

Json = Any

PICO_PER_TICK = 100


def usages(value: Json) -> Iterator[dict[str, Json]]:
    """Every usage object inside an answer."""
    if isinstance(value, list):
        for one in value:
            yield from usages(one)
    elif isinstance(value, dict):
        for name, member in value.items():
            if name == "usage" and isinstance(member, dict):
                yield member
            else:
                yield from usages(member)


def answers(row: dict[str, Json]) -> Iterator[Json]:
    """The JSON of an answer, or of each event of a stream."""
    if not row.get("stream"):
        yield row.get("response_body")
        return
    for line in str(row.get("response_text") or "").split("\n"):
        if line.startswith("data:") and "[DONE]" not in line:
            yield json.loads(line.removeprefix("data:"), parse_float=Decimal)


def billed_picousd(usage: dict[str, Json]) -> int | None:
    if isinstance(ticks := usage.get("cost_in_usd_ticks"), int):
        return ticks * PICO_PER_TICK
    cost = usage.get("cost")
    return round(Decimal(str(cost)) * PICO_PER_USD) if isinstance(cost, int | float | Decimal) else None


def our_picousd(catalogue: Catalogue, model: str, usage: dict[str, Json]) -> int | None:
    """None for a model without a price."""
    name = model.rpartition("/")[2]
    price = catalogue.price(name) or catalogue.price(name.replace(".", "-"))
    raw = msgspec.Raw(msgspec.json.encode(usage))
    read = read_responses_usage if "input_tokens" in usage else openai_usage.read_usage
    counted = read(raw)
    return None if price is None or counted is None else cost_picousd(counted, price)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    catalogue = Catalogue.packaged()
    found: set[tuple[str, int, int]] = set()
    for row in rows(Path(sys.argv[1])):
        if row["provider"] in ("xai", "openrouter") and row["status"] == 200:
            for usage in (usage for answer in answers(row) for usage in usages(answer)):
                billed, ours = billed_picousd(usage), our_picousd(catalogue, str(row["model"]), usage)
                if billed is not None and ours is not None:
                    found.add((str(row["model"]), ours, billed))
    for model, ours, billed in sorted(found):
        if ours != billed:
            print(f"{model}: {format_usd(ours)} here, {format_usd(billed)} billed")
    print(f"{sum(ours == billed for _, ours, billed in found)} of {len(found)} are equal to the last digit")


if __name__ == "__main__":
    main()
