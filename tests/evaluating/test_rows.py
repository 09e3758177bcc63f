"""Files of rows, plain and compressed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import zstandard

from headgate.errors import FileInvalid
from headgate.evaluating.rows import read_rows


class Row(msgspec.Struct):
    text: str


CONTENT = '{"text": "one", "more": 1}\n\n{"text": "two\u2028still two"}\n'.encode()


def test_plain_and_compressed(tmp_path: Path) -> None:
    plain, compressed, parts = (tmp_path / name for name in ("a.jsonl", "a.jsonl.zst", "b.jsonl.zst"))
    plain.write_bytes(CONTENT)
    compressed.write_bytes(zstandard.compress(CONTENT))
    parts.write_bytes(zstandard.compress(CONTENT[:20]) + zstandard.compress(CONTENT[20:]))
    for path in (plain, compressed, parts):
        assert [row.text for row in read_rows(str(path), Row)] == ["one", "two\u2028still two"]


def test_what_is_wrong_is_said_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(CONTENT + b'{"text": 5}\n')
    with pytest.raises(FileInvalid, match=r"line 4: Expected `str`"):
        read_rows(str(path), Row)
    path.write_bytes(b"\n")
    with pytest.raises(FileInvalid, match="no rows"):
        read_rows(str(path), Row)
    with pytest.raises(FileInvalid, match="cannot be read"):
        read_rows(str(tmp_path / "missing.jsonl"), Row)
    path = tmp_path / "a.zst"
    path.write_bytes(CONTENT)
    with pytest.raises(FileInvalid, match="no zstd file"):
        read_rows(str(path), Row)
