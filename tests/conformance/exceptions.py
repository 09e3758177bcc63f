"""What does not come out as it was recorded, and why: the exceptions that docs/providers.md explains."""

from __future__ import annotations

import json

from tests.conformance import responses
from tests.conformance.recordings import Recording

WRONG_KEY = "API_KEY_INVALID"


def reason(recording: Recording, client: str) -> str:
    """Why a recording cannot reach a client of this dialect unchanged, empty if it must."""
    if recording.status == 400 and WRONG_KEY in json.dumps(recording.answer):
        return "Google answers 400 to a wrong key; the key is the gateway's, and its caller gets 502 `upstream_auth`"
    if client == "responses" and isinstance(recording.request, dict) and recording.request.get("background"):
        return "a response in the background is refused with 400 by name: jobs do that"
    if recording.dialect == "responses" and isinstance(recording.stream, str) and recording.dialect != client:
        differ = [each for each in responses.inconsistencies(recording.stream) if "differs from its pieces" in each]
        return "the recorded stream ends with another text than its pieces have (a fixture edited by hand)" * bool(
            differ
        )
    return ""
