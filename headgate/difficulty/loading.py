"""Reading a difficulty model: the packaged one (`default.json`), or an operator's own."""

from __future__ import annotations

from pathlib import Path

from headgate.errors import FileInvalid
from headgate.policy.difficulty.model import Difficulty

PACKAGED = Path(__file__).with_name("default.json")


def load_difficulty(path: str | None = None) -> Difficulty:
    """The model in a file, None: the packaged one. Takes about 5 ms.

    Raises FileInvalid if there is none or it cannot be used.
    """
    try:
        return Difficulty.decode((Path(path) if path else PACKAGED).read_bytes())
    except (OSError, ValueError) as error:
        raise FileInvalid(f"{path or PACKAGED}: {error}.") from error
