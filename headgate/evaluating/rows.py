"""Reading files of rows: one JSON object on each line, plain or compressed with zstd."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from headgate.errors import FileInvalid, MissingExtra

Row = TypeVar("Row")


def read_rows(path: str, shape: type[Row]) -> list[Row]:
    """All rows of a file; members that the shape does not know are ignored, and so are empty lines.

    Raises FileInvalid, which names the line, and MissingExtra for a compressed file without `zstandard`.
    """
    decoder = msgspec.json.Decoder(shape)
    rows: list[Row] = []
    try:
        for number, line in enumerate(_lines(path), 1):
            if line.strip():
                rows.append(_decoded(decoder, line, f"{path}, line {number}"))
    except OSError as error:
        raise FileInvalid(f"{path} cannot be read ({error}).") from error
    if not rows:
        raise FileInvalid(f"{path} has no rows.")
    return rows


def _decoded(decoder: msgspec.json.Decoder[Row], line: bytes, place: str) -> Row:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FileInvalid(f"{place}: {error}.") from error


def _lines(path: str) -> Iterator[bytes]:
    """Split at line feeds alone: other line ends may stand inside a row."""
    with Path(path).open("rb") as file:
        yield from file if not path.endswith(".zst") else _decompressed(file, path)


def _decompressed(file: IO[bytes], path: str) -> Iterator[bytes]:
    if importlib.util.find_spec("zstandard") is None:
        raise MissingExtra(f"Reading {path} needs the package zstandard. Install it, or decompress the file: zstd -d")
    import zstandard

    try:
        with zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as stream:
            yield from io.BufferedReader(stream)
    except zstandard.ZstdError as error:
        raise FileInvalid(f"{path} is no zstd file ({error}).") from error
