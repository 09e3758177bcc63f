"""What does not come out as it was recorded, and why: the exceptions that docs/providers.md explains."""

from __future__ import annotations

from tests.conformance.recordings import Recording


def reason(recording: Recording, client: str) -> str:
    """Why a recording cannot reach a client of this dialect unchanged, empty if it must."""
    return ""
