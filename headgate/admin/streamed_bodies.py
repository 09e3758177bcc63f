"""What the OpenAPI document says of bodies that are read while they come in, or written while they go out."""

from __future__ import annotations

from typing import Any

from headgate.admin.endpoint import JSON
from headgate.jobs.filing import UPLOADED

_FORM = {
    "type": "object",
    "properties": {
        "file": {"contentMediaType": "application/octet-stream"},
        "purpose": {"type": "string", "enum": list(UPLOADED)},
        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
        "expires_after[seconds]": {"type": "integer"},
    },
    "required": ["file", "purpose"],
}
_REQUEST = {
    "type": "object",
    "properties": {"custom_id": {"type": "string"}, "params": {"type": "object"}},
    "required": ["custom_id", "params"],
}
_REQUESTS = {
    "type": "object",
    "properties": {"requests": {"type": "array", "minItems": 1, "items": _REQUEST}},
    "required": ["requests"],
    "additionalProperties": False,
}
STREAMED_BODIES: dict[str, dict[str, Any]] = {
    "/v1/files": {"multipart/form-data": {"schema": _FORM}},
    "/v1/messages/batches": {JSON: {"schema": _REQUESTS}},
}
ANSWERS: dict[str, tuple[str, ...]] = {  # what they are, where that is not JSON alone
    "/v1/files/{file_id}/content": ("application/octet-stream",),
    "/v1/jobs/{job_id}/events": ("text/event-stream",),
    "/v1/jobs/{job_id}/report": (JSON, "text/html", "text/plain"),
    "/v1/messages/batches/{batch_id}/results": ("application/x-jsonl",),
    "/metrics": ("text/plain",),
}
