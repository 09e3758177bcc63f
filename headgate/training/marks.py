"""Which prompts a model was trained on, in 4 bytes each: enough to tell, too little to read them back."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headgate.errors import FileInvalid

Array = npt.NDArray[Any]

BYTES = 4  # of ten thousand prompts, one in 400,000 others is taken for one of them


def marks_of(texts: Iterable[str]) -> str:
    """For the file of a model."""
    return base64.b64encode(b"".join(sorted({_mark(text) for text in texts}))).decode()


def seen(marks: str, texts: Sequence[str]) -> Array:
    """A mask of the texts that a model was trained on. Raises FileInvalid."""
    try:
        known = base64.b64decode(marks, validate=True)
    except binascii.Error as error:
        raise FileInvalid(f"The model's marks of what it was trained on cannot be read ({error}).") from error
    each = {known[start : start + BYTES] for start in range(0, len(known), BYTES)}
    return np.array([_mark(text) in each for text in texts])


def _mark(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()[:BYTES]
