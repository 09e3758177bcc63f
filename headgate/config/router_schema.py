"""The blocks of routers: public names behind which headgate chooses the model; part of `schema.py`."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from headgate.config.blocks import Block, Share, Usd


class TargetConfig(Block, frozen=True):
    """What is to be reached at the least cost."""

    quality: Share  # of the best model's, on average over the requests of this process: 0.95 is 95 %


class FlagConfig(Block, frozen=True):
    """A model for some of the requests, whatever they are about."""

    model: str  # one of `from`
    share: Share = 1.0  # of conversations; each stays in or out
    tiers: list[str] = []  # of these tiers only; default: all


class EscalateConfig(Block, frozen=True):
    """When the next better model is asked before anything of an answer is shown."""

    refusal: bool = True  # it declines
    empty: bool = True  # there is nothing in it
    truncated: bool = True  # it ends at the model's own limit, not at one that the caller set
    invalid_json: bool = True  # it is not JSON, though that was asked for
    min_logprob: Annotated[float, msgspec.Meta(le=0)] | None = None  # mean of its tokens, where logprobs were asked for
    # hold streams back until they are whole, so that all of them can be judged; else only their first words are
    hold_streams: bool = False
    # a model that is asked, at the caller's expense, whether an answer will do; of streams only those that are held
    check_with: str = ""
    # how close a call has to be: a better model whose worth is lower by less than this is asked at once, or, with
    # check_with, only answers of such close calls are checked (0: all)
    near: Share = 0


class ShadowConfig(Block, frozen=True):
    """Asking a second model beside the chosen one, to learn from the difference."""

    share: Share = 0  # share of the requests that a cheaper model has answered
    max_usd_per_day: Usd = Decimal(0)  # no more once this much was spent on it, judges included
    judge: str = ""  # the model that compares the answers; default: the last one of `from`
    max_loss: Share = 0.1  # a router that surely loses more against its best model asks only that one from then on
