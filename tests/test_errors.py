"""The error table: complete, unmistakable, and the same in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headgate.errors import HeadgateError
from scripts.errors_table import all_errors, page

DOCUMENT = Path(__file__).parents[1] / "docs" / "errors.md"
SOMETIMES_WORTH_ANOTHER_TRY = {408, 409, 429}


def test_the_page_is_up_to_date() -> None:
    written = DOCUMENT.read_text(encoding="utf-8")
    assert written == page(), "run: python -m scripts.errors_table > docs/errors.md"


def test_every_error_is_on_the_page_once() -> None:
    rows = re.findall(r"^\| `(\w+)`", page(), re.MULTILINE)
    assert sorted(rows) == sorted(error.code for error in all_errors())


def test_codes_are_unique() -> None:
    codes = [error.code for error in all_errors()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_every_error_says_what_it_is(error: type[HeadgateError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert "code" in vars(error) or error.__name__ == "InternalError", "the base's own code is InternalError's"
    assert 400 <= error.status <= 599
    assert vars(error).get("__doc__"), "its own docstring, not the base's"
    assert error.kind.endswith("_error") or error.kind == "insufficient_quota"  # as OpenAI calls it


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_a_fault_of_the_caller_is_not_worth_another_try(error: type[HeadgateError]) -> None:
    if error.status < 500 and error.status not in SOMETIMES_WORTH_ANOTHER_TRY:
        assert not error.should_retry
