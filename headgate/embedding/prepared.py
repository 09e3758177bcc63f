"""The embedder that runs on this machine, all-MiniLM-L6-v2 in int8: its identity, and the folder it is prepared in."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from headgate.errors import EmbedderUnavailable

# The number grows with every change of how it is made: vectors of another making are not comparable.
NAME = "all-minilm-l6-v2-int8-1"
DIMENSIONS = 384
MAX_TOKENS = 256  # what it was trained to read; the rest of a text is cut
MAX_CHARACTERS = 8_000  # of a text are looked at: far more than that
DEFAULT_DIRECTORY = "~/.cache/headgate"

MODEL_FILE, TOKENIZER_FILE, MANIFEST_FILE = "model.onnx", "tokenizer.json", "manifest.json"


class Manifest(msgspec.Struct, frozen=True):
    """What the folder must hold: SHA-256 in hexadecimal digits by file name."""

    name: str
    files: dict[str, str]


def place(base: str) -> Path:
    """The folder of the prepared embedder below a cache directory, "" for the user's own.

    Raises EmbedderUnavailable for a user without a home.
    """
    try:
        return Path(base or DEFAULT_DIRECTORY).expanduser().absolute() / NAME
    except RuntimeError as error:
        raise EmbedderUnavailable(f"The embedder has no folder ({error}). Set embedder.directory.") from error


def verify(folder: Path) -> None:
    """Raises EmbedderUnavailable if the folder is not what was prepared."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST_FILE).read_bytes(), type=Manifest)
        broken = [name for name, digest in manifest.files.items() if sha256(folder / name) != digest]
    except (OSError, msgspec.MsgspecError) as error:
        raise EmbedderUnavailable(f"The embedder in {folder} cannot be read ({error}). {WHAT_TO_DO}") from error
    if manifest.name != NAME or broken:
        named = ", ".join(broken) or manifest.name
        raise EmbedderUnavailable(f"The embedder in {folder} is damaged: {named}. {WHAT_TO_DO}")


def is_whole(folder: Path) -> bool:
    """Whether the folder is what was prepared; 15 ms."""
    try:
        verify(folder)
    except EmbedderUnavailable:
        return False
    return True


def sha256(path: Path) -> str:
    """The checksum of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


WHAT_TO_DO = "Run: headgate embedder prepare"
