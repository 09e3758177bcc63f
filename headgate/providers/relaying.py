"""`UpstreamResponse.relay` for answers that are not fed by a socket's callback."""

from __future__ import annotations

from headgate.ports import Take, UpstreamResponse


async def relay_by_reading(response: UpstreamResponse, take: Take) -> bool:
    """Read piece after piece and hand it on."""
    while data := await response.read():
        if not take(data):
            return False
    return True
