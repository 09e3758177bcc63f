"""The comments of the settings as texts: a setting's documentation is written once, beside it.

For generators of documents only: needs the source file, and is never imported by the running gateway.
"""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path
from types import ModuleType

from headgate.config import (
    alert_schema,
    batch_schema,
    billing_schema,
    delivery_schema,
    embedder_schema,
    files_schema,
    jobs_schema,
    router_schema,
    schema,
    tiers,
)

_SOURCES = (
    schema, tiers, alert_schema, batch_schema, billing_schema, delivery_schema, embedder_schema, files_schema,
    jobs_schema, router_schema,
)  # fmt: skip


def field_comments() -> dict[str, dict[str, str]]:
    """Class name -> field name -> its comment: the one on its last line, else the lines right above it."""
    own = {name: comments for module in _SOURCES for name, comments in _comments_of(module).items()}
    bases = {"TierConfig": "LimitsConfig"}
    return {name: own.get(bases.get(name, ""), {}) | comments for name, comments in own.items()}


def _comments_of(module: ModuleType) -> dict[str, dict[str, str]]:
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    comments = {
        token.start[0]: (token.string.removeprefix("#").strip(), not token.line[: token.start[1]].strip())
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    return {
        block.name: {
            field.target.id: _comment(comments, field)
            for field in block.body
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        }
        for block in ast.parse(source).body
        if isinstance(block, ast.ClassDef)
    }


def block_summary(block: type) -> str:
    """The first line of a block's docstring."""
    return (block.__doc__ or "").strip().split("\n")[0]


def _comment(comments: dict[int, tuple[str, bool]], field: ast.AnnAssign) -> str:
    beside = comments.get(field.end_lineno or field.lineno)
    if beside is not None:
        return beside[0]
    lines: list[str] = []
    line = field.lineno - 1
    while line in comments and comments[line][1]:
        lines.insert(0, comments[line][0])
        line -= 1
    return " ".join(lines)
