"""Which database a command works on. By itself, so that a command whose server does the work loads no database."""

from __future__ import annotations

import msgspec


class Where(msgspec.Struct, frozen=True):
    """Which database: that of a configuration file, or of a data directory."""

    config_path: str | None
    data_dir: str | None
