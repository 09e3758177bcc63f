"""The blocks about what providers bill and how it is compared with the ledger; part of `schema.py`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from headgate.config.blocks import Block, Count, Share, Usd

Hour = Annotated[int, msgspec.Meta(ge=0, le=23)]


class BillingConfig(Block, frozen=True):
    """Where a provider says what was used and what it costs, for the kinds openai and anthropic."""

    admin_key: str  # an admin key of the organization; keys for models may not read bills
    base_url: str = ""  # where its reports are; default: the provider's base_url
    # compare the bill of this project (OpenAI) or workspace (Anthropic, or default) only; default: the whole account
    project: str = ""
    # the ids by which the provider knows api_keys, in the same order: differences are then told by key
    key_ids: list[str] = []


class ReconcileConfig(Block, frozen=True):
    """Comparing the ledger with what providers with a block `billing` say, every night."""

    at_hour: Hour = 4  # of the day in UTC; whichever process is first that hour does it for all
    wait_days: Count = 2  # bills come late: a day is compared when so many days have passed since its end
    days: Count = 7  # so many days are compared each night, because bills are corrected later
    since: str = ""  # the first day that is compared, e.g. 2026-11-01; default: the oldest day of the ledger
    alert_above_usd: Usd | None = Decimal(1)  # an alert when a run finds more than this
    alert_above_share: Share | None = None  # or more than this share of the bill; default: no alert by share
