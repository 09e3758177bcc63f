"""What both shapes of batches have in common when they are read and written."""

from __future__ import annotations

import msgspec

from headgate.file_types import LineProblem
from headgate.wire.lines import Line


class BatchLine(msgspec.Struct, frozen=True):
    """A request of a batch. `body` is that of its endpoint."""

    number: int
    custom_id: str
    body: bytes


class _Anything(msgspec.Struct):
    """A JSON object."""


_object = msgspec.json.Decoder(_Anything)


def json_problem(line: Line) -> LineProblem | None:
    """Why a line is no JSON object; None if it is."""
    code = "invalid_json_line"
    if line.body is None:
        return LineProblem("request_too_large", "The line is longer than server.max_body_bytes.", line.number)
    try:
        line.body.decode()  # the decoder does not look into what it skips
        _object.decode(line.body)
        return None
    except msgspec.ValidationError:
        return LineProblem(code, "The line is JSON, but not an object.", line.number)
    except RecursionError:
        return LineProblem(code, "The line is nested too deeply.", line.number)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return LineProblem(code, f"The line is not valid JSON: {error}.", line.number)


def embedded(body: str) -> msgspec.Raw | None:
    """JSON to be put into other JSON, or None if it is none."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return msgspec.Raw(body)
