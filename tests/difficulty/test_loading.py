"""The packaged difficulty model, and files of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate.difficulty.loading import PACKAGED, load_difficulty
from headgate.embedding import prepared
from headgate.errors import FileInvalid
from headgate.policy.difficulty.signals import signals_of

PROFESSIONAL = """A partner in a general partnership may bind the others to which of the following obligations?
A. An assignment of partnership property in trust for creditors
B. A confession of judgment
C. A purchase of supplies in the ordinary course of business
D. A disposal of the good will of the business
Answer:"""
ELEMENTARY = "What is the capital of France?\nA. Rome\nB. Paris\nC. Berlin\nD. Madrid\nAnswer:"


def test_the_packaged_model_fits_the_local_embedder() -> None:
    weights = load_difficulty().weights
    assert (weights.embedder, weights.dimensions) == (prepared.NAME, prepared.DIMENSIONS)
    assert PACKAGED.stat().st_size < 300_000
    assert sum(weights.trained_on.values()) > 5_000


def test_it_was_not_trained_on_what_may_not_be_shipped() -> None:
    assert not {"alpacaeval2", "routerarena"} & load_difficulty().weights.trained_on.keys()


def test_it_orders_what_anybody_would_order() -> None:
    difficulty = load_difficulty()
    easy, hard = (difficulty.score(signals_of(text)) for text in (ELEMENTARY, PROFESSIONAL))
    assert easy.probability > hard.probability
    assert 0 < hard.probability < easy.probability < 1


def test_another_file(tmp_path: Path) -> None:
    copy = tmp_path / "model.json"
    copy.write_bytes(PACKAGED.read_bytes())
    assert load_difficulty(str(copy)).weights == load_difficulty().weights
    copy.write_bytes(b"{}")
    with pytest.raises(FileInvalid, match="no difficulty model"):
        load_difficulty(str(copy))
    with pytest.raises(FileInvalid, match=r"missing\.json"):
        load_difficulty(str(tmp_path / "missing.json"))
