"""The hot path of calls that are passed on: the few members that headgate must know of a body in Anthropic's dialect.

Everything else in a body passes untouched, so that a member Anthropic adds tomorrow works today.
"""

from __future__ import annotations

import msgspec

from headgate.errors import InvalidRequest
from headgate.types import Call, Features, Route
from headgate.wire.dialect import Fields
from headgate.wire.effort import LEAST_BUDGET_TOKENS
from headgate.wire.members import read_body, says_nothing
from headgate.wire.messages.blocks import ABSENT
from headgate.wire.messages.foreign import without_foreign_thoughts
from headgate.wire.neutral import Written

MAX_NAME_CHARACTERS = 256  # of what ends up in the ledger
MAX_OUTPUT_TOKENS = 1_000_000_000  # more than any model can, and small enough to calculate with


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class CallView(msgspec.Struct):
    """The members headgate reads, with the types the API gives them."""

    model: str
    messages: msgspec.Raw
    max_tokens: int | None = None
    stream: bool | None = None
    metadata: _Metadata | None = None

    @property
    def user(self) -> str | None:
        """The caller's end user, as the ledger keeps it."""
        user_id = self.metadata.user_id if self.metadata else None
        return user_id[:MAX_NAME_CHARACTERS] if user_id else None


class _Part(msgspec.Struct):
    type: str | None = ""
    content: msgspec.Raw = ABSENT  # of a tool's result, or of a document
    source: msgspec.Raw = ABSENT


class _Message(msgspec.Struct):
    content: msgspec.Raw = ABSENT


class _Thinking(msgspec.Struct):
    budget_tokens: int | None = None


_view = msgspec.json.Decoder(CallView)
_messages = msgspec.json.Decoder(list[_Message])
_part = msgspec.json.Decoder(_Part)
_parts = msgspec.json.Decoder(list[_Part])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_thinking = msgspec.json.Decoder(_Thinking | None)


def read_call(route: Route, body: bytes) -> tuple[dict[str, msgspec.Raw], CallView]:
    """The members of a body, and those headgate reads. Raises MalformedJson or InvalidRequest."""
    fields, view = read_body(body, _view)
    if not view.model:
        raise InvalidRequest("The member 'model' is empty. GET /v1/models lists the models of your key.", param="model")
    if len(view.model) > MAX_NAME_CHARACTERS:
        raise InvalidRequest(f"The model's name is longer than {MAX_NAME_CHARACTERS} characters.", param="model")
    if view.max_tokens is None:
        if route is Route.MESSAGES:
            raise InvalidRequest("The member 'max_tokens' is missing.", param="max_tokens")
    elif not 1 <= view.max_tokens <= MAX_OUTPUT_TOKENS:
        raise InvalidRequest(f"'max_tokens' must be between 1 and {MAX_OUTPUT_TOKENS}.", param="max_tokens")
    return fields, view


def features(fields: Fields) -> Features:
    """Which features a request uses."""
    return Features(tools="tools" in fields and not says_nothing(fields["tools"]), images=_uses_images(fields))


def _uses_images(fields: Fields) -> bool:
    raw = bytes(fields.get("messages", b""))
    if b"image" not in raw and b"\\u" not in raw:
        return False
    try:
        return any(_has_image(message.content) for message in _messages.decode(raw))
    except (ValueError, RecursionError):
        return True  # an image could hide in what cannot be read


def _has_image(content: msgspec.Raw) -> bool:
    parts: list[_Part] = []
    if bytes(content).startswith(b"["):
        parts = _parts.decode(content)
    elif bytes(content).startswith(b"{"):
        parts = [_part.decode(content)]
    return any(part.type == "image" or _has_image(part.content) or _has_image(part.source) for part in parts)


def upstream_body(call: Call, upstream_model: str, *, max_output_tokens: int | None) -> Written:
    """The body for a deployment: its own model name and the lowered output ceiling, and a budget to think below that.

    Thoughts that another provider had are left out of it, and listed.
    Raises InvalidRequest when the ceiling leaves too little to think.
    """
    fields = dict(call.fields)
    fields["model"] = msgspec.Raw(msgspec.json.encode(upstream_model))
    fields["messages"], leftovers = without_foreign_thoughts(fields["messages"])
    if max_output_tokens is not None and call.route is Route.MESSAGES:
        _lower_output(fields, max_output_tokens)
    return Written(msgspec.json.encode(fields), leftovers)


def _lower_output(fields: dict[str, msgspec.Raw], max_output_tokens: int) -> None:
    if int(bytes(fields["max_tokens"])) <= max_output_tokens:
        return
    fields["max_tokens"] = msgspec.Raw(b"%d" % max_output_tokens)
    if "thinking" not in fields:
        return
    try:
        budget = (_thinking.decode(fields["thinking"]) or _Thinking()).budget_tokens
        thinking = _members.decode(fields["thinking"]) if budget is not None else {}
    except (ValueError, RecursionError):
        return  # what is wrong with it, the provider says
    if budget is None or budget < max_output_tokens:
        return
    if max_output_tokens <= LEAST_BUDGET_TOKENS:
        raise InvalidRequest(
            f"'thinking.budget_tokens' is {budget}, but only {max_output_tokens} output tokens can be had, and "
            f"thinking needs {LEAST_BUDGET_TOKENS} beside the answer. Leave 'thinking' out.",
            param="thinking.budget_tokens",
        )
    thinking["budget_tokens"] = msgspec.Raw(b"%d" % (max_output_tokens - 1))
    fields["thinking"] = msgspec.Raw(msgspec.json.encode(thinking))


class _Count(msgspec.Struct):
    input_tokens: int


def write_count(tokens: int) -> bytes:
    """The answer to a request to count tokens."""
    return msgspec.json.encode(_Count(tokens))
