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


def test_the_configuration_works_as_printed() -> None:
    printed = PAGE.split("```yaml\n")[1].split("```")[0]
    blocks = {match[0] for match in re.finditer(r"(?m)^\w+:", printed)}
    others = [part for part in re.split(r"(?m)^(?=\w+:)", BASE) if part.split(":")[0] + ":" not in blocks]
    text = "".join(others) + printed.replace("degrade: small", f"degrade: {first_model()}").replace(
        "only: [large]", f"only: [{first_model()}]"
    )
    assert errors(text) == []


def first_model() -> str:
    found = re.search(r"models:\s*\{?\s*(\w[\w-]*):", BASE)
    assert found is not None
    return found[1]


def test_the_refusal_has_the_members_of_one_that_is_sent() -> None:
    printed = json.loads(PAGE.split("```json\n")[1].split("```")[0])["error"]
    assert set(printed["limit"]) == set(LimitDetail.__struct_fields__) - {"retry_after_seconds"}


def test_every_refusal_is_listed_with_its_status() -> None:
    kinds = [kind for _, kind in getmembers(limit_errors, isclass) if issubclass(kind, LimitRefusal)]
    for kind in kinds:
        if kind is not LimitRefusal:
            assert re.search(rf"\| [^|]*`{kind.code}`[^|]*\| {kind.status} \|", PAGE), kind.code


def test_the_numbers_are_those_of_the_code() -> None:
    assert (SLICES, LEAST_OUTPUT_TOKENS, DEFAULT_MAX_OUTPUT_TOKENS) == (240, 16, 4096), "change docs/limits.md with them"
    assert (BASELINE_PERIODS, RECOVERED_SHARE) == (12, 0.5), "change docs/limits.md with them"
