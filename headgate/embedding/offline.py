"""Embedding many texts at once for commands that are no server: synchronously, in this process, on one core."""

from __future__ import annotations

from collections.abc import Sequence

from headgate.embedding import prepared
from headgate.embedding.model import LocalModel, Vectors
from headgate.embedding.preparing import prepare


def local_model(directory: str = "") -> LocalModel:
    """The embedder of this machine; prepared first if a package that carries its weights is installed.

    `directory` is the setting `embedder.directory`. Raises EmbedderUnavailable or MissingExtra.
    """
    folder = prepared.place(directory)
    if not prepared.is_prepared(folder):
        prepare(folder, source=None, hub=None)
    return LocalModel(folder)


def embed_texts(texts: Sequence[str], directory: str = "") -> Vectors:
    """One row of length one for each text, float32: about 1.4 ms for a short text, each different text once.

    `headgate.embedding.prepared` has the name and the dimensions. Raises as `local_model`.
    """
    different = list(dict.fromkeys(texts))
    row_of = {text: row for row, text in enumerate(different)}
    rows: Vectors = local_model(directory).embed(different)[[row_of[text] for text in texts]]
    return rows
