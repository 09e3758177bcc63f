"""Data URLs (RFC 2397), as several APIs carry images and files in them."""

from __future__ import annotations

DEFAULT_MEDIA_TYPE = "text/plain"  # of a URL that names none


def read(url: str) -> tuple[str, str] | None:
    """(media type, base64) of a data URL in base64, None for any other URL."""
    scheme, comma, data = url.partition(",")
    if not comma or scheme[:5].lower() != "data:" or scheme[-7:].lower() != ";base64":
        return None
    return scheme[5:-7] or DEFAULT_MEDIA_TYPE, data


def write(media_type: str, data: str) -> str:
    """The URL of base64 `data`."""
    return f"data:{media_type};base64,{data}"
