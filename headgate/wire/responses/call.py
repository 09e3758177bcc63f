"""The hot path of calls that are passed on: the few members that headgate must know of a body of the Responses API.

Everything else in a body passes untouched, so that a member OpenAI adds tomorrow works today.
"""

from __future__ import annotations

import msgspec

from headgate.errors import InvalidRequest
from headgate.types import Call, Features, Route
from headgate.wire.dialect import Fields
from headgate.wire.members import read_body, says_nothing
from headgate.wire.neutral import Leftover, Written
from headgate.wire.openai import MAX_NAME_CHARACTERS, MAX_OUTPUT_TOKENS
from headgate.wire.responses.foreign import without_foreign_thoughts
from headgate.wire.responses.output import NOTHING
from headgate.wire.responses.request import INSTEAD_OF_INPUT

_CEILING = "max_output_tokens"


class CallView(msgspec.Struct):
    """The members headgate reads, with the types the API gives them."""

    model: str
    stream: bool | None = None
    background: bool | None = None
    max_output_tokens: int | None = None
    user: str | None = None
    safety_identifier: str | None = None

    @property
    def end_user(self) -> str | None:
        """The caller's end user, as the ledger keeps it; `safety_identifier` is the newer name."""
        user = self.user or self.safety_identifier
        return user[:MAX_NAME_CHARACTERS] if user else None


class _Item(msgspec.Struct):
    content: msgspec.Raw = NOTHING
    output: msgspec.Raw = NOTHING


class _Part(msgspec.Struct):
    type: str | None = ""


_view = msgspec.json.Decoder(CallView)
_items = msgspec.json.Decoder(str | list[_Item])
_parts = msgspec.json.Decoder(list[_Part])


def read_call(route: Route, body: bytes) -> tuple[dict[str, msgspec.Raw], CallView]:
    """The members of a body, and those headgate reads. Raises MalformedJson or InvalidRequest."""
    fields, view = read_body(body, _view)
    if "input" not in fields and not any(name in fields for name in INSTEAD_OF_INPUT):
        raise InvalidRequest("The member 'input' is missing.", param="input")
    if not view.model:
        raise InvalidRequest("The member 'model' is empty. GET /v1/models lists the models of your key.", param="model")
    if len(view.model) > MAX_NAME_CHARACTERS:
        raise InvalidRequest(f"The model's name is longer than {MAX_NAME_CHARACTERS} characters.", param="model")
    if view.background:
        raise InvalidRequest(
            f"'background' is not served at /v1/{route}. Send the request to POST /v1/jobs as a job of the kind "
            "'responses', or leave it out and wait for the answer, or stream it.",
            param="background",
        )
    if view.max_output_tokens is not None and not 1 <= view.max_output_tokens <= MAX_OUTPUT_TOKENS:
        raise InvalidRequest(f"'{_CEILING}' must be between 1 and {MAX_OUTPUT_TOKENS}.", param=_CEILING)
    return fields, view


def features(fields: Fields) -> Features:
    """Which features a request uses."""
    return Features(tools="tools" in fields and not says_nothing(fields["tools"]), images=_uses_images(fields))


def _uses_images(fields: Fields) -> bool:
    raw = bytes(fields.get("input", b""))
    if b"image" not in raw and b"\\u" not in raw:
        return False
    try:
        items = _items.decode(raw)
        return not isinstance(items, str) and any(_has_image(bytes(item.content), item.output) for item in items)
    except (ValueError, RecursionError):
        return True  # an image could hide in what cannot be read


def _has_image(content: bytes, output: msgspec.Raw) -> bool:
    """In the parts of a message, or anywhere in what a tool returned: a screenshot is no part."""
    parts = _parts.decode(content) if content.startswith(b"[") else []
    return any("image" in (part.type or "") for part in parts) or b'"image' in bytes(output)


def upstream_body(call: Call, upstream_model: str, *, max_output_tokens: int | None) -> Written:
    """The body for a deployment: its own model name and the lowered output ceiling, or one if there was none.

    Thoughts that another provider had are left out of it, and listed.
    """
    fields = dict(call.fields)
    fields["model"] = msgspec.Raw(msgspec.json.encode(upstream_model))
    leftovers: tuple[Leftover, ...] = ()
    if "input" in fields:
        fields["input"], leftovers = without_foreign_thoughts(fields["input"])
    if max_output_tokens is not None:
        given = bytes(fields.get(_CEILING, NOTHING))
        if given == b"null" or int(given) > max_output_tokens:
            fields[_CEILING] = msgspec.Raw(b"%d" % max_output_tokens)
    return Written(msgspec.json.encode(fields), leftovers)
