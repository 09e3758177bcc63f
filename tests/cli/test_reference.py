"""The pages that are written from the code are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate.admin.reference import reference as admin
from headgate.commands.reference import reference as commands

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    "page, reference, module",
    [("admin.md", admin, "headgate.admin.reference"), ("cli.md", commands, "headgate.commands.reference")],
)
def test_the_page_is_as_the_code_says(page: str, reference: object, module: str) -> None:
    assert callable(reference)
    assert (DOCS / page).read_text(encoding="utf-8") == reference(), f"run: python -m {module} > docs/{page}"
