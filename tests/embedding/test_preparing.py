"""Making the embedder from its weights: the real ones, from a folder and from a hub."""

from __future__ import annotations

import functools
import http.server
import math
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer

from headgate.cli import headgate
from headgate.commands import embedder
from headgate.embedding import prepared, preparing
from headgate.embedding.offline import embed_texts, local_model
from headgate.errors import EmbedderUnavailable

Array = npt.NDArray[Any]
SENTENCES = [
    "How do I know if I will get my card, or if it is lost?",
    "Convert 10 miles to kilometers",
    "what's the weather like in São Paulo, 東京 and Ürümqi?",
    "no",
]


@pytest.fixture(scope="module")
def weights() -> Path:
    folder = preparing.carried()
    assert folder is not None, "make embedder installs the package that carries the weights"
    return folder


@pytest.fixture
def hub(tmp_path: Path, weights: Path) -> Iterator[str]:
    """A web server that has the weights where a hub has them."""
    served = tmp_path / "hub" / preparing.HUB_PATH
    served.mkdir(parents=True)
    for name in preparing.DIGESTS:
        (served / name).symlink_to(weights / name)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "hub"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_from_a_hub_it_is_the_same_and_whole_or_not_at_all(
    hub: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed_texts(["prepared by now"])
    for module in (preparing, embedder):  # whichever of them was imported first
        monkeypatch.setattr(module, "carried", lambda: None)
    run = CliRunner().invoke
    base = tmp_path / "cache"
    failed = run(headgate, ["embedder", "prepare", "--directory", str(base), "--hub", f"{hub}/elsewhere"])
    assert isinstance(failed.exception, EmbedderUnavailable)
    assert "could not be downloaded" in failed.exception.message
    assert list(base.iterdir()) == []
    done = run(headgate, ["embedder", "prepare", "--directory", str(base), "--hub", hub], catch_exceptions=False)
    folder = prepared.place(str(base))
    assert done.stdout.strip() == str(folder)
    assert [path.name for path in base.iterdir()] == [prepared.NAME], "nothing else is left"
    model = prepared.MODEL_FILE
    assert prepared.sha256(folder / model) == prepared.sha256(prepared.place("") / model), "the same bytes again"
    _damaged(folder, base)


def _damaged(folder: Path, base: Path) -> None:
    tokenizer = folder / prepared.TOKENIZER_FILE
    tokenizer.write_bytes(tokenizer.read_bytes()[:-1])
    with pytest.raises(EmbedderUnavailable, match=r"damaged: tokenizer\.json\. Run: headgate embedder prepare"):
        prepared.verify(folder)
    result = CliRunner().invoke(headgate, ["embedder", "status", "--directory", str(base)])
    assert result.exit_code == 1
    assert "not prepared" in result.output


def test_other_weights_are_refused(weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copyfile(weights / prepared.TOKENIZER_FILE, other / prepared.TOKENIZER_FILE)
    (other / preparing.WEIGHTS_FILE).write_bytes(b"something else")
    with pytest.raises(EmbedderUnavailable, match="another file than expected"):
        preparing.prepare(tmp_path / "made", other, None)
    with pytest.raises(EmbedderUnavailable, match="no readable"):
        preparing.prepare(tmp_path / "made", tmp_path / "nowhere", None)
    assert not (tmp_path / "made").exists()


def test_a_folder_that_cannot_be_written_is_named(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbedderUnavailable, match=r"Choose another folder with embedder\.directory"):
        preparing.prepare(tmp_path / "file" / "made", weights, None)


def test_without_weights_it_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "carried", lambda: None)
    with pytest.raises(EmbedderUnavailable, match="headgate embedder prepare"):
        local_model(tmp_path / "nothing")


def test_it_computes_what_the_model_does(weights: Path) -> None:
    """The same layers written down in numpy, with the weights as they are published."""
    reference = Reference(preparing.read_weights(weights / preparing.WEIGHTS_FILE))
    tokenizer = Tokenizer.from_file(str(weights / prepared.TOKENIZER_FILE))
    tokenizer.no_padding()
    for sentence, vector in zip(SENTENCES, embed_texts(SENTENCES), strict=True):
        exact = reference.embed(tokenizer.encode(sentence).ids)
        assert exact @ vector > 0.97, "8 bits lose a little"


class Reference:
    """BERT after its paper, one text at a time."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self._weights = weights

    def embed(self, ids: list[int]) -> Array:
        weights = self._weights
        hidden = weights["embeddings.word_embeddings.weight"][ids]
        hidden = hidden + weights["embeddings.position_embeddings.weight"][: len(ids)]
        hidden = self._norm(hidden + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(6):
            name = f"encoder.layer.{layer}"
            seen = self._linear(self._attend(hidden, f"{name}.attention.self"), f"{name}.attention.output.dense")
            hidden = self._norm(hidden + seen, f"{name}.attention.output.LayerNorm")
            inner = self._linear(hidden, f"{name}.intermediate.dense")
            inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
            hidden = self._norm(hidden + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        mean: Array = hidden.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _attend(self, hidden: Array, name: str) -> Array:
        parts = [self._linear(hidden, f"{name}.{part}") for part in ("query", "key", "value")]
        query, key, value = (part.reshape(len(hidden), 12, 32).swapaxes(0, 1) for part in parts)
        scores = np.exp(query @ key.swapaxes(1, 2) / math.sqrt(32))
        seen: Array = (scores / scores.sum(axis=-1, keepdims=True)) @ value
        return seen.swapaxes(0, 1).reshape(len(hidden), 384)

    def _linear(self, value: Array, name: str) -> Array:
        product: Array = value @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return product

    def _norm(self, value: Array, name: str) -> Array:
        centred = value - value.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        normed: Array = centred / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        return normed
