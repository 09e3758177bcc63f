"""`headgate cache eval`: the fields that are fixed, and what people read."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from click.testing import CliRunner

from headgate.commands.cache import cache
from tests.evaluating.test_caching import TOPICS, said, vectors


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    def embed_texts(texts: Sequence[str], directory: str = "") -> Any:
        return vectors(list(texts))

    monkeypatch.setattr("headgate.embedding.offline.embed_texts", embed_texts)
    chance = random.Random(2)
    topics = [chance.randrange(TOPICS) for _ in range(400)]
    rows = [{"text": said(topic, number), "intent": f"t{topic}"} for number, topic in enumerate(topics)]
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(zstandard.compress(b"\n".join(map(msgspec.json.encode, rows))))
    return str(path)


def test_json(file: str) -> None:
    arguments = ["eval", file, "--bound", "0.05", "--limit", "300", "--seed", "4", "--json"]
    result = CliRunner().invoke(cache, arguments)
    assert result.exit_code == 0, result.output
    report = msgspec.json.decode(result.output)
    assert {"hit_rate", "false_hit_rate", "hits", "false_hits", "verified", "static_best"} <= report.keys()
    assert {"threshold", "hit_rate"} <= report["static_best"].keys()
    assert report["questions"] == 300 and report["hit_rate"] == report["hits"] / 300
    assert CliRunner().invoke(cache, arguments).output == result.output, "the same seed, the same figures"


def test_for_people_with_curves(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headgate.evaluating.caching.BOUNDS", (0.05,))
    result = CliRunner().invoke(cache, ["eval", file, "--bound", "0.05", "--limit", "200", "--seeds", "2", "--curves"])
    assert result.exit_code == 0, result.output
    for word in ("400 in 2 streams", "static best", "verified", "cosine", "guards", "learned", "verifier"):
        assert word in result.output


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"question": "a"}\n')
    result = CliRunner().invoke(cache, ["eval", str(path)])
    assert result.exit_code != 0 and "no shape" in str(result.exception)
