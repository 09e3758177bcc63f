"""Reads the members of callers' bodies into typed values, and names the one that is wrong."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from headgate.errors import InvalidRequest, MalformedJson
from headgate.wire.surrogates import has_lone_halves

T = TypeVar("T")

_HARMLESS = (b"null", b'""', b"false", b"0", b"0.0")
_GZIP = b"\x1f\x8b"
_BRACKETS = (b"[", b"{")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_body(body: bytes, view: msgspec.json.Decoder[T]) -> tuple[dict[str, msgspec.Raw], T]:
    """The members of a body as raw JSON, and those that `view` has typed. Raises MalformedJson or InvalidRequest."""
    if not body:
        raise MalformedJson("The body is empty; a JSON object was expected.")
    try:
        if not body.isascii():
            body.decode()
        return _fields.decode(body), view.decode(body)
    except UnicodeDecodeError as error:
        raise MalformedJson(_no_text(body, error)) from None
    except RecursionError:
        raise MalformedJson("The body is nested too deeply.") from None
    except msgspec.ValidationError as error:
        raise _invalid(error, "") from None
    except msgspec.DecodeError as error:
        raise MalformedJson(no_json(body, error)) from None


def read_member(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw, where: str) -> T:
    """One value at the place `where` of a body. Raises InvalidRequest, naming the innermost place that is wrong."""
    try:
        return decoder.decode(raw)
    except RecursionError:
        raise too_deep(where) from None
    except msgspec.ValidationError as error:
        raise _invalid(error, where) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(f"'{where}' cannot be read: {error}.", param=where) from None


def no_json(body: bytes, error: Exception) -> str:
    """What to say of a body that cannot be read: of half a character msgspec says that the input was truncated."""
    if has_lone_halves(body):
        return "The body is not valid JSON: it has half a character, such as \\ud83d alone. A text was cut in it."
    return f"The body is not valid JSON: {error}."


def _no_text(body: bytes, error: UnicodeDecodeError) -> str:
    if body.startswith(_GZIP):
        return "The body is compressed. Send it as it is, without content-encoding."
    return f"The body is not valid UTF-8: byte {error.start} cannot be read."


def too_deep(where: str) -> InvalidRequest:
    """What to raise for a value that no parser can go down; an empty place is the body."""
    what = f"'{where}'" if where else "The body"
    return InvalidRequest(f"{what} is nested too deeply.", param=where or None)


def says_nothing(raw: msgspec.Raw) -> bool:
    """Whether leaving a member out loses nothing: null, false, zero or empty."""
    text = bytes(raw).strip()
    return text in _HARMLESS or (text[:1] in _BRACKETS and not text[1:-1].strip())


def _invalid(error: msgspec.ValidationError, where: str) -> InvalidRequest:
    """msgspec says: "Expected `str`, got `int` - at `$.messages[1].role`"."""
    what, _, path = str(error).partition(" - at `$")
    place = f"{where}{path.rstrip('`')}".lstrip(".")
    if what.startswith("Object missing required field"):
        name = what.split("`")[1]
        place = f"{place}.{name}" if place else name
        return InvalidRequest(f"The member '{place}' is missing.", param=place)
    return InvalidRequest(f"{what} in '{place}'." if place else f"{what}.", param=place or None)
