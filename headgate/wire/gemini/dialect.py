"""Gemini's dialect as a provider speaks it, in one table."""

from __future__ import annotations

from headgate.types import Api
from headgate.wire.dialect import ProviderDialect
from headgate.wire.gemini.answer import read_answer
from headgate.wire.gemini.request import write_request
from headgate.wire.gemini.stream import StreamListener
from headgate.wire.sse import FrameSplitter

MAX_EVENT_BYTES = 32_000_000  # a picture in base64 is one event


def _splitter() -> FrameSplitter:
    return FrameSplitter(MAX_EVENT_BYTES)


PROVIDER = ProviderDialect(
    api=Api.GENERATE_CONTENT,
    write_request=write_request,
    read_answer=read_answer,
    listener=StreamListener,
    splitter=_splitter,
)
