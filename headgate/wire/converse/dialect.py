"""Converse among the dialects: what translation needs to speak it to a provider."""

from __future__ import annotations

from headgate.types import Api
from headgate.wire.converse.answer import read_answer
from headgate.wire.converse.frames import EventStreamSplitter
from headgate.wire.converse.request import write_request
from headgate.wire.converse.stream import StreamListener
from headgate.wire.dialect import ProviderDialect

PROVIDER = ProviderDialect(
    api=Api.CONVERSE,
    write_request=write_request,
    read_answer=read_answer,
    listener=StreamListener,
    splitter=EventStreamSplitter,
    stream_type="application/vnd.amazon.eventstream",
)
