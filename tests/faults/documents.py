"""Texts for a night's work: real ones from the folder that HEADGATE_DOCUMENTS names, else generated."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

MOST_CHARACTERS = 6_000  # longer documents are several
WORDS = ("gate", "mill", "wheel", "water", "stone", "grain", "flour", "river", "weir", "sluice", "miller", "race")


def documents(count: int) -> Iterator[str]:
    """So many texts. Its files are JSON lines with a member `text`."""
    folder = os.environ.get("HEADGATE_DOCUMENTS")
    yield from islice(_pieces(Path(folder)) if folder else _generated(), count)


def _generated() -> Iterator[str]:
    chance = random.Random(7)
    while True:
        yield " ".join(chance.choices(WORDS, k=chance.randint(5, 120))) + "."


def _pieces(folder: Path) -> Iterator[str]:
    """Again from the beginning when there are not enough."""
    files = sorted(folder.glob("*.jsonl"))
    assert files, f"{folder} has no files of JSON lines"
    while True:
        for file in files:
            for line in file.read_bytes().split(b"\n")[:-1]:
                text = str(json.loads(line).get("text") or "")
                for start in range(0, len(text), MOST_CHARACTERS):
                    if piece := text[start : start + MOST_CHARACTERS].strip():
                        yield piece
