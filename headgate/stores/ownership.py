"""Files that belong to a living process: each is locked (`flock`) by its owner for the owner's life.

A lock that can be taken means that the owner is dead, and whoever has taken it may do with the file what is right.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

UNBORN_SUFFIX = ".new"


def create_owned(path: Path, fill: Callable[[int], None]) -> int | None:
    """The descriptor of a new file, locked and filled before it has its name: nobody finds one that is being born.

    None if the name is taken, or if somebody swept up the unborn file. Raises OSError, and leaves nothing then.
    """
    unborn = path.with_suffix(UNBORN_SUFFIX)
    descriptor = os.open(unborn, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        fill(descriptor)
        os.link(unborn, path)
    except (FileExistsError, FileNotFoundError, BlockingIOError):
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    finally:
        unborn.unlink(missing_ok=True)
    return descriptor


def take(path: Path) -> int | None:
    """The descriptor of a file that is still there and that nobody else has locked; it is locked by us now."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except (FileNotFoundError, PermissionError):  # done by somebody else, or another user's
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
