"""What `docs/limits.md` shows is true."""

from __future__ import annotations

import json
import re
from inspect import getmembers, isclass
from pathlib import Path

from headgate import limit_errors
from headgate.gateway.asking import LEAST_OUTPUT_TOKENS
from headgate.gateway.fleet import DEFAULT_MAX_OUTPUT_TOKENS
from headgate.limit_errors import LimitRefusal
from headgate.metering import LimitDetail
from headgate.policy.sliding import SLICES
from headgate.policy.velocity import BASELINE_PERIODS, RECOVERED_SHARE
from tests.config.reading import BASE, errors

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")


MODELS = """\
models:
  small: {price: free, deployments: [{provider: sim, model: sim-small}]}
  large: {price: free, deployments: [{provider: sim, model: sim-small}]}
"""


def test_the_configuration_works_as_printed() -> None:
    printed = PAGE.split("```yaml\n")[1].split("```")[0]
    providers = BASE.partition("tiers:")[0]
    assert errors(providers + MODELS + printed) == []


def test_the_refusal_has_the_members_of_one_that_is_sent() -> None:
    printed = json.loads(PAGE.split("```json\n")[1].split("```")[0])["error"]
    assert set(printed["limit"]) == set(LimitDetail.__struct_fields__) - {"retry_after_seconds"}


def test_every_refusal_is_listed_with_its_status() -> None:
    kinds = [kind for _, kind in getmembers(limit_errors, isclass) if issubclass(kind, LimitRefusal)]
    for kind in kinds:
        if kind is not LimitRefusal:
            assert re.search(rf"\| [^|]*`{kind.code}`[^|]*\| {kind.status} \|", PAGE), kind.code


def test_the_numbers_are_those_of_the_code() -> None:
    assert (SLICES, LEAST_OUTPUT_TOKENS, DEFAULT_MAX_OUTPUT_TOKENS) == (240, 16, 4096), (
        "change docs/limits.md with them"
    )
    assert (BASELINE_PERIODS, RECOVERED_SHARE) == (12, 0.5), "change docs/limits.md with them"
