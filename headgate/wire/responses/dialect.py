"""The Responses API in two tables: as OpenAI's clients speak it, and as OpenAI and others understand it."""

from __future__ import annotations

from headgate.types import Api
from headgate.wire.dialect import ClientDialect, ProviderDialect
from headgate.wire.naming import Names
from headgate.wire.responses.answer import read_answer, shows, write_answer
from headgate.wire.responses.errors import error_body, error_event
from headgate.wire.responses.parts import DIALECT
from headgate.wire.responses.request import read_request, write_request
from headgate.wire.responses.stream import StreamListener
from headgate.wire.responses.writer import StreamWriter
from headgate.wire.sse import FrameSplitter

MAX_EVENT_BYTES = 32_000_000  # the last event holds the whole answer, images in base64 too


def _splitter() -> FrameSplitter:
    return FrameSplitter(MAX_EVENT_BYTES)


NAMES = Names(
    {
        "reasoning_effort": ("reasoning.effort",),
        "response_format": ("text.format",),
        "response_format.json_schema.description": ("text.format.description",),
        "verbosity": ("text.verbosity",),
        "logprobs": ("top_logprobs", "include"),
    },
    returned="output",
)
CLIENT = ClientDialect(
    name=DIALECT,
    names=NAMES,
    read_request=read_request,
    shows=shows,
    write_answer=write_answer,
    writer=StreamWriter,
    error_body=error_body,
    error_event=error_event,
)
PROVIDER = ProviderDialect(
    api=Api.RESPONSES,
    write_request=write_request,
    read_answer=read_answer,
    listener=StreamListener,
    splitter=_splitter,
)
